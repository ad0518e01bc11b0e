"""One slice that moves within its plane, denoised and with its noise stated, by command line."""

from __future__ import annotations

import csv
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

pytestmark = pytest.mark.slow

OFFSETS = (None, *(float(each) for each in np.linspace(-4.5, 4.5, 19)))
NOISE = 1.0
SHAPE = (64, 72)


def slice_at(shift: float, offset: float | None, rng: np.random.Generator) -> np.ndarray:
    """Return an ellipse with two kinds of tissue, moved along the first axis [voxels]; its spectrum has a dip of amide in one."""
    x, y = np.meshgrid(np.arange(SHAPE[0]) - 31.5 - shift, np.arange(SHAPE[1]) - 35.5, indexing="ij")
    radius = np.hypot(x / 22.0, y / 27.0)
    whole = 1.0 / (1.0 + np.exp(12.0 * (radius - 1.0)))
    kind = 1.0 / (1.0 + np.exp(-2.0 * (np.hypot((x + 5.0) / 1.0, (y - 6.0) / 1.4) - 8.0)))
    z = 1.0
    if offset is not None:
        z = 1.0 - 0.8 / (1.0 + (offset / (0.7 + 0.3 * kind)) ** 2) - 0.1 * kind / (1.0 + ((offset - 3.5) / 0.6) ** 2)
    signal = 100.0 * (0.7 + 0.3 * kind) * whole * z
    return np.hypot(signal + NOISE * rng.normal(size=SHAPE), NOISE * rng.normal(size=SHAPE))


@pytest.fixture(scope="module")
def bids(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("slice") / "bids"
    rng = np.random.default_rng(2)
    for name, jump in (("01", 0.0), ("02", 2.0)):
        folder = root / f"sub-{name}" / "anat"
        folder.mkdir(parents=True)
        half = len(OFFSETS) // 2
        volumes = [slice_at(jump if index >= half else 0.0, each, rng) for index, each in enumerate(OFFSETS)]
        image = nib.Nifti1Image(
            np.stack(volumes, axis=-1)[:, :, None].astype(np.float32), np.diag([3.0, 3.0, 6.0, 1.0])
        )
        stem = folder / f"sub-{name}_acq-APTw"
        nib.save(image, f"{stem}_cest.nii.gz")
        Path(f"{stem}_cest.json").write_text(
            json.dumps(
                {
                    "MagneticFieldStrength": 3.0,
                    "SaturationB1RMS": 0.8,
                    "SaturationDuration": 2.0,
                    "MTPulseShape": "block",
                }
            )
        )
        rows = ["volume_type\toffset_ppm"]
        rows += ["m0scan\tn/a" if each is None else f"cest\t{each:g}" for each in OFFSETS]
        Path(f"{stem}_cestcontext.tsv").write_text("\n".join(rows) + "\n")
    (root / "dataset_description.json").write_text(json.dumps({"Name": "slices", "BIDSVersion": "1.10.0"}))
    return root


def test_a_slice_is_aligned_within_its_plane_and_its_noise_is_carried(
    bids: Path, run_app: Callable[..., subprocess.CompletedProcess], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = run_app(
        bids, out, "participant", "--work-dir", tmp_path / "work", "--skip-bids-validation", "--mask-method", "object",
        "--noise-sd", NOISE, "--cest-denoise", "mppca", "--nprocs", 1,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr + done.stdout
    said = done.stderr + done.stdout
    assert f"noise of one volume was stated: {NOISE:g} (--noise-sd)" in said
    assert f"Standard deviation of one volume: {NOISE:g} before denoising" in said
    assert "MOTION THROUGH THE PLANE WAS NOT ASSESSED" in said
    for name in ("01", "02"):
        stem = out / f"sub-{name}" / "anat" / f"sub-{name}_acq-APTw"
        (stdev,) = stem.parent.glob(f"sub-{name}_acq-APTw_desc-asymAPTstd_MTRmap.nii.gz")
        assert np.nanmin(np.asarray(nib.load(stdev).dataobj)) > 0.0
        assert json.loads(Path(f"{stem}_desc-preproc_cest.json").read_text())["Denoising"] == "mppca"
        with Path(f"{stem}_desc-confounds_timeseries.tsv").open() as file:
            confounds = list(csv.DictReader(file, delimiter="\t"))
        assert {row["trans_z"] for row in confounds} == {"n/a"}
        moved = np.ptp([float(row["trans_x"]) for row in confounds])
        assert moved == pytest.approx(6.0 if name == "02" else 0.0, abs=0.5)
