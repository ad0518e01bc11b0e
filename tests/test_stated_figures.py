"""Figures that several pages state are one figure, and that which the code gives."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from qmri_bids.estimation.one_model.bias import expected_bias
from qmri_bids.physics.excitation.pulse import ExcitationPulse
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.scans.saturation.run import T1_ERRORS

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PULSES = (("rect", 0.2e-3), ("rect", 0.5e-3), ("rect", 1e-3), ("sinc", 1e-3))
"""Those of docs/method.md, at 15° and a TR of 4.8 ms, B1 of 0.8 to 1.2."""


@pytest.fixture(scope="module")
def shortening() -> dict[str, tuple[float, float]]:
    """Least and largest shortening of T1 by magnetization transfer [%], by tissue."""
    protocol = BssfpProtocol.evenly_spaced(
        number_of_cycles=12, repetition_time=4.8e-3, echo_time=2.4e-3, flip_angle=float(np.radians(15.0))
    )
    found = [
        expected_bias(ExcitationPulse.of(shape, duration), protocol, b1=b1)
        for shape, duration in PULSES
        for b1 in (0.8, 1.0, 1.2)
    ]
    return {
        tissue: (
            -100.0 * max(each[tissue] for each in found),
            -100.0 * min(each[tissue] for each in found),
        )
        for tissue in ("WM", "GM")
    }


def test_the_page_of_the_method_states_what_the_model_gives(shortening: dict[str, tuple[float, float]]) -> None:
    page = " ".join((ROOT / "docs" / "method.md").read_text(encoding="utf-8").split())
    white, grey = (f"{low:.0f} to {high:.0f} %" for low, high in (shortening["WM"], shortening["GM"]))
    assert f"7 to 35 % low: {white} in white matter, {grey} in grey matter, from 7 % on in the lesion" in page


def test_other_places_state_the_same(shortening: dict[str, tuple[float, float]]) -> None:
    arex = [round(100.0 / (1.0 - percent / 100.0) - 100.0) for percent in shortening["WM"]]
    low, high = (round(percent) for percent in shortening["WM"])
    cest = (ROOT / "docs" / "cest_mt.md").read_text(encoding="utf-8")
    assert f"{low} to {high} % short in white matter, AREX {arex[0]} to {arex[1]} % high" in cest
    assert (
        f"{low} to {high} % short, and AREX, which goes with 1/T1, {arex[0]} to {arex[1]} % high"
        in T1_ERRORS["apparent"]
    )
    every = "".join(
        path.read_text(encoding="utf-8") for path in [*PAGES, *(ROOT / "qmri_bids" / "scans").rglob("*.py")]
    )
    of_tissue = re.findall(r"(\d+) to (\d+) % (?:short|low|in tissue|more for short)", " ".join(every.split()))
    assert {("7", "35"), (str(low), str(high))} == {pair for pair in of_tissue if pair[1] in ("29", "35")}


def test_no_page_denies_that_wasabi_gives_b1_to_bssfp() -> None:
    page = (ROOT / "docs" / "input.md").read_text(encoding="utf-8")
    assert "takes B1 of its **WASABI** run, for pc-bSSFP and MTsat as for fingerprints" in page
    for path in PAGES:
        sentences = re.split(r"(?<=[.:;])\s", path.read_text(encoding="utf-8"))
        denied = [
            sentence
            for sentence in sentences
            if "WASABI" in sentence and re.search(r"not (?:serve|used for) pc-bSSFP", sentence)
        ]
        assert denied == []
