"""M0 volumes in a file of their own, which the sidecar of a series names by `M0File`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from qmri_bids.bids.images import ImageInfo, check_image
from qmri_bids.bids.metadata.sidecar import Sidecar
from qmri_bids.bids.metadata.values import describe
from qmri_bids.bids.refusal import RefusedError, ValueSource, refuse, relative_name
from qmri_bids.grids import is_same_grid
from qmri_bids.physics.saturation import SaturatedImage, SaturationProtocol, Start
from qmri_bids.scans.cest.context import read_cest_table
from qmri_bids.scans.findings import Findings, Series

M0_KEY = "M0File"
"""Key of a sidecar that names the file: a BIDS URI (`bids::sub-01/anat/…`) or the name of a file in the same folder."""

URI = "bids::"

SATURATION_KEYS = (
    "SaturationOffset",
    "SaturationFrequencyOffset",
    "SaturationB1RMS",
    "PulseqFile",
)
"""Keys by which a sidecar says that volumes are saturated."""

RELAXED = 30.0
"""Recovery before the first volume of a fingerprint whose M0 are of another series [s]: seven times the longest T1."""


@dataclass(frozen=True, kw_only=True)
class M0File:
    """The M0 volumes of another file.

    Parameters
    ----------
    path
        The image.
    name
        The file, relative to the dataset.
    volumes
        Indices of those that are used.
    source, sentence
        Where it is named, and what is taken for granted.
    """

    path: Path
    name: str
    volumes: tuple[int, ...]
    source: ValueSource
    sentence: str


def named_m0(sidecar: Sidecar, *, path: Path, root: Path) -> Path | None:
    """Return the file that a sidecar names by `M0File`, None if it names none.

    Raises
    ------
    RefusedError
        If the value is no name of a file of the dataset, or the file is not there.
    """
    if M0_KEY not in sidecar.values:
        return None
    value = sidecar.values[M0_KEY]
    advice = f"Write {URI}sub-…/anat/….nii.gz, or the name of a file in the same folder."
    expected = "the image of the M0 volumes of this series"
    if not isinstance(value, str) or not value.strip():
        raise refuse(file=sidecar.origin(M0_KEY), key=M0_KEY, expected=expected, found=describe(value), advice=advice)
    found = root / value.removeprefix(URI) if value.startswith(URI) else path.parent / value
    if not found.resolve().is_relative_to(root.resolve()):
        raise refuse(
            file=sidecar.origin(M0_KEY),
            key=M0_KEY,
            expected="a file of this dataset",
            found=describe(value),
            advice=advice,
        )
    if not found.is_file():
        raise refuse(
            file=sidecar.origin(M0_KEY),
            key=M0_KEY,
            expected=expected,
            found=f"{describe(value)}, which is not there",
            advice=advice,
        )
    if found.resolve() == path.resolve():
        raise refuse(
            file=sidecar.origin(M0_KEY),
            key=M0_KEY,
            expected="another file than the series itself",
            found=describe(value),
            advice="Leave the key out: M0 volumes of the series are marked m0scan in its _cestcontext.tsv.",
        )
    return found


def read_m0(series: Series, *, info: ImageInfo, findings: Findings) -> M0File | None:
    """Return the M0 volumes that the sidecar of a series names, None if it names none.

    Parameters
    ----------
    series, info
        The series, and the header of its image.
    findings
        For the dataset and its metadata.

    Raises
    ------
    RefusedError
        If the file is not there, on another grid, complex, or holds saturated volumes.
    """
    root = findings.root
    path = named_m0(series.sidecar, path=series.path, root=root)
    if path is None:
        return None
    m0 = check_image(path, root=root)
    if m0.is_complex:
        raise _not(m0.name, "datatype", "magnitudes", "complex values")
    if m0.shape[:3] != info.shape[:3]:
        raise _not(m0.name, "shape", f"the grid of {info.name}, {info.shape[:3]}", str(m0.shape[:3]))
    if not is_same_grid(info.affine, m0.affine, shape=info.shape[:3]):
        found = f"another affine, {np.round(m0.affine, 3).tolist()}"
        raise _not(m0.name, "affine", f"the grid of {info.name}", found)
    number = 1 if len(m0.shape) == 3 else m0.shape[3]
    table = read_cest_table(path, root=root, number_of_volumes=number)
    used = tuple(range(number))
    if table is not None and table.roles is not None:
        saturated = [k for k, role in enumerate(table.roles) if role in ("cest", "wassr") and table.valid[k]]
        if saturated:
            raise _saturated(table.name, "volume_type", f"saturated volumes ({saturated}, from 0)", info.name)
        used = tuple(k for k, role in enumerate(table.roles) if role == "m0" and table.valid[k])
    else:
        sidecar = findings.sidecar(path)
        stated = next((key for key in SATURATION_KEYS if key in sidecar.values), None)
        if stated is not None:
            raise _saturated(
                sidecar.origin(stated), stated, f"{stated}, and no _cestcontext.tsv of M0 scans", info.name
            )
    if not used:
        raise _saturated(m0.name, "volume_type", "dummies or volumes that are not valid alone", info.name)
    return M0File(
        path=path,
        name=m0.name,
        volumes=used,
        source=ValueSource(
            key="m0_file",
            value=f"{len(used)} volume(s) of {m0.name}",
            unit="",
            source=f"{series.sidecar.origin(M0_KEY)}: {M0_KEY}",
        ),
        sentence=f"M0 is that of {m0.name}, another series: it is taken to have the same gain and readout, which no file "
        "states, and is put before the saturated volumes.",
    )


def with_m0(protocol: SaturationProtocol, number: int) -> SaturationProtocol:
    """Return a protocol with so many M0 images before it, after which a fingerprint starts from full relaxation."""
    images = list(protocol.images)
    if protocol.start is Start.PREVIOUS:
        images[0] = replace(images[0], recovery=max(images[0].recovery, RELAXED))
    m0 = SaturatedImage(saturation=None, offset=None, recovery=RELAXED, is_m0=True)
    return replace(protocol, images=(*(m0,) * number, *images))


def without_m0_files(series: Sequence[Series], *, findings: Findings) -> list[Series]:
    """Return the series that no other names as its M0; those that are named are noted."""
    owners: dict[Path, str] = {}
    for each in series:
        try:
            path = named_m0(each.sidecar, path=each.path, root=findings.root)
        except RefusedError:
            continue  # refused when the series is read
        if path is not None:
            owners.setdefault(path.resolve(), relative_name(each.path, findings.root))
    kept = []
    for each in series:
        owner = owners.get(each.path.resolve())
        if owner is None:
            kept.append(each)
        else:
            findings.notes.append(f"{relative_name(each.path, findings.root)}: M0 of {owner}; no run of its own.")
    return kept


def _not(file: str, key: str, expected: str, found: str) -> RefusedError:
    return refuse(
        file=file,
        key=key,
        expected=expected,
        found=found,
        advice=f"Name an M0 of the same grid in {M0_KEY}, or resample both on one.",
    )


def _saturated(file: str, key: str, found: str, series: str) -> RefusedError:
    return refuse(
        file=file,
        key=key,
        expected=f"M0 scans alone, since {series} names it in {M0_KEY}",
        found=found,
        advice=f"Mark its volumes as m0scan in volume_type of its _cestcontext.tsv, or name another file in {M0_KEY}.",
    )
