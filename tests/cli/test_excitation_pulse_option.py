"""`--excitation-pulse`: milliseconds on the command line, seconds inside."""

from __future__ import annotations

import argparse
from collections.abc import Callable

import pytest

from qmri_bids.cli.parsing.table import settings_of


def test_shape_and_milliseconds(parsed: Callable[..., argparse.Namespace]) -> None:
    assert settings_of(parsed(), of="finding")["excitation_pulse"] is None
    shape, duration = settings_of(parsed("--excitation-pulse", "Rect:0.5"), of="finding")["excitation_pulse"]
    assert shape == "rect"
    assert duration == pytest.approx(0.5e-3)


@pytest.mark.parametrize(
    "given", ["box:1", "sinc", "sinc:", "sinc:one", "sinc:-1", "sinc:0", "sinc:nan", "rect:500", "sinc:1:2"]
)
def test_what_is_no_pulse(given: str, usage_error: Callable[..., str]) -> None:
    said = usage_error("--excitation-pulse", given)
    assert "--excitation-pulse is SHAPE:MILLISECONDS with a shape of rect, sinc, gauss and less than 50 ms" in said
    assert f"such as sinc:1; found {given!r}" in said
