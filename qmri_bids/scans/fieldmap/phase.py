"""Field maps as phase: the difference of two echoes (phasediff), or both phases (phase1, phase2)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from qmri_bids.bids.images import ImageInfo, check_image, check_same_grid
from qmri_bids.bids.refusal import RefusedError, refuse
from qmri_bids.bids.sidecar import Sidecar, parse_name, read_sidecar, texts
from qmri_bids.bids.values import read_number
from qmri_bids.scans.fieldmap.source import Fieldmap, PhaseUnits

SUFFIXES = ("phasediff", "phase1")
MAGNITUDES = ("magnitude1", "magnitude")
LARGEST_TIME = 0.2
"""An echo time above this is in milliseconds [s]."""
_ADVICE = "Correct the sidecar, or leave the field map out."
_EXPECTED = "an echo time in seconds"


def sibling(path: Path, suffix: str) -> Path | None:
    """Return the image beside a file that has another suffix, None without one."""
    name = parse_name(path)
    stem = path.name.removesuffix(f"{name.suffix}{name.extension}")
    for end in (".nii.gz", ".nii"):
        candidate = path.with_name(f"{stem}{suffix}{end}")
        if candidate.exists() or candidate.is_symlink():
            return candidate
    return None


def read_phase_map(path: Path, *, root: Path) -> Fieldmap:
    """Check the phase of a field map and find its magnitude image.

    Parameters
    ----------
    path
        `fmap/*_phasediff` or `fmap/*_phase1`.
    root
        The dataset.

    Raises
    ------
    RefusedError
        If an image is missing, unreadable or on another grid, or the echo times are missing or equal.
    """
    info = _volume(path, root)
    sidecar = read_sidecar(path, root=root)
    second: Path | None = None
    if parse_name(path).suffix == "phase1":
        second = sibling(path, "phase2")
        if second is None:
            raise refuse(
                file=info.name,
                key="file",
                expected="phase2 beside it",
                found="none",
                advice="Add it, or leave both out.",
            )
        check_same_grid(info, _volume(second, root))
        times = (
            read_number(sidecar, "EchoTime", expected=_EXPECTED, advice=_ADVICE),
            read_number(read_sidecar(second, root=root), "EchoTime", expected=_EXPECTED, advice=_ADVICE),
        )
    else:
        times = (
            read_number(sidecar, "EchoTime1", expected=_EXPECTED, advice=_ADVICE),
            read_number(sidecar, "EchoTime2", expected=_EXPECTED, advice=_ADVICE),
        )
    if not 0.0 < times[0] < times[1] < LARGEST_TIME:
        raise refuse(
            file=sidecar.origin("EchoTime"),
            key="EchoTime" if second else "EchoTime1 and EchoTime2",
            expected="echo times in seconds, the second above the first",
            found=f"{times[0]:g} and {times[1]:g}",
            advice=_ADVICE,
        )
    found = [each for suffix in MAGNITUDES if (each := sibling(path, suffix)) is not None]
    if not found:
        raise refuse(
            file=info.name,
            key="file",
            expected=f"{MAGNITUDES[0]} beside it, which shows where the phase is one",
            found="none",
            advice="Add it, or leave the field map out.",
        )
    check_same_grid(info, _volume(found[0], root))
    return Fieldmap(
        path=path,
        magnitude=found[0],
        second=second,
        phase_units=_units(sidecar),
        echo_times=times,
        intended_for=texts(sidecar, "IntendedFor"),
        identifiers=texts(sidecar, "B0FieldIdentifier"),
        warnings=(
            f"{info.name}: off-resonance is computed from the phase of {second.name if second else 'two echoes'}"
            f"{' and this one' if second else ''} (echo times {1e3 * times[0]:g} and {1e3 * times[1]:g} ms), taken to grow with "
            "frequency, as BIDS has it; a scanner that counts the other way turns its sign.",
        ),
    )


def _volume(path: Path, root: Path) -> ImageInfo:
    """Return what a 3D image is; a fourth axis of one counts as none."""
    info = check_image(path, root=root)
    if info.shape[3:] not in ((), (1,)):
        raise _not_three_axes(info)
    return replace(info, shape=info.shape[:3])


def _not_three_axes(info: ImageInfo) -> RefusedError:
    return refuse(
        file=info.name,
        key="shape",
        expected="three axes",
        found=str(info.shape),
        advice="Convert the field map again, or leave it out.",
    )


def _units(sidecar: Sidecar) -> PhaseUnits:
    """Return the units of a phase: `rad` where the sidecar says so, else a scale to be detected."""
    units = sidecar.values.get("Units")
    return "rad" if isinstance(units, str) and units.strip().lower() in ("rad", "radian", "radians") else "arbitrary"
