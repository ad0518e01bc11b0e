"""Colours of relaxation: the published tables, and where their logarithm begins."""

from __future__ import annotations

import math

import numpy as np
import pytest
from matplotlib.colors import to_hex

from qmri_bids.quantities import QUANTITIES
from qmri_bids.reports.drawing.colormaps import color_position, color_table, windowed


@pytest.mark.parametrize(
    ("name", "ends"),
    [("lipari", ("#031326", "#fdf5da")), ("navia", ("#031327", "#fcf4d9")), ("gray", ("#000000", "#ffffff"))],
)
def test_the_tables_begin_and_end_as_published_and_turn_around_for_rates(name: str, ends: tuple[str, str]) -> None:
    table = color_table(name)
    assert (to_hex(table[0]), to_hex(table[-1])) == ends
    np.testing.assert_allclose(color_table(f"{name}_r"), table[::-1], atol=1e-12)
    brightness = table @ [0.299, 0.587, 0.114]
    assert (np.diff(brightness) > -0.004).all()


def test_the_position_is_linear_then_logarithmic_with_one_slope() -> None:
    """Fuderer et al. 2025: from 0 to high/e half of the colours, beyond it by the logarithm."""
    bend = 2500 / math.e
    at = color_position(np.array([0.0, bend / 2, bend, 2500.0, 9000.0, -3.0]), low=0.0, high=2500.0)
    np.testing.assert_allclose(at, [0.0, 0.25, 0.5, 1.0, 1.0, 0.0])
    near = color_position(bend + np.array([-0.5, 0.0, 0.5]), low=0.0, high=2500.0)
    assert np.diff(near)[0] == pytest.approx(np.diff(near)[1], rel=1e-3)


def test_a_narrow_window_is_logarithmic_throughout_and_one_below_zero_linear() -> None:
    geometric = 1000.0 * math.sqrt(2.0)
    assert color_position(np.array(geometric), low=1000.0, high=2000.0) == pytest.approx(0.5)
    assert color_position(np.array(0.0), low=-2.0, high=2.0) == pytest.approx(0.5)


def test_the_bar_is_even_in_the_value() -> None:
    """Colours of the window are those at their position; other colour maps are as they were."""
    painted = windowed("lipari", low=0.0, high=2500.0)
    middle = color_position(np.array(1250.0), low=0.0, high=2500.0)
    np.testing.assert_allclose(painted(0.5)[:3], color_table("lipari")[round(255 * float(middle))], atol=0.02)
    np.testing.assert_allclose(windowed("plasma", low=0.0, high=1.0)(0.5)[:3], color_table("plasma")[128], atol=1e-9)


def test_relaxation_has_the_colours_that_are_recommended_and_only_maps_with_a_middle_diverge() -> None:
    for name, colormap in (("T1", "lipari"), ("free_T1", "lipari"), ("R1", "lipari_r"), ("T2", "navia")):
        assert QUANTITIES[name].display.colormap == colormap
    for quantity in QUANTITIES.values():
        window = quantity.display.window
        if quantity.display.colormap in ("RdBu_r", "PuOr_r"):
            assert window is not None
            assert window[0] < {"b1": 100.0}.get(quantity.name, 0.0) < window[1]
