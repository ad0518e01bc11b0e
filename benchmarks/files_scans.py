"""Simulated datasets with one kind of scan each, for mistakes that are processed whole."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from files_meanings import BSSFP, FINGERPRINT, RATIO, SATURATION, SHIFT, SPECTRUM

WORK = Path(os.environ.get("QMRI_BENCHMARK_WORK", Path(tempfile.gettempdir()) / "qmri_bids_files_whole"))
"""Where they lie, and what came of them."""

HEAD = ("--matrix", "48", "56", "48", "--voxel-size", "4", "--phase-cycles", "6", "--b1", "TB1TFL", "--motion", "0")
SATURATED = (*HEAD, "--mt", "mtr", "mts", "--wasabi", "--cest", "zspectrum", "mrf")
"""What is simulated: at 5 mm the light of the mask is yellow."""


@dataclass(frozen=True, kw_only=True)
class Scan:
    """A dataset with one kind of scan.

    Parameters
    ----------
    simulated
        Arguments of the simulation; datasets with the same ones are parts of it.
    patterns
        Files of the participant that it holds.
    labels
        Name of the true tissues.
    maps
        Those that are judged, by the end of the file.
    arguments
        Further ones of the program.
    """

    simulated: tuple[str, ...]
    patterns: tuple[str, ...]
    labels: str
    maps: tuple[str, ...]
    arguments: tuple[str, ...] = ()


_B1 = "fmap/*TB1TFL*"
SCANS = {
    BSSFP: Scan(
        simulated=HEAD,
        patterns=("anat/*pcbssfp*", _B1),
        labels="acq-pcbssfp",
        maps=("pcbssfp_T1map", "pcbssfp_T2map"),
    ),
    SPECTRUM: Scan(
        simulated=SATURATED,
        patterns=("anat/*Zspec*",),
        labels="acq-Zspec",
        maps=(
            "desc-asymAPT_MTRmap",
            "desc-MT_amplitudemap",
            "desc-NOE_amplitudemap",
            "desc-amide_amplitudemap",
            "_fieldmap",
        ),
    ),
    SHIFT: Scan(simulated=SATURATED, patterns=("anat/*WASABI*",), labels="acq-WASABI", maps=("_fieldmap", "_TB1map")),
    RATIO: Scan(simulated=SATURATED, patterns=("anat/*_MTR*",), labels="acq-MT", maps=("_MTRmap",)),
    SATURATION: Scan(
        simulated=SATURATED, patterns=("anat/*_MTS*", _B1), labels="acq-MTS", maps=("MTS_MTsat", "MTS_R1map")
    ),
    FINGERPRINT: Scan(
        simulated=SATURATED,
        patterns=("anat/*MRF*", _B1),
        labels="acq-MRFMT",
        maps=(
            "desc-MT_fractionmap",
            "desc-MT_exchangemap",
            "desc-amide_fractionmap",
            "desc-amide_exchangemap",
        ),
        arguments=("--derivatives", "truth={root}/derivatives/truth"),
    ),
}


def _simulate(folder: Path, *arguments: str) -> Path:
    if not folder.is_dir():
        unfinished = folder.with_name(f"{folder.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        command = [sys.executable, "-c", "import sys; from qmri_bids.cli.tools import main; sys.exit(main())"]
        subprocess.run([*command, "simulate", str(unfinished), *arguments], check=True, stdout=subprocess.DEVNULL)
        unfinished.rename(folder)
    return folder


def dataset(scan: str) -> Path:
    """Return the dataset of a kind of scan, simulated where it is not there yet."""
    root, spec = WORK / scan, SCANS[scan]
    if root.is_dir():
        return root
    source = _simulate(WORK / ("simulated" if spec.simulated is HEAD else "simulated_saturation"), *spec.simulated)
    unfinished = WORK / f"{scan}.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    shutil.copytree(source, unfinished, ignore=lambda folder, names: [name for name in names if name == "sub-01"])
    for place in ("", "derivatives/truth"):
        for pattern in spec.patterns if not place else (f"*/*_{spec.labels}_*",):
            for path in (source / place / "sub-01").glob(pattern):
                target = unfinished / path.relative_to(source)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target)
    if scan == BSSFP:
        other = _simulate(WORK / "other", *HEAD, "--seed", "1")
        shutil.copytree(other / "sub-01", unfinished / "sourcedata" / "other" / "sub-01")
    unfinished.rename(root)
    return root
