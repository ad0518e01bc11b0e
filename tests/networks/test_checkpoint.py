import json
import math
from dataclasses import replace

import pytest
import torch

from qmri_bids.networks.architecture import PaperNetwork, PaperNetworkConfig
from qmri_bids.networks.checkpoint import (
    ARCHITECTURES,
    ModelCard,
    available_weights,
    find_weights,
    load_card,
    load_checkpoint,
    package_weights,
    save_checkpoint,
)
from qmri_bids.networks.pools import ExchangeNetwork, ExchangeNetworkConfig
from qmri_bids.networks.profile import NaturalNetwork, NaturalNetworkConfig
from qmri_bids.training.shipped import SHIPPED

NETWORKS = {
    "paper": lambda: PaperNetwork(
        PaperNetworkConfig(
            inputs="magnitude",
            hidden=8,
            log_t1_over_tr=(4.0, 6.0),
            log_t2_over_tr=(1.0, 3.0),
            flip_angle=(0.1, 0.4),
        )
    ),
    "natural": lambda: NaturalNetwork(NaturalNetworkConfig(hidden=8, depth=2)),
    "exchange": lambda: ExchangeNetwork(
        ExchangeNetworkConfig(series=(5, 4), parameters=("MT.fraction", "MT.rate"), hidden=8, depth=2)
    ),
}


def card(kind, network, **training):
    return ModelCard(
        name=f"small_{kind}",
        kind=kind,
        description="a test",
        architecture=network.config.to_dict(),
        coverage={"flip_angle": (0.1, 0.4)},
        training=training,
        metrics={},
    )


def test_every_kind_of_network_is_tried_here():
    assert set(NETWORKS) == set(ARCHITECTURES)


@pytest.mark.parametrize("kind", sorted(ARCHITECTURES))
def test_round_trip_and_a_card_that_does_not_match(kind, tmp_path):
    network = NETWORKS[kind]()
    path = save_checkpoint(network, card(kind, network, seed=3), tmp_path)
    again, read = load_checkpoint(path)
    assert type(again) is type(network)
    assert again.config == network.config
    for name, value in network.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value, rtol=0, atol=0)
    assert not again.training
    assert read.training == {"seed": 3}
    assert sorted(each.name for each in tmp_path.iterdir()) == [f"small_{kind}.json", f"small_{kind}.safetensors"]
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    with pytest.raises(ValueError, match=r"the weights .* are not those of the model card"):
        load_checkpoint(path)


def test_an_unknown_kind_and_another_card_version_are_refused(tmp_path):
    network = NETWORKS["paper"]()
    with pytest.raises(ValueError, match=r"kind must be one of paper, natural, exchange, found 'guess'"):
        save_checkpoint(network, replace(card("paper", network), kind="guess"), tmp_path)
    path = save_checkpoint(network, card("paper", network), tmp_path)
    content = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps(content | {"card_version": 1}))
    with pytest.raises(ValueError, match=r"card_version must be 2, found 1; train the network again"):
        load_card(path)
    assert tmp_path not in [each.path.parent for each in available_weights(tmp_path)]


def test_weights_are_found_by_what_they_are_and_a_folder_comes_before_the_package(tmp_path):
    network = NETWORKS["paper"]()
    path = save_checkpoint(network, card("paper", network, system="svnn-magnitude", prior="uniform"), tmp_path)
    found = find_weights(kind="paper", folder=tmp_path, system="svnn-magnitude", prior="uniform")
    assert found[0].path == path
    assert [each.path.parent for each in found[1:]] == [package_weights()] * 3
    assert find_weights(kind="paper", folder=tmp_path, system="svnn-magnitude", prior="none") == []
    assert list(available_weights(tmp_path / "nowhere")) == list(available_weights())


def test_the_shipped_networks_are_those_of_the_table():
    for spec in SHIPPED:
        network, read = load_checkpoint(package_weights() / f"{spec.name}.safetensors")
        assert read.kind == "paper"
        assert read.training["system"] == spec.system
        assert read.training["prior"] == spec.prior
        assert (read.training["seed"], read.training["epochs"]) == (spec.seed, spec.epochs)
        assert read.training["learning_rate"] == spec.learning_rate
        assert read.training["command"].startswith("qmri-tools train --shipped")
        assert read.coverage["number_of_cycles"] == spec.protocol.number_of_cycles
        assert all(torch.isfinite(value).all() for value in network.state_dict().values())
        assert all(math.isfinite(value) for value in read.metrics["snr_10"].values())


def test_the_shipped_networks_are_small():
    sizes = [each.path.stat().st_size for each in available_weights() if each.card.kind == "paper"]
    assert sum(sizes) < 4e6


PUBLISHED = {
    "svnn-magnitude": {12: (6.8, 7.3), 6: (10.2, 12.1), 4: (20.6, 20.5)},
    "pinn-magnitude": {12: (6.7, 7.1), 6: (10.2, 11.8), 4: (20.4, 20.7)},
    "svnn-complex": {12: (6.8, 7.3), 6: (9.4, 10.4), 4: (11.7, 14.1)},
    "pinn-complex": {12: (6.8, 7.3), 6: (9.3, 10.3), 4: (11.6, 14.0)},
}
"""Mean |error| of T1 and T2 [%] of the published weights at SNR 25, the same test set: uniform, all θ, B1 0.7-1.3."""


@pytest.mark.parametrize("spec", [each for each in SHIPPED if each.prior == "uniform"], ids=lambda each: each.name)
def test_no_network_is_worse_than_the_published_one(spec):
    metrics = load_card(package_weights() / f"{spec.name}.safetensors").metrics["snr_25"]
    bars = PUBLISHED[spec.system][spec.protocol.number_of_cycles]
    assert metrics["T1_mean_absolute_error_percent"] <= bars[0]
    assert metrics["T2_mean_absolute_error_percent"] <= bars[1]
