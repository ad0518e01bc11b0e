"""The images of a run: which parts are there, and whether they fit together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from qmri_bids.bids.images import ImageInfo, central_slice, check_image, check_same_grid
from qmri_bids.bids.refusal import refuse, relative_name
from qmri_bids.bids.sidecar import read_sidecar
from qmri_bids.scans.bssfp.run import CycleFiles, LayoutKind

Parts = Mapping[str, tuple[Path, ...]]
"""Files by the label of `part`, `""` where the name has none; more than one file of a part is a fault."""

NEEDS_COMPLEX = (
    "Relaxation times are estimated from complex data: export the phase (or real and imaginary parts) too. "
    "Magnitude alone is not supported (yet)."
)


@dataclass(frozen=True, kw_only=True)
class CycleImages:
    """Images of a run that fit together.

    Parameters
    ----------
    layout_kind, files
        As in `PcBssfpRun`; `files.volumes` is left empty.
    grid
        Shape of one volume.
    number_of_cycles
        Volumes of a series, or files of a split run.
    warnings
        Decisions and doubts, as sentences.
    """

    layout_kind: LayoutKind
    files: CycleFiles
    grid: tuple[int, int, int]
    number_of_cycles: int
    warnings: tuple[str, ...]


def check_parts(cycles: Sequence[Parts], *, root: Path, split: bool, label: str) -> CycleImages:
    """Check all images of a run.

    Parameters
    ----------
    cycles
        Files by part: one entry for a 4D series, one per cycle for 3D files.
    root
        The dataset.
    split
        Whether the run has one 3D file a cycle.
    label
        Name of the run for messages.

    Raises
    ------
    RefusedError
        If a file is unreadable, a part is missing, grids differ, or the phase has no units.
    """
    warnings: list[str] = []
    kinds = [_kind(parts, root=root, label=label, warnings=warnings) for parts in cycles]
    kind = kinds[0]
    for parts, other in zip(cycles, kinds, strict=True):
        if other != kind:
            raise refuse(
                file=relative_name(next(iter(parts.values()))[0], root),
                key="part",
                expected=f"the parts of the other cycles ({kind})",
                found=other,
                advice="Export all cycles alike.",
            )
    chosen = [_choose(parts, kind) for parts in cycles]
    infos = [[check_image(path, root=root) for path in paths] for paths in chosen]
    first = infos[0][0]
    axes = 3 if split else 4
    for cycle in infos:
        for info in cycle:
            if len(info.shape) != axes:
                raise refuse(
                    file=info.name,
                    key="shape",
                    expected="three axes, as the label names one cycle"
                    if split
                    else "four axes, the last one the cycles",
                    found=str(info.shape),
                    advice="Convert the run to one 4D file, or to 3D files labelled acq-…PC<increment>.",
                )
            check_same_grid(first, info)
            if info.is_complex != (kind == "complex"):
                raise refuse(
                    file=info.name,
                    key="datatype",
                    expected="complex values" if kind == "complex" else "real values, as the name states a part",
                    found="complex values" if info.is_complex else "real values",
                    advice="Convert the image again, or remove part- from the name of a complex image.",
                )
    if not first.is_oriented:
        warnings.append(
            f"{first.name}: neither sform nor qform is set: orientation and position in the scanner are unknown."
        )
    units = _phase_units([cycle[1] for cycle in infos], root=root) if kind == "mag-phase" else None
    columns = list(zip(*chosen, strict=True))
    layout_kind: LayoutKind = f"split-{kind}" if split else kind  # type: ignore[assignment]
    return CycleImages(
        layout_kind=layout_kind,
        files=_cycle_files(kind, columns, units),
        grid=(first.shape[0], first.shape[1], first.shape[2]),
        number_of_cycles=len(cycles) if split else first.shape[3],
        warnings=tuple(warnings),
    )


def _kind(parts: Parts, *, root: Path, label: str, warnings: list[str]) -> Literal["mag-phase", "real-imag", "complex"]:
    """Return how the complex values of one group of files are stored."""
    for paths in parts.values():
        if len(paths) > 1:
            raise refuse(
                file=relative_name(paths[0], root),
                key="file",
                expected="one file of this name",
                found=", ".join(path.name for path in paths),
                advice="Keep one of them.",
            )
    there = set(parts)
    if {"real", "imag"} <= there:
        if there & {"mag", "phase"}:
            warnings.append(f"{label}: all four parts are there; real and imaginary parts are used.")
        return "real-imag"
    if {"mag", "phase"} <= there:
        return "mag-phase"
    if there == {"", "phase"}:
        warnings.append(
            f"{relative_name(parts[''][0], root)}: no part- in the name; taken as magnitude, as there is a "
            f"part-phase beside it."
        )
        return "mag-phase"
    shown = relative_name(next(iter(parts.values()))[0], root)
    if there == {""} and check_image(parts[""][0], root=root).is_complex:
        return "complex"
    missing = {"mag": "part-phase", "phase": "part-mag", "real": "part-imag", "imag": "part-real"}
    absent = ", ".join(sorted(missing[part] for part in there if part in missing)) or "part-phase"
    raise refuse(
        file=shown,
        key="part",
        expected="part-mag and part-phase, part-real and part-imag, or one complex image",
        found=", ".join(f"part-{part}" if part else "real values without part-" for part in sorted(there))
        + f" ({absent} is missing)",
        advice=NEEDS_COMPLEX,
    )


def _choose(parts: Parts, kind: str) -> tuple[Path, ...]:
    """Return the files in use, magnitude or real part first."""
    if kind == "complex":
        return (parts[""][0],)
    if kind == "real-imag":
        return parts["real"][0], parts["imag"][0]
    return parts.get("mag", parts.get("", ()))[0], parts["phase"][0]


def _cycle_files(
    kind: str, columns: Sequence[tuple[Path, ...]], units: Literal["rad", "arbitrary"] | None
) -> CycleFiles:
    if kind == "complex":
        return CycleFiles(complex_=columns[0])
    if kind == "real-imag":
        return CycleFiles(real=columns[0], imaginary=columns[1])
    return CycleFiles(magnitude=columns[0], phase=columns[1], phase_units=units)


def _phase_units(images: Sequence[ImageInfo], *, root: Path) -> Literal["rad", "arbitrary"]:
    """Return the unit of the phase images, checked against their values where it is said to be rad."""
    expected = "'rad' or 'arbitrary', which BIDS requires of phase images"
    advice = "Add Units to the sidecar: 'rad' for -π to π, 'arbitrary' for a scale of the vendor (e.g. 0 to 4095)."
    units: set[str] = set()
    for info in images:
        sidecar = read_sidecar(info.path, root=root)
        value = sidecar.values.get("Units")
        if value not in ("rad", "arbitrary"):
            raise refuse(
                file=sidecar.origin("Units"),
                key="Units",
                expected=expected,
                found="nothing" if value is None else repr(value),
                advice=advice,
            )
        units.add(value)
        if value == "rad":
            largest = float(np.abs(central_slice(info)).max(initial=0.0))
            if largest > 2.0 * math.pi + 0.01:
                raise refuse(
                    file=sidecar.origin("Units"),
                    key="Units",
                    expected=f"'arbitrary' for {Path(info.name).name}, whose values reach {largest:.4g}",
                    found="'rad'",
                    advice="Set Units to 'arbitrary', or convert the phase to radians.",
                )
    if len(units) > 1:
        raise refuse(
            file=images[0].name,
            key="Units",
            expected="the same units for the phase of all cycles",
            found="'rad' and 'arbitrary'",
            advice="Convert all cycles alike.",
        )
    return "rad" if units == {"rad"} else "arbitrary"
