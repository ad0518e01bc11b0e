import math

import pytest
import torch

from qmri_bids.networks.architecture import PaperNetwork, PaperNetworkConfig
from qmri_bids.networks.features import INPUTS, half_bin_offset, lowest_configurations, phase_theta
from qmri_bids.networks.names import SYSTEMS
from qmri_bids.physics.bssfp import profile, signal
from qmri_bids.physics.protocol import BssfpProtocol

PROTOCOL = BssfpProtocol.evenly_spaced(
    number_of_cycles=12, repetition_time=4.8e-3, echo_time=2.4e-3, flip_angle=math.radians(15)
)


@pytest.mark.parametrize("inputs", sorted(INPUTS))
def test_features_know_neither_receiver_phase_nor_scale(inputs):
    off_resonance = torch.linspace(-100, 100, 9, dtype=torch.float64)
    ones = torch.ones(9, dtype=torch.float64)
    cycles = signal(0.9 * ones, 0.06 * ones, b1=ones, off_resonance=off_resonance, protocol=PROTOCOL)
    turned = 7 * torch.exp(torch.tensor(2j)) * cycles

    def features(each):
        modes = lowest_configurations(each, rf_phase_increment=PROTOCOL.rf_phase_increment)
        return INPUTS[inputs].compute(modes)

    plain = features(cycles)
    assert plain.shape == (9, INPUTS[inputs].count)
    torch.testing.assert_close(features(turned), plain)
    torch.testing.assert_close(plain.square().sum(-1), ones)


def test_magnitudes_are_blind_to_off_resonance_and_complex_features_are_not():
    off_resonance = torch.linspace(-100, 100, 9, dtype=torch.float64)
    ones = torch.ones(9, dtype=torch.float64)
    cycles = signal(0.9 * ones, 0.06 * ones, b1=ones, off_resonance=off_resonance, protocol=PROTOCOL)
    modes = lowest_configurations(cycles, rf_phase_increment=PROTOCOL.rf_phase_increment)
    assert INPUTS["magnitude"].compute(modes).std(dim=0).max() < 1e-4
    assert INPUTS["complex"].compute(modes).std(dim=0).max() > 0.1


def test_phases_hold_off_resonance():
    theta = torch.linspace(-3.1, 3.1, 11, dtype=torch.float64)
    flat = torch.full_like(theta, 0.5)
    cycles = profile(0.9 * flat / 0.5, flat, theta, rf_phase_increment=PROTOCOL.rf_phase_increment)
    modes = lowest_configurations(cycles, rf_phase_increment=PROTOCOL.rf_phase_increment)
    torch.testing.assert_close(phase_theta(modes), theta, rtol=0, atol=1e-3)


@pytest.mark.parametrize("offset", [-0.3, 0.0, 0.4])
@pytest.mark.parametrize("number", [4, 5, 12])
def test_an_offset_of_the_increments_is_a_shift_of_theta(number, offset):
    """Half-bin increments at θ minus the offset give the same signal, whatever the order of the volumes."""
    half_bin = [math.pi * (2 * j - 1) / number for j in range(1, number + 1)]
    increments = [each + offset for each in half_bin][::-1]
    found = half_bin_offset(increments)
    turn = 2 * math.pi / number
    assert abs((found - offset + turn / 2) % turn - turn / 2) < 1e-9
    theta = torch.linspace(-3, 3, 7, dtype=torch.float64)
    ones = torch.ones_like(theta)
    asked = profile(0.9 * ones, 0.5 * ones, theta, rf_phase_increment=increments)
    shifted = profile(0.9 * ones, 0.5 * ones, theta - found, rf_phase_increment=[each - found for each in increments])
    torch.testing.assert_close(asked, shifted)
    canonical = sorted((each - found) % (2 * math.pi) for each in increments)
    torch.testing.assert_close(torch.tensor(canonical), torch.tensor(half_bin))


@pytest.mark.parametrize("system", sorted(SYSTEMS))
def test_networks_have_the_published_size_and_keep_to_their_range(system):
    row = SYSTEMS[system]
    network = PaperNetwork(
        PaperNetworkConfig(
            inputs=row.inputs,
            hidden=row.hidden,
            log_t1_over_tr=(4.0, 6.0),
            log_t2_over_tr=(1.0, 3.0),
            flip_angle=(0.1, 0.4),
        )
    )
    # Birk et al. 2025 count 4610 and 68355; θ as cosine and sine is one output of 257 weights more.
    published = {"magnitude": 4610, "complex": 68355 + 257}
    assert sum(each.numel() for each in network.parameters()) == published[row.inputs]
    features = 100 * torch.randn(500, INPUTS[row.inputs].count, generator=torch.Generator().manual_seed(0))
    measured = torch.linspace(-3, 3, 500)
    log_t1, log_t2, theta = network(features, torch.full((500,), 0.2), measured)
    assert 4.0 <= log_t1.min() < log_t1.max() <= 6.0
    assert 1.0 <= log_t2.min() < log_t2.max() <= 3.0
    assert torch.equal(theta, measured) == (row.inputs == "magnitude")
