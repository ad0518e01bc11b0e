"""The maps of a run by what they show, for workflows that go on with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path


def maps_by_name(files: Sequence[str], *, entities: Mapping[str, str]) -> dict[str, str]:
    """Return the images among the files of a run by what their names say beyond the run.

    Parameters
    ----------
    files
        Files written of a run.
    entities
        Entities of the raw run.

    Examples
    --------
    >>> maps_by_name(["sub-01_acq-x_T1map.nii.gz", "sub-01_acq-x_desc-std_T1map.nii.gz"], entities={"sub": "01", "acq": "x"})
    {'T1map': 'sub-01_acq-x_T1map.nii.gz', 'desc-std_T1map': 'sub-01_acq-x_desc-std_T1map.nii.gz'}
    """
    from qmri_bids.bids.metadata.file_name import parse_name

    found = {}
    for file in files:
        name = parse_name(Path(file))
        if name.extension in (".nii", ".nii.gz"):
            own = [f"{key}-{label}" for key, label in name.entities.items() if entities.get(key) != label]
            found["_".join([*own, name.suffix])] = file
    return found


def select_map(maps: dict | list, name: str) -> str | list:
    """Return the file of a map: one for the maps of a run, a list with one of each run that has it for those of several.

    It can stand in a connection of Nipype, `(("outputnode.maps", select_map, "T1map"), "in_file")`: Nipype takes its text
    to the node, so that it knows nothing that stands outside of it.

    Parameters
    ----------
    maps
        The output `maps` of the workflow of a run or of a participant.
    name
        The end of the file name beyond the entities of the run: `T1map`, `desc-std_T1map`, `space-T1w_T1map`.

    Raises
    ------
    KeyError
        If no run has such a map.

    Examples
    --------
    >>> select_map({"T1map": "T1.nii.gz"}, "T1map")
    'T1.nii.gz'
    >>> select_map([{"T1map": "T1.nii.gz"}, {"MTRmap": "MTR.nii.gz"}], "MTRmap")
    ['MTR.nii.gz']
    """
    runs = maps if isinstance(maps, list) else [maps]
    found = [run[name] for run in runs if name in run]
    if not found:
        there = ", ".join(sorted({each for run in runs for each in run}))
        raise KeyError(f"expected a map {name}, found {there or 'none'}")
    return found if isinstance(maps, list) else found[0]
