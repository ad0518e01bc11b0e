"""Tubes with a solute, from raw files to concentrations by one command line without maps of B1 and B0."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy.linalg import expm
from written_files import written_files

pytestmark = pytest.mark.slow

RunApp = Callable[..., subprocess.CompletedProcess]

LARMOR = 42.5764e6 * 9.4  # Hz
SHIFT, SOLUTE_T2, PROTONS, T1, T2 = 4.3, 0.1, 2.0, 2.5, 0.9
TUBES = ((20.0, 600.0), (40.0, 1500.0), (80.0, 600.0), (80.0, 3000.0))
"""Concentration [mmol/L] and rate [1/s]."""

POWERS = (3.0, 0.8, 6.0, 1.5, 8.0, 2.2, 5.0, 1.1, 7.0, 4.0, 0.5, 3.5)
"""Root mean square of the blocks [µT]."""

RECOVERY, READOUT, BLOCK, NOISE = 4.0, 0.01, 2.5, 0.002
AT_SHIFT = tuple((SHIFT, power, RECOVERY) for power in POWERS)
"""Offset [ppm], power [µT] and recovery before [s] of the images."""

BESIDE_WATER = tuple(
    ((SHIFT, -SHIFT, 0.5)[place % 3], power, (1.0, 4.0, 2.0, 8.0)[place % 4]) for place, power in enumerate(POWERS * 2)
)
"""The same of images that tell T1 and T2 of water too."""

ALONE = (
    "--no-b1", "--cest-off-resonance", "0", "--mask-method", "object", "--ignore", "gibbs", "motion", "--nprocs", 1,
)  # fmt: skip
OPTIONS = (*ALONE, "--cest-t1", T1, "--cest-t2", T2)
"""What a phantom needs that was scanned alone."""

EXPECTED = {
    "anat": (
        "desc-iohexol_concentrationmap", "desc-iohexol_correlationmap", "desc-iohexol_exchangemap", "desc-iohexol_fractionmap",
        "desc-iohexolquality_mask", "desc-iohexolstd_concentrationmap", "desc-iohexolstd_exchangemap",
        "desc-iohexolstd_fractionmap", "desc-object_mask", "residualmap",
    ),
}  # fmt: skip


Images = tuple[tuple[float, float, float], ...]


def signals(concentration: float, rate: float, *, m0: bool, images: Images = AT_SHIFT) -> list[float]:
    """Return Z of all images by plain matrix exponentials; each begins with a recovery, its readout is a crushed 90°."""
    fraction = concentration * PROTONS / 111e3

    def matrix(b1: float, offset: float = 0.0) -> np.ndarray:
        a = np.zeros((7, 7))
        w1 = 2.0 * math.pi * 42.5764 * b1
        for place, (share, k, shift, t2) in enumerate(((1.0, 0.0, 0.0, T2), (fraction, rate, SHIFT, SOLUTE_T2))):
            x, y, z = 3 * place, 3 * place + 1, 3 * place + 2
            away = 2.0 * math.pi * (shift - offset) * 1e-6 * LARMOR
            a[x, y], a[y, x], a[y, z], a[z, y], a[z, 6] = away, -away, w1, -w1, share / T1
            for row, time in ((x, t2), (y, t2), (z, T1)):
                a[row, row] -= 1.0 / time + k
                if place:
                    a[row % 3, row] += k
                    a[row, row % 3] += share * k
                    a[row % 3, row % 3] -= share * k
        return a

    rest = np.array([0.0, 0.0, 1.0, 0.0, 0.0, fraction, 1.0])
    state, found = rest, [1.0] if m0 else []
    longitudinal = np.diag([0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0])
    for place, (offset, power, recovery) in enumerate(images):
        if place or m0:
            emptied = np.array([0.0] * 6 + [1.0])
            state = longitudinal @ (expm(matrix(0.0) * (recovery + READOUT)) @ emptied)
        state = longitudinal @ (expm(matrix(power, offset) * BLOCK) @ state)
        found.append(float(state[2]))
    return found


def write_phantom(root: Path, *, m0: bool = True, images: Images = AT_SHIFT) -> np.ndarray:
    """Write four tubes in one slab, and return the tube of every voxel (1 …)."""
    anat = root / "sub-01" / "anat"
    anat.mkdir(parents=True)
    x, y = np.meshgrid(np.arange(24), np.arange(24), indexing="ij")
    labels = np.zeros((24, 24, 3), dtype=int)
    for place in range(len(TUBES)):
        centre = 6.0 + 12.0 * (place // 2), 6.0 + 12.0 * (place % 2)
        labels[(x - centre[0]) ** 2 + (y - centre[1]) ** 2 < 3.4**2] = place + 1
    clean = np.zeros((*labels.shape, len(images) + m0))
    for place, tube in enumerate(TUBES, start=1):
        clean[labels == place] = signals(*tube, m0=m0, images=images)
    rng = np.random.default_rng(3)
    series = 500.0 * np.hypot(*(part + NOISE * rng.standard_normal(clean.shape) for part in (clean, 0.0 * clean)))
    nib.save(
        nib.Nifti1Image(series.astype(np.float32), np.diag([2.0, 2.0, 3.0, 1.0])), anat / "sub-01_acq-tubes_cest.nii.gz"
    )
    sidecar = {
        "ImagingFrequency": LARMOR * 1e-6,
        "SaturationDuration": BLOCK,
        "MTPulseShape": "block",
        "FlipAngle": 90,
        "NumberOfReadoutPulses": 1,
        "RepetitionTimeExcitation": READOUT,
    }
    (anat / "sub-01_acq-tubes_cest.json").write_text(json.dumps(sidecar))
    rows = ["volume_type\toffset_ppm\tb1_rms\trecovery_time", *(["m0scan\tn/a\tn/a\t20"] if m0 else [])]
    rows += [f"cest\t{offset}\t{power}\t{recovery}" for offset, power, recovery in images]
    (anat / "sub-01_acq-tubes_cestcontext.tsv").write_text("\n".join(rows) + "\n")
    (root / "dataset_description.json").write_text(json.dumps({"Name": "tubes", "BIDSVersion": "1.11.1"}))
    (root / "README").write_text("Simulated tubes.\n")
    (root / ".bidsignore").write_text("*_cest.*\n*_cestcontext.*\n")
    (root.parent / "pools.yaml").write_text(
        "water_pool: {f: 1, t1: 2.0, t2: 1.0}\ncest_pool:\n  iohexol: {f: 0.0005, t1: 2.0, t2: 0.1, k: 300, dw: 4.3}\n"
    )
    return labels


@pytest.fixture(scope="module")
def phantom(run_app: RunApp, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray, str]:
    folder = tmp_path_factory.mktemp("tubes")
    labels = write_phantom(folder / "bids")
    pools = ("--cest-pools", folder / "pools.yaml", "--cest-protons", "iohexol=2")
    done = run_app(folder / "bids", folder / "out", "participant", "-w", folder / "work", *pools, *OPTIONS)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "Mean of empty slice" not in done.stderr
    return folder / "out", labels, done.stdout + done.stderr


def output(out: Path, name: str) -> np.ndarray:
    return np.asarray(nib.load(out / "sub-01" / "anat" / f"sub-01_acq-tubes_{name}.nii.gz").dataobj, dtype=float)


def test_maps_are_those_of_the_tubes(phantom: tuple[Path, np.ndarray, str]) -> None:
    out, labels, _ = phantom
    for place, (concentration, rate) in enumerate(TUBES, start=1):
        own = labels == place
        assert np.all(output(out, "desc-iohexolquality_mask")[own] == 1)
        for name, true, tolerance in (("concentrationmap", concentration, 0.03), ("exchangemap", rate, 0.05)):
            found, spread = output(out, f"desc-iohexol_{name}")[own], output(out, f"desc-iohexolstd_{name}")[own]
            assert np.median(found) == pytest.approx(true, rel=tolerance)
            assert 0.55 < np.mean(np.abs(found - true) < spread) < 0.85, (
                "a standard deviation holds two thirds of the errors"
            )


def test_files_are_valid_and_their_sidecars_say_what_was_done(phantom: tuple[Path, np.ndarray, str]) -> None:
    out, _, _ = phantom
    names = {Path(name).name.partition(".")[0].removeprefix("sub-01_acq-tubes_") for name in written_files(out)}
    assert set(EXPECTED["anat"]) <= names
    content = json.loads((out / "sub-01" / "anat" / "sub-01_acq-tubes_desc-iohexol_concentrationmap.json").read_text())
    assert (content["Units"], content["ProtonsPerMolecule"]) == ("mmol/L", {"iohexol": 2.0})
    assert "Concentration of the pool iohexol in its water" in content["Description"]
    assert content["EstimationAlgorithm"].startswith("ml: ")
    assert "*_concentrationmap.*" in (out / ".bidsignore").read_text().split()
    program = Path(sys.executable).with_name("bids-validator-deno")
    done = subprocess.run([program, "--ignoreWarnings", out], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_report_says_how(phantom: tuple[Path, np.ndarray, str]) -> None:
    out, _, said = phantom
    assert "Networks are made for MT and amide alone: with iohexol the estimator is ml" in said
    text = (out / "sub-01.html").read_text()
    for words in ("iohexol concentration", "iohexol exchange rate", "Quality mask of iohexol", "111,000 mmol/L"):
        assert words in text, words


def test_a_series_without_m0(run_app: RunApp, tmp_path: Path) -> None:
    labels = write_phantom(tmp_path / "bids", m0=False)
    out = tmp_path / "out"
    pools = ("--cest-pools", tmp_path / "pools.yaml", "--cest-protons", "iohexol=2")
    done = run_app(tmp_path / "bids", out, "participant", "-w", tmp_path / "work", *pools, *OPTIONS)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "has no M0" in done.stdout + done.stderr
    for place, (concentration, rate) in enumerate(TUBES, start=1):
        own = labels == place
        assert np.nanmedian(output(out, "desc-iohexol_concentrationmap")[own]) == pytest.approx(concentration, rel=0.1)
        assert np.nanmedian(output(out, "desc-iohexol_exchangemap")[own]) == pytest.approx(rate, rel=0.1)


def test_images_that_do_not_tell_water_are_refused_before_anything_is_computed(
    phantom: tuple[Path, np.ndarray, str], run_app: RunApp
) -> None:
    folder = phantom[0].parent
    pools = ("--cest-pools", folder / "pools.yaml", "--cest-fit-water", "T1", "T2")
    done = run_app(folder / "bids", folder / "none", "participant", "-w", folder / "work2", *pools, *ALONE)
    assert done.returncode != 0
    said = " ".join((done.stdout + done.stderr).split())
    assert "--cest-fit-water: expected images that tell T2 of water beside the pools, below 30 % for water" in said
    assert "Give T2 by a map or by --cest-t2 (seconds)" in said
    assert not (folder / "none" / "sub-01" / "anat").exists()


def test_water_that_no_map_gives_is_fitted_along(run_app: RunApp, tmp_path: Path) -> None:
    labels = write_phantom(tmp_path / "bids", images=BESIDE_WATER)
    out = tmp_path / "out"
    pools = ("--cest-pools", tmp_path / "pools.yaml", "--cest-protons", "iohexol=2", "--cest-fit-water", "T1", "T2")
    done = run_app(tmp_path / "bids", out, "participant", "-w", tmp_path / "work", *pools, *ALONE)
    assert done.returncode == 0, done.stderr + done.stdout
    inside = labels > 0
    for name, true in (("T1map", T1), ("T2map", T2)):
        found, spread = (output(out, f"desc-water{ending}_{name}")[inside] for ending in ("", "std"))
        assert np.median(found) == pytest.approx(true, rel=0.02)
        assert 0.6 < np.mean(np.abs(found - true) < spread) < 0.78
    for place, (concentration, rate) in enumerate(TUBES, start=1):
        own = labels == place
        assert np.median(output(out, "desc-iohexol_concentrationmap")[own]) == pytest.approx(concentration, rel=0.05)
        assert np.median(output(out, "desc-iohexol_exchangemap")[own]) == pytest.approx(rate, rel=0.05)
    assert np.all(output(out, "desc-waterquality_mask")[inside] == 1)
    names = {Path(name).name for name in written_files(out)}
    assert not {name for name in names if "desc-known_T1map" in name or "desc-known_T2map" in name}
    content = json.loads((out / "sub-01" / "anat" / "sub-01_acq-tubes_desc-iohexol_exchangemap.json").read_text())
    assert content["KnownMaps"]["T1"] == content["KnownMaps"]["T2"] == "none: fitted in every voxel"
    text = (out / "sub-01.html").read_text()
    for words in ("T1 and T2 of water are fitted in every voxel along with the pools", "water: T1 and T2 told"):
        assert words in text, words
    program = Path(sys.executable).with_name("bids-validator-deno")
    done = subprocess.run([program, "--ignoreWarnings", out], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
