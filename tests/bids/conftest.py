"""A tiny raw dataset of pc-bSSFP with B1 maps, written by hand so that each test can break one thing."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from qmri_bids.bids.layout import open_layout
from qmri_bids.scans.find import find_runs
from qmri_bids.scans.find_options import FindOptions
from qmri_bids.scans.session_plan import SessionPlan

SHAPE = (6, 5, 4)
DEGREES = [45.0, 135.0, 225.0, 315.0]
METADATA: dict[str, Any] = {
    "PulseSequenceType": "bSSFP",
    "FlipAngle": 15,
    "RepetitionTimeExcitation": 0.0048,
    "EchoTime": 0.0024,
    "MagneticFieldStrength": 3,
    "RFPhaseIncrement": DEGREES,
    "RFPulseDuration": 0.001,
    "RFPulseShape": "sinc",
    "RFPulseTimeBandwidthProduct": 2.7,
}
CEST_OFFSETS = [-300.0, *(0.5 * step for step in range(-8, 9))]
WASABI_OFFSETS = [-300.0, *(0.2 * step for step in range(-10, 11))]
CEST_METADATA: dict[str, Any] = {
    "MagneticFieldStrength": 3,
    "SaturationOffset": CEST_OFFSETS,
    "SaturationB1RMS": 2.0,
    "SaturationDuration": 1.975,
    "MTPulseShape": "gaussian",
    "MTPulseDuration": 0.05,
    "SaturationInterpulseDelay": 0.005,
    "MTNumberOfPulses": 36,
    "RecoveryTime": 3.5,
    "RecoveryTimeM0": 10,
}
STEM = "sub-01_acq-pcbssfp_flip-1"


@dataclass
class RawDataset:
    """A folder and the ways to fill it."""

    root: Path
    shape = SHAPE
    degrees = DEGREES
    metadata = METADATA
    cest_offsets = CEST_OFFSETS
    wasabi_offsets = WASABI_OFFSETS
    stem = STEM

    @property
    def anat(self) -> Path:
        return self.root / "sub-01" / "anat"

    @property
    def fmap(self) -> Path:
        return self.root / "sub-01" / "fmap"

    def image(
        self,
        path: Path,
        values: Any = 100.0,
        *,
        shape: tuple[int, ...] = (*SHAPE, len(DEGREES)),
        shift: float = 0.0,
        dtype: Any = np.float32,
    ) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        affine = np.diag([1.3, 1.3, 1.3, 1.0])
        affine[0, 3] = shift
        image = nib.Nifti1Image(np.full(shape, values, dtype=dtype), affine)
        image.set_sform(affine, code=1)
        nib.save(image, path)
        return path

    def json(self, path: Path, content: Any) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content), encoding="utf-8")
        return path

    def pcbssfp(
        self,
        *,
        stem: str = STEM,
        folder: Path | None = None,
        change: dict[str, Any] | None = None,
        without: tuple[str, ...] = (),
    ) -> None:
        """Write magnitude and phase of one run, each with its sidecar."""
        folder = folder or self.anat
        content = {key: value for key, value in (METADATA | (change or {})).items() if key not in without}
        for part in ("mag", "phase"):
            self.image(folder / f"{stem}_part-{part}_VFA.nii.gz", 100.0 if part == "mag" else 1.0)
        self.json(folder / f"{stem}_part-mag_VFA.json", content)
        self.json(folder / f"{stem}_part-phase_VFA.json", content | {"Units": "rad"})

    def tfl(
        self,
        *,
        value: float = 800.0,
        flip_angle: Any = 80,
        folder: Path | None = None,
        ses: str = "",
        run: str = "",
    ) -> None:
        """Write the two images of a TB1TFL scan: 800 means 80°."""
        folder = folder or self.fmap
        for role, stored in (("anat", 300.0), ("famp", value)):
            stem = f"sub-01_{ses}acq-{role}_{run}TB1TFL"
            self.image(folder / f"{stem}.nii.gz", stored, shape=SHAPE)
            self.json(folder / f"{stem}.json", {} if flip_angle is None else {"FlipAngle": flip_angle})

    def cest(
        self,
        *,
        stem: str = "sub-01_acq-APTw_cest",
        folder: Path | None = None,
        change: dict[str, Any] | None = None,
        without: tuple[str, ...] = (),
        table: str | None = None,
        shape: tuple[int, ...] | None = None,
    ) -> dict[str, Any]:
        """Write a Z-spectrum of 36 × 50/5 ms, an M0 at -300 ppm and 17 offsets over ±4 ppm, and return its sidecar."""
        folder = folder or self.anat
        content = {key: value for key, value in (CEST_METADATA | (change or {})).items() if key not in without}
        self.image(folder / f"{stem}.nii.gz", shape=shape or (*SHAPE, len(CEST_OFFSETS)))
        self.json(folder / f"{stem}.json", content)
        if table is not None:
            self.table(folder / f"{stem.rpartition('_')[0]}_cestcontext.tsv", table)
        return content

    def wasabi(self, *, stem: str = "sub-01_acq-WASABI_cest", offsets: Any = WASABI_OFFSETS, **more: Any) -> None:
        """Write one block of 5 ms and 3.7 µT before each image."""
        content = {
            "SaturationOffset": list(offsets),
            "SaturationB1RMS": 3.7,
            "SaturationDuration": 0.005,
            "MTPulseShape": "block",
        }
        train = ("MTNumberOfPulses", "MTPulseDuration", "SaturationInterpulseDelay")
        self.cest(stem=stem, change=content, without=train, shape=(*SHAPE, len(offsets)), **more)

    def table(self, path: Path, text: str) -> Path:
        """Write a table; columns may be separated by spaces."""
        lines = ("\t".join(line.split()) for line in text.strip().splitlines())
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    def plan(self, *, session: str | None = None, **options: Any) -> SessionPlan:
        layout = open_layout(self.root, subjects=["01"])
        return find_runs(layout, subject="01", session=session, options=FindOptions(**options))


@pytest.fixture
def empty(tmp_path: Path) -> RawDataset:
    """A dataset with a description and nothing else."""
    dataset = RawDataset(tmp_path / "raw")
    dataset.anat.mkdir(parents=True)
    dataset.json(dataset.root / "dataset_description.json", {"Name": "tiny", "BIDSVersion": "1.11.1"})
    (dataset.root / "README").write_text("A tiny dataset for tests.\n")
    return dataset


@pytest.fixture
def raw(empty: RawDataset) -> RawDataset:
    """One good run and one good TB1TFL map."""
    empty.pcbssfp()
    empty.tfl()
    return empty


@pytest.fixture
def refusal(raw: RawDataset) -> Callable[..., str]:
    """Return the text of the only refusal of the dataset, which then must have no usable run."""

    def text(**options: Any) -> str:
        plan = raw.plan(**options)
        assert plan.pcbssfp == ()
        assert len(plan.refusals) == 1, [str(refusal) for refusal in plan.refusals]
        return str(plan.refusals[0])

    return text


@pytest.fixture
def bare(empty: Any) -> Any:
    """A good run without a B1 map."""
    empty.pcbssfp()
    return empty
