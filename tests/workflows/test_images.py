"""Images of other contrast and without bands of a run: from cycles to files, words and pictures."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from exchange_runs import relaxation

from qmri_bids.bids.anatomy.images import find_anatomy
from qmri_bids.bids.description import write_bidsignore, write_dataset_description
from qmri_bids.estimation.base import Status
from qmri_bids.phantom.signals.steady_state import balanced_signal
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.pipeline.maps.image_outputs import image_figures, image_sentences
from qmri_bids.pipeline.maps.images import APPARENT, FREED, MakeImages, band_free_images, images_node, synthetic_images
from qmri_bids.pipeline.options import BANDING_FREE, ProcessingOptions
from qmri_bids.pipeline.results.estimate_file import StoredEstimate, save_estimate
from qmri_bids.pipeline.results.run_results import RunFiles, RunResults
from qmri_bids.pipeline.spaces.files import Space, write_in_space
from qmri_bids.pipeline.volumes import save_volume
from qmri_bids.pipeline.voxels import Voxels
from qmri_bids.scans.bssfp.outputs import write_derivatives
from qmri_bids.scans.bssfp.run import PcBssfpRun
from qmri_bids.scans.bssfp.workflow import EstimateRelaxation

SHAPE = (12, 14, 12)
AFFINE = np.diag([4.0, 4.0, 4.0, 1.0])
PROTOCOL = BssfpProtocol.evenly_spaced(
    number_of_cycles=4, repetition_time=5e-3, echo_time=2.5e-3, flip_angle=math.radians(20.0), field_strength=3.0
)
ASKED = ["T1w", "late=T2w:te=150"]
MASK = np.zeros(SHAPE, dtype=bool)
MASK[1:-1, 1:-1, 1:-1] = True


def pcbssfp(folder: Path) -> PcBssfpRun:
    return replace(relaxation(), protocol=PROTOCOL, grid=SHAPE)


@pytest.fixture(scope="module")
def estimated(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Grey and white matter at all off-resonances, estimated; the grey one is the half of low indices."""
    folder, rng = tmp_path_factory.mktemp("scan"), np.random.default_rng(2)
    grey = np.broadcast_to(np.arange(SHAPE[0])[:, None, None] < 6, SHAPE).ravel()
    single = np.float32
    cycles = balanced_signal(
        np.where(grey, 1.4, 0.94).astype(single), np.where(grey, 0.085, 0.062).astype(single), np.ones(grey.size, single),
        np.tile(np.linspace(-100.0, 100.0, SHAPE[2]), grey.size // SHAPE[2]).astype(single),
        np.where(grey, 0.8, 0.7).astype(np.complex64), 5e-3, 2.5e-3, math.radians(20.0), np.array(PROTOCOL.rf_phase_increment),
    )  # fmt: skip
    cycles = cycles + 0.0008 * (rng.standard_normal(cycles.shape) + 1j * rng.standard_normal(cycles.shape))
    paths = {
        "cycles": save_volume(folder / "cycles.nii", cycles.reshape(*SHAPE, 4).astype(np.complex64), AFFINE),
        "mask": save_volume(folder / "mask.nii", MASK, AFFINE),
    }
    done = EstimateRelaxation(protocol=PROTOCOL, estimator="ml", **paths).run(cwd=str(folder)).outputs
    return {"folder": folder, "estimate": done.estimate, **paths}


@pytest.fixture(scope="module")
def made(estimated: dict[str, Any]) -> Any:
    node = images_node(
        ProcessingOptions(estimator="ml", synthetic=tuple(ASKED), banding_free=BANDING_FREE), relaxation=APPARENT
    )
    node.interface.inputs.trait_set(estimate=estimated["estimate"], cycles=estimated["cycles"], protocol=PROTOCOL)
    return node.interface.run(cwd=str(estimated["folder"])).outputs


def test_images_have_values_where_maps_have_and_say_how_they_were_made(estimated: dict[str, Any], made: Any) -> None:
    with np.load(made.images) as images, np.load(estimated["estimate"]) as maps:
        known = np.isfinite(maps["T1"])
        assert known.sum() > 0.97 * MASK.sum()
        for name in ("synthetic_T1w", "synthetic_late_T2w", "bandfree_model"):
            assert (np.isfinite(images[name]) == known).all(), name
            assert (np.isfinite(images[f"{name}_stdev"]) == known).all(), name
        for name in ("bandfree_geometric", "bandfree_rss"):
            assert np.isfinite(images[name]).all()
            assert (np.isfinite(images[f"{name}_stdev"]) == np.isfinite(maps["noise"])).all()
        white = known & (np.arange(SHAPE[0])[:, None, None] > 7)
        grey = known & (np.arange(SHAPE[0])[:, None, None] < 4)
        assert np.median(images["synthetic_T1w"][white]) > 1.3 * np.median(images["synthetic_T1w"][grey])
        assert np.median(images["synthetic_late_T2w"][white]) < 0.6 * np.median(images["synthetic_late_T2w"][grey])

        def bands(name: str) -> float:
            means = np.array([images[name][8:11, 1:-1, place].mean() for place in range(1, 11)])
            return float(np.ptp(means) / means.mean())

        assert bands("bandfree_model") < bands("bandfree_rss") / 3.0
        assert bands("bandfree_geometric") < bands("bandfree_rss") / 3.0
    assert made.decisions[1].startswith("Synthetic T1w was computed for TR 2.3 s, TI 0.9 s")
    assert "Synthetic late_T2w was computed for TR 5 s, TE 150 ms." in made.decisions
    assert "The geometric solution of bSSFP was found of 2 pairs of cycles half a turn apart." in made.decisions
    assert made.warnings == []


def test_files_words_and_pictures_of_a_run(
    estimated: dict[str, Any], made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    bids, out, run = tmp_path / "bids", tmp_path / "out", pcbssfp(tmp_path)
    bids.mkdir()
    write_dataset_description(out, bids_dir=bids)
    write_bidsignore(out)
    results = RunResults(
        RunFiles(
            series=[Path(estimated["cycles"])],
            mask=Path(estimated["mask"]),
            magnitude=Path(save_volume(tmp_path / "magnitude.nii", np.ones(SHAPE, dtype=np.float32), AFFINE)),
            estimate=Path(estimated["estimate"]),
            images=Path(made.images),
        )
    )
    settings = {"estimator": "ml", "posterior": None, "synthetic": ASKED}
    paths = write_derivatives(results, run=run, settings=settings, model={}, bids_dir=bids, output_dir=out)
    names = {path.name.removeprefix("sub-01_acq-pcbssfp_") for path in paths}
    assert {name for name in names if "synthetic" in name or "bSSFP" in name} == {
        "desc-synthetic_T1w.nii.gz",
        "desc-syntheticstd_T1w.nii.gz",
        "desc-syntheticlate_T2w.nii.gz",
        "desc-syntheticlatestd_T2w.nii.gz",
        *(f"desc-bandfree{way}{end}_bSSFP.nii.gz" for way in ("", "geometric", "rss") for end in ("", "std")),
    }
    folder = out / "sub-01" / "anat"
    said = json.loads((folder / "sub-01_acq-pcbssfp_desc-synthetic_T1w.json").read_text(encoding="utf-8"))
    expected = {
        "RepetitionTime": 2.3,
        "LeftOut": "Decay by T2*, which is not known: no echo time entered",
        "InversionTime": 0.9,
        "FlipAngle": 9.0,
        "EchoTrainLength": 176,
        "MagneticFieldStrength": 3.0,
        "Units": "arbitrary",
    }
    assert {key: said[key] for key in expected} == expected
    assert "EchoTime" not in said
    assert "RFPhaseIncrement" not in said  # those of bSSFP are not those of this image
    assert said["Sources"] == [f"bids::sub-01/anat/sub-01_acq-pcbssfp_{name}map.nii.gz" for name in ("T1", "T2", "M0")]
    assert said["T1From"].startswith("apparent T1")
    late = json.loads((folder / "sub-01_acq-pcbssfp_desc-syntheticlatestd_T2w.json").read_text(encoding="utf-8"))
    assert (late["EchoTime"], late["FlipAngle"]) == (0.15, 90.0)
    assert "InversionTime" not in late
    program = Path(sys.executable).with_name("bids-validator-deno")
    valid = subprocess.run([program, "--ignoreWarnings", out], capture_output=True, text=True, check=False)
    assert valid.returncode == 0, valid.stdout
    figures = {figure.key: figure for figure in image_figures(results, requests=ASKED, field_strength=3.0)}
    assert "TR 2.3 s" in figures["synthetic-t1w"].caption
    assert {"synthetic-late-t2w", "synthetic-late-t2w-stdev", "bandfree-model", "bandfree-rss-stdev"} <= set(figures)
    # A synthetic image of a folder of derivatives, or of one that lies in the dataset, is no anatomy.
    assert find_anatomy(bids_dir=out, subject="01", session=None)[0] is None
    assert find_anatomy(bids_dir=bids, subject="01", session=None, derivatives={"qmri": out})[0] is None
    # In another space they go with their standard deviations.
    at = np.stack(np.meshgrid(*(4.0 * np.arange(length) for length in SHAPE), indexing="ij")).astype(np.float32)
    moved = write_in_space(
        [path for path in paths if "syntheticlate" in path.name],
        space=Space(label="T1w", affine=AFFINE, at=at, reference=None),
        output_dir=out,
    )
    assert [path.name for path in moved] == [
        "sub-01_acq-pcbssfp_space-T1w_desc-syntheticlate_T2w.nii.gz",
        "sub-01_acq-pcbssfp_space-T1w_desc-syntheticlatestd_T2w.nii.gz",
    ]
    here, there = (nib.load(path).get_fdata() for path in (folder / moved[0].name.replace("_space-T1w", ""), moved[0]))
    both = np.isfinite(here) & np.isfinite(there)
    np.testing.assert_allclose(there[both], here[both], rtol=1e-4)
    assert both.sum() > 0.9 * np.isfinite(here).sum()


def stored(folder: Path, **changes: Any) -> StoredEstimate:
    """Return an estimate of one tissue, freed of magnetisation transfer, whose first voxels are fluid."""
    folder.mkdir(exist_ok=True)
    voxels = Voxels(save_volume(folder / "mask.nii", MASK, AFFINE))
    number = int(MASK.sum())
    one = np.ones(number)
    fluid = np.arange(number) < 10
    freed, status = np.where(fluid, np.nan, 0.95), np.full(number, Status.CONVERGED, dtype=np.uint8)
    status[fluid] = Status.NOT_IDENTIFIABLE
    path = save_estimate(
        folder / "estimate.npz",
        voxels,
        maps={"mtcorrected_T1": (freed, 0.03 * one), "free_M0": (np.where(fluid, np.nan, 0.8), 0.01 * one)},
        known={
            "T1": (np.where(fluid, 4.0, 0.8), 0.03 * one),
            "T2": (np.where(fluid, 2.0, 0.062), 0.002 * one),
            "M0": (np.where(fluid, 1.0, 0.7), 0.01 * one),
        },
        residual=np.full(number, np.nan),
        status={"": status},
        **changes,
    )
    return StoredEstimate(Path(path))


def test_freed_maps_give_tissue_and_apparent_ones_fluid(tmp_path: Path) -> None:
    images, said = synthetic_images(stored(tmp_path), requests=["T2w"], field_strength=None, relaxation=FREED)
    values = images["synthetic_T2w"][MASK]
    assert values[20] == pytest.approx(0.8 * (1 - math.exp(-5.0 / 0.95)) * math.exp(-0.09 / 0.062), rel=0.01)
    assert values[0] == pytest.approx((1 - math.exp(-5.0 / 4.0)) * math.exp(-0.09 / 2.0), rel=0.02)
    assert np.isfinite(images["synthetic_T2w_stdev"][MASK]).all()
    assert np.isnan(images["synthetic_T2w"][~MASK]).all()
    text = " ".join(said)
    assert "T1 as an inversion recovery sees it, M0 of free water" in text
    assert "In 10 voxels of fluid" in text
    assert "count as independent" in text
    assert "The field of the scan is not stated: usual parameters are those of 3 T." in text


def test_what_cannot_be_made_is_a_warning(tmp_path: Path) -> None:
    cycles = np.ones((*SHAPE, 3), dtype=np.complex64)
    images, _, warnings = band_free_images(
        stored(tmp_path), cycles, methods=["model", "geometric", "rss"], rf_phase_increment=[0.0, 2.0, 4.0]
    )
    assert set(images) == {"bandfree_rss", "bandfree_rss_stdev"}
    assert np.isnan(images["bandfree_rss_stdev"]).all()  # noise that is not known
    assert "does not keep its amplitude" in warnings[0]
    assert (
        "two pairs of cycles half a turn apart, one 20° or more from the other, and the increments are 0, 114.6, 229.2°"
        in warnings[1]
    )


def test_words_and_nodes_follow_from_what_is_asked_for() -> None:
    nothing = ProcessingOptions(estimator="ml")
    assert images_node(nothing, relaxation=APPARENT) is None
    assert image_sentences(nothing, field_strength=3.0, relaxation=APPARENT) == []
    bands = ProcessingOptions(estimator="ml", banding_free=("geometric",))
    assert images_node(bands, relaxation=FREED) is None
    assert isinstance(images_node(bands, relaxation=APPARENT).interface, MakeImages)
    asked = ProcessingOptions(estimator="ml", synthetic=("FLAIR", "T1w"), banding_free=("model", "rss"))
    cited = {key for each in image_sentences(asked, field_strength=7.0, relaxation=APPARENT) for key in each.cited}
    assert cited == {"blystad2012", "mugler1990", "deichmann1992", "hajnal1992", "bangerter2004"}
    assert "T1 as an inversion recovery" in str(image_sentences(asked, field_strength=7.0, relaxation=FREED)[0].values)
