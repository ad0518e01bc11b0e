"""The symmetries that the protocol-free network relies on hold exactly, and folding changes nothing."""

import math

import numpy as np
import pytest
import torch

from qmri_bids.networks.profile import (
    FEWEST_CYCLES,
    MOST_CYCLES,
    NaturalNetwork,
    NaturalNetworkConfig,
    canonical_features,
)
from qmri_bids.physics.bssfp import profile
from qmri_bids.physics.protocol import half_bin_increments

E2, B = 0.93, 0.81


def features(theta, increments, *, amplitude=1.0, conjugate=False):
    cycles = amplitude * profile(
        torch.full((1,), E2, dtype=torch.float64),
        torch.full((1,), B, dtype=torch.float64),
        torch.tensor([theta], dtype=torch.float64),
        rf_phase_increment=increments,
    )
    return canonical_features(cycles.conj() if conjugate else cycles, rf_phase_increment=increments)


def canonical_theta(theta, seen):
    canonical = theta - float(seen.shift)
    canonical = -canonical if bool(seen.mirrored) else canonical
    return math.remainder(canonical, 2 * math.pi)


@pytest.mark.parametrize("number", [3, 4, 7, 12])
def test_a_bin_more_of_theta_changes_nothing_but_the_shift(number):
    increments = half_bin_increments(number)
    one, other = features(0.3, increments), features(0.3 + 2 * math.pi / number, increments)
    torch.testing.assert_close(one.features, other.features)
    assert canonical_theta(0.3, one) == pytest.approx(canonical_theta(0.3 + 2 * math.pi / number, other))


@pytest.mark.parametrize("number", [3, 4, 7, 12])
def test_the_opposite_theta_is_the_mirror_image(number):
    increments = half_bin_increments(number)
    one, other = features(0.2, increments), features(-0.2, increments)
    torch.testing.assert_close(one.features, other.features)
    assert bool(one.mirrored) != bool(other.mirrored)
    assert canonical_theta(0.2, one) == pytest.approx(canonical_theta(-0.2, other))


@pytest.mark.parametrize("number", [3, 5, 12])
def test_an_offset_and_another_order_of_the_increments_only_shift_theta(number):
    increments = half_bin_increments(number)
    shifted = tuple(reversed([increment + 0.7 for increment in increments]))
    one, other = features(0.2, increments), features(0.2 + 0.7, shifted)
    torch.testing.assert_close(one.features, other.features)
    assert canonical_theta(0.2, one) == pytest.approx(canonical_theta(0.9, other))


def test_amplitude_and_receiver_phase_do_not_matter():
    increments = half_bin_increments(6)
    torch.testing.assert_close(
        features(1.0, increments).features, features(1.0, increments, amplitude=-3.0 + 40.0j).features
    )


def test_the_closed_form_among_the_features_is_exact_for_many_cycles():
    seen = features(2.0, half_bin_increments(64))
    expected = [math.log(-math.log(E2)), math.log(B / (1 - B))]
    np.testing.assert_allclose(seen.features[0, -2:].numpy(), expected, rtol=1e-9)


@pytest.mark.parametrize("number", [FEWEST_CYCLES, 9, MOST_CYCLES])
def test_folding_gives_the_same_network(number):
    torch.manual_seed(0)
    network = NaturalNetwork(NaturalNetworkConfig(hidden=16, depth=2)).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    seen = torch.randn(50, 15, dtype=torch.float64)
    network.normalise_by(3.0 * seen + 1.0, torch.randn(50, 2, dtype=torch.float64))
    with torch.no_grad():
        whole = network(seen, torch.tensor(number))
        folded = network.for_cycles(number)(seen)
    for one, other in zip(whole, folded, strict=True):
        torch.testing.assert_close(one, other)
