"""Finding B1+ scans, reading each by its method, and choosing the one that belongs to a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from qmri_bids.bids.metadata.file_name import parse_name
from qmri_bids.bids.metadata.sidecar import Sidecar, is_intended, texts
from qmri_bids.bids.refusal import Refusal, refuse, relative_name
from qmri_bids.pipeline.sources import B1Run
from qmri_bids.scans.b1.methods import afi as b1_afi
from qmri_bids.scans.b1.methods import angles as b1_angles
from qmri_bids.scans.b1.methods.afi import read_afi
from qmri_bids.scans.b1.methods.angles import read_rfm, read_tfl
from qmri_bids.scans.b1.methods.dam import read_dam
from qmri_bids.scans.b1.methods.ready import read_map
from qmri_bids.scans.find_options import FindOptions

UNSUPPORTED_METHODS = ("TB1EPI", "TB1SRGE")

Reader = Callable[[Sequence[Path], Path, FindOptions], B1Run]

READERS: Mapping[str, Reader] = {
    "TB1TFL": read_tfl,
    "TB1RFM": read_rfm,
    "TB1DAM": read_dam,
    "TB1AFI": read_afi,
    "TB1map": read_map,
}
"""How the files of a B1 scan are checked, by their suffix."""

SUFFIXES = (*READERS, *UNSUPPORTED_METHODS)

OWN_ENTITIES: Mapping[str, Callable[[dict[str, str]], dict[str, str]]] = {
    "TB1TFL": lambda entities: _without_role(entities, b1_angles.split_role),
    "TB1RFM": lambda entities: _without_role(entities, b1_angles.split_role),
    "TB1AFI": lambda entities: _without_role(entities, b1_afi.split_role),
    "TB1DAM": lambda entities: {key: label for key, label in entities.items() if key != "flip"},
}
"""What the images of one scan have in common."""


def _without_role(entities: dict[str, str], split: Callable[[str], tuple[str, str]]) -> dict[str, str]:
    """Return entities without what `acq` says of the image within its scan."""
    return entities | {"acq": split(entities.get("acq", ""))[0]}


def group_b1_files(paths: Sequence[Path]) -> dict[tuple[str, ...], list[Path]]:
    """Return the files of each B1 scan: those that differ only in what tells its images apart."""
    groups: dict[tuple[str, ...], list[Path]] = {}
    for path in paths:
        name = parse_name(path)
        entities = OWN_ENTITIES.get(name.suffix, dict)(dict(name.entities))
        key = (name.suffix, *(f"{entity}-{label}" for entity, label in sorted(entities.items()) if label))
        groups.setdefault(key, []).append(path)
    return groups


def read_b1(paths: Sequence[Path], *, root: Path, options: FindOptions) -> B1Run:
    """Check the files of one B1 scan and decide how relative B1 follows from them.

    Parameters
    ----------
    paths
        Files of one group of `group_b1_files`.
    root
        The dataset.
    options
        Nominal flip angle, scale and repetition times, where the user gave them.

    Raises
    ------
    RefusedError
        If a file is unreadable, one is missing, the method is not supported or the values do not fit their
        scale.
    """
    method = parse_name(paths[0]).suffix
    if method not in READERS:
        raise refuse(
            file=relative_name(paths[0], root),
            key="suffix",
            expected="a B1 map of the kind " + " or ".join(READERS),
            found=f"{method}, which is not supported (yet)",
            advice="Compute a TB1map from it, or run with --no-b1.",
        )
    return READERS[method](paths, root, options)


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


def b1_refusal(
    *,
    label: str,
    notes: Sequence[Refusal],
    filtered: bool,
    without: str = "T1 is then off by about twice the error of B1",
) -> Refusal:
    """Return the refusal of a run whose session has no usable B1 map.

    Parameters
    ----------
    label
        Of the run.
    notes
        Refusals of the B1 scans that are there.
    filtered
        Whether the filter file has a say in which B1 scans count.
    without
        What becomes of the run without a map.
    """
    if notes:
        found = "; ".join(f"{note.file}: {note.found}" for note in notes)
        way = "Correct that scan"
    elif filtered:
        found, way = "none that --bids-filter-file leaves", "Change the filter (key b1)"
    else:
        found, way = "none", "Add one"
    return Refusal(
        file=label,
        key="B1 map",
        expected=f"a B1+ map in fmap/ of the same session ({', '.join(READERS)}), or a WASABI run",
        found=found,
        advice=f"{way}, or run with --no-b1 to assume B1 = 1: {without}.",
    )
