from dataclasses import replace

import numpy as np
import pytest
import torch
from exchange_cases import MT_ALONE, PLAYED_PAIR, SHORT, box, seen

from qmri_bids.physics.fingerprint import exchange_jacobian, scaled_model
from qmri_bids.training.pools import missing as exchange_missing
from qmri_bids.training.pools.card import exchange_card, is_same_scan, probe_signals
from qmri_bids.training.pools.misfit import misfit_about
from qmri_bids.training.pools.missing import ensure_exchange_weights, scan_hash
from qmri_bids.training.pools.shipped import PLAYED_SCAN
from qmri_bids.training.pools.specification import (
    ExchangeTrainingSpec,
    draw_samples,
    known_features,
    ranges_of,
    train_exchange,
)

SMALL = ExchangeTrainingSpec(
    name="small", scan=MT_ALONE, samples=3000, steps=500, expansions=2, batch_size=256, hidden=48
)


def test_the_expansion_has_value_and_slope_of_the_misfit():
    values, known = box(20)
    data = seen(values, known, noise=0.01)
    logs = np.log(values) + 0.05 * np.random.default_rng(1).standard_normal(values.shape)
    misfit = misfit_about(logs, data=data, scan=SHORT, known=known)
    x = torch.as_tensor(logs.astype(np.float32)).requires_grad_()
    found = misfit.at(x, torch.arange(20))
    found.sum().backward()
    z, slopes = exchange_jacobian(SHORT, np.exp(logs), known, parameters=SHORT.parameters)
    model = scaled_model(data, z, slopes * np.exp(logs)[:, None, :], scan=SHORT)
    np.testing.assert_allclose(found.detach(), model.cost, rtol=1e-4)
    expected = -2.0 * np.einsum("vnp,vn->vp", model.projected, model.residual)
    np.testing.assert_allclose(x.grad, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())
    # A little further the expansion is still the misfit.
    step = 0.02
    near = misfit_about(logs + step, data=data, scan=SHORT, known=known).constant
    told = misfit.at(torch.as_tensor((logs + step).astype(np.float32)), torch.arange(20))
    assert float((told - near).abs().max()) < 0.05 * float(near.max())


def test_samples_fill_the_ranges():
    samples = draw_samples(MT_ALONE, 4000, noise=(0.002, 0.02), seed=0, threads=1)
    low, high = ranges_of(MT_ALONE).T
    assert ((samples.values >= low) & (samples.values <= high)).all()
    np.testing.assert_allclose(samples.values.mean(axis=0), 0.5 * (low + high), rtol=0.03)
    assert 0.002 <= samples.noise.min() < samples.noise.max() <= 0.02
    again = draw_samples(MT_ALONE, 4000, noise=(0.002, 0.02), seed=0, threads=2)
    np.testing.assert_array_equal(again.clean, samples.clean)


@pytest.mark.parametrize("loss", ["physics", "supervised"])
def test_a_network_learns(loss):
    result = train_exchange(replace(SMALL, loss=loss))
    assert result.losses == sorted(result.losses, reverse=True)
    samples = draw_samples(MT_ALONE, 1000, noise=(0.005, 0.005), seed=5, threads=1)
    with torch.no_grad():
        logs, spread = result.network(torch.as_tensor(samples.clean.astype(np.float32)), known_features(samples.known))
    error = np.abs(np.exp(logs.numpy()) / samples.values - 1.0)
    middle = np.abs(samples.values.mean(axis=0) / samples.values - 1.0)
    # A short stage tells the fraction; of the rate it says little.
    assert np.median(error[:, 0]) < 0.5 * np.median(middle[:, 0])
    assert np.isfinite(spread.numpy()).all()


def test_training_repeats_itself():
    short = replace(SMALL, samples=500, steps=30, expansions=1)
    one, two = train_exchange(short).network, train_exchange(short).network
    for name, value in one.state_dict().items():
        torch.testing.assert_close(two.state_dict()[name], value, rtol=0.0, atol=0.0)


def test_a_card_tells_the_scan_by_its_signals():
    result = train_exchange(replace(SMALL, samples=500, steps=10, expansions=1))
    card = exchange_card(result.network, SMALL, losses=result.losses, seconds=1.0, command="")
    assert is_same_scan(card, MT_ALONE)
    assert not is_same_scan(card, SHORT)
    stronger = [
        image
        if image.saturation is None
        else replace(
            image,
            saturation=replace(
                image.saturation,
                pulse=image.saturation.pulse.block(
                    amplitude=1.2 * image.saturation.pulse.segments[0].amplitude, duration=0.1
                ),
            ),
        )
        for image in MT_ALONE.protocols[0].images
    ]
    other = replace(MT_ALONE, protocols=(replace(MT_ALONE.protocols[0], images=tuple(stronger)),))
    assert not is_same_scan(card, other)
    assert card.training["seed"] == 0
    assert "MT.fraction_median_error_percent" in card.metrics["noise_free"]


def test_the_shipped_scan_is_that_of_the_simulator():
    """What the simulator writes and the app reads is the scan that the shipped networks were trained for."""
    np.testing.assert_allclose(probe_signals(PLAYED_SCAN), probe_signals(PLAYED_PAIR), atol=1e-4)


def test_the_hash_is_of_scan_and_loss():
    hashes = {
        scan_hash(MT_ALONE, loss="physics"),
        scan_hash(MT_ALONE, loss="supervised"),
        scan_hash(SHORT, loss="physics"),
    }
    assert len(hashes) == 3


def test_weights_are_trained_once_and_found(tmp_path, monkeypatch):
    lines = []
    small = replace(SMALL, samples=500, steps=20, expansions=1)
    monkeypatch.setattr(
        exchange_missing,
        "ExchangeTrainingSpec",
        lambda *, name, scan, loss, seed: replace(small, name=name, loss=loss, seed=seed),
    )
    for _ in range(2):
        assert ensure_exchange_weights(MT_ALONE, cache=tmp_path / "cache", progress=lines.append) == tmp_path / "cache"
    assert sum("Training network physics_MT_" in line for line in lines) == 1
    assert len(list((tmp_path / "cache").glob("*.safetensors"))) == 1
