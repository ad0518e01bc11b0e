"""Whether the lines of a fit describe the spectra: what the light says of what they leave and of heights that are lacking."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from qmri_bids.reports.content import Level
from qmri_bids.scans.saturation.outputs import lorentzian_light

INSIDE = np.ones((6, 5, 4), dtype=bool)
NOISE = 0.004


def fit(*, left: float, told: float) -> Any:
    """Return results of 120 voxels whose lines leave `left` of M0 and have a height in a share of them."""
    z = np.full((120, 40), 0.8)
    rms = np.hypot(left, NOISE * np.sqrt(1.0 - 16 / 40))
    height = np.where(np.arange(120) < told * 120, 0.03, np.nan).reshape(INSIDE.shape)
    arrays = {
        "fitted": z,
        "z": z,
        "z_stdev": np.full(120, NOISE),
        "parameters": np.zeros((120, 16)),
        "inside": INSIDE,
    }
    estimate = SimpleNamespace(
        arrays=arrays,
        residual=np.full(INSIDE.shape, rms / 0.8),
        values={"amplitude_amide": height, "MTRasym_3.5": height},
    )
    return SimpleNamespace(estimate=estimate)


@pytest.mark.parametrize(
    ("left", "told", "level", "word"),
    [
        (0.004, 1.0, Level.GOOD, "leaves 0.4 % of M0 beyond noise"),
        (0.012, 1.0, Level.CHECK, "leaves 1.2 %"),
        (0.1, 1.0, Level.BAD, "leaves 10.0 %"),
        (0.004, 0.6, Level.CHECK, "amide has a height in 60 %"),
        (0.004, 0.0, Level.BAD, "amide has a height in 0 %"),
    ],
)
def test_what_lines_leave_and_lack(left: float, told: float, level: Level, word: str) -> None:
    (light,) = lorentzian_light(fit(left=left, told=told))
    assert light.level is level
    assert word in light.value


def test_without_a_fit_there_is_no_light() -> None:
    for arrays in ({}, {"fitted": np.ones((120, 31)), "inside": INSIDE}):  # the second is that of WASABI
        results: Any = SimpleNamespace(estimate=SimpleNamespace(arrays=arrays))
        assert list(lorentzian_light(results)) == []
