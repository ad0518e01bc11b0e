import json
import math
import subprocess
import sys

import pytest
import torch

from qmri_bids.cli.tools import main
from qmri_bids.networks.architecture import PaperNetwork
from qmri_bids.networks.checkpoint import load_checkpoint, save_checkpoint
from qmri_bids.networks.features import INPUTS
from qmri_bids.networks.names import SYSTEMS
from qmri_bids.physics.bssfp import configuration_amplitudes
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.priors.relaxation import PRIORS
from qmri_bids.training.loop import network_config, train
from qmri_bids.training.losses import LOSSES, physics_loss, supervised_loss
from qmri_bids.training.simulation import TrainingSpec, simulate

PROTOCOL = BssfpProtocol.evenly_spaced(
    number_of_cycles=12, repetition_time=4.8e-3, echo_time=2.4e-3, flip_angle=math.radians(15)
)


def spec(**changes):
    return TrainingSpec(
        **{
            "name": "small",
            "protocol": PROTOCOL,
            "prior": "log-uniform",
            "epochs": 3,
            "samples": 20_000,
            "warm_up": 0,
        }
        | changes
    )


def test_the_systems_are_rows_of_the_tables():
    assert {row.loss for row in SYSTEMS.values()} == set(LOSSES)
    assert {row.inputs for row in SYSTEMS.values()} == set(INPUTS)
    assert len({(row.loss, row.inputs) for row in SYSTEMS.values()}) == len(SYSTEMS) == 4


@pytest.mark.parametrize("system", sorted(SYSTEMS))
def test_a_loss_of_the_truth_is_zero_and_has_a_gradient(system):
    made = spec(system=system, snr=None)
    data = simulate(made, 100, generator=torch.Generator().manual_seed(0))

    class Oracle(torch.nn.Module):
        inputs = INPUTS[made.parts.inputs]
        config = network_config(made)

        def forward(self, features, flip_angle, measured_theta):
            tr = PROTOCOL.repetition_time
            return torch.log(data.t1 / tr), torch.log(data.t2 / tr), data.theta

    loss = LOSSES[made.parts.loss]
    assert loss(Oracle(), data, PROTOCOL) < 1e-9
    network = PaperNetwork(network_config(made))
    loss(network, data, PROTOCOL).backward()
    gradients = [parameter.grad.abs().max() for parameter in network.parameters()]
    assert all(0 < gradient < math.inf for gradient in gradients)


def test_the_physics_loss_does_not_know_the_truth_and_the_supervised_does():
    made = spec(snr=None)
    network = PaperNetwork(network_config(made))
    data = simulate(made, 100, generator=torch.Generator().manual_seed(0))
    other = type(data)(**vars(data) | {"t1": data.t1 * 1.3, "t2": data.t2 * 0.8, "theta": data.theta + 0.5})
    assert physics_loss(network, other, PROTOCOL) == physics_loss(network, data, PROTOCOL)
    assert supervised_loss(network, other, PROTOCOL) != supervised_loss(network, data, PROTOCOL)


def test_noise_is_that_of_the_paper():
    """An sd of 0.074/(√2·SNR) a cycle and channel is that over √N of each |F_n|, for M0 = 1; |F1|/|F0| follows."""
    snr = 200.0
    noisy, clean = (
        simulate(
            spec(system="svnn-magnitude", snr=each, prior="uniform"),
            50_000,
            generator=torch.Generator().manual_seed(0),
        )
        for each in ((snr, snr), None)
    )
    torch.testing.assert_close(noisy.t1, clean.t1)
    amplitudes = configuration_amplitudes(clean.t1, clean.t2, b1=clean.b1, protocol=PROTOCOL, orders=(0, 1))
    ratio = amplitudes[:, 1] / amplitudes[:, 0]
    expected = 0.074 / (math.sqrt(2.0) * snr * math.sqrt(12.0)) / amplitudes[:, 0] * (1.0 + ratio**2).sqrt()
    change = noisy.features[:, 2] / noisy.features[:, 1] - clean.features[:, 2] / clean.features[:, 1]
    assert abs((change / expected).std() - 1.0) < 0.02
    assert abs((change / expected).mean()) < 0.05
    torch.testing.assert_close(noisy.weight.mean(), torch.ones(()))


