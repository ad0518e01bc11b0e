"""What only several images tell together: phase cycles, images of MT scans and of field maps, and which belong to one scan."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

from qmri_bids.bids.metadata.sequences import INCREMENT_KEYS, SEQUENCE_KEYS
from qmri_bids.grids import is_same_grid
from qmri_bids.importing.images import SourceImage
from qmri_bids.importing.kinds import BALANCED, FIELD, LEFT_ALONE, MT, Taken, hints_at_mt, part_of, state_of, taken_with
from qmri_bids.importing.names import family, increment_of_name, without_part
from qmri_bids.scans.bssfp.increments import MINIMUM_CYCLES, SCALAR_KEY

FIELD_KINDS = ("fieldmap", "phasediff", "phase1", "phase2", "magnitude", "magnitude1", "magnitude2")
COMPLETE_PARTS = ({"mag", "phase"}, {"real", "imag"}, {"mag", "phase", "real", "imag"}, {"complex"})
_MT_NUMBER = re.compile(r"(.*mt[ _-])(\d+)(?:_ph|_e\d+)?", re.IGNORECASE)
_HERTZ = re.compile(r"field_?map_?hz", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Member:
    """An image, what it was taken for, and its scan.

    Parameters
    ----------
    image, taken
        The image and what it was taken for.
    scan
        Label that the images of one scan share; empty for one that is left alone.
    state
        Whether it has an MT pulse; None where that is not known or does not matter.
    own
        Whether the user gave the label.
    """

    image: SourceImage
    taken: Taken
    scan: str = ""
    state: bool | None = None
    own: bool = False


def family_of(image: SourceImage) -> str:
    """Return what the names of the images of one scan have in common, by the first name that a person gave."""
    return family(image.names[0] or image.stem)


def settle(members: Sequence[Member]) -> list[Member]:
    """Return images with a kind that is final: those of which only companions tell are told apart.

    Parameters
    ----------
    members
        All images of a folder, taken by themselves.
    """
    found = {member.image.name: member for member in members}
    for settled in (_balanced, _field, _mt):
        for member in settled(list(found.values())):
            found[member.image.name] = member
    return list(found.values())


def _same_place(first: SourceImage, second: SourceImage) -> bool:
    shape = first.info.shape[:3]
    return shape == second.info.shape[:3] and is_same_grid(first.info.affine, second.info.affine, shape=shape)


def _same_sequence(first: SourceImage, second: SourceImage) -> bool:
    """Whether two images state the same sequence with the same angle and times."""
    one, other = _sequence_of(first), _sequence_of(second)
    return None not in one and one == other


def _sequence_of(image: SourceImage) -> tuple[Hashable, ...]:
    names = [image.text(key) for key in SEQUENCE_KEYS if image.text(key)]
    numbers = (image.number(key) for key in ("FlipAngle", "RepetitionTime", "EchoTime"))
    return (names[0] if names else None, *(None if number is None else round(number, 5) for number in numbers))


def _balanced(members: Sequence[Member]) -> list[Member]:
    """Take balanced images for cycles where they stand beside others that are alike, else leave them alone."""
    settled = []
    for member in (each for each in members if each.taken.kind == BALANCED):
        alike = [
            other
            for other in members
            if other.taken.kind in (BALANCED, "pcbssfp")
            and (family_of(other.image) == family_of(member.image) or _same_sequence(other.image, member.image))
            and _same_place(other.image, member.image)
        ]
        same_part = [other for other in alike if other.taken.part == member.taken.part]
        cycles = len({other.image.name for other in same_part})
        named = any(other.taken.kind == "pcbssfp" for other in alike)
        if named or cycles >= MINIMUM_CYCLES:
            seen = "beside images of a phase-cycled scan" if named else f"{cycles} balanced images that are alike"
            sure = member.taken.sure if named else "fair"
            settled.append(replace(member, taken=taken_with(member.taken, kind="pcbssfp", sure=sure, evidence=seen)))
            continue
        reason = "balanced SSFP, but a single image without increment (a localiser?)"
        settled.append(replace(member, taken=taken_with(member.taken, kind=LEFT_ALONE, part="", note=reason)))
    return settled


def _field(members: Sequence[Member]) -> list[Member]:
    """Tell which image of a field map each is."""
    mine = [member for member in members if member.taken.kind == FIELD]
    settled: list[Member] = []
    for group in _partition(mine, complete=_is_field_map, keys=(lambda _: "", _by_family, _by_time)):
        maps = [each for each in group if _states_hertz(each.image)]
        phases = _by_echo([each for each in group if each.taken.part == "phase" and each not in maps])
        magnitudes = _by_echo([each for each in group if each.taken.part == "mag" and each not in maps])
        kinds: dict[str, Sequence[Member]] = {}
        if maps:
            kinds = {"fieldmap": maps, "magnitude": magnitudes[:1]}
        elif len(phases) == 1:
            kinds = {"phasediff": phases, "magnitude1": magnitudes[:1], "magnitude2": magnitudes[1:2]}
        elif len(phases) == 2:
            kinds = {
                "phase1": phases[:1],
                "phase2": phases[1:],
                "magnitude1": magnitudes[:1],
                "magnitude2": magnitudes[1:2],
            }
        roles = {member.image.name: kind for kind, chosen in kinds.items() for member in chosen}
        for member in group:
            kind = roles.get(member.image.name, LEFT_ALONE)
            note = "" if kind != LEFT_ALONE else (
                f"of a field map with {len(phases)} phase, {len(magnitudes)} magnitude and {len(maps)} images in Hz, "
                f"this one has no use"
            )  # fmt: skip
            part = "" if kind == LEFT_ALONE else member.taken.part
            settled.append(replace(member, taken=taken_with(member.taken, kind=kind, part=part, note=note)))
    return settled


def _states_hertz(image: SourceImage) -> bool:
    return image.text("Units").lower() in ("hz", "rad/s") or bool(_HERTZ.search(image.stem))


def _is_field_map(group: Sequence[Member]) -> bool:
    maps = sum(_states_hertz(each.image) for each in group)
    phases = sum(each.taken.part == "phase" and not _states_hertz(each.image) for each in group)
    magnitudes = sum(each.taken.part == "mag" and not _states_hertz(each.image) for each in group)
    return (maps, phases) in ((1, 0), (0, 1), (0, 2)) and 1 <= magnitudes <= 2


def _by_echo(members: Sequence[Member]) -> list[Member]:
    return sorted(members, key=lambda each: (each.image.number("EchoTime") or 0.0, each.image.name))


def _mt(members: Sequence[Member]) -> list[Member]:
    """Tell images with and without MT pulse, and pairs from triples."""
    named = [member for member in members if member.taken.kind == MT]
    if not named:
        return []
    joined = [each for each in members if any(_may_join(each, other) for other in named)]
    counted = _counted(members)
    mine = []
    for member in (*named, *joined):
        state, seen = state_of(member.image)
        if (member.image.name, seen) in counted:
            state, seen = None, "the number in its name counts series"
        said = seen or "no MT pulse is stated"
        mine.append(replace(member, state=state, taken=taken_with(replace_note(member.taken), evidence=said)))
    settled = []
    for group in _partition(mine, complete=_is_mt, keys=(_by_echo_number, _by_family_and_echo, _by_time)):
        has_pulse = any(each.state is True for each in group)
        group = [replace(each, state=False if each.state is None and has_pulse else each.state) for each in group]
        if not _is_mt(group) and not any(hints_at_mt(each.image) for each in group):
            reason = "an MT pulse, but no image without it beside it and no name of an MT scan"
            settled += [replace(e, taken=taken_with(e.taken, kind=LEFT_ALONE, part="", note=reason)) for e in group]
            continue
        # Two of three images of MT saturation are no pair: a ratio needs one flip angle and one repetition time.
        kind = "MTR" if len(group) == 2 and _is_pair(group) else "MTS"
        settled += [replace(each, taken=taken_with(each.taken, kind=kind, part="")) for each in group]
    return settled


def _may_join(member: Member, named: Member) -> bool:
    """Whether an image that is not called one of an MT scan is the one without pulse: all that both state must agree.

    What was recognised as something else stays that; a T1-weighted one may be of the same sequence.
    """
    image, other = member.image, named.image
    if member.taken.kind == "T1w":
        one, two = (next((text for key in SEQUENCE_KEYS if (text := i.text(key))), "") for i in (image, other))
        may = bool(one) and one == two and member.taken.sure != "high"
    else:
        may = member.taken.kind == LEFT_ALONE and not member.taken.evidence
    texts = ("ScanningSequence", "MRAcquisitionType")
    return (
        may
        and family_of(image) == family_of(other) != ""
        and part_of(image)[0] == "mag"
        and image.number("InversionTime") is None
        and all(not image.text(key) or not other.text(key) or image.text(key) == other.text(key) for key in texts)
        and _same_place(image, other)
    )


def _counted(members: Sequence[Member]) -> set[tuple[str, str]]:
    """Return images with what was seen, in whose names the number behind MT counts series: others of the name count on from 2."""
    ends: dict[str, set[int]] = {}
    found: dict[str, list[tuple[str, str]]] = {}
    for member in members:
        for name in member.image.names:
            match = _MT_NUMBER.fullmatch(name)
            if match:
                ends.setdefault(match[1], set()).add(int(match[2]))
                found.setdefault(match[1], []).append((member.image.name, f"name {name!r}"))
                if member.image.number("SeriesNumber") == int(match[2]) and name == member.image.stem:
                    ends[match[1]].add(2)
    return {each for start, numbers in ends.items() if numbers - {0, 1} for each in found[start]}


def replace_note(taken: Taken) -> Taken:
    """Return what was taken without its note, which no longer holds."""
    return replace(taken, note="")


def _is_pair(group: Sequence[Member]) -> bool:
    """Whether two images differ in the MT pulse alone, and none is called one of MT saturation."""
    if any(
        re.search(r"mt[ _-]?sat|(?<![a-z])mts(?![a-z])", name, re.IGNORECASE) for m in group for name in m.image.names
    ):
        return False
    stated = [{key: m.image.number(key) for key in ("FlipAngle", "RepetitionTime", "EchoTime")} for m in group]
    return all(
        first is None or other is None or math.isclose(first, other, rel_tol=0.02)
        for first, other in zip(stated[0].values(), stated[1].values(), strict=True)
    )


def _is_mt(group: Sequence[Member]) -> bool:
    pulses = sum(each.state is True for each in group)
    return pulses == 1 and len(group) in (2, 3)


Key = Callable[[Member], Hashable]


def _by_family(member: Member) -> Hashable:
    return family_of(member.image)


def _by_time(member: Member) -> Hashable:
    return family_of(member.image), member.image.text("AcquisitionTime") or member.image.name


def _by_echo_number(member: Member) -> Hashable:
    return member.image.number("EchoNumber") or 1.0


def _by_family_and_echo(member: Member) -> Hashable:
    return family_of(member.image), _by_echo_number(member)


def _by_stem(member: Member) -> Hashable:
    """Return the name of the file without what tells the part: images of one series share it."""
    return _by_family(member), without_part(member.image.stem)


def _partition(
    members: Sequence[Member], *, complete: Callable[[Sequence[Member]], bool], keys: Sequence[Key]
) -> list[list[Member]]:
    """Return groups by the first key under which all are complete, else by the key under which most images are in such."""
    choices = []
    for key in keys:
        groups: dict[Hashable, list[Member]] = {}
        for member in members:
            groups.setdefault(key(member), []).append(member)
        choices.append(list(groups.values()))
        if all(complete(group) for group in groups.values()):
            return choices[-1]
    return max(choices, key=lambda groups: sum(len(group) for group in groups if complete(group)), default=[])


def _flip(member: Member) -> float | None:
    angle = member.image.number("FlipAngle")
    return None if angle is None else round(angle, 1)


def _by_protocol(member: Member) -> Hashable:
    return _by_family(member), _flip(member), member.image.volumes > 1


def _by_sequence(member: Member) -> Hashable:
    return _sequence_of(member.image), member.image.volumes > 1


def _by_protocol_and_stem(member: Member) -> Hashable:
    return _by_protocol(member), _by_stem(member)


def _by_protocol_and_time(member: Member) -> Hashable:
    return _by_protocol(member), _by_time(member)


def _is_cycled(group: Sequence[Member]) -> bool:
    """Whether files are all parts of one scan: one 4D file a part, or as many volumes of each."""
    counts: dict[str, int] = {}
    for each in group:
        counts[each.taken.part] = counts.get(each.taken.part, 0) + 1
    series = {each.image.volumes > 1 for each in group}
    if set(counts) not in COMPLETE_PARTS or len(series) > 1 or len(set(counts.values())) > 1:
        return False
    number = next(iter(counts.values()))
    if True in series:
        return number == 1
    return number >= MINIMUM_CYCLES and not _states_twice(group)


def _states_twice(group: Sequence[Member]) -> bool:
    """Whether two images of one part state one increment: they are of two runs."""
    stated = [
        (each.taken.part, each.image.values[key])
        for each in group
        for key in (*INCREMENT_KEYS, SCALAR_KEY)
        if isinstance(each.image.values.get(key), int | float)
    ]
    named = [
        (each.taken.part, number) for each in group if (number := increment_of_name(each.image.names[0])) is not None
    ]
    return any(len(set(found)) < len(found) and len({value for _, value in found}) > 1 for found in (stated, named))


def _is_angles(group: Sequence[Member]) -> bool:
    parts = sorted(each.taken.part for each in group)
    return parts in (["anat", "famp"], ["famp"], ["both"], ["", "famp"], ["", "anat"])


def _is_double_angle(group: Sequence[Member]) -> bool:
    if len(group) == 1:
        return group[0].taken.part == "both"
    angles = sorted(angle for each in group if (angle := _flip(each)) is not None)
    return len(group) == 2 and len(angles) == 2 and math.isclose(angles[1], 2.0 * angles[0], rel_tol=0.05)


def _is_afi(group: Sequence[Member]) -> bool:
    parts = sorted(each.taken.part for each in group)
    return parts in (["tr1", "tr2"], ["both"], ["", "tr1"], ["", "tr2"], ["", ""])


def _alone(group: Sequence[Member]) -> bool:
    return len(group) == 1


def _any(_: Member) -> Hashable:
    return ""


def _own(member: Member) -> Hashable:
    return member.image.name


_B1_KEYS: tuple[Key, ...] = (_any, _by_family, _by_stem, _by_time)
_MT_KEYS: tuple[Key, ...] = (_by_echo_number, _by_family_and_echo, _by_time)
RULES: Mapping[str, tuple[Callable[[Sequence[Member]], bool], tuple[Key, ...]]] = {
    "pcbssfp": (_is_cycled, (_by_protocol, _by_protocol_and_stem, _by_protocol_and_time, _by_sequence)),
    "TB1TFL": (_is_angles, _B1_KEYS),
    "TB1RFM": (_is_angles, _B1_KEYS),
    "TB1DAM": (_is_double_angle, _B1_KEYS),
    "TB1AFI": (_is_afi, _B1_KEYS),
    "MTS": (lambda group: _is_mt(group) and len(group) == 3, _MT_KEYS),
    "MTR": (lambda group: _is_mt(group) and len(group) == 2, _MT_KEYS),
    "field map": (_is_field_map, (_any, _by_family, _by_time)),
}
"""For a kind whose scans have several images: what makes one complete, and by what images are put together, the first first."""


def group(members: Sequence[Member]) -> list[Member]:
    """Return images with the label of their scan.

    Labels count the scans of a kind in the order of the numbers of their series.

    Parameters
    ----------
    members
        Images with a final kind.
    """
    by_class: dict[str, list[Member]] = {}
    for member in members:
        kind = member.taken.kind
        by_class.setdefault("field map" if kind in FIELD_KINDS else kind, []).append(member)
    labelled: dict[str, Member] = {}
    for kind, mine in by_class.items():
        if kind == LEFT_ALONE:
            labelled |= {each.image.name: replace(each, scan="") for each in mine}
            continue
        complete, keys = RULES.get(kind, (_alone, (_own,)))
        groups = sorted(_partition(mine, complete=complete, keys=keys), key=_first)
        for number, scan in enumerate(groups, start=1):
            label = f"{kind.replace(' ', '')}-{number}"
            labelled |= {each.image.name: replace(each, scan=label) for each in scan}
    return [labelled[member.image.name] for member in members]


def _first(members: Sequence[Member]) -> tuple[float, str]:
    return min((each.image.number("SeriesNumber") or math.inf, each.image.name) for each in members)
