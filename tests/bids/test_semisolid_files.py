"""pc-bSSFP is freed of magnetisation transfer by maps of the semisolid pool in files: which serve, and what is refused."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qmri_bids.pipeline.options import ProcessingOptions
from qmri_bids.scans.find_options import FindOptions
from qmri_bids.scans.listing import plan_table
from qmri_bids.scans.session_plan import SessionPlan
from qmri_bids.scans.transfer.run import TransferRun
from qmri_bids.workflows.participant_plan import plan_participant
from qmri_bids.workflows.planning import link_runs

LABEL = "sub-01_acq-pcbssfp_flip-1"


def write_map(dataset: Any, root: Path, name: str, value: float, *, units: str | None = None, **more: Any) -> Path:
    path = root / "sub-01" / "anat" / f"sub-01_{name}.nii.gz"
    if units is not None:
        dataset.json(path.with_name(f"sub-01_{name}.json"), {"Units": units})
    return dataset.image(path, value, shape=more.pop("shape", dataset.shape), **more)


def linked(dataset: Any, *, ignore: tuple[str, ...] = (), **options: Any) -> SessionPlan:
    (plan,) = link_runs([dataset.plan(**options)], options=FindOptions(**options), ignore=ignore)
    assert [run.label for run in plan.pcbssfp] == [LABEL], "what is wrong with maps of the pool costs no other run"
    return plan


def freed(dataset: Any, **options: Any) -> TransferRun:
    plan = linked(dataset, **options)
    assert [str(refusal) for refusal in plan.refusals] == []
    (run,) = plan.transfer
    assert isinstance(run, TransferRun)
    return run


def refused(dataset: Any, **options: Any) -> str:
    plan = linked(dataset, **options)
    assert plan.transfer == ()
    (refusal,) = plan.refusals
    return str(refusal)


def test_without_maps_of_the_pool_nothing_is_freed(raw: Any) -> None:
    plan = linked(raw)
    assert (plan.transfer, plan.refusals) == ((), ())


def test_a_proton_fraction_in_the_dataset(raw: Any) -> None:
    path = write_map(raw, raw.root, "MPFmap", 12.0, units="percent")
    run = freed(raw)
    assert run.label == "sub-01_acq-pcbssfpMT_transfer"
    assert run.pools.files == {"MT_fraction": path}
    assert run.pools.stdev_files == {}
    assert run.stored is not None
    assert (run.stored.measure, run.stored.unit, run.stored.has_rate) == ("share", 0.01, False)
    assert [take.key for take in run.takes] == ["pcbssfp"], "no run of the call gives the pools"
    assert (run.line_name, run.r1) == ("Lorentzian", None)
    assert run.line == pytest.approx(40e-6 / np.pi)
    sentence = run.choices[0]
    assert sentence.startswith(
        f"T1 and M0 of {LABEL} are freed of magnetization transfer by the semisolid pool of sub-01_MPFmap.nii.gz of the dataset "
        "(macromolecular proton fraction, F = MPF/(1 - MPF), in percent), placed by scanner coordinates"
    )
    assert "no map tells its standard deviation, for which 20 % of it are taken" in sentence
    assert "30 1/s with a standard deviation of 15 1/s" in sentence
    assert pickle.loads(pickle.dumps(run)) == run


def test_maps_of_an_earlier_call(raw: Any, tmp_path: Path) -> None:
    """Fraction, rate, their standard deviations and correlation, and the image of the fingerprint that registers them."""
    for name, value in (("fraction", 0.12), ("exchange", 29.0)):
        write_map(
            raw, tmp_path, f"acq-MRF_desc-MT_{name}map", value, units="arbitrary" if name == "fraction" else "1/s"
        )
        write_map(raw, tmp_path, f"acq-MRF_desc-MTstd_{name}map", 0.1 * value)
        write_map(raw, tmp_path, f"acq-MRF_desc-MTposteriorUniform_{name}map", value)
        write_map(raw, tmp_path, f"acq-MRF_desc-amide_{name}map", value)
    write_map(raw, tmp_path, "acq-MRF_desc-MT_correlationmap", -0.8)
    image = tmp_path / "sub-01" / "fmap" / "sub-01_acq-MRF_desc-known_magnitude.nii.gz"
    raw.image(image, 100.0, shape=raw.shape)
    run = freed(raw, derivatives={"earlier": tmp_path})
    assert {name: path.name for name, path in run.pools.files.items()} == {
        "MT_fraction": "sub-01_acq-MRF_desc-MT_fractionmap.nii.gz",
        "MT_rate": "sub-01_acq-MRF_desc-MT_exchangemap.nii.gz",
        "MT_correlation": "sub-01_acq-MRF_desc-MT_correlationmap.nii.gz",
    }
    assert {name: path.name for name, path in run.pools.stdev_files.items()} == {
        "MT_fraction": "sub-01_acq-MRF_desc-MTstd_fractionmap.nii.gz",
        "MT_rate": "sub-01_acq-MRF_desc-MTstd_exchangemap.nii.gz",
    }
    assert run.pools.image == image
    assert run.choices[0].endswith(
        "by the semisolid pool of sub-01_acq-MRF_desc-MT_fractionmap.nii.gz and sub-01_acq-MRF_desc-MT_exchangemap.nii.gz of the "
        "derivatives earlier (F = M0m/M0f), registered by sub-01_acq-MRF_desc-known_magnitude.nii.gz."
    )
    (tmp_path / "sub-01" / "anat" / "sub-01_acq-MRF_desc-MTstd_exchangemap.nii.gz").unlink()
    sentence = freed(raw, derivatives={"earlier": tmp_path}).choices[0]
    assert "desc-MT_exchangemap.nii.gz has no standard deviation, for which 50 % are taken" in sentence
    write_map(raw, raw.root, "PSRmap", 0.13)
    run = freed(raw, derivatives={"earlier": tmp_path})
    assert run.pools.files["MT_fraction"].name == "sub-01_PSRmap.nii.gz", "the dataset goes before derivatives"
    assert run.stored is not None
    assert (run.stored.measure, run.stored.unit) == ("ratio", 1.0)


def test_of_several_maps_the_one_named_after_the_scan_is_taken(raw: Any, tmp_path: Path) -> None:
    write_map(raw, tmp_path, "acq-other_MPFmap", 0.1)
    write_map(raw, tmp_path, "acq-more_MPFmap", 0.1)
    assert "expected one map of this kind" in refused(raw, derivatives={"qmt": tmp_path})
    path = write_map(raw, tmp_path, "acq-pcbssfp_MPFmap", 0.1)
    assert freed(raw, derivatives={"qmt": tmp_path}).pools.files["MT_fraction"] == path


@pytest.mark.parametrize(
    ("value", "units", "words"),
    [
        (
            12.0,
            None,
            ['MPFmap.nii.gz: Units: expected "%"', "found nothing, and a median of 12, which looks like percent"],
        ),
        (12.0, "1", ["MPFmap.json: Units: expected", "found '1', and a median of 12", 'Write "Units": "%"']),
        (0.12, "%", ["MPFmap.nii.gz: values: expected", "a median of 1 to 40 %", "found a median of 0.12"]),
        (0.9, None, ["values: expected", "a median of 0.01 to 0.4, found a median of 0.9"]),
        (0.0, None, ["values: expected", "found no value above zero"]),
        (0.1, "ms", ["MPFmap.json: Units: expected % or 1, found 'ms'"]),
    ],
)
def test_a_fraction_that_cannot_be_told_is_refused(raw: Any, value: float, units: str | None, words: list[str]) -> None:
    write_map(raw, raw.root, "MPFmap", value, units=units)
    text = refused(raw)
    for word in [*words, f"T1 of {LABEL} is left apparent until then."]:
        assert word in text


def test_files_that_do_not_go_together_are_refused(raw: Any) -> None:
    write_map(raw, raw.root, "MPFmap", 0.1)
    write_map(raw, raw.root, "desc-std_MPFmap", 0.01, shape=(3, 3, 3))
    text = refused(raw)
    assert "sub-01_desc-std_MPFmap.nii.gz: shape: expected (6, 5, 4), found (3, 3, 3)" in text
    assert "It must lie on the grid of sub-01_MPFmap.nii.gz" in text
    write_map(raw, raw.root, "desc-std_MPFmap", 0.01)
    assert freed(raw).pools.stdev_files["MT_fraction"].name == "sub-01_desc-std_MPFmap.nii.gz"
    path = write_map(raw, raw.root, "desc-MT_exchangemap", 4000.0)
    assert "a median of 1 to 500 1/s, found a median of 4000" in refused(raw)
    write_map(raw, raw.root, "desc-MT_exchangemap", 30.0, units="ms")
    assert "exchangemap.json: Units: expected 1/s, found 'ms'" in refused(raw)
    path.unlink()
    (raw.anat / "sub-01_MPFmap.nii.gz").write_bytes(b"")
    assert "sub-01_MPFmap.nii.gz: file: expected a readable NIfTI image" in refused(raw)
    write_map(raw, raw.root, "MPFmap", 0.1, shape=(*raw.shape, 2))
    assert "expected a map of real numbers with three axes, found (6, 5, 4, 2)" in refused(raw)


def test_without_a_known_pulse_a_note_says_that_the_map_frees_nothing(empty: Any) -> None:
    empty.pcbssfp(without=("RFPulseDuration", "RFPulseShape", "RFPulseTimeBandwidthProduct"))
    empty.tfl()
    write_map(empty, empty.root, "MPFmap", 0.1)
    plan = linked(empty)
    assert (plan.transfer, plan.refusals) == ((), ())
    assert any(
        "sub-01_MPFmap.nii.gz tells the semisolid pool" in note and "--excitation-pulse" in note for note in plan.notes
    )


def test_z_spectra_take_the_t1_that_an_inversion_recovery_sees(raw: Any) -> None:
    raw.cest()
    (spectrum,) = linked(raw).cest
    assert (spectrum.t1_run, spectrum.t1_map) == (LABEL, "T1")
    assert "apparent T1 of bSSFP, lowered by magnetization transfer. In white matter" in spectrum.choices[-1]
    write_map(raw, raw.root, "MPFmap", 0.1)
    plan = linked(raw)
    (spectrum,) = plan.cest
    assert (spectrum.t1_run, spectrum.t1_map) == ("sub-01_acq-pcbssfpMT_transfer", "mtcorrected_T1")
    assert spectrum.choices[-1] == (
        "T1 for AREX is that of sub-01_acq-pcbssfpMT_transfer: T1 as an inversion recovery sees it, freed of magnetization "
        "transfer."
    )
    (spectrum,) = linked(raw, ignore=("transfer",)).cest
    assert (spectrum.t1_run, spectrum.t1_map) == (LABEL, "T1")


def test_a_run_that_is_refused_later_takes_along_what_needs_it(raw: Any) -> None:
    """A wrong T1 is no way out: AREX is left out where the freed run is gone."""
    raw.cest()
    write_map(raw, raw.root, "MPFmap", 0.1)
    plan = linked(raw)
    left = plan.without({LABEL: plan_refusal(raw)})
    assert (left.pcbssfp, left.transfer) == ((), ())
    assert [refusal.file for refusal in left.refusals] == [
        "sub-01_MPFmap.nii.gz",
        "sub-01_acq-pcbssfpMT_transfer, which takes a map of it",
    ]
    (spectrum,) = left.cest
    assert (spectrum.t1_run, spectrum.t1_map) == (None, "T1")
    assert "AREX is left out" in spectrum.warnings[-1]


def plan_refusal(raw: Any) -> Any:
    path = raw.root / "sub-01" / "anat" / "sub-01_MPFmap.nii.gz"
    raw.image(path, 9.0, shape=raw.shape)
    (refusal,) = linked(raw).refusals
    return refusal.__class__(**{**vars(refusal), "file": path.name})


@pytest.mark.parametrize(("ignore", "number"), [((), 1), (("transfer",), 0)])
def test_the_step_can_be_left_out(raw: Any, ignore: tuple[str, ...], number: int) -> None:
    write_map(raw, raw.root, "MPFmap", 0.1)
    options = ProcessingOptions(estimator="ml", ignore=ignore)
    plan = plan_participant(bids_dir=raw.root, subject="01", options=options)
    assert len(plan.transfer) == number
    assert any("MPFmap" in line for line in plan_table([plan]).splitlines()) == bool(number)
