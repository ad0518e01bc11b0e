"""Finding MT runs: pairs for the magnetisation transfer ratio (MTR), and three spoiled gradient echoes for MT saturation (MTS)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from qmri_bids.bids.images import ImageInfo, check_image, check_same_grid
from qmri_bids.bids.metadata.field_strength import read_field_strength
from qmri_bids.bids.metadata.missing import Needed, refuse_missing
from qmri_bids.bids.metadata.sequences import why_not_excitation
from qmri_bids.bids.metadata.sidecar import Sidecar, decisions_on
from qmri_bids.bids.metadata.values import SAME_ECHO, common_number, describe, wrong_value
from qmri_bids.bids.refusal import RefusedError, ValueSource, refusal_of, refuse, relative_name
from qmri_bids.estimation.mt.maps import SpoiledProtocol
from qmri_bids.scans.b1.find import b1_refusal
from qmri_bids.scans.b1.session import SessionB1
from qmri_bids.scans.findings import Findings, Series, with_acquisition
from qmri_bids.scans.saturation.run import MtrRun, MtsRun
from qmri_bids.units import degrees_to_radians, milliseconds_to_seconds

STATE_KEY = "MTState"
LABELS = {"on": True, "off": False}
LONGEST_REPETITION_TIME = 1.0
SMALLEST_FLIP_ANGLE = 0.5

EXPECTED = {
    "FlipAngle": "the flip angle in degrees",
    "RepetitionTimeExcitation": "the time between two excitations in seconds (e.g. 0.025)",
    "RepetitionTime": "the repetition time in seconds",
    "EchoTime": "the echo time in seconds",
}
UNITS = {"FlipAngle": "deg"}
NAMES = {
    "FlipAngle": "flip_angle",
    "RepetitionTimeExcitation": "repetition_time",
    "RepetitionTime": "repetition_time_of_volume",
    "EchoTime": "echo_time",
}


def state_of(series: Series) -> bool | None:
    """Return whether an image has an MT pulse, by MTState or the name; None where neither says so.

    Raises
    ------
    RefusedError
        If the two contradict each other, or one is of the wrong kind.
    """
    label = series.entities.get("mt")
    if label is not None and label not in LABELS:
        raise refuse(
            file=series.sidecar.file,
            key="mt",
            expected="mt-on or mt-off",
            found=f"mt-{label}",
            advice="Rename the image.",
        )
    value = series.sidecar.values.get(STATE_KEY)
    if value is None:
        return None if label is None else LABELS[label]
    # BIDS asks for a boolean; on and off are what older converters wrote.
    state = LABELS.get(value.strip().lower()) if isinstance(value, str) else value
    if not isinstance(state, bool):
        raise wrong_value(series.sidecar, STATE_KEY, expected="true or false", advice="Correct the sidecar.")
    if label is not None and state is not LABELS[label]:
        raise refuse(
            file=series.sidecar.origin(STATE_KEY),
            key=STATE_KEY,
            expected=f"{str(LABELS[label]).lower()}, as the name says mt-{label}",
            found=describe(value),
            advice="Correct MTState or the name.",
        )
    return state


def read_spoiled(sidecar: Sidecar) -> tuple[SpoiledProtocol, tuple[ValueSource, ...]]:
    """Return flip angle and repetition time of a spoiled gradient echo.

    Raises
    ------
    RefusedError
        If one is missing, no number, or in another unit than BIDS asks for.
    """
    angle, angle_origin = _required(sidecar, "FlipAngle")
    if not SMALLEST_FLIP_ANGLE <= angle < 90.0:
        doubt = ", which looks like radians" if 0.0 < angle < SMALLEST_FLIP_ANGLE else ""
        raise refuse(
            file=sidecar.origin("FlipAngle"),
            key="FlipAngle",
            expected=f"{EXPECTED['FlipAngle']}, {SMALLEST_FLIP_ANGLE:g} to 90",
            found=f"{angle:g}{doubt}",
            advice="BIDS states flip angles in degrees: correct the value.",
        )
    time, time_origin = _required(sidecar, "RepetitionTimeExcitation")
    if not 0.0 < time <= LONGEST_REPETITION_TIME:
        late = time > LONGEST_REPETITION_TIME
        raise refuse(
            file=sidecar.origin("RepetitionTimeExcitation"),
            key="RepetitionTimeExcitation",
            expected=EXPECTED["RepetitionTimeExcitation"],
            found=f"{time:g}{', which looks like milliseconds' if late else ''}",
            advice=f"BIDS states times in seconds: write {milliseconds_to_seconds(time):g}." if late else "Correct it.",
        )
    sources = (
        ValueSource(key="flip_angle", value=f"{angle:g}", unit="deg", source=angle_origin),
        ValueSource(key="repetition_time", value=f"{time:g}", unit="s", source=time_origin),
    )
    return SpoiledProtocol(flip_angle=degrees_to_radians(angle), repetition_time=time), sources


def _required(sidecar: Sidecar, key: str) -> tuple[float, str]:
    advice = f"Add {key} to the sidecar, or give it by --metadata."
    stated = common_number([sidecar], key, expected=EXPECTED[key], advice=f"Correct {key} in the sidecar.")
    if stated is not None:
        return stated
    if key == "RepetitionTimeExcitation":
        advice += why_not_excitation(sidecar.values)
    raise wrong_value(sidecar, key, expected=EXPECTED[key], advice=advice)


def compare_keys(sidecars: Sequence[Sidecar], keys: Sequence[str]) -> tuple[ValueSource, ...]:
    """Check that the images of a run agree in all keys that they state, and return what they state.

    Raises
    ------
    RefusedError
        If a value is no number, or two images differ.
    """
    sources = []
    for key in keys:
        stated = common_number(
            sidecars,
            key,
            expected=EXPECTED[key],
            advice=f"Correct {key} in the sidecar; images of one run share it.",
            tolerance=SAME_ECHO if key == "EchoTime" else 1e-6,
        )
        if stated is not None:
            value = ValueSource(key=NAMES[key], value=f"{stated[0]:g}", unit=UNITS.get(key, "s"), source=stated[1])
            sources.append(value)
    return tuple(sources)


SUFFIXES = ("MTR", "MTS")

SAME_SEQUENCE = ("FlipAngle", "RepetitionTimeExcitation", "RepetitionTime", "EchoTime")
"""Keys in which images with and without MT pulse must agree."""

DECIDED = (*SAME_SEQUENCE, STATE_KEY)
"""Keys of which is said what was read from another, or stated in two places."""

NEEDED = (
    Needed(key="FlipAngle", meaning=EXPECTED["FlipAngle"], template="<degrees>", everywhere=True),
    Needed(
        key="RepetitionTimeExcitation",
        meaning="the time between two excitations in seconds",
        template="<seconds>",
        everywhere=True,
    ),
)
"""What each of the three images of MT saturation must state."""

NO_B1 = (
    "NO B1 MAP IS USED: B1 = 1 is assumed everywhere. MT saturation is wrong by about twice the relative error of B1, "
    "which reaches 30 % in a head at 3 T."
)
MTS_FILES = "flip-1_mt-off (PD weighted), flip-2_mt-off (T1 weighted) and flip-1_mt-on"


def find_mtr(series: Sequence[Series], *, findings: Findings) -> tuple[MtrRun, ...]:
    """Return the pairs of MTR that pass the checks.

    Parameters
    ----------
    series
        Images with the suffixes of `SUFFIXES` that sample no offsets.
    findings
        Takes refusals, and notes on images that say nothing of an MT pulse.
    """
    runs = []
    for same in _groups(series, "MTR", without=("mt",)):
        try:
            run = _pair(same, findings)
            if run is not None:
                runs.append(run)
        except Exception as error:
            findings.refusals.append(refusal_of(error, file=same[0].sidecar.file))
    return tuple(runs)


def find_mts(series: Sequence[Series], *, findings: Findings, b1: SessionB1) -> tuple[MtsRun, ...]:
    """Return the runs of MT saturation that pass the checks, with the B1 map of each.

    Parameters
    ----------
    series, findings
        As for `find_mtr`.
    b1
        The B1 maps of the subject.
    """
    runs = []
    for same in _groups(series, "MTS", without=("flip", "mt")):
        try:
            b1.read(same[0].session)
            runs.append(_with_b1(_triple(same, findings), same, findings, b1))
        except Exception as error:
            findings.refusals.append(refusal_of(error, file=same[0].sidecar.file))
    return tuple(runs)


def _groups(series: Sequence[Series], suffix: str, *, without: tuple[str, ...]) -> list[list[Series]]:
    groups: dict[tuple[object, ...], list[Series]] = {}
    for each in series:
        if each.suffix == suffix:
            labels = tuple(f"{key}-{label}" for key, label in each.entities.items() if key not in without)
            groups.setdefault((each.path.parent, *labels), []).append(each)
    return list(groups.values())


def _image(series: Series, root: Path, *, axes: tuple[int, ...], expected: str) -> ImageInfo:
    info = check_image(series.path, root=root)
    if len(info.shape) not in axes:
        raise refuse(
            file=info.name,
            key="shape",
            expected=expected,
            found=str(info.shape),
            advice="Convert the image again.",
        )
    if info.is_complex:
        raise refuse(
            file=info.name,
            key="datatype",
            expected="magnitudes",
            found="complex values",
            advice="Write the magnitudes as a part-mag image.",
        )
    return info


def _check_grids(infos: Sequence[ImageInfo]) -> tuple[int, int, int]:
    volumes = [replace(info, shape=info.shape[:3]) for info in infos]
    for other in volumes[1:]:
        check_same_grid(volumes[0], other)
    return infos[0].shape[0], infos[0].shape[1], infos[0].shape[2]


def _orientation(infos: Sequence[ImageInfo]) -> tuple[str, ...]:
    return tuple(doubt for info in infos for doubt in info.doubts)


def _pair(same: Sequence[Series], findings: Findings) -> MtrRun | None:
    """Return the run of a pair, None for images that say nothing of an MT pulse."""
    states = [state_of(each) for each in same]
    if all(state is None for state in states):
        for each in same:
            findings.notes.append(
                f"{relative_name(each.path, findings.root)}: neither mt- in the name nor MTState, and no saturation offsets: "
                "left alone."
            )
        return None
    by_state = {
        wanted: [each for each, state in zip(same, states, strict=True) if state is wanted] for wanted in (True, False)
    }
    for wanted, label in ((True, "mt-on"), (False, "mt-off")):
        if len(by_state[wanted]) != 1:
            raise refuse(
                file=relative_name(same[0].path, findings.root),
                key="mt",
                expected=f"one {label} image of the same name beside it",
                found=", ".join(each.path.name for each in by_state[wanted]) or "none",
                advice="The ratio needs one image with and one without MT pulse: add or rename the other one.",
            )
    saturated, unsaturated = by_state[True][0], by_state[False][0]
    expected = "three axes, or four with repetitions"
    infos = [_image(each, findings.root, axes=(3, 4), expected=expected) for each in (unsaturated, saturated)]
    grid = _check_grids(infos)
    sources = compare_keys([unsaturated.sidecar, saturated.sidecar], SAME_SEQUENCE)
    numbers = [info.shape[3] if len(info.shape) > 3 else 1 for info in infos]
    sources += (
        ValueSource(
            key="images",
            value=f"{numbers[0]} mt-off, {numbers[1]} mt-on",
            unit="",
            source=f"{unsaturated.path.name}, {saturated.path.name}",
        ),
    )
    return MtrRun(
        entities=with_acquisition(saturated.entities, default="MTR", without=("mt",)),
        saturated=saturated.path,
        unsaturated=unsaturated.path,
        grid=grid,
        sources=sources,
        warnings=(*decisions_on([each.sidecar for each in same], DECIDED), *_orientation(infos)),
    )


@dataclass(frozen=True, kw_only=True)
class _Echo:
    """One of the three images."""

    series: Series
    protocol: SpoiledProtocol
    saturated: bool


def _triple(same: Sequence[Series], findings: Findings) -> MtsRun:
    root = findings.root
    sidecars = [each.sidecar for each in same]
    unnamed = [each.sidecar for each in same if "mt" not in each.entities]
    of_state = Needed(
        key=STATE_KEY, meaning="whether there was an MT pulse", template="<true or false>", everywhere=True
    )
    lacks_state = bool(of_state.lacking(unnamed))
    refuse_missing(
        sidecars,
        [*NEEDED, *([of_state] if lacks_state else [])],
        kind="mt",
        hint=why_not_excitation(sidecars[0].values),
    )
    echoes: list[_Echo] = []
    sources: list[ValueSource] = []
    for each in same:
        state = state_of(each)
        if state is None:
            raise refuse(
                file=each.sidecar.origin("MTState"),
                key="MTState",
                expected="true or false, or mt-on or mt-off in the name",
                found="nothing",
                advice="Add MTState to the sidecar.",
            )
        protocol, own = read_spoiled(each.sidecar)
        echoes.append(_Echo(series=each, protocol=protocol, saturated=state))
        sources += own
    on = [echo for echo in echoes if echo.saturated]
    off = sorted((echo for echo in echoes if not echo.saturated), key=lambda echo: echo.protocol.flip_angle)
    if (len(on), len(off)) != (1, 2):
        raise refuse(
            file=relative_name(same[0].path, root),
            key="file",
            expected=f"three images, {MTS_FILES}",
            found=f"{len(on)} with and {len(off)} without MT pulse: {', '.join(each.path.name for each in same)}",
            advice="Add the missing image, or give the images of different runs different entities.",
        )
    _check_flips(echoes)
    pd, t1 = off
    if math.isclose(pd.protocol.flip_angle, t1.protocol.flip_angle, rel_tol=0.05):
        raise refuse(
            file=t1.series.sidecar.origin("FlipAngle"),
            key="FlipAngle",
            expected=f"another flip angle than that of {pd.series.path.name}: T1 is read from two",
            found=f"{math.degrees(t1.protocol.flip_angle):g}°",
            advice="Correct FlipAngle; for a ratio alone rename the images to MTR.",
        )
    chosen = (pd, t1, on[0])
    infos = [_image(echo.series, root, axes=(3,), expected="three axes") for echo in chosen]
    grid = _check_grids(infos)
    field = next((found for found in map(read_field_strength, sidecars) if found is not None), None)
    compared = compare_keys([echo.series.sidecar for echo in chosen], ("EchoTime",))
    return MtsRun(
        entities=with_acquisition(pd.series.entities, default="MTS", without=("flip", "mt")),
        pd_weighted=pd.series.path,
        t1_weighted=t1.series.path,
        mt_weighted=on[0].series.path,
        protocols=(pd.protocol, t1.protocol, on[0].protocol),
        grid=grid,
        field_strength=None if field is None else field[0],
        sources=(*sources, *compared, *(() if field is None else (field[1],))),
        warnings=(*decisions_on(sidecars, DECIDED), *_doubts(pd, t1, on[0]), *_orientation(infos)),
    )


def _check_flips(echoes: Sequence[_Echo]) -> None:
    """Refuse images of one `flip` index whose flip angles differ: names or sidecars are swapped."""
    first: dict[str, _Echo] = {}
    for echo in echoes:
        label = echo.series.entities.get("flip")
        if label is None:
            continue
        other = first.setdefault(label, echo)
        if not math.isclose(other.protocol.flip_angle, echo.protocol.flip_angle, rel_tol=0.01):
            raise refuse(
                file=echo.series.sidecar.origin("FlipAngle"),
                key="FlipAngle",
                expected=f"{math.degrees(other.protocol.flip_angle):g}°, as {other.series.path.name} is flip-{label} too",
                found=f"{math.degrees(echo.protocol.flip_angle):g}°",
                advice="Correct the sidecar, or the flip- index of the name.",
            )


def _doubts(pd: _Echo, t1: _Echo, mt: _Echo) -> tuple[str, ...]:
    said = []
    flips = [echo.series.entities.get("flip", "") for echo in (pd, t1)]
    if all(flip.isdigit() for flip in flips) and int(flips[0]) > int(flips[1]):
        said.append(
            f"{pd.series.path.name} has the smaller flip angle, though its flip index is the larger: the angles decide."
        )
    if mt.protocol.flip_angle > 1.5 * pd.protocol.flip_angle:
        said.append(
            f"{mt.series.path.name}: the flip angle with MT pulse is that of a T1-weighted image: MT saturation loses precision."
        )
    return tuple(said)


def _with_b1(run: MtsRun, same: Sequence[Series], findings: Findings, b1: SessionB1) -> MtsRun:
    """Return the run with its B1 map.

    Raises
    ------
    RefusedError
        If there is none, or several could be meant.
    """
    if findings.options.no_b1:
        said = f"{run.label}: {NO_B1}{b1.left_alone(same[0].session)}"
        return replace(run, warnings=(*run.warnings, said))
    session = same[0].session
    sidecars = [each.sidecar for each in same]
    chosen, sentences = b1.choose(session, images=run.paths, sidecars=sidecars, label=run.label)
    if chosen is None:
        raise RefusedError(
            b1_refusal(
                label=run.label,
                notes=b1.read(session)[1],
                filtered=findings.options.filters_b1,
                without="MT saturation is then off by about twice the error of B1",
            )
        )
    return replace(run, b1=chosen, warnings=run.warnings + sentences)