@pytest.mark.parametrize("system", sorted(SYSTEMS))
def test_training_learns_and_repeats_itself(system):
    seen = []
    first = train(spec(system=system), inspect=lambda epoch, network: seen.append(epoch))
    again = train(spec(system=system))
    assert seen == [1, 2, 3]
    assert first.losses[-1] < first.losses[0] / 2
    assert first.losses == again.losses
    for mine, theirs in zip(first.network.parameters(), again.network.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    assert first.card.training["seed"] == 0
    assert first.card.metrics["noise_free"]["theta_mean_absolute_error_rad"] < 0.2
    errors = [first.card.metrics[name]["T1_mean_absolute_error_percent"] for name in ("noise_free", "snr_25", "snr_10")]
    assert errors == sorted(errors)


def test_samples_beyond_the_prior_have_the_share_asked_for_and_none_of_its_box():
    data = simulate(spec(prior="uniform", beyond=0.25), 40_000, generator=torch.Generator().manual_seed(0))
    prior = PRIORS["uniform"]
    inside = (data.t1 >= prior.t1[0]) & (data.t1 <= prior.t1[1]) & (data.t2 >= prior.t2[0]) & (data.t2 <= prior.t2[1])
    assert 0.24 < (~inside).float().mean() < 0.26
    assert (data.t1 >= data.t2).all()
    assert ((data.t1 > 3.0) & (data.t2 > 0.5)).sum() > 100
    alone = simulate(spec(prior="uniform"), 40_000, generator=torch.Generator().manual_seed(0))
    assert alone.t1.max() <= prior.t1[1] * (1 + 1e-6)


def test_the_supervised_target_of_fluid_is_the_edge_of_the_range():
    """A prediction at the edge is right for everything beyond it, and a tissue value is not."""
    made = spec(system="svnn-magnitude", prior="uniform", snr=None)
    data = simulate(made, 2, generator=torch.Generator().manual_seed(0))
    ones = torch.ones(2)
    fluid = type(data)(**vars(data) | {"t1": 4.0 * ones, "t2": 1.5 * ones})

    class Fixed(torch.nn.Module):
        inputs = INPUTS["magnitude"]
        config = network_config(made)

        def __init__(self, log_t1, log_t2):
            super().__init__()
            self.values = log_t1 * ones, log_t2 * ones, data.theta

        def forward(self, features, flip_angle, measured_theta):
            return self.values

    edge = Fixed(Fixed.config.log_t1_over_tr[1], Fixed.config.log_t2_over_tr[1])
    tissue = Fixed(math.log(0.9 / 4.8e-3), math.log(0.06 / 4.8e-3))
    assert supervised_loss(edge, fluid, PROTOCOL) == 0
    assert supervised_loss(tissue, fluid, PROTOCOL) > 0.1


def test_training_leaves_the_random_state_of_the_caller_alone():
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    train(spec(epochs=1, samples=1000))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_range_of_the_paper_is_kept_but_for_a_small_margin():
    config = network_config(spec(prior="uniform"))
    tr = PROTOCOL.repetition_time
    for bounds, (low, high) in ((config.log_t1_over_tr, (0.36, 2.08)), (config.log_t2_over_tr, (0.02, 0.12))):
        assert 0.94 * low < tr * math.exp(bounds[0]) < low
        assert high < tr * math.exp(bounds[1]) < 1.06 * high


def test_the_card_survives_the_file(tmp_path):
    result = train(spec(epochs=1, samples=2000))
    path = save_checkpoint(result.network, result.card, tmp_path)
    network, card = load_checkpoint(path)
    features, angle, measured = torch.rand(5, 5), torch.full((5,), 0.26), torch.zeros(5)
    for mine, theirs in zip(result.network(features, angle, measured), network(features, angle, measured), strict=True):
        torch.testing.assert_close(mine, theirs)
    assert card.training == json.loads(json.dumps(result.card.training))
    assert card.training["prior_source"] == PRIORS["log-uniform"].source


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"system": "pinn"}, r"system must be one of svnn-magnitude, .*, found 'pinn'"),
        ({"prior": "flat"}, r"prior must be one of uniform, .*, found 'flat'"),
        ({"epochs": 0}, "epochs must be positive, found 0"),
        ({"snr": (5.0, 2.0)}, r"snr must be a range .* found \(5.0, 2.0\)"),
        ({"beyond": 1.0}, r"beyond must be a share in \[0, 1\), found 1.0"),
        ({"b1": (1.0, 1.0)}, r"b1 must be a range with low < high"),
        ({"b1": (0.5, 13.0)}, r"b1 times the nominal flip angle must stay below 180°, found 13 × 15°"),
    ],
)
def test_a_specification_without_meaning_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        spec(**changes)


def test_train_from_the_command_line(tmp_path, capsys):
    arguments = ["train", "--output", str(tmp_path), "--epochs", "1", "--samples", "4000", "--phase-cycles", "6"]
    arguments += ["--network", "svnn-magnitude", "--prior", "in-vivo", "--snr", "10", "100", "--flip-angle", "30"]
    assert main(arguments) == 0
    _, card = load_checkpoint(tmp_path / "svnn_magnitude_in-vivo_n6.safetensors")
    assert card.coverage["number_of_cycles"] == 6
    assert card.training["system"] == "svnn-magnitude"
    assert card.training["snr"] == [10.0, 100.0]
    assert math.degrees(card.training["protocol"]["flip_angle"]) == pytest.approx(30.0)
    assert card.training["command"].startswith("qmri-tools train --output")
    out = capsys.readouterr().out
    assert "snr_25 T1_mean_absolute_error_percent" in out
    assert "Weights:" in out
    assert main([*arguments, "--tr", "5000"]) == 2
    assert "repetition_time must lie in (0, 1) s" in capsys.readouterr().err
    assert main(["train", "--output", str(tmp_path), "--shipped", "--tr", "5"]) == 2
    assert "--shipped trains fixed recipes and takes none of their options, found --tr" in capsys.readouterr().err
    assert main(["train", "--output", str(tmp_path), "--shipped", "unknown"]) == 2
    assert "found unknown" in capsys.readouterr().err


def test_help_does_not_import_torch():
    code = (
        "import sys; from qmri_bids.cli.tools import build_parser; build_parser().format_help(); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
