"""Folders as a converter leaves them, made of simulated scans: imported and processed, with nothing edited."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from converters_sidecars import GE, GRE, PHILIPS, SIEMENS_VE, SIEMENS_XA, VOLUME_3D

HEAD = ("--matrix", "48", "56", "48", "--voxel-size", "4", "--phase-cycles", "6", "--motion", "0")
DEGREES = (30, 90, 150, 210, 270, 330)
PATIENCE = 1200.0
TRUFI = (
    SIEMENS_VE
    | VOLUME_3D
    | {
        "ScanningSequence": "GR",
        "SequenceVariant": "SK\\SS",
        "PulseSequenceDetails": "%SiemensSeq%\\trufi",
        "SequenceName": "*tfi3d1",
        "RepetitionTime": 0.0048,
        "EchoTime": 0.0024,
        "FlipAngle": 15,
    }
)
FIESTA = (
    GE
    | VOLUME_3D
    | {
        "ScanningSequence": "GR",
        "SequenceVariant": "SS\\SK",
        "PulseSequenceName": "FIESTA",
        "RepetitionTime": 0.0048,
        "EchoTime": 0.0024,
        "FlipAngle": 15,
    }
)
INCREMENTS = {"pcbssfp": {"RFPhaseIncrement": list(DEGREES)}}
PARTS = {
    "mag": (["ORIGINAL", "PRIMARY", "M", "ND"], ""),
    "phase": (["ORIGINAL", "PRIMARY", "P", "ND", "PHASE"], "_ph"),
    "real": (["ORIGINAL", "PRIMARY", "R", "ND", "REAL"], "_real"),
    "imag": (["ORIGINAL", "PRIMARY", "I", "ND", "IMAGINARY"], "_imaginary"),
}
"""What dcm2niix writes of each part: ImageType, and the end of the file name."""


@dataclass(frozen=True, kw_only=True)
class Folder:
    """A session as converted.

    Parameters
    ----------
    name
        What is in it.
    simulated
        Arguments of the simulation.
    convert
        Takes the dataset apart into a folder.
    maps
        Those that must be there at the end, by the end of the file.
    metadata
        What no converter writes.
    arguments
        Further ones of the program.
    """

    name: str
    simulated: tuple[str, ...]
    convert: Callable[[Path, Path], None]
    maps: tuple[str, ...]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()


def _put(folder: Path, number: int, name: str, content: Mapping[str, Any], image: Path, *, part: str = "mag") -> None:
    """Copy an image under the name that dcm2niix gives a series."""
    kind, end = PARTS[part]
    stem = f"lab_{name}_20250312101500_{number}{end}"
    shutil.copy(image, folder / f"{stem}.nii.gz")
    said = {
        **content,
        "SeriesDescription": name,
        "ProtocolName": name,
        "SeriesNumber": number,
        "ImageType": kind,
        "PatientName": "Nobody",
    }
    (folder / f"{stem}.json").write_text(json.dumps(said))


def _find(source: Path, pattern: str) -> list[Path]:
    return sorted((source / "sub-01").glob(pattern))


def _two_parts(source: Path, folder: Path, first: str, second: str, content: Mapping[str, Any]) -> None:
    for number, part in ((5, first), (6, second)):
        (path,) = _find(source, f"anat/*pcbssfp*part-{part}_VFA.nii.gz")
        _put(folder, number, "trufi_phasecycled", content, path, part=part)


def _tfl(source: Path, folder: Path) -> None:
    content = SIEMENS_VE | {"MRAcquisitionType": "2D", "SequenceName": "*tfl2d1_64", "RepetitionTime": 10}
    for number, role in ((2, "anat"), (3, "famp")):
        (path,) = _find(source, f"fmap/*acq-{role}_TB1TFL.nii.gz")
        kind = {"ImageComments": "flip angle map"} if role == "famp" else {}
        _put(folder, number, f"tfl_b1map_{role}", content | {"FlipAngle": 8} | kind, path)


def _series(source: Path, folder: Path) -> None:
    _two_parts(source, folder, "mag", "phase", TRUFI)
    _tfl(source, folder)


def _cycles(source: Path, folder: Path) -> None:
    """One series a cycle, scanned in another order than that of the increments."""
    for part in ("mag", "phase"):
        (path,) = _find(source, f"anat/*pcbssfp*part-{part}_VFA.nii.gz")
        image: Any = nib.load(path)
        stored = np.asarray(image.dataobj.get_unscaled())
        for place, index in enumerate((0, 2, 4, 1, 3, 5)):
            single = nib.Nifti1Image(stored[..., index], image.affine, image.header)
            single.header.set_slope_inter(image.dataobj.slope, image.dataobj.inter)
            made = folder / "one.nii.gz"
            nib.save(single, made)
            name = f"fiesta_pc{DEGREES[index]:03d}"
            _put(folder, 10 + 2 * place + (part == "phase"), name, FIESTA, made, part=part)
            made.unlink()
    for number, angle in ((1, 60), (2, 120)):
        (path,) = _find(source, f"fmap/*flip-{number}_TB1DAM.nii.gz")
        _put(folder, number, f"b1_dam_fa{angle}", GE | {"FlipAngle": angle, "RepetitionTime": 10}, path)


def _real_and_imaginary(source: Path, folder: Path) -> None:
    content = PHILIPS | VOLUME_3D | {"ScanningSequence": "GR", "SequenceVariant": "SS", "PulseSequenceName": "B-FFE"}
    _two_parts(
        source, folder, "real", "imag", content | {"RepetitionTime": 0.0048, "EchoTime": 0.0024, "FlipAngle": 15}
    )
    for number in (1, 2):
        (path,) = _find(source, f"fmap/*acq-tr{number}_TB1AFI.nii.gz")
        _put(folder, number, f"AFI_tr{number}", PHILIPS | VOLUME_3D | {"FlipAngle": 60, "RepetitionTime": 0.02}, path)


def _complex(source: Path, folder: Path) -> None:
    (path,) = _find(source, "anat/*pcbssfp*_VFA.nii.gz")
    content = SIEMENS_XA | VOLUME_3D | {"PulseSequenceName": "*tfi3d1", "RepetitionTime": 0.0048, "EchoTime": 0.0024}
    _put(folder, 7, "pc_bssfp_complex", content | {"FlipAngle": 15}, path)
    _tfl(source, folder)


def _saturation(source: Path, folder: Path) -> None:
    for number, (state, flip, angle, time) in enumerate(
        (("off", 1, 6, 0.028), ("on", 1, 6, 0.028), ("off", 2, 20, 0.018)), start=11
    ):
        (path,) = _find(source, f"anat/*flip-{flip}_mt-{state}_MTS.nii.gz")
        content = SIEMENS_VE | VOLUME_3D | GRE | {"SequenceName": "*fl3d1", "RepetitionTime": time, "FlipAngle": angle}
        options = {"ScanOptions": "MT" if state == "on" else "PFP"}
        name = {11: "gre_PDw", 12: "gre_MTw", 13: "gre_T1w"}[number]
        _put(folder, number, f"mtsat_{name}", content | options | {"EchoTime": 0.0025}, path)
    _tfl(source, folder)


def _spectrum(source: Path, folder: Path) -> None:
    (path,) = _find(source, "anat/*Zspec_cest.nii.gz")
    content = SIEMENS_VE | VOLUME_3D | {"FlipAngle": 6, "RepetitionTime": 3.4, "EchoTime": 0.0025}
    _put(folder, 21, "CEST_zspectrum", content, path)
    (table,) = _find(source, "anat/*Zspec_cestcontext.tsv")
    rows = csv.DictReader(table.read_text().splitlines(), delimiter="\t")
    offsets = [row["offset_ppm"] for row in rows]
    (folder / "lab_CEST_zspectrum_20250312101500_21_offsets_ppm.txt").write_text("\n".join(offsets) + "\n")


BSSFP_MAPS = ("_T1map.nii.gz", "_T2map.nii.gz")
FOLDERS = (
    Folder(
        name="pc-bSSFP as two series of cycles, TFL",
        simulated=("--b1", "TB1TFL"),
        convert=_series,
        maps=BSSFP_MAPS,
        metadata=INCREMENTS,
        arguments=("--b1-nominal-fa", "80"),
    ),
    Folder(
        name="pc-bSSFP as one series a cycle in another order, double angle",
        simulated=("--b1", "TB1DAM"),
        convert=_cycles,
        maps=BSSFP_MAPS,
    ),
    Folder(
        name="pc-bSSFP as real and imaginary parts, AFI",
        simulated=("--b1", "TB1AFI", "--layout", "real-imag"),
        convert=_real_and_imaginary,
        maps=BSSFP_MAPS,
        metadata=INCREMENTS,
        arguments=("--b1-afi-tr", "0.02", "0.1"),
    ),
    Folder(
        name="pc-bSSFP as complex numbers, TFL",
        simulated=("--b1", "TB1TFL", "--layout", "complex"),
        convert=_complex,
        maps=BSSFP_MAPS,
        metadata=INCREMENTS,
        arguments=("--b1-nominal-fa", "80"),
    ),
    Folder(
        name="MT saturation, TFL",
        simulated=("--b1", "TB1TFL", "--mt", "mts"),
        convert=_saturation,
        maps=("_MTsat.nii.gz", "_R1map.nii.gz"),
        arguments=("--b1-nominal-fa", "80"),
    ),
    Folder(
        name="CEST with a list of offsets",
        simulated=("--b1", "none", "--cest", "zspectrum"),
        convert=_spectrum,
        maps=("desc-asymAPT_MTRmap.nii.gz",),
        metadata={
            "cest": {
                "SaturationB1RMS": 0.5235185758,
                "MTPulseDuration": 0.02048,
                "SaturationInterpulseDelay": 0.02,
                "MTNumberOfPulses": 80,
                "MTPulseShape": "gausshann",
            }
        },
    ),
)


def _tool(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "import sys; from qmri_bids.cli.tools import main; sys.exit(main())", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=PATIENCE)


def simulated(folder: Folder, place: Path) -> Path:
    """Return what a converter leaves of a simulated session."""
    source, made = place / "simulated", place / "converted"
    for each in (source, made):
        shutil.rmtree(each, ignore_errors=True)
    done = _tool("simulate", str(source), *HEAD, *folder.simulated)
    if done.returncode:
        raise RuntimeError(done.stderr)
    made.mkdir(parents=True)
    folder.convert(source, made)
    return made


def imported(folder: Folder, converted: Path, place: Path) -> str:
    """Import a folder and process it; return what is wrong, nothing where the maps are there."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    before = {path.name: path.read_bytes() for path in converted.iterdir()}
    done = _tool("import", str(converted), str(place / "bids"))
    if done.returncode:
        return f"import: exit code {done.returncode}: {' '.join((done.stdout + done.stderr).split())[-600:]}"
    if before != {path.name: path.read_bytes() for path in converted.iterdir()}:
        return "import: the folder was changed"
    if any(b"Nobody" in path.read_bytes() for path in (place / "bids").rglob("*.json")):
        return "import: the name of the participant is in the dataset"
    metadata = place / "metadata.json"
    metadata.write_text(json.dumps(folder.metadata))
    arguments = [*folder.arguments, *(["--metadata", str(metadata)] if folder.metadata else [])]
    command = [sys.executable, "-c", "import sys; from qmri_bids.cli.run import main; sys.exit(main())"]
    folders = [str(place / "bids"), str(place / "out"), "participant", "-w", str(place / "work")]
    run = subprocess.run(
        [*command, *folders, *arguments], check=False, capture_output=True, text=True, timeout=PATIENCE
    )
    lacking = [end for end in folder.maps if not list((place / "out" / "sub-01").rglob(f"*{end}"))]
    if run.returncode or lacking:
        return f"exit code {run.returncode}, without {', '.join(lacking)}: {' '.join((run.stdout + run.stderr).split())[-600:]}"
    return ""
