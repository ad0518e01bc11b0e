"""Field maps in every form: Hz, rad/s, the phase difference of two echoes, or both phases; and every refusal."""

from __future__ import annotations

import math
from typing import Any

import pytest

TIMES = {"EchoTime1": 0.00492, "EchoTime2": 0.00738}


@pytest.fixture
def spectrum(empty: Any) -> Any:
    """A Z-spectrum without a field map."""
    empty.cest()
    return empty


def write(dataset: Any, suffix: str, content: dict[str, Any], *, value: float = 12.0, shape: Any = None) -> None:
    dataset.image(dataset.fmap / f"sub-01_{suffix}.nii.gz", value, shape=shape or dataset.shape)
    dataset.json(dataset.fmap / f"sub-01_{suffix}.json", content)


def scan_of(dataset: Any) -> Any:
    plan = dataset.plan()
    assert plan.refusals == ()
    (run,) = plan.cest
    return run.b0.fieldmap


def note(dataset: Any) -> str:
    plan = dataset.plan()
    assert plan.cest[0].b0.method == "spectrum"
    return " ".join(plan.notes)


def test_radians_per_second_are_converted_and_said(spectrum: Any) -> None:
    write(spectrum, "fieldmap", {"Units": "rad/s"})
    assert scan_of(spectrum).hertz == pytest.approx(1.0 / (2.0 * math.pi))
    (run,) = spectrum.plan().cest
    assert any("is in rad/s and was divided by 2π" in sentence for sentence in run.warnings)
    write(spectrum, "fieldmap", {"Units": "T"})
    assert "expected Hz or rad/s, found 'T'" in note(spectrum)


def test_phase_difference(spectrum: Any) -> None:
    write(spectrum, "phasediff", TIMES)
    write(spectrum, "magnitude1", {})
    scan = scan_of(spectrum)
    assert (scan.path.name, scan.second, scan.phase_units) == ("sub-01_phasediff.nii.gz", None, "arbitrary")
    assert scan.echo_times == (0.00492, 0.00738)
    assert scan.magnitude.name == "sub-01_magnitude1.nii.gz"
    (run,) = spectrum.plan().cest
    assert any("taken to grow with frequency" in sentence for sentence in run.warnings)


def test_both_phases(spectrum: Any) -> None:
    write(spectrum, "phase1", {"EchoTime": 0.00492, "Units": "rad"})
    write(spectrum, "phase2", {"EchoTime": 0.00738, "Units": "rad"})
    write(spectrum, "magnitude1", {})
    scan = scan_of(spectrum)
    assert (scan.second.name, scan.phase_units, scan.echo_times) == ("sub-01_phase2.nii.gz", "rad", (0.00492, 0.00738))
    assert len(scan.paths) == 3


def test_a_map_comes_before_a_phase(spectrum: Any) -> None:
    write(spectrum, "phasediff", TIMES)
    write(spectrum, "magnitude1", {})
    write(spectrum, "fieldmap", {"Units": "Hz"})
    assert scan_of(spectrum).echo_times is None


def test_phases_that_cannot_be_used_are_noted(spectrum: Any) -> None:
    write(spectrum, "phasediff", TIMES)
    assert "expected magnitude1 beside it" in note(spectrum)
    write(spectrum, "magnitude1", {}, shape=(6, 5, 3))
    assert "shape: expected (6, 5, 4), found (6, 5, 3)" in note(spectrum)
    write(spectrum, "magnitude1", {})
    write(spectrum, "phasediff", {"EchoTime1": 4.92, "EchoTime2": 7.38})
    assert "expected echo times in seconds, the second above the first, found 4.92 and 7.38" in note(spectrum)
    write(spectrum, "phasediff", {"EchoTime1": 0.005, "EchoTime2": 0.005})
    assert "found 0.005 and 0.005" in note(spectrum)
    write(spectrum, "phasediff", {})
    assert "EchoTime1: expected an echo time in seconds, found nothing" in note(spectrum)
    (spectrum.fmap / "sub-01_phasediff.nii.gz").unlink()
    write(spectrum, "phase1", {"EchoTime": 0.005})
    assert "expected phase2 beside it, found none" in note(spectrum)
