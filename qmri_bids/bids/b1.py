"""Finding B1+ maps, checking their scale, and choosing the one that belongs to a run."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

from qmri_bids.bids.images import ImageInfo, check_image, check_same_grid, median_of_nonzero
from qmri_bids.bids.plan import B1Run, FindOptions
from qmri_bids.bids.refusal import Refusal, RefusedError, ValueSource, refuse, relative_name
from qmri_bids.bids.sidecar import Sidecar, is_intended, parse_name, read_sidecar, texts
from qmri_bids.bids.values import common_number
from qmri_bids.units import degrees_to_radians, percent_to_fraction, radians_to_degrees

UNSUPPORTED_METHODS = ("TB1RFM", "TB1DAM", "TB1AFI", "TB1EPI", "TB1SRGE")
TFL_DEGREES_PER_VALUE = 0.1
"""TB1TFL stores ten times the flip angle in degrees (Siemens tfl_b1map); BIDS states no scale."""

PLAUSIBLE = (0.6, 1.4)
"""Median of relative B1 over a head: outside, the scale or the nominal flip angle is wrong."""

RATIO_RANGE = (0.4, 2.5)
PERCENT_RANGE = (40.0, 250.0)
OFFER = (
    "If the stored flip angle is that of the readout, give the one of the preparation with --b1-nominal-fa "
    "(degrees); "
    "if the values have another scale, give relative B1 per stored value with --b1-scale."
)


def group_b1_files(paths: Sequence[Path]) -> dict[tuple[str, ...], list[Path]]:
    """Return the files of each B1 scan: those that differ in `acq-anat` and `acq-famp` alone."""
    groups: dict[tuple[str, ...], list[Path]] = {}
    for path in paths:
        name = parse_name(path)
        entities = dict(name.entities)
        if name.suffix == "TB1TFL":
            entities["acq"] = _split_role(entities.get("acq", ""))[0]
        key = (name.suffix, *(f"{entity}-{label}" for entity, label in entities.items() if label))
        groups.setdefault(key, []).append(path)
    return groups


def read_b1(paths: Sequence[Path], *, root: Path, options: FindOptions) -> B1Run:
    """Check the files of one B1 scan and decide how its values are scaled.

    Parameters
    ----------
    paths
        Files of one group of `group_b1_files`.
    root
        The dataset.
    options
        Nominal flip angle and scale, where the user gave them.

    Raises
    ------
    RefusedError
        If a file is unreadable, one is missing, the method is not supported or the values do not fit their
        scale.
    """
    method = parse_name(paths[0]).suffix
    if method not in _READERS:
        raise refuse(
            file=relative_name(paths[0], root),
            key="suffix",
            expected="a B1 map of the kind " + " or ".join(_READERS),
            found=f"{method}, which is not supported (yet)",
            advice="Compute a TB1map from it, or run with --no-b1.",
        )
    return _READERS[method](paths, root, options)


def _split_role(label: str) -> tuple[str, str]:
    """Split an acquisition label in its own part and the role `anat` or `famp` that ends it."""
    for role in ("anat", "famp"):
        if label.endswith(role):
            return label.removesuffix(role), role
    return label, ""


def _read_tfl(paths: Sequence[Path], root: Path, options: FindOptions) -> B1Run:
    by_role: dict[str, list[Path]] = {}
    for path in paths:
        by_role.setdefault(_split_role(parse_name(path).entities.get("acq", ""))[1], []).append(path)
    for same in by_role.values():
        if len(same) > 1:
            raise _ambiguous(same, root)
    infos = {role: check_image(same[0], root=root) for role, same in by_role.items()}
    warnings: list[str] = []
    both = next((info for info in infos.values() if len(info.shape) == 4 and info.shape[3] == 2), None)
    anatomical: ImageInfo | None
    if both is not None:
        anatomical, famp, volumes = both, both, (0, 1)
        warnings.append(
            f"{both.name} holds two volumes: the first is taken as anatomical image, the second as flip "
            f"angles, the "
            "order of the vendor; the scale of the second was checked."
        )
    elif "famp" in infos:
        anatomical, famp, volumes = infos.get("anat"), infos["famp"], None
        for info in infos.values():
            if len(info.shape) != 3:
                raise _not_three_axes(info)
        if anatomical is None:
            warnings.append(
                f"{famp.name} has no acq-anat image: the B1 map cannot be registered and is placed by "
                f"scanner coordinates."
            )
        else:
            check_same_grid(famp, anatomical)
    else:
        shown = relative_name(paths[0], root)
        raise refuse(
            file=shown,
            key="acq",
            expected="acq-anat and acq-famp, or one file with both images",
            found="no acq-famp",
            advice="Add the flip angle image of the B1 scan, or run with --no-b1.",
        )
    sidecar = read_sidecar(famp.path, root=root)
    nominal, source = _nominal_flip_angle(sidecar, options)
    median = median_of_nonzero(famp, volume=1 if volumes else None)
    sources = [
        ValueSource(key="b1_nominal_flip_angle", value=f"{radians_to_degrees(nominal):g}", unit="deg", source=source)
    ]
    if options.b1_scale is None:
        scale = degrees_to_radians(TFL_DEGREES_PER_VALUE) / nominal
        stored = f"median flip angle of {median * TFL_DEGREES_PER_VALUE:.3g}° (stored values / 10)"
        origin = "TB1TFL: ten times the flip angle in degrees"
    else:
        scale, origin = options.b1_scale, "command line: --b1-scale"
        stored = f"median relative B1 of {median * scale:.3g} (stored values × {scale:g})"
    sources.append(ValueSource(key="b1_scale", value=f"{scale:.6g}", unit="per stored value", source=origin))
    low, high = PLAUSIBLE
    if not low <= median * scale <= high:
        degrees = radians_to_degrees(nominal)
        raise refuse(
            file=famp.name,
            key="flip angles",
            expected=f"a median of {low * degrees:.3g}° to {high * degrees:.3g}° for a nominal {degrees:g}° ({source})",
            found=stored if math.isfinite(median) else "no value above zero",
            advice=OFFER,
        )
    return B1Run(
        entities=dict(parse_name(famp.path).entities),
        method="TB1TFL",
        anatomical=None if anatomical is None else anatomical.path,
        map=famp.path,
        anatomical_volume=volumes and volumes[0],
        map_volume=volumes and volumes[1],
        scale=scale,
        nominal_flip_angle=nominal,
        intended_for=texts(sidecar, "IntendedFor"),
        identifiers=texts(sidecar, "B0FieldIdentifier"),
        sources=tuple(sources),
        warnings=tuple(warnings),
    )


def _read_map(paths: Sequence[Path], root: Path, options: FindOptions) -> B1Run:
    if len(paths) > 1:
        raise _ambiguous(paths, root)
    info = check_image(paths[0], root=root)
    if len(info.shape) != 3:
        raise _not_three_axes(info)
    sidecar = read_sidecar(paths[0], root=root)
    median = median_of_nonzero(info, volume=None)
    stated = sidecar.values.get("Units")
    low, high = PLAUSIBLE
    if options.b1_scale is not None:
        scale, origin = options.b1_scale, "command line: --b1-scale"
    elif RATIO_RANGE[0] <= median <= RATIO_RANGE[1]:
        scale, origin = 1.0, f"median {median:.3g}: read as ratio"
    elif PERCENT_RANGE[0] <= median <= PERCENT_RANGE[1]:
        scale, origin = percent_to_fraction(1.0), f"median {median:.3g}: read as percent"
    else:
        scale, origin = math.nan, ""
    contradicts = stated in ("percent", "%") and scale == 1.0
    if not low <= median * scale <= high or contradicts:
        found = f"a median of {median:.3g}" if math.isfinite(median) else "no value above zero"
        raise refuse(
            file=info.name,
            key="values",
            expected=f"relative B1 with a median of {low:g} to {high:g}, or percent with {low * 100:g} to "
            f"{high * 100:g}",
            found=found + (f" with Units {stated!r}" if contradicts else ""),
            advice="If the values have another scale, give relative B1 per stored value with --b1-scale.",
        )
    return B1Run(
        entities=dict(parse_name(info.path).entities),
        method="TB1map",
        anatomical=None,
        map=info.path,
        scale=scale,
        intended_for=texts(sidecar, "IntendedFor"),
        identifiers=texts(sidecar, "B0FieldIdentifier"),
        sources=(ValueSource(key="b1_scale", value=f"{scale:g}", unit="per stored value", source=origin),),
        warnings=(
            f"{info.name}: the B1 map is scaled by {scale:g} ({origin}).",
            f"{info.name} has no anatomical image: the B1 map is placed by scanner coordinates, not registered.",
        ),
    )


_READERS: dict[str, Callable[[Sequence[Path], Path, FindOptions], B1Run]] = {
    "TB1TFL": _read_tfl,
    "TB1map": _read_map,
}
SUFFIXES = (*_READERS, *UNSUPPORTED_METHODS)


def _nominal_flip_angle(sidecar: Sidecar, options: FindOptions) -> tuple[float, str]:
    """Return the nominal flip angle of the preparation [rad] and its source."""
    if options.b1_nominal_flip_angle is not None:
        return options.b1_nominal_flip_angle, "command line: --b1-nominal-fa"
    expected = "the nominal flip angle of the preparation pulse in degrees"
    advice = "Add FlipAngle to the sidecar, or give it with --b1-nominal-fa (degrees)."
    stated = common_number([sidecar], "FlipAngle", expected=expected, advice=advice)
    if stated is None or stated[0] <= 0.0:
        raise refuse(
            file=sidecar.origin("FlipAngle"),
            key="FlipAngle",
            expected=expected,
            found="nothing" if stated is None else f"{stated[0]:g}",
            advice=advice,
        )
    return degrees_to_radians(stated[0]), stated[1]


def _ambiguous(paths: Sequence[Path], root: Path) -> RefusedError:
    return refuse(
        file=relative_name(paths[0], root),
        key="file",
        expected="one file of this name",
        found=", ".join(path.name for path in paths),
        advice="Keep one of them.",
    )


def _not_three_axes(info: ImageInfo) -> RefusedError:
    return refuse(
        file=info.name,
        key="shape",
        expected="three axes, or for TB1TFL two volumes (anatomical image, flip angles)",
        found=str(info.shape),
        advice="Convert the image again, or run with --no-b1.",
    )


def choose_b1(
    runs: Sequence[B1Run], *, images: Sequence[Path], sidecars: Sequence[Sidecar], root: Path, label: str
) -> tuple[B1Run | None, tuple[str, ...]]:
    """Return the B1 map of a run among those of its session, and sentences on the choice.

    A map whose IntendedFor names a file of the run, or whose B0FieldIdentifier is the B0FieldSource of the
    run, comes first; otherwise the only map of the session is taken.

    Raises
    ------
    RefusedError
        If several maps could be meant.
    """
    named = [run for run in runs if is_intended(run.intended_for, images, root)]
    wanted = {text for sidecar in sidecars for text in texts(sidecar, "B0FieldSource")}
    named = named or [run for run in runs if wanted & set(run.identifiers)]
    if not named:
        named = [run for run in runs if not run.intended_for] or list(runs)
    if len(named) > 1:
        raise refuse(
            file=label,
            key="B1 map",
            expected="one B1 map for this run",
            found=", ".join(run.map.name for run in named),
            advice="Name the run in IntendedFor of the right map, or select one with --bids-filter-file (key b1).",
        )
    if not named:
        return None, ()
    (chosen,) = named
    if chosen.intended_for and not is_intended(chosen.intended_for, images, root):
        return chosen, (
            f"{relative_name(chosen.map, root)}: IntendedFor names other files only; the map is used as it "
            f"is the only "
            "one of the session.",
        )
    return chosen, ()


def b1_refusal(*, label: str, notes: Sequence[Refusal]) -> Refusal:
    """Return the refusal of a pc-bSSFP run whose session has no usable B1 map."""
    found = "none" if not notes else "; ".join(f"{note.file}: {note.found}" for note in notes)
    return Refusal(
        file=label,
        key="B1 map",
        expected="a B1+ map in fmap/ of the same session (TB1TFL or TB1map)",
        found=found,
        advice="Add one, or run with --no-b1 to assume B1 = 1: T1 is then off by about twice the error of B1.",
    )
