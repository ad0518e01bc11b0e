"""Finding B0 field maps, and choosing the one that belongs to a run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from qmri_bids.bids.images import ImageInfo, check_image, check_same_grid
from qmri_bids.bids.metadata.added import AddedMetadata
from qmri_bids.bids.metadata.file_name import parse_name
from qmri_bids.bids.metadata.sidecar import Sidecar, decisions_on, is_intended, read_sidecar, texts
from qmri_bids.bids.metadata.values import read_number
from qmri_bids.bids.refusal import RefusedError, refusal_of, refuse, relative_name
from qmri_bids.pipeline.sources import Fieldmap, PhaseUnits
from qmri_bids.scans.findings import Findings

PHASE_SUFFIXES = ("phasediff", "phase1")
MAGNITUDES_OF_PHASE = ("magnitude1", "magnitude")
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


def read_phase_map(path: Path, *, root: Path, added: AddedMetadata | None = None) -> Fieldmap:
    """Check the phase of a field map and find its magnitude image.

    Parameters
    ----------
    path
        `fmap/*_phasediff` or `fmap/*_phase1`.
    root
        The dataset.
    added
        What the user states of the whole dataset.

    Raises
    ------
    RefusedError
        If an image is missing, unreadable or on another grid, or the echo times are missing or equal.
    """
    info = _volume(path, root)
    sidecar = read_sidecar(path, root=root, added=added)
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
            read_number(read_sidecar(second, root=root, added=added), "EchoTime", expected=_EXPECTED, advice=_ADVICE),
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
    found = [each for suffix in MAGNITUDES_OF_PHASE if (each := sibling(path, suffix)) is not None]
    if not found:
        raise refuse(
            file=info.name,
            key="file",
            expected=f"{MAGNITUDES_OF_PHASE[0]} beside it, which shows where the phase is one",
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
            *decisions_on([sidecar]),
            f"{info.name}: off-resonance is computed from the phase of {second.name if second else 'two echoes'}"
            f"{' and this one' if second else ''} (echo times {1e3 * times[0]:g} and {1e3 * times[1]:g} ms), taken to grow with "
            "frequency, as BIDS has it; a scanner that counts the other way turns its sign.",
        ),
    )


def _volume(path: Path, root: Path) -> ImageInfo:
    """Return what a 3D image is."""
    info = check_image(path, root=root)
    if len(info.shape) != 3:
        raise refuse(
            file=info.name,
            key="shape",
            expected="three axes",
            found=str(info.shape),
            advice="Convert the field map again, or leave it out.",
        )
    return info


def _units(sidecar: Sidecar) -> PhaseUnits:
    """Return the units of a phase: `rad` where the sidecar says so, else a scale to be detected."""
    units = sidecar.values.get("Units")
    return "rad" if isinstance(units, str) and units.strip().lower() in ("rad", "radian", "radians") else "arbitrary"


SUFFIX = "fieldmap"
SUFFIXES = (SUFFIX, *PHASE_SUFFIXES)
UNITS = {"hz": 1.0, "hertz": 1.0, "rad/s": 1.0 / (2.0 * math.pi), "radian/s": 1.0 / (2.0 * math.pi)}
"""Hz per unit of a field map."""
MAGNITUDES = ("magnitude", "magnitude1")


class SessionFieldmaps:
    """Field maps by session, read once and only where a run needs one.

    Parameters
    ----------
    paths
        Files with the suffixes of `SUFFIXES`.
    findings
        Takes notes on maps that cannot be used.
    """

    def __init__(self, paths: Sequence[Path], *, findings: Findings) -> None:
        self._paths = paths
        self._findings = findings
        self._by_session: dict[str | None, list[Fieldmap]] = {}

    def choose(self, session: str | None, *, image: Path, sidecar: Sidecar) -> tuple[Fieldmap | None, str]:
        """Return the map whose IntendedFor names the image, or its B0FieldSource, else the only one; and why.

        A map that names other files only is not taken: its shim may be another.

        Parameters
        ----------
        session
            Label of the session.
        image, sidecar
            The run.
        """
        maps = self._read(session)
        if not maps:
            return None, "the session has no field map that can be used"
        # A map in Hz comes before one that must be unwrapped.
        kinds = (
            [each for each in maps if each.echo_times is None],
            [each for each in maps if each.echo_times is not None],
        )
        choices = [self._choose(kind, image=image, sidecar=sidecar) for kind in kinds if kind]
        return next((choice for choice in choices if choice[0] is not None), choices[0])

    def _choose(self, maps: Sequence[Fieldmap], *, image: Path, sidecar: Sidecar) -> tuple[Fieldmap | None, str]:
        root = self._findings.root
        wanted = set(texts(sidecar, "B0FieldSource"))
        named = [each for each in maps if is_intended(each.intended_for, [image], root)]
        reason = "its IntendedFor names the run"
        if not named:
            named = [each for each in maps if wanted & set(each.identifiers)]
            reason = "its B0FieldIdentifier is the B0FieldSource of the run"
        if not named:
            named = [each for each in maps if not each.intended_for]
            reason = "it is the only one of the session that names no other run"
        if len(named) == 1:
            return named[0], reason
        shown = ", ".join(each.path.name for each in named or maps)
        if named:
            return None, f"several field maps could be meant ({shown})"
        return None, f"the field maps of the session are intended for other files ({shown})"

    def _read(self, session: str | None) -> list[Fieldmap]:
        if session not in self._by_session:
            found = []
            for path in self._paths:
                if parse_name(path).entities.get("ses") != session:
                    continue
                try:
                    read = read_fieldmap if parse_name(path).suffix == SUFFIX else read_phase_map
                    found.append(read(path, root=self._findings.root, added=self._findings.options.metadata))
                except Exception as error:
                    shown = relative_name(path, self._findings.root)
                    self._findings.notes.append(str(refusal_of(error, file=shown)))
            self._by_session[session] = found
        return self._by_session[session]


def read_fieldmap(path: Path, *, root: Path, added: AddedMetadata | None = None) -> Fieldmap:
    """Check a field map and find its magnitude image.

    Parameters
    ----------
    path
        `fmap/*_fieldmap.nii[.gz]` with Units Hz or rad/s.
    root
        The dataset.
    added
        What the user states of the whole dataset.

    Raises
    ------
    RefusedError
        If the map is unreadable, not 3D, or in other units.
    """
    info = _volume(path, root)
    sidecar = read_sidecar(path, root=root, added=added)
    units = sidecar.values.get("Units")
    hertz = UNITS.get(units.strip().lower()) if isinstance(units, str) else None
    if hertz is None:
        raise refuse(
            file=sidecar.origin("Units"),
            key="Units",
            expected="Hz or rad/s",
            found="nothing" if units is None else repr(units),
            advice="A field map in other units is not used: convert it, or correct Units.",
        )
    warnings: list[str] = list(decisions_on([sidecar]))
    if hertz != 1.0:
        warnings.append(f"{info.name} is in {units} and was divided by 2π.")
    magnitude = None
    name = parse_name(path)
    stem = path.name.removesuffix(f"{name.suffix}{name.extension}")
    candidates = [path.with_name(f"{stem}{suffix}{end}") for suffix in MAGNITUDES for end in (".nii.gz", ".nii")]
    for candidate in candidates:
        if magnitude is None and (candidate.exists() or candidate.is_symlink()):
            try:
                check_same_grid(info, check_image(candidate, root=root))
                magnitude = candidate
            except RefusedError as error:
                warnings.append(f"{error} The magnitude is not used.")
    if magnitude is None:
        warnings.append(
            f"{info.name} has no magnitude image that can be used: it is placed by scanner coordinates, not registered."
        )
    return Fieldmap(
        path=path,
        magnitude=magnitude,
        hertz=hertz,
        intended_for=texts(sidecar, "IntendedFor"),
        identifiers=texts(sidecar, "B0FieldIdentifier"),
        warnings=tuple(warnings),
    )
