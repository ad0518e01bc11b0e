"""The options by which results came about that the work folder keeps: `--reports-only` takes them, and can make no others."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from qmri_bids import __version__
from qmri_bids.bids.files.plain import UnreadableError, read_json
from qmri_bids.bids.metadata.file_name import parse_name
from qmri_bids.bids.write import write_json
from qmri_bids.cli.options.outputs import ALIKE, plainly
from qmri_bids.cli.parsing.parser import ConfigError, parse, values_of
from qmri_bids.cli.parsing.table import OPTIONS

REPORTS = "reports"
"""Folder of the work folder of a participant in which reports of runs are kept."""

LEVEL = "level"
"""Says how much there is, though it changes no value of a map."""


class KeptOptionsError(ValueError):
    """Reports cannot be written again with the options of this call; the message says which, and what to do."""


def of_results(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Return those options of a call that its results depend on, as a file of options holds them."""
    return {key: value for key, value in configuration.items() if key not in ALIKE or key == LEVEL}


def options_file(folder: Path, label: str) -> Path:
    """Return where the options are kept by which a run was processed.

    Parameters
    ----------
    folder
        Work folder of the participant.
    label
        Label of the run.
    """
    return folder / REPORTS / f"{label}_options.json"


def keep_options(folder: Path, label: str, *, configuration: Mapping[str, Any]) -> None:
    """Keep the options by which a run was processed to its end, beside its report."""
    path = options_file(folder, label)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, of_results(configuration))


def forget_other_options(folder: Path, labels: Iterable[str], *, configuration: Mapping[str, Any]) -> None:
    """Forget the options of earlier calls where they are others than those by which runs are about to be processed.

    A call that is stopped leaves reports of which nothing says by which of the two they came about.
    """
    for label in labels:
        path = options_file(folder, label)
        if path.is_file() and _read(path) != json.loads(json.dumps(of_results(configuration))):
            path.unlink()


def with_kept_options(options: argparse.Namespace, arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options of a call that writes reports again: those by which the results came about.

    Parameters
    ----------
    options
        The command line, parsed.
    arguments
        The command line.

    Returns
    -------
    argparse.Namespace
        As `options`, with `kept_sentence`: which options were taken that the command line does not give; empty where none was.

    Raises
    ------
    KeptOptionsError
        If the command line asks for others, or the runs came about by different ones.
    """
    found = _found(options)
    if not found:
        options.kept_sentence = ""
        return options
    (first, kept), *others = found.items()
    for label, other in others:
        if apart := _apart(kept, other):
            raise KeptOptionsError(
                f"--reports-only: expected runs that were processed with the same options, found {first} and {label} with others "
                f"({', '.join(apart)}); ask for one at a time (--participant-label, --session-label), or process both again"
            )
    asked = of_results(options.configuration)
    apart = _apart(kept, asked)
    given = {OPTIONS[name].name.removeprefix("--") for name in options.given if name in OPTIONS}
    if refused := [key for key in apart if key in given]:
        shown = " and ".join(f"{_shown(key, asked)} (made with {_value(kept.get(key))})" for key in refused)
        raise KeptOptionsError(
            f"--reports-only writes the reports of {first}{f' and {len(others)} more' if others else ''} again and makes no map or "
            f"image, found {shown}; leave that out, or leave out --reports-only"
        )
    try:
        beneath = values_of(kept, path=options_file(Path(), first))
    except ConfigError as error:
        raise KeptOptionsError(
            f"--reports-only: the work folder cannot be used: {error}; process the runs again"
        ) from error
    taken = parse(arguments, beneath=beneath)
    taken.kept_sentence = (
        ""
        if not apart
        else "Taken from the call that made the maps, not given in this one: "
        f"{', '.join(_shown(key, kept) for key in apart)}."
    )
    return taken


def _found(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Return the options by which those runs came about that are asked for and have a report, by label."""
    root = options.work_dir / f"qmri_bids-{__version__}"
    found = {}
    for report in sorted(root.glob(f"sub-*/{REPORTS}/*.pickle")):
        label = report.stem
        entities = parse_name(Path(label)).entities
        asked = ((options.participant_label, "sub"), (options.session_label, "ses"), (options.run_id, "run"))
        if any(wanted is not None and entities.get(key, "") not in map(str, wanted) for wanted, key in asked):
            continue
        path = options_file(report.parents[1], label)
        if not path.is_file():
            raise KeptOptionsError(
                f"--reports-only: expected {path}, which says by which options {label} was processed, found none: a later call was "
                "stopped; run the same command without --reports-only"
            )
        found[label] = _read(path)
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        content = read_json(path)
    except UnreadableError as error:
        raise KeptOptionsError(
            f"{path}: expected the options of an earlier call, found: {error}; process it again"
        ) from error
    return content if isinstance(content, dict) else {}


def _apart(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """Return the options in which two calls differ in more than the spelling."""
    one, two = ({key: value for key, value in plainly(each).items() if value != []} for each in (first, second))
    return [key for key in dict.fromkeys([*one, *two]) if one.get(key) != two.get(key)]


def _shown(key: str, configuration: Mapping[str, Any]) -> str:
    value = configuration.get(key)
    return f"--{key}" if value is True else f"--{key} {_value(value)}"


def _value(value: Any) -> str:
    if value is None or value is False or value == []:
        return "none"
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
