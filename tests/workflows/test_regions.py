"""Regions of an atlas in a run: what is stated of them stands beside what was measured, and their curves beside the fits."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from tube_series import known_tubes, tube_scan, tube_signal

from qmri_bids.bids.anatomy.spaces import read_atlas
from qmri_bids.estimation.pools.quesp import Quesp
from qmri_bids.pipeline.results.estimate_file import save_estimate
from qmri_bids.pipeline.spaces.nodes import put_in_spaces
from qmri_bids.pipeline.spaces.regions import SeriesOfRun, stated_map
from qmri_bids.pipeline.spaces.scan import Scan
from qmri_bids.pipeline.voxels import Voxels

SHAPE, AFFINE = (12, 6, 2), np.diag([2.0, 2.0, 4.0, 1.0])
ENTITIES = {"sub": "01", "acq": "QUESP"}
OFFSETS = np.array([-4.0, -2.0, -1.0, 0.0, 1.0, 2.0, 4.0])


@pytest.fixture
def labels() -> np.ndarray:
    values = np.zeros(SHAPE, dtype=np.uint8)
    values[:4], values[4:8] = 1, 2
    return values


@pytest.fixture
def atlas(tmp_path: Path, labels: np.ndarray) -> Path:
    path = tmp_path / "tubes_dseg.nii.gz"
    nib.save(nib.Nifti1Image(labels, AFFINE), path)
    table = "index\tname\texchange_rate\tT1_ms\tpH\n1\tfirst\t400\t2000\t6.5\n2\tsecond\t800\tn/a\t7\n"
    (tmp_path / "tubes_dseg.tsv").write_text(table)
    return path


def voxels_of(tmp_path: Path) -> Voxels:
    path = tmp_path / "mask.nii"
    nib.save(nib.Nifti1Image(np.ones(SHAPE, dtype=np.uint8), AFFINE), path)
    return Voxels(path)


def write(folder: Path, name: str, values: np.ndarray, unit: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"sub-01_acq-QUESP_{name}.nii.gz"
    nib.save(nib.Nifti1Image(values.astype(np.float32), AFFINE), path)
    path.with_name(path.name.replace(".nii.gz", ".json")).write_text(json.dumps({"Units": unit}))
    return path


def put(tmp_path: Path, atlas: Path, **wanted):
    scan = Scan(
        entities=ENTITIES, magnitude=np.ones(SHAPE, dtype=np.float32), mask=np.ones(SHAPE, dtype=bool), affine=AFFINE
    )
    given = {"files": [], "registration": None, "spaces": (), "anatomy": None} | wanted
    roots = {"cache": tmp_path / "cache", "bids_dir": tmp_path, "output_dir": tmp_path / "out"}
    return put_in_spaces(scan=scan, atlas=read_atlas(atlas), **roots, **given)


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines(), delimiter="\t"))


def test_stated_values_stand_beside_the_measured_ones(tmp_path: Path, atlas: Path, labels: np.ndarray) -> None:
    rate = np.where(labels == 1, 390.0, 820.0) + np.random.default_rng(0).normal(0.0, 10.0, SHAPE)
    rate[0] = np.nan
    folder = tmp_path / "out" / "sub-01" / "anat"
    files = [
        write(folder, "desc-iohexol_exchangemap", rate, "1/s"),
        write(folder, "desc-iohexolstd_exchangemap", np.full(SHAPE, 9.0), "1/s"),
        write(folder, "T1map", np.full(SHAPE, 2.1), "s"),
    ]
    done = put(tmp_path, atlas, files=files)
    rows = rows_of(folder / "sub-01_acq-QUESP_atlas-tubesdseg_stats.tsv")
    first = next(row for row in rows if row["map"] == "desc-iohexol_exchangemap" and row["name"] == "first")
    inside = rate[(labels == 1) & np.isfinite(rate)]
    assert (int(first["size"]), int(first["n"])) == (48, 36)
    assert float(first["mean"]) == pytest.approx(inside.mean(), rel=1e-5)
    assert float(first["sem"]) == pytest.approx(inside.std(ddof=1) / 6.0, rel=1e-5)
    assert (float(first["stated_sd"]), float(first["stated"]), float(first["pH"])) == (9.0, 400.0, 6.5)
    times = [row["stated"] for row in rows if row["map"] == "T1map"]
    assert times == ["2", "n/a"]
    assert {row["map"] for row in rows} == {"desc-iohexol_exchangemap", "T1map"}
    (figure,) = done.additions.figures
    assert "desc-iohexol_exchangemap" in " ".join(done.additions.decisions)
    assert "Of tubes_dseg.tsv no single map of this run shows pH" in " ".join(done.additions.decisions)
    assert "iohexol, exchange rate against pH" in figure.alternative
    assert figure.image[8:12] == b"WEBP"


@pytest.mark.parametrize(
    ("column", "found"),
    [
        ("concentration_mM", ("desc-a_concentrationmap", 1.0)),
        ("a_concentration_M", ("desc-a_concentrationmap", 1000.0)),
        ("b_concentration_mM", None),
        ("fraction_percent", None),
        ("B_fraction_percent", ("desc-b_fractionmap", 0.01)),
        ("T2_ms", ("T2map", 0.001)),
        ("T2_mM", None),
        ("T1_s", ("desc-water_T1map", 1.0)),
    ],
)
def test_columns_state_the_one_map_they_name(column: str, found: tuple[str, float] | None) -> None:
    maps = (
        "desc-a_concentrationmap",
        "desc-a_fractionmap",
        "desc-b_fractionmap",
        "T2map",
        "desc-known_T2map",
        "desc-water_T1map",
    )
    assert stated_map(column, dict.fromkeys(maps)) == found


def test_spectra_of_regions_are_their_means(tmp_path: Path, atlas: Path, labels: np.ndarray) -> None:
    voxels = voxels_of(tmp_path)
    own = labels[voxels.inside]
    spectra = 1.0 - 0.1 * own[:, None] * np.exp(-(OFFSETS**2)) + np.random.default_rng(1).normal(0, 0.01, (len(own), 7))
    spectra[:, 0] = np.nan
    path = save_estimate(
        tmp_path / "estimate.npz",
        voxels,
        maps={},
        residual=np.zeros(len(own)),
        status={"": np.ones(len(own), dtype=np.uint8)},
        offsets=OFFSETS,
        corrected=spectra.astype(np.float32),
    )
    done = put(tmp_path, atlas, estimate=Path(path))
    table = tmp_path / "out" / "sub-01" / "anat" / "sub-01_acq-QUESP_atlas-tubesdseg_desc-zspectra_stats.tsv"
    rows = [row for row in rows_of(table) if row["name"] == "second"]
    assert [float(row["offset_ppm"]) for row in rows] == OFFSETS.tolist()
    assert (rows[0]["n"], rows[0]["mean"], rows[3]["fit"]) == ("0", "n/a", "n/a")
    assert float(rows[3]["mean"]) == pytest.approx(spectra[own == 2, 3].mean(), abs=1e-5)
    assert float(rows[3]["sd"]) == pytest.approx(spectra[own == 2, 3].std(ddof=1), rel=1e-3)
    assert [figure.key for figure in done.additions.figures] == ["region-spectra"]


def test_signals_of_regions_come_with_their_fit_and_omega_plot(tmp_path: Path, atlas: Path, labels: np.ndarray) -> None:
    voxels = voxels_of(tmp_path)
    own = labels[voxels.inside]
    scan = tube_scan(shift=3.0, powers=(0.5, 1.0, 2.0, 3.0), name="solute")
    tubes = np.stack(
        [tube_signal(scan, fraction, rate) for fraction, rate in ((1e-9, 1.0), (1e-3, 400.0), (2e-3, 800.0))]
    )
    signal = 50.0 * (tubes[own] + 0.002 * np.random.default_rng(2).standard_normal((len(own), tubes.shape[1])))
    known = known_tubes(len(own))
    found = Quesp().estimate(signal, scan=scan, known=known)
    path = save_estimate(
        tmp_path / "estimate.npz",
        voxels,
        maps={},
        residual=found.residual,
        status=found.status,
        known={name: (getattr(known, key), None) for name, key in (("T1", "t1"), ("T2", "t2"), ("b1", "b1"))}
        | {"off_resonance": (known.off_resonance, None)},
        signal=signal,
        fitted=found.fitted,
        amplitude=found.amplitude,
    )
    series = SeriesOfRun(names=("sub-01_acq-QUESP_cest",), scan=scan, estimator="quesp")
    done = put(tmp_path, atlas, estimate=Path(path), series=series)
    table = tmp_path / "out" / "sub-01" / "anat" / "sub-01_acq-QUESP_atlas-tubesdseg_desc-signals_stats.tsv"
    rows = [row for row in rows_of(table) if row["name"] == "first"]
    assert [row["offset_ppm"] for row in rows[:4]] == ["n/a", "n/a", "3", "-3"]
    np.testing.assert_allclose([float(row["mean"]) for row in rows], tubes[1], atol=0.003)
    np.testing.assert_allclose([float(row["fit"]) for row in rows], tubes[1], atol=0.003)
    assert float(rows[4]["b1_rms"]) == pytest.approx(1.0, rel=1e-4)
    assert [figure.key for figure in done.additions.figures] == ["region-signals-1", "omega-plots"]
