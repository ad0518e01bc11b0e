"""Fingerprints become runs of pool fractions and exchange rates: which pools, which stages together, which maps of other scans."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pool_files import write_pool_model

from qmri_bids.cli.run import main as run_program
from qmri_bids.estimation.base import ProtocolNotSupported
from qmri_bids.estimation.pool_estimators import EXCHANGE_ESTIMATORS
from qmri_bids.estimation.pools.estimate import ExchangeOptions
from qmri_bids.physics.fingerprint import KNOWN, ExchangeScan
from qmri_bids.physics.pools import CestPool, Lineshape, MtForm, MtPool, PoolModel, Water
from qmri_bids.physics.published_pools import PUBLISHED_POOLS
from qmri_bids.physics.saturation import Start
from qmri_bids.physics.saturation_presets import mrf_amide, mrf_mt
from qmri_bids.pipeline.sources import Take
from qmri_bids.scans.find_options import FindOptions
from qmri_bids.scans.listing import plan_table
from qmri_bids.scans.pools.find import with_exchange
from qmri_bids.scans.pools.run import ExchangeRun
from qmri_bids.scans.session_plan import SessionPlan
from qmri_bids.units import tesla_to_microtesla

NUMBERS = {"cest_t1": 1.2, "cest_t2": 0.08, "cest_off_resonance": 0.0, "no_b1": True}
"""Options with which a fingerprint needs nothing else."""

MT_OFFSETS = mrf_mt().offsets[1:]
AMIDE_OFFSETS = mrf_amide().offsets[1:]
POWERS = [tesla_to_microtesla(image.saturation.pulse.segments[0].amplitude) for image in mrf_mt().images[1:]]


def fingerprint(
    dataset: Any,
    acq: str,
    offsets: Sequence[Any] = MT_OFFSETS,
    *,
    powers: Sequence[float] = POWERS,
    entities: str = "",
    ses: str = "",
    **more: Any,
) -> None:
    """Write an M0 and images of locked trains, the amplitude of which changes from image to image."""
    content = {
        "SaturationOffset": [None, *offsets],
        "SaturationB1RMS": [None, *(power / np.sqrt(2.0) for power in powers[: len(offsets)])],
        "SaturationDuration": 2.5,
        "MTPulseShape": "spin-lock",
        "MTPulseDuration": 0.1,
        "SaturationInterpulseDelay": 0.1,
        "MTNumberOfPulses": 13,
        "SpinLock": "ideal",
        "RecoveryTime": 1.0,
        "RecoveryTimeM0": 15.0,
        "FlipAngle": 15,
        "NumberOfReadoutPulses": 45,
        "RepetitionTimeExcitation": 0.02837,
    }
    session = f"ses-{ses}_" if ses else ""
    folder = dataset.root / "sub-01" / (f"ses-{ses}" if ses else "") / "anat"
    stem = f"sub-01_{session}acq-{acq}{entities}_cest"
    dataset.cest(stem=stem, change=content, folder=folder, shape=(*dataset.shape, 1 + len(offsets)), **more)


def both_stages(dataset: Any, *, entities: str = "") -> None:
    fingerprint(dataset, "MRFMT", entities=entities)
    fingerprint(dataset, "MRFamide", AMIDE_OFFSETS, entities=entities)


def planned(dataset: Any, **options: Any) -> SessionPlan:
    return with_exchange(dataset.plan(**options), options=FindOptions(**options))


def runs(dataset: Any, **options: Any) -> tuple[ExchangeRun, ...]:
    plan = planned(dataset, **NUMBERS | options)
    assert [str(refusal) for refusal in plan.refusals] == []
    return plan.exchange


def only_run(dataset: Any, **options: Any) -> ExchangeRun:
    (run,) = runs(dataset, **options)
    return run


def refused(dataset: Any, **options: Any) -> str:
    plan = planned(dataset, **options)
    assert plan.exchange == ()
    (refusal,) = plan.refusals
    return str(refusal)


def source_of(run: ExchangeRun, name: str) -> Take:
    (source,) = [source for source in run.known if name in source.names]
    return source


def gives(run: ExchangeRun) -> dict[str, str]:
    """Return the method of every known map, each of which must be given once."""
    names = [name for source in run.known for name in source.names]
    assert sorted(names) == sorted(KNOWN)
    return {name: source.method for source in run.known for name in source.names}


# --- stages and pools -------------------------------------------------------------------------------------------------


def test_the_published_stages_are_one_run(empty: Any) -> None:
    both_stages(empty)
    run = only_run(empty)
    assert run.label == "sub-01_acq-MRF_exchange"
    assert [stage.label for stage in run.stages] == ["sub-01_acq-MRFMT_cest", "sub-01_acq-MRFamide_cest"]
    assert run.scan.pools == ("MT", "amide")
    assert run.scan.model == PUBLISHED_POOLS
    assert run.scan.protocols == tuple(stage.protocol for stage in run.stages)
    assert run.scan.number_of_images == 62
    assert all(protocol.start is Start.PREVIOUS for protocol in run.scan.protocols)
    assert run.grid == empty.shape
    plan = planned(empty, **NUMBERS)
    assert plan.cest == ()
    assert plan.runs == plan.exchange
    assert pickle.loads(pickle.dumps(plan)) == plan


def test_names_decide_nothing(empty: Any) -> None:
    fingerprint(empty, "one", AMIDE_OFFSETS)
    fingerprint(empty, "amide", [-offset for offset in MT_OFFSETS])
    run = only_run(empty)
    assert [stage.entities["acq"] for stage in run.stages] == ["amide", "one"]
    assert run.entities["acq"] == "amideone"


def test_the_semisolid_stage_alone(empty: Any) -> None:
    fingerprint(empty, "MRF")
    run = only_run(empty)
    assert (run.label, run.scan.pools, len(run.stages)) == ("sub-01_acq-MRF_exchange", ("MT",), 1)
    assert any("Pools that are not estimated" in each and "amide (0.002, 250 1/s)" in each for each in run.decisions)


def test_the_amide_stage_alone_is_said_aloud(empty: Any) -> None:
    fingerprint(empty, "MRF", AMIDE_OFFSETS)
    run = only_run(empty)
    assert run.scan.pools == ("MT", "amide")
    assert any("THERE IS NO STAGE FOR THE SEMISOLID POOL" in each and "flagged" in each for each in run.warnings)


def test_both_stages_in_one_series(empty: Any) -> None:
    offsets = [*MT_OFFSETS[:10], *AMIDE_OFFSETS[:10]]
    fingerprint(empty, "MRF", offsets, powers=POWERS[:20])
    run = only_run(empty)
    assert (len(run.stages), run.scan.pools) == (1, ("MT", "amide"))
    assert not any("NO STAGE" in each for each in run.warnings)


@pytest.mark.parametrize(
    ("offsets", "powers"),
    [
        ([8.0, 10.0, 12.0, 2.0, 2.0, 2.0], POWERS[:6]),
        ([8.0, 8.0, 10.0, 10.0, 4.9, 4.9], [2.0, 2.0, 2.0, 2.0, 1.0, 1.0]),
        ([3.5, 3.0, 4.0, 2.0, 2.0, 2.0], POWERS[:6]),
        ([2.4, 4.6, -3.5, -3.5, 4.6, 2.4], POWERS[:6]),
    ],
    ids=["three images far from water", "one power far from water", "three images near amide", "none near amide"],
)
def test_a_series_that_tells_no_pool_is_left_alone(empty: Any, offsets: list[float], powers: list[float]) -> None:
    fingerprint(empty, "MRF", offsets, powers=powers)
    plan = planned(empty, **NUMBERS)
    assert (plan.runs, plan.refusals) == ((), ())
    (note,) = plan.notes
    assert "no pool that it can tell" in note
    assert "4 images of two powers at 5 ppm from water or further" in note
    assert "within 0.2 ppm of +3.5 ppm (amide)" in note
    assert "--cest-pools FILE" in note


def test_stages_of_one_run_index_belong_together(empty: Any) -> None:
    for index in (1, 2):
        both_stages(empty, entities=f"_run-{index}")
    found = runs(empty)
    assert [run.label for run in found] == ["sub-01_acq-MRF_run-1_exchange", "sub-01_acq-MRF_run-2_exchange"]
    for index, run in enumerate(found, start=1):
        assert {stage.entities["run"] for stage in run.stages} == {str(index)}
        assert any("the nearest by run and acq" in each for each in run.warnings)


def test_stages_of_different_run_index_and_letters(empty: Any) -> None:
    fingerprint(empty, "aMT", entities="_run-1")
    fingerprint(empty, "bMT", entities="_run-1")
    fingerprint(empty, "bAmide", AMIDE_OFFSETS, entities="_run-2")
    alone, pair = runs(empty)
    assert (alone.label, alone.scan.pools) == ("sub-01_acq-aMT_run-1_exchange", ("MT",))
    assert pair.label == "sub-01_acq-bMTbAmide_exchange"
    assert any("other stages: sub-01_acq-aMT_run-1_cest" in each for each in pair.warnings)


def test_stages_of_two_sessions_stay_apart(empty: Any) -> None:
    fingerprint(empty, "MRFMT", ses="a")
    fingerprint(empty, "MRFamide", AMIDE_OFFSETS, ses="b")
    assert [run.label for run in runs(empty)] == [
        "sub-01_ses-a_acq-MRFMT_exchange",
        "sub-01_ses-b_acq-MRFamide_exchange",
    ]


def test_a_shared_label_that_another_run_has_is_not_taken(empty: Any) -> None:
    both_stages(empty)
    empty.cest(stem="sub-01_acq-MRF_cest")
    plan = planned(empty, **NUMBERS)
    assert [run.label for run in plan.runs] == ["sub-01_acq-MRF_cest", "sub-01_acq-MRFMTMRFamide_exchange"]
    fingerprint(empty, "MRF", [*MT_OFFSETS[:10], *AMIDE_OFFSETS[:10]], powers=POWERS[:20])
    assert {run.label for run in runs(empty)} == {"sub-01_acq-MRF_exchange", "sub-01_acq-MRFMTMRFamide_exchange"}


def test_maps_of_one_name_are_refused(empty: Any) -> None:
    both_stages(empty)
    for acq in ("MRF", "MRFMTMRFamide"):
        empty.cest(stem=f"sub-01_acq-{acq}_cest")
    plan = planned(empty, **NUMBERS)
    assert plan.exchange == ()
    assert "maps of the same name as those of sub-01_acq-MRFMTMRFamide_cest.nii.gz" in str(plan.refusals[0])


def test_missing_recovery_keeps_its_warning(empty: Any) -> None:
    fingerprint(empty, "MRF", without=("RecoveryTime", "RecoveryTimeM0"))
    run = only_run(empty)
    assert run.scan.protocols[0].start is Start.RELAXED
    assert any("RecoveryTime is not stated" in each for each in run.warnings)


# --- pool model -------------------------------------------------------------------------------------------------------


def pools(**changes: Any) -> PoolModel:
    parts: dict[str, Any] = {
        "water": Water(t1=1.0, t2=0.05),
        "cest": (
            CestPool(name="Amide", fraction=1e-3, rate=100.0, shift=3.6, t2=0.05),
            CestPool(name="NOE", fraction=4e-3, rate=20.0, shift=-3.5, t2=5e-3),
        ),
        "mt": MtPool(
            name="mt",
            fraction=0.1,
            rate=30.0,
            shift=-2.0,
            t2=9e-6,
            form=MtForm.Z_ONLY,
            lineshape=Lineshape.SUPER_LORENTZIAN,
        ),
    }
    return PoolModel(**parts | changes)


def test_the_published_pools_are_named(empty: Any) -> None:
    both_stages(empty)
    run = only_run(empty)
    values = {source.key: (source.value, source.source) for source in run.sources}
    assert values["pool MT"] == (
        "-2.5 ppm, T2 0.04 ms, x, y and z with a Lorentzian line",
        "Finkelstein et al. 2025",
    )
    assert values["pool amide"] == ("+3.5 ppm, T2 40 ms", "Finkelstein et al. 2025")
    (sentence,) = [each for each in run.decisions if "semisolid pool has" in each]
    assert "x, y and z with a Lorentzian line, as in Finkelstein et al. 2025" in sentence
    assert "30 %" in sentence
    assert "50 %" in sentence
    assert "--cest-pools" in sentence


IOHEXOL = CestPool(name="iohexol", fraction=1e-3, rate=500.0, shift=4.3, t2=0.1, t1=2.0)
ARGININE = CestPool(name="L-arginine", fraction=1e-3, rate=300.0, shift=3.0, t2=0.1, t1=2.0)
NOE = CestPool(name="rNOE", fraction=0.03, rate=20.0, shift=-3.5, t2=5e-3, t1=1.0)


def test_pools_of_a_file(empty: Any, tmp_path: Path) -> None:
    both_stages(empty)
    path = tmp_path / "pools.yaml"
    write_pool_model(pools(), path)
    run = only_run(empty, cest_pools=path)
    assert run.scan.model.names == ("amide", "NOE", "MT")
    assert run.scan.pools == ("MT", "amide")
    assert any(f"z alone with a super-lorentzian line, as in {path}" in each for each in run.decisions)
    assert any("keep fraction and rate" in each and "NOE (0.004, 20 1/s)" in each for each in run.decisions)
    fingerprint(empty, "MRFamide", [4.5] * 30)
    assert only_run(empty, cest_pools=path).scan.pools == ("MT", "amide"), "4.5 is within 1 ppm of 3.6"


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (pools(cest=()), ("pools.yaml: cest_pool: expected the pool amide", "sub-01_acq-MRFMT_cest", "found MT")),
        (pools(mt=None), ("pools.yaml: mt_pool: expected the pool MT", "found amide, NOE", "leave out --cest-pools")),
        (
            pools(
                cest=tuple(
                    CestPool(name=name, fraction=1e-3, rate=1.0, shift=3.5, t2=0.1) for name in ("amide", "AMIDE")
                )
            ),
            ("expected one pool named amide, found amide, AMIDE",),
        ),
        (None, ("pools.yaml: file: expected a YAML file",)),
        (
            pools(cest=(CestPool(name="amide", fraction=0.0, rate=1.0, shift=447.0, t2=0.04),)),
            ("dw of amide: expected a shift within 20 ppm of water, found 447: is it in Hz?",),
        ),
        (
            pools(cest=(CestPool(name="amide", fraction=0.0, rate=1.0, shift=3.5, t2=40.0),)),
            ("t2 of amide: expected a time of at most 1 s, found 40 s: is it in ms or µs?",),
        ),
        *(
            (pools(cest=(replace(IOHEXOL, **changed),)), words)
            for changed, words in (
                ({"fraction": 0.0}, ("f of iohexol: expected a fraction", "found 0, which is no pool")),
                ({"fraction": 20.0}, ("f of iohexol: expected a fraction", "found 20: is it in percent")),
                ({"rate": 1e6}, ("k of iohexol: expected an exchange rate of at most 100000 1/s", "found 1e+06")),
                ({"shift": 0.0}, ("dw of iohexol: expected a shift from water", "found 0")),
                ({"name": "x" * 41}, ("cest_pool: expected a name", "41 letters are more than the 40")),
            )
        ),
    ],
)
def test_pools_that_do_not_serve(empty: Any, tmp_path: Path, model: PoolModel | None, words: tuple[str, ...]) -> None:
    both_stages(empty)
    path = tmp_path / "pools.yaml"
    if model is not None:
        write_pool_model(model, path)
    text = refused(empty, **NUMBERS, cest_pools=path)
    for word in words:
        assert word in text


def test_a_file_without_amide_serves_the_semisolid_stage(empty: Any, tmp_path: Path) -> None:
    fingerprint(empty, "MRF")
    path = tmp_path / "pools.yaml"
    write_pool_model(pools(cest=()), path)
    assert only_run(empty, cest_pools=path).scan.model.names == ("MT",)


# --- any pool ---------------------------------------------------------------------------------------------------------


def phantom(*solutes: CestPool, mt: MtPool | None = None) -> PoolModel:
    """Return solutes in water of T1 = 2 s."""
    return PoolModel(water=Water(t1=2.0, t2=1.0), cest=solutes, mt=mt)


def pool_file(tmp_path: Path, model: PoolModel) -> Path:
    path = tmp_path / "pools.yaml"
    write_pool_model(model, path)
    return path


@pytest.mark.parametrize("offset", [2.8, 3.0, 3.25, 3.75, 4.3])
def test_a_series_beside_amide_is_not_called_amide(empty: Any, offset: float) -> None:
    fingerprint(empty, "MRF", [offset] * 30)
    text = refused(empty, **NUMBERS)
    assert "expected offsets within 0.2 ppm of +3.5 ppm, where amide resonates" in text
    assert f"found {offset:g} ppm, where other pools do" in text
    assert "--cest-pools FILE" in text


@pytest.mark.parametrize("offset", [3.35, 3.5, 3.65])
def test_a_series_at_amide_is(empty: Any, offset: float) -> None:
    fingerprint(empty, "MRF", [offset] * 30)
    assert only_run(empty).scan.pools == ("MT", "amide")


def test_a_series_beside_amide_does_not_vanish_from_that_of_the_semisolid_pool(empty: Any) -> None:
    fingerprint(empty, "MRFMT")
    fingerprint(empty, "MRFother", [3.0] * 30)
    plan = planned(empty, **NUMBERS)
    (run,), (refusal,) = plan.exchange, plan.refusals
    assert run.scan.pools == ("MT",)
    assert any("THIS STAGE IS ESTIMATED ALONE" in each and "MRFother" in each for each in run.warnings)
    assert "--cest-pools" in refusal.advice


def test_the_solute_of_a_phantom(empty: Any, tmp_path: Path) -> None:
    fingerprint(empty, "tubes", [4.3] * 30)
    run = only_run(empty, cest_pools=pool_file(tmp_path, phantom(IOHEXOL)), cest_protons={"Iohexol": 2.0})
    assert (run.scan.pools, run.scan.model.mt, run.protons) == (("iohexol",), None, {"iohexol": 2.0})
    assert run.scan.model.cest[0].t1 is None
    said = " ".join(run.decisions)
    for words in (
        "that offsets see: iohexol (+4.3 ppm)",
        "T1 of iohexol is that of water in the file (2 s) and follows it",
        "fractions times 111000 mmol/L of protons of water over the protons of one molecule (iohexol 2)",
        "not corrected for how much of a voxel is water",
    ):
        assert words in said
    assert not any("SEMISOLID" in each for each in run.warnings)


def test_solutes_of_one_shift_are_refused(empty: Any, tmp_path: Path) -> None:
    fingerprint(empty, "tubes", [4.3] * 30)
    other = replace(IOHEXOL, name="other", shift=4.3)
    text = refused(empty, **NUMBERS, cest_pools=pool_file(tmp_path, phantom(IOHEXOL, other)))
    assert "iohexol at +4.3 and other at +4.3 ppm, which no offset tells apart" in text
    assert "Leave one of them out" in text


def test_a_pool_without_a_name_is_refused(empty: Any, tmp_path: Path) -> None:
    fingerprint(empty, "tubes", [4.3] * 30)
    path = pool_file(tmp_path, phantom(IOHEXOL))
    path.write_text(path.read_text().replace("iohexol:", "~:"))
    assert "cest_pool: expected a name for every pool" in refused(empty, **NUMBERS, cest_pools=path)


def test_only_pools_that_offsets_see_are_estimated(empty: Any, tmp_path: Path) -> None:
    fingerprint(empty, "tubes", [3.1] * 30)
    path = pool_file(tmp_path, phantom(ARGININE, IOHEXOL))
    run = only_run(empty, cest_pools=path, cest_protons={"L-arginine": 3.0, "iohexol": 2.0})
    assert run.scan.pools == ("Larginine",)
    assert run.protons == {"Larginine": 3.0}
    assert any(f"keep fraction and rate of {path}: iohexol (0.001, 500 1/s)" in each for each in run.decisions)
    assert any("iohexol is not estimated here, so that it has no concentration" in each for each in run.decisions)
    assert any("letters and digits alone: L-arginine is Larginine." in each for each in run.warnings)
    fingerprint(empty, "tubes", [3.0, 4.3] * 15)
    assert only_run(empty, cest_pools=path).scan.pools == ("Larginine", "iohexol")


def test_offsets_that_miss_the_shift_are_said(empty: Any, tmp_path: Path) -> None:
    path = pool_file(tmp_path, phantom(IOHEXOL))
    fingerprint(empty, "tubes", [3.5] * 30)
    (sentence,) = [each for each in only_run(empty, cest_pools=path).warnings if "NO OFFSET" in each]
    assert "THE SHIFT OF iohexol (+4.3 ppm): the nearest is +3.5 ppm" in sentence


def test_images_far_from_a_phantom_are_its_water(empty: Any, tmp_path: Path) -> None:
    fingerprint(empty, "tubes", [4.3, 12.0] * 15)
    assert only_run(empty, cest_pools=pool_file(tmp_path, phantom(IOHEXOL))).scan.pools == ("iohexol",)


def test_an_offset_at_a_solute_does_not_tell_the_semisolid_pool(empty: Any, tmp_path: Path) -> None:
    far = CestPool(name="imino", fraction=1e-3, rate=500.0, shift=10.0, t2=0.1)
    fingerprint(empty, "MRF", [10.0] * 30)
    run = only_run(empty, cest_pools=pool_file(tmp_path, phantom(far, mt=pools().mt)))
    assert run.scan.pools == ("MT", "imino")
    assert any("NO STAGE FOR THE SEMISOLID POOL" in each and "shift of imino" in each for each in run.warnings)


def test_stages_of_several_solutes_share_that_of_the_semisolid_pool(empty: Any, tmp_path: Path) -> None:
    both_stages(empty)
    fingerprint(empty, "MRFNOE", [-3.5] * 30)
    amide = CestPool(name="Amide", fraction=1e-3, rate=100.0, shift=3.5, t2=0.05)
    run = only_run(empty, cest_pools=pool_file(tmp_path, phantom(amide, NOE, mt=pools().mt)))
    assert [stage.entities["acq"] for stage in run.stages] == ["MRFMT", "MRFNOE", "MRFamide"]
    assert run.entities["acq"] == "MRF"
    assert set(run.scan.pools) == {"MT", "amide", "rNOE"}


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("λ",), "found 'λ', which has neither"),
        (("mt",), "'mt' means something else"),
        (("amine", "aminestd"), "would be taken for a standard deviation"),
        (("L-arginine", "Larginine"), "found 'L-arginine' and 'Larginine'"),
        ((), "a pool beside water"),
    ],
)
def test_names_that_are_no_labels(empty: Any, tmp_path: Path, names: tuple[str, ...], words: str) -> None:
    fingerprint(empty, "tubes", [3.0] * 30)
    model = phantom(*(replace(ARGININE, name=name) for name in names))
    assert words in refused(empty, **NUMBERS, cest_pools=pool_file(tmp_path, model))


def test_protons_of_a_pool_that_is_not_there(empty: Any, tmp_path: Path) -> None:
    fingerprint(empty, "tubes", [4.3] * 30)
    path = pool_file(tmp_path, phantom(IOHEXOL))
    text = refused(empty, **NUMBERS, cest_pools=path, cest_protons={"glucose": 5.0})
    assert "--cest-protons: expected a solute of the model (iohexol), found glucose" in text


def test_a_phantom_needs_t1_and_t2(empty: Any, tmp_path: Path) -> None:
    fingerprint(empty, "tubes", [4.3] * 30)
    text = refused(empty, no_b1=True, cest_off_resonance=0.0, cest_pools=pool_file(tmp_path, phantom(IOHEXOL)))
    assert "T1 and T2 maps" in text
    assert "--cest-t1 and --cest-t2" in text


# --- known maps -------------------------------------------------------------------------------------------------------


def write_map(dataset: Any, root: Path, name: str, value: float, *, folder: str = "anat", **more: Any) -> Path:
    path = root / "sub-01" / folder / f"sub-01_{name}.nii.gz"
    return dataset.image(path, value, shape=more.pop("shape", dataset.shape), **more)


def write_fieldmap(dataset: Any, root: Path, *, acq: str = "") -> None:
    write_map(dataset, root, f"{acq}fieldmap", 12.0, folder="fmap")
    dataset.json(root / "sub-01" / "fmap" / f"sub-01_{acq}fieldmap.json", {"Units": "Hz"})
    write_map(dataset, root, f"{acq}magnitude", 100.0, folder="fmap")


def test_one_session_gives_everything(raw: Any) -> None:
    both_stages(raw)
    plan = planned(raw)
    (run,) = plan.exchange
    assert gives(run) == {"t1": "pcbssfp", "t2": "pcbssfp", "b1": "b1", "off_resonance": "pcbssfp"}
    source = source_of(run, "t1")
    assert source.run == plan.pcbssfp[0].label
    assert source.names == ("t1", "t2", "off_resonance")
    assert source.sentence == (
        "T1, T2 and off-resonance come from the pc-bSSFP run sub-01_acq-pcbssfp_flip-1; off-resonance is known up to multiples of "
        "208 Hz, the inverse of TR."
    )
    assert source_of(run, "b1").b1_run == plan.pcbssfp[0].b1
    assert len(plan.b1) == 1


def test_order_of_the_sources(raw: Any, tmp_path: Path) -> None:
    both_stages(raw)
    raw.wasabi()
    raw.cest(stem="sub-01_acq-B0_wassr")
    write_fieldmap(raw, raw.root)
    other = tmp_path / "other"
    for name, value, folder in (("T1map", 1.1, "anat"), ("T2map", 0.07, "anat"), ("TB1map", 95.0, "fmap")):
        write_map(raw, other, name, value, folder=folder)
    write_fieldmap(raw, other)
    options: dict[str, Any] = {"derivatives": {"other": other}}

    def methods(**more: Any) -> dict[str, str]:
        (run,) = planned(raw, **options | more).exchange
        return gives(run)

    best = {"t1": "pcbssfp", "t2": "pcbssfp", "b1": "b1", "off_resonance": "wasabi"}
    assert methods() == best
    for path in raw.fmap.glob("*TB1TFL*"):
        path.unlink()
    assert methods(no_b1=True) == best | {"b1": "wasabi"}
    (run,) = planned(raw, **options, no_b1=True).exchange
    assert source_of(run, "b1").names == ("b1", "off_resonance")
    assert source_of(run, "b1").sentence == "B1 and off-resonance come from the WASABI run sub-01_acq-WASABI_cest."
    for path in raw.anat.glob("*WASABI*"):
        path.unlink()
    assert methods(no_b1=True) == best | {"b1": "maps", "off_resonance": "wassr"}
    for path in raw.anat.glob("*wassr*"):
        path.unlink()
    assert methods(no_b1=True) == best | {"b1": "maps", "off_resonance": "pcbssfp"}
    for path in raw.anat.glob("*pcbssfp*"):
        path.unlink()
    fields = {"t1": "maps", "t2": "maps", "b1": "maps", "off_resonance": "fieldmap"}
    assert methods() == fields
    shutil.rmtree(raw.fmap)
    assert methods() == fields | {"off_resonance": "maps"}
    for path in other.rglob("*fieldmap*"):
        path.unlink()
    assert methods(cest_off_resonance=5.0) == fields | {"off_resonance": "fixed"}
    for path in other.rglob("*.nii.gz"):
        path.unlink()
    assert set(methods(**NUMBERS).values()) == {"fixed"}


def test_maps_of_the_dataset_come_before_derivatives(empty: Any, tmp_path: Path) -> None:
    both_stages(empty)
    for root in (empty.root, tmp_path):
        write_map(empty, root, "T1map", 1.1)
    write_map(empty, tmp_path, "T2map", 0.07)
    run = only_run(empty, derivatives={"other": tmp_path})
    assert source_of(run, "t1").files == {
        "t1": empty.anat / "sub-01_T1map.nii.gz",
        "t2": tmp_path / "sub-01" / "anat" / "sub-01_T2map.nii.gz",
    }
    assert source_of(run, "t1").image is None
    assert source_of(run, "t1").sentence == (
        "T1 and T2 come from sub-01_T1map.nii.gz of the dataset and sub-01_T2map.nii.gz of the derivatives other, placed by "
        "scanner coordinates."
    )
    write_map(empty, tmp_path, "T2map", 0.07, shift=1.0)
    run = only_run(empty, derivatives={"other": tmp_path})
    assert source_of(run, "t1").names == ("t1",), "maps on two grids are two sources"
    assert {"--cest-t1 is not used: there is a map of T1.", "--cest-t2 is not used: there is a map of T2."} <= set(
        run.warnings
    )


def test_derivatives_of_this_package(empty: Any, tmp_path: Path) -> None:
    """Maps of several runs: those of one scan are taken together, with their uncertainty and the image of the scan."""
    both_stages(empty)
    for name, value in (("T1map", 1.1), ("T2map", 0.07)):
        write_map(empty, tmp_path, f"acq-pcbssfp_{name}", value)
        write_map(empty, tmp_path, f"acq-pcbssfp_desc-std_{name}", 0.01)
        write_map(empty, tmp_path, f"acq-pcbssfp_desc-posteriorUniform_{name}", value)
        write_map(empty, tmp_path, f"acq-pcbssfp_desc-posteriorUniformStd_{name}", value)
    for acq in ("acq-pcbssfp_", "acq-WASABI_"):
        write_map(empty, tmp_path, f"{acq}TB1map", 95.0, folder="fmap")
        write_fieldmap(empty, tmp_path, acq=acq)
    write_map(empty, tmp_path, "acq-pcbssfp_flip-1_part-mag_desc-preproc_VFA", 50.0, shape=(*empty.shape, 4))
    (run,) = planned(empty, derivatives={"qmri": tmp_path}).exchange
    (source,) = run.known
    anat, fmap = (tmp_path / "sub-01" / each for each in ("anat", "fmap"))
    assert source.method == "maps"
    assert source.names == KNOWN
    assert source.files == {
        "t1": anat / "sub-01_acq-pcbssfp_T1map.nii.gz",
        "t2": anat / "sub-01_acq-pcbssfp_T2map.nii.gz",
        "b1": fmap / "sub-01_acq-pcbssfp_TB1map.nii.gz",
        "off_resonance": fmap / "sub-01_acq-pcbssfp_fieldmap.nii.gz",
    }
    assert source.stdev_files == {
        "t1": anat / "sub-01_acq-pcbssfp_desc-std_T1map.nii.gz",
        "t2": anat / "sub-01_acq-pcbssfp_desc-std_T2map.nii.gz",
    }
    assert source.image == fmap / "sub-01_acq-pcbssfp_magnitude.nii.gz"
    assert "registered by sub-01_acq-pcbssfp_magnitude.nii.gz" in source.sentence
    for path in fmap.iterdir():
        path.unlink()
    run = only_run(empty, derivatives={"qmri": tmp_path})
    assert source_of(run, "t1").image == anat / "sub-01_acq-pcbssfp_flip-1_part-mag_desc-preproc_VFA.nii.gz"
    write_map(empty, tmp_path, "acq-pcbssfp_flip-1_part-mag_desc-preproc_VFA", 50.0, shape=(3, 3, 3))
    write_map(empty, tmp_path, "acq-pcbssfp_desc-std_T1map", 50.0, shape=(3, 3, 3))
    run = only_run(empty, derivatives={"qmri": tmp_path})
    assert (source_of(run, "t1").image, dict(source_of(run, "t1").stdev_files)) == (
        None,
        {"t2": anat / "sub-01_acq-pcbssfp_desc-std_T2map.nii.gz"},
    )
    assert sum("It is not used." in each for each in run.warnings) == 3, (
        "the image for either map, and one standard deviation"
    )


def test_t1_of_free_water_goes_before_the_apparent_one_of_its_scan(empty: Any, tmp_path: Path) -> None:
    both_stages(empty)
    apparent = {"EstimationAlgorithm": "pinn", "PulseSequenceType": "bSSFP", "Units": "s"}
    for name, value in (("T1map", 0.9), ("T2map", 0.07)):
        write_map(empty, tmp_path, f"acq-pcbssfp_{name}", value)
    empty.json(tmp_path / "sub-01" / "anat" / "sub-01_acq-pcbssfp_T1map.json", apparent)
    write_map(empty, tmp_path, "acq-pcbssfp_flip-1_part-mag_desc-preproc_VFA", 50.0, shape=(*empty.shape, 4))
    run = only_run(empty, derivatives={"qmri": tmp_path})
    assert source_of(run, "t1").files["t1"].name == "sub-01_acq-pcbssfp_T1map.nii.gz"
    assert any("T1 of sub-01_acq-pcbssfp_T1map.nii.gz IS APPARENT" in each for each in run.warnings)
    # Those of the fingerprint itself, and of an inversion recovery, are other maps.
    for name in (
        "acq-pcbssfpMT_desc-mtcorrected",
        "acq-pcbssfpMT_desc-free",
        "acq-MRF_desc-free",
        "acq-MRF_desc-known",
    ):
        write_map(empty, tmp_path, f"{name}_T1map", 1.1)
        empty.json(tmp_path / "sub-01" / "anat" / f"sub-01_{name}_T1map.json", apparent)
    write_map(empty, tmp_path, "acq-pcbssfpMT_desc-freestd_T1map", 0.04)
    run = only_run(empty, derivatives={"qmri": tmp_path})
    source = source_of(run, "t1")
    assert source.files["t1"].name == "sub-01_acq-pcbssfpMT_desc-free_T1map.nii.gz"
    assert source.stdev_files["t1"].name == "sub-01_acq-pcbssfpMT_desc-freestd_T1map.nii.gz"
    assert source.names == ("t1", "t2"), "one scan, registered once"
    assert source.image is not None
    assert source.image.name == "sub-01_acq-pcbssfp_flip-1_part-mag_desc-preproc_VFA.nii.gz"
    assert not any("IS APPARENT" in each for each in run.warnings)
    assert run.relaxometry is None, "nothing is left to free"


def test_t1_of_free_water_alone_serves_and_a_foreign_t1_is_not_called_apparent(empty: Any) -> None:
    both_stages(empty)
    write_map(empty, empty.root, "acq-pcbssfpMT_desc-mtcorrected_T1map", 1.0)
    free = write_map(empty, empty.root, "acq-pcbssfpMT_desc-free_T1map", 1.1)
    assert source_of(only_run(empty), "t1").files == {"t1": free}
    plain = write_map(empty, empty.root, "acq-inversion_T1map", 1.1)
    empty.json(empty.anat / "sub-01_acq-inversion_T1map.json", {"Units": "s", "PulseSequenceType": "MP2RAGE"})
    run = only_run(empty)
    assert source_of(run, "t1").files == {"t1": plain}, "T1 of another scan without desc comes first, as ever"
    assert not any("IS APPARENT" in each for each in run.warnings)


def test_a_map_with_a_description(empty: Any) -> None:
    both_stages(empty)
    write_map(empty, empty.root, "desc-std_T1map", 0.1)
    write_map(empty, empty.root, "space-MNI152NLin2009aSym_T1map", 1.0)
    assert gives(only_run(empty))["t1"] == "fixed"
    write_map(empty, empty.root, "desc-fit_T1map", 1.0)
    write_map(empty, empty.root, "desc-fitStd_T1map", 0.1)
    source = source_of(only_run(empty), "t1")
    assert source.files["t1"].name == "sub-01_desc-fit_T1map.nii.gz"
    assert source.stdev_files["t1"].name == "sub-01_desc-fitStd_T1map.nii.gz"
    write_map(empty, empty.root, "desc-other_T1map", 1.0)
    text = refused(empty, **NUMBERS)
    assert "expected one map of this kind" in text
    assert "found sub-01_desc-fit_T1map.nii.gz, sub-01_desc-other_T1map.nii.gz" in text
    write_map(empty, empty.root, "T1map", 1.0)
    assert source_of(only_run(empty), "t1").files["t1"].name == "sub-01_T1map.nii.gz"
    write_map(empty, empty.root, "acq-MP2RAGE_T1map", 1.0)
    assert "found sub-01_T1map.nii.gz, sub-01_acq-MP2RAGE_T1map.nii.gz" in refused(empty, **NUMBERS)


def test_of_several_maps_the_one_named_after_the_series_is_taken(empty: Any) -> None:
    both_stages(empty)
    for acq in ("MP2RAGE", "MRFMT", "MRFamide"):
        write_map(empty, empty.root, f"acq-{acq}_T1map", 1.0)
    assert source_of(only_run(empty), "t1").files["t1"].name == "sub-01_acq-MRFMT_T1map.nii.gz"
    (empty.anat / "sub-01_acq-MRFMT_T1map.nii.gz").unlink()
    assert source_of(only_run(empty), "t1").files["t1"].name == "sub-01_acq-MRFamide_T1map.nii.gz"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        (
            "T1map",
            1100.0,
            ("T1map.nii.gz: values: expected T1 in seconds, a median of 0.2 to 6", "looks like milliseconds"),
        ),
        ("T1map", 20.0, ("found a median of 20. Write the map again",)),
        ("T2map", 70.0, ("expected T2 in seconds", "looks like milliseconds")),
        ("T1map", np.nan, ("found no value above zero",)),
    ],
)
def test_units_of_maps_are_checked(empty: Any, name: str, value: float, words: tuple[str, ...]) -> None:
    both_stages(empty)
    write_map(empty, empty.root, name, value)
    text = refused(empty, **NUMBERS)
    for word in words:
        assert word in text


def test_stated_units_and_shapes_are_checked(empty: Any, tmp_path: Path) -> None:
    both_stages(empty)
    write_map(empty, empty.root, "T1map", 1.0)
    empty.json(empty.anat / "sub-01_T1map.json", {"Units": "min"})
    assert "sub-01_T1map.json: Units: expected s, found 'min'" in refused(empty, **NUMBERS)
    empty.json(empty.anat / "sub-01_T1map.json", {"Units": "ms"})
    assert "found a median of 0.001 s, read in milliseconds as its sidecar says" in refused(empty, **NUMBERS)
    write_map(empty, empty.root, "T1map", 1100.0)
    source = source_of(only_run(empty, **NUMBERS), "t1")
    assert dict(source.factors) == {"t1": 1e-3}
    assert "sub-01_T1map.nii.gz (in milliseconds by its sidecar, converted to seconds)" in source.sentence
    (empty.anat / "sub-01_T1map.json").unlink()
    write_map(empty, empty.root, "T1map", 1.0, shape=(*empty.shape, 2))
    assert "expected a map of real numbers with three axes, found (6, 5, 4, 2)" in refused(empty, **NUMBERS)
    (empty.anat / "sub-01_T1map.nii.gz").write_bytes(b"")
    assert "sub-01_T1map.nii.gz: file: expected a readable NIfTI image" in refused(empty, **NUMBERS)
    (empty.anat / "sub-01_T1map.nii.gz").unlink()
    write_map(empty, tmp_path, "TB1map", 7.0, folder="fmap")
    text = refused(empty, **NUMBERS, derivatives={"other": tmp_path})
    assert "TB1map.nii.gz: values: expected relative B1" in text
    assert "Write the map as a ratio or in percent" in text
    shutil.rmtree(tmp_path / "sub-01")
    write_map(empty, tmp_path, "fieldmap", 7.0, folder="fmap")
    text = refused(empty, no_b1=True, cest_t1=1.0, cest_t2=0.1, derivatives={"other": tmp_path})
    assert "Units: expected Hz or rad/s, found nothing" in text
    sidecar = tmp_path / "sub-01" / "fmap" / "sub-01_fieldmap.json"
    empty.json(sidecar, {"Units": "rad/s"})
    text = refused(empty, no_b1=True, cest_t1=1.0, cest_t2=0.1, derivatives={"other": tmp_path})
    assert "Units: expected Hz, found rad/s" in text


def test_the_unwrapped_field_of_a_scan_stands_in_for_the_wrapped_one(empty: Any, tmp_path: Path) -> None:
    both_stages(empty)
    for name in ("desc-unwrapped_fieldmap", "fieldmap", "desc-std_fieldmap"):
        write_map(empty, tmp_path, name, 12.0, folder="fmap")
        empty.json(tmp_path / "sub-01" / "fmap" / f"sub-01_{name}.json", {"Units": "Hz"})
    run = only_run(empty, no_b1=True, cest_t1=1.0, cest_t2=0.1, derivatives={"other": tmp_path})
    source = source_of(run, "off_resonance")
    assert source.files["off_resonance"].name == "sub-01_desc-unwrapped_fieldmap.nii.gz"
    assert source.stdev_files["off_resonance"].name == "sub-01_desc-std_fieldmap.nii.gz"


def test_without_t1_and_t2_the_four_ways_are_named(empty: Any) -> None:
    both_stages(empty)
    text = refused(empty, no_b1=True)
    assert (
        "sub-01_acq-MRF_exchange: T1 and T2 maps: expected T1 and T2 of the same subject and session, found none"
        in text
    )
    for way in (
        "Scan pc-bSSFP in the session",
        "T1map and T2map files into anat/",
        "--derivatives",
        "--cest-t1 and --cest-t2",
    ):
        assert way in text
    assert "T2 map: expected T2 of the same" in refused(empty, no_b1=True, cest_t1=1.2)
    assert "no folder of --derivatives holds a T1map" in refused(empty, derivatives={"other": empty.root / "sub-01"})


def test_water_that_nothing_gives_is_fitted_where_it_is_told(empty: Any, tmp_path: Path) -> None:
    both_stages(empty)
    alone = {"no_b1": True, "cest_off_resonance": 0.0}
    (run,) = planned(empty, **alone, cest_t2=0.08, cest_fit_water=("t1",)).exchange
    assert run.scan.fitted == ("t1",)
    assert sorted(name for source in run.known for name in source.names) == ["b1", "off_resonance", "t2"]
    assert any(said.startswith("T1 of water is fitted in every voxel along with the pools") for said in run.decisions)
    text = refused(empty, **alone, cest_fit_water=("t1",))
    assert "T2 map: expected T2 of the same subject and session" in text
    run = only_run(empty, cest_fit_water=("t1",))
    assert run.scan.fitted == ()
    assert "--cest-fit-water T1 is not used: T1 is known." in run.warnings


def test_without_b1(empty: Any) -> None:
    both_stages(empty)
    numbers = {key: value for key, value in NUMBERS.items() if key != "no_b1"}
    text = refused(empty, **numbers)
    assert "B1 map: expected a B1 scan of the session (TB1TFL or TB1map), a WASABI run, or a TB1map" in text
    assert "run with --no-b1" in text
    run = only_run(empty)
    source = source_of(run, "b1")
    assert (source.method, source.values) == ("fixed", {"b1": 1.0})
    assert any(each.startswith("NO B1 MAP IS USED") for each in run.warnings)


def test_b1_scans_that_are_broken_or_several(empty: Any) -> None:
    both_stages(empty)
    numbers = {key: value for key, value in NUMBERS.items() if key != "no_b1"}
    empty.tfl(value=100.0)
    plan = planned(empty, **numbers)
    assert plan.exchange == ()
    assert len(plan.refusals) == 2
    assert "the session has no B1 scan that can be used (" in str(plan.refusals[1])
    empty.tfl()
    empty.tfl(run="run-2_")
    assert "B1 map: expected one B1 map for this run" in refused(empty, **numbers)


def test_numbers_for_every_voxel(empty: Any) -> None:
    both_stages(empty)
    run = only_run(empty)
    assert {name: value for source in run.known for name, value in source.values.items()} == {
        "t1": 1.2,
        "t2": 0.08,
        "b1": 1.0,
        "off_resonance": 0.0,
    }
    assert [source.sentence for source in run.known] == [
        "T1 comes from --cest-t1: 1.2 s for every voxel.",
        "T2 comes from --cest-t2: 0.08 s for every voxel.",
        "B1 comes from --no-b1: 1 for every voxel.",
        "Off-resonance comes from --cest-off-resonance: 0 Hz for every voxel.",
    ]
    assert any("T1 = 1.2 s is taken for every voxel (--cest-t1)" in each for each in run.warnings)


def test_b0_is_needed(empty: Any) -> None:
    both_stages(empty)
    numbers = {key: value for key, value in NUMBERS.items() if key != "cest_off_resonance"}
    text = refused(empty, **numbers)
    assert "B0: expected off-resonance for this fingerprint (wasabi, wassr, pcbssfp, fieldmap), found none" in text
    assert "--cest-off-resonance (Hz)" in text
    text = refused(empty, **numbers, cest_b0="spectrum")
    assert (
        "--cest-b0: expected off-resonance for this fingerprint (wasabi, wassr, pcbssfp, fieldmap), found spectrum"
        in text
    )


@pytest.mark.parametrize("method", ["wasabi", "wassr", "pcbssfp", "fieldmap"])
def test_b0_that_is_asked_for(raw: Any, method: str) -> None:
    both_stages(raw)
    for path in raw.anat.glob("*pcbssfp*"):
        path.rename(path.with_suffix(".away"))
    numbers = {"cest_t1": 1.2, "cest_t2": 0.08}
    text = refused(raw, **numbers, cest_b0=method)
    assert f"--cest-b0: expected off-resonance for this fingerprint ({method}), found none" in text
    for path in raw.anat.glob("*.away"):
        path.unlink()
    raw.pcbssfp()
    raw.wasabi()
    raw.cest(stem="sub-01_acq-B0_wassr")
    write_fieldmap(raw, raw.root)
    (run,) = planned(raw, cest_b0=method).exchange
    assert gives(run)["off_resonance"] == method
    assert f"; off-resonance as asked (--cest-b0 {method})" in source_of(run, "off_resonance").sentence


def test_a_spectrum_cannot_take_b0_of_pc_bssfp(raw: Any) -> None:
    raw.cest()
    both_stages(raw)
    plan = planned(raw, cest_b0="pcbssfp")
    assert [run.label for run in plan.exchange] == ["sub-01_acq-MRF_exchange"]
    (refusal,) = plan.refusals
    assert str(refusal) == (
        "sub-01_acq-APTw_cest: --cest-b0: expected wasabi, wassr, fieldmap, spectrum, none or auto for this Z-spectrum, found "
        "pcbssfp, which serves fingerprints alone. Run with --cest-b0 auto."
    )


def test_the_field_map_of_a_stage(empty: Any) -> None:
    both_stages(empty)
    write_fieldmap(empty, empty.root)
    intended = {"Units": "Hz", "IntendedFor": ["bids::sub-01/anat/sub-01_acq-MRFamide_cest.nii.gz"]}
    empty.json(empty.fmap / "sub-01_fieldmap.json", intended)
    source = source_of(only_run(empty), "off_resonance")
    assert source.files == {"off_resonance": empty.fmap / "sub-01_fieldmap.nii.gz"}
    assert source.image == empty.fmap / "sub-01_magnitude.nii.gz"
    assert "its IntendedFor names the run" in source.sentence


def test_the_nearest_wasabi_and_the_first_of_several_relaxometry_runs(raw: Any) -> None:
    both_stages(raw, entities="_run-2")
    for index in (1, 2):
        raw.wasabi(stem=f"sub-01_acq-WASABI_run-{index}_cest")
    raw.pcbssfp(stem="sub-01_acq-pcbssfp2_flip-1")
    (run,) = planned(raw).exchange
    assert source_of(run, "off_resonance").run == "sub-01_acq-WASABI_run-2_cest"
    assert source_of(run, "t1").sentence == (
        "T1 and T2 come from the pc-bSSFP run sub-01_acq-pcbssfp2_flip-1, the first of 2."
    )


def test_runs_and_maps_of_another_session_are_not_taken(empty: Any) -> None:
    fingerprint(empty, "MRF", ses="a")
    empty.pcbssfp(stem="sub-01_ses-b_acq-pcbssfp_flip-1", folder=empty.root / "sub-01" / "ses-b" / "anat")
    empty.image(empty.root / "sub-01" / "ses-b" / "anat" / "sub-01_ses-b_T1map.nii.gz", 1.0, shape=empty.shape)
    plan = planned(empty, no_b1=True)
    assert len(plan.pcbssfp) == 1
    assert "T1 and T2 maps" in plan.refusals[0].key
    empty.image(empty.root / "sub-01" / "ses-a" / "anat" / "sub-01_ses-a_T1map.nii.gz", 1.0, shape=empty.shape)
    assert source_of(planned(empty, **NUMBERS).exchange[0], "t1").files["t1"].name == "sub-01_ses-a_T1map.nii.gz"


def test_the_plan_shows_the_run(raw: Any) -> None:
    both_stages(raw)
    text = " ".join(plan_table([planned(raw)]).split())
    assert "run sub-01_acq-MRF_exchange fraction and exchange rate of MT and amide, 2 stage(s)" in text
    assert "stage: sub-01_acq-MRFMT_cest, 31 images of 6 × 5 × 4 voxels" in text
    assert "known: T1, T2 and off-resonance come from the pc-bSSFP run" in text
    assert "pool MT = -2.5 ppm, T2 0.04 ms, x, y and z with a Lorentzian line [Finkelstein et al. 2025]" in text
    assert "b1_nominal_flip_angle" in text
    assert "2 run(s) can be computed, 0 refusal(s)." in text


def test_without_fingerprints_a_plan_is_left_as_it_is(raw: Any) -> None:
    plan = raw.plan()
    assert with_exchange(plan, options=FindOptions(cest_pools=Path("nowhere.yaml"))) is plan


class Serves:
    """An estimator of pools that serves everything."""

    def __init__(self, options: ExchangeOptions) -> None:
        self.options = options

    def check(self, scan: ExchangeScan) -> None:
        pass


class Needs(Serves):
    """One that lacks a network."""

    def check(self, scan: ExchangeScan) -> None:
        raise ProtocolNotSupported(expected="weights", found="none", advice="Train them.")


@pytest.mark.parametrize(
    ("estimator", "arguments", "code", "words"),
    [
        (Serves, (), 0, "run sub-01_acq-MRF_exchange fraction and exchange rate of MT and amide, 2 stage(s)"),
        (Needs, (), 1, "sub-01_acq-MRF_exchange: --cest-estimator: expected weights, found none. Train them."),
        (Needs, ("--train-missing",), 0, "A network would be trained for sub-01_acq-MRF_exchange (physics loss)."),
        (Serves, ("--cest-b0", "spectrum"), 1, "--cest-b0: expected off-resonance for this fingerprint"),
    ],
)
def test_a_dry_run(
    raw: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    estimator: type[Serves],
    arguments: tuple[str, ...],
    code: int,
    words: str,
) -> None:
    both_stages(raw)
    entry = replace(EXCHANGE_ESTIMATORS["pinn"], create=estimator)
    monkeypatch.setitem(EXCHANGE_ESTIMATORS, "pinn", entry)
    # The images of this dataset hold one value each; what they hold is not asked here.
    monkeypatch.setattr("qmri_bids.scans.image_checks._checks", lambda run: {})
    folders = (str(raw.root), str(raw.root.parent / "out"), "participant", "-w", str(raw.root.parent / "work"))
    assert run_program([*folders, "--dry-run", *arguments]) == code
    assert words in " ".join(capsys.readouterr().out.split())
    assert not (raw.root.parent / "work").exists()


@pytest.mark.parametrize("name", ["cest_t1", "cest_t2", "cest_off_resonance"])
def test_numbers_that_are_none(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be a"):
        FindOptions(**{name: float("nan")})
