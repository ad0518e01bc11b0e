import math

import pytest

from qmri_bids.physics.protocol import BssfpProtocol

GOOD = {
    "repetition_time": 4.8e-3,
    "echo_time": 2.4e-3,
    "flip_angle": 0.26,
    "rf_phase_increment": (0.5, 2.1, 3.7, 5.2),
}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("repetition_time", 4.8),
        ("repetition_time", 0.0),
        ("echo_time", 5e-3),
        ("flip_angle", 15.0),
        ("rf_phase_increment", (0.0, math.pi)),
        ("rf_phase_increment", (0.0, 1.0, math.nan)),
    ],
)
def test_values_without_physical_meaning_are_refused_by_name(key, value):
    with pytest.raises(ValueError, match=key):
        BssfpProtocol(**GOOD | {key: value})


def test_even_spacing_is_seen_in_any_order_and_with_any_offset():
    def protocol(degrees):
        return BssfpProtocol(**GOOD | {"rf_phase_increment": tuple(math.radians(each) for each in degrees)})

    assert protocol([0, 90, 180, 270]).is_evenly_spaced
    assert protocol([225, 45, 315, 135]).is_evenly_spaced
    assert protocol([-180, 0, 90, -90]).is_evenly_spaced
    assert not protocol([0, 80, 180, 270]).is_evenly_spaced
    assert not protocol([0, 0, 180, 270]).is_evenly_spaced
