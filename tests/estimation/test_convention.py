import math

import numpy as np
import pytest

from qmri_bids.estimation.bssfp.convention import increment_reference_warning, precession_sense
from qmri_bids.physics.bssfp import signal
from qmri_bids.physics.protocol import BssfpProtocol


def head(protocol, seed=0):
    rng = np.random.default_rng(seed)
    n = 2000
    off_resonance = rng.normal(0, 20, n)
    return signal(
        rng.uniform(0.5, 2.0, n),
        rng.uniform(0.03, 0.12, n),
        b1=rng.uniform(0.7, 1.25, n),
        off_resonance=off_resonance,
        protocol=protocol,
    ), off_resonance


@pytest.mark.parametrize("degrees", [8.0, 15.0, 35.0])
@pytest.mark.parametrize("cycles", [4, 12])
def test_sense_of_precession_is_told_from_the_configurations(degrees, cycles):
    protocol = BssfpProtocol.evenly_spaced(
        number_of_cycles=cycles, repetition_time=3.4e-3, echo_time=1.7e-3, flip_angle=math.radians(degrees)
    )
    if degrees == 8.0:
        assert precession_sense(head(protocol)[0], protocol=protocol).sign == 0
        return
    data, _ = head(protocol)
    as_model = precession_sense(data, protocol=protocol)
    assert as_model.sign == 1
    opposite = precession_sense(data.conj(), protocol=protocol)
    assert opposite.sign == -1
    assert "conjugated" in opposite.sentence


def test_a_field_centred_on_half_a_turn_is_warned_about():
    protocol = BssfpProtocol.evenly_spaced(number_of_cycles=12, repetition_time=5e-3, echo_time=2.5e-3, flip_angle=0.26)
    _, off_resonance = head(protocol)
    assert increment_reference_warning(off_resonance, protocol=protocol) is None
    warning = increment_reference_warning(off_resonance + 100.0, protocol=protocol)
    assert "RFPhaseIncrementReference" in warning
    assert increment_reference_warning(np.full(3, np.nan), protocol=protocol) is None
