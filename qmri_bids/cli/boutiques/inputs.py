"""Options of a parser as inputs of a Boutiques descriptor."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from qmri_bids.cli.parsing.option import Limits
from qmri_bids.cli.parsing.table import OPTIONS

NOT_INPUTS = ("help", "version")
"""Options that ask about the program and start none of its work."""

ACRONYMS = ("B0", "B1", "BIDS", "CEST", "FA", "FD", "ID", "MTRasym", "MTsat", "OMP", "T1", "T2", "TR")
"""Words of names that are not written in small letters."""

MOST_COUNTED = 2
"""How often an option that is counted says something new."""

READ_FOLDERS = tuple(row.key for row in OPTIONS.values() if row.reads_folder)
"""Folders that executors mount or stage, as they do files. Other folders may not be there yet."""

RANGES: Mapping[str, Limits] = {row.key: row.limits for row in OPTIONS.values() if row.limits is not None}
"""Limits of numbers by input."""

NEEDED: Mapping[str, tuple[str, ...]] = {
    row.key: tuple(OPTIONS[other].key for relation in row.needs for other in relation.others)
    for row in OPTIONS.values()
    if row.needs
}
"""Inputs that mean nothing without others."""


def _excluded() -> tuple[dict[str, tuple[str, ...]], dict[str, dict[str, tuple[str, ...]]]]:
    """Turn around what rows say of themselves: return what each input leaves no room for, and what each value of one does."""
    by_input: dict[str, tuple[str, ...]] = {}
    by_value: dict[str, dict[str, tuple[str, ...]]] = {}
    for row in OPTIONS.values():
        for relation in row.excluded_by:
            for other in (OPTIONS[name].key for name in relation.others):
                if not relation.values:
                    by_input[other] = (*by_input.get(other, ()), row.key)
                for value in relation.values:
                    rows = by_value.setdefault(other, {})
                    rows[value] = (*rows.get(value, ()), row.key)
    return by_input, by_value


EXCLUDED, EXCLUDED_BY_VALUE = _excluded()


def input_actions(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.Action]]:
    """Yield what a call can be given, positionals first, with the identifier of each.

    Parameters
    ----------
    parser
        Knows the options.
    """
    actions = [action for action in parser._actions if action.dest not in NOT_INPUTS]
    for action in sorted(actions, key=lambda each: bool(each.option_strings)):
        yield identifier(action), action


def identifier(action: argparse.Action) -> str:
    """Return the name of an option as Boutiques takes it: the first long one with underscores.

    Parameters
    ----------
    action
        The option.

    Examples
    --------
    >>> parser = argparse.ArgumentParser()
    >>> identifier(parser.add_argument("-w", "--work-dir", "--scratch"))
    'work_dir'
    """
    return _flag(action).removeprefix("--").replace("-", "_") or action.dest


def as_input(parser: argparse.ArgumentParser, key: str, action: argparse.Action) -> dict[str, Any]:
    """Return an option as an input.

    There are no default values: executors write them on the command line, where they would take precedence over a file of
    options. Descriptions state them.

    Parameters
    ----------
    parser
        Its name may stand in help.
    key
        Identifier of the option.
    action
        The option.
    """
    described: dict[str, Any] = {
        "id": key,
        "name": _name(key),
        "description": _description(parser, action),
        "type": "String",
        "optional": not action.required,
        "value-key": f"[{key.upper()}]",
    }
    if action.nargs == 0:
        return described | _without_value(action) | _beside(key)
    flag = _flag(action)
    if flag:
        described["command-line-flag"] = flag
        if not _is_list(action):
            # Values that begin with a dash, such as -2e4, are values only so.
            described["command-line-flag-separator"] = "="
    return described | _list(action) | _value(key, action) | _beside(key)


def _name(key: str) -> str:
    known = {word.lower(): word for word in ACRONYMS}
    words = " ".join(known.get(word, word) for word in key.split("_"))
    return words[0].upper() + words[1:]


def _flag(action: argparse.Action) -> str:
    return next((each for each in action.option_strings if each.startswith("--")), "")


def _description(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    """Return the help of an option, with its other spellings and what it calls its values, units among them."""
    text = (action.help or "") % {**vars(action), "prog": parser.prog}
    shown = (action.metavar,) if isinstance(action.metavar, str) else action.metavar or ()
    if not action.option_strings or (not shown and len(action.option_strings) == 1):
        return text
    return f"{text} ({' '.join([', '.join(action.option_strings), *shown])})"


def _without_value(action: argparse.Action) -> dict[str, Any]:
    """Return a flag, or the repetitions of an option that is counted: Boutiques gives a flag once."""
    if isinstance(action, argparse._CountAction):
        short = next(each for each in action.option_strings if not each.startswith("--"))
        choices = [short + (number - 1) * short[-1] for number in range(1, MOST_COUNTED + 1)]
        return {"type": "String", "value-choices": choices}
    if not isinstance(action, argparse._StoreTrueAction):
        raise NotImplementedError(f"{_flag(action)}: expected a flag or a count, found {type(action).__name__}")
    return {"type": "Flag", "command-line-flag": _flag(action)}


def _is_list(action: argparse.Action) -> bool:
    return action.nargs is not None


def _list(action: argparse.Action) -> dict[str, Any]:
    """Return how many values a list takes."""
    if not _is_list(action):
        return {}
    if isinstance(action.nargs, int):
        return {"list": True, "min-list-entries": action.nargs, "max-list-entries": action.nargs}
    if action.nargs != "+":
        raise NotImplementedError(f"{_flag(action)}: expected a number of values or '+', found {action.nargs!r}")
    return {"list": True, "min-list-entries": 1}


def _value(key: str, action: argparse.Action) -> dict[str, Any]:
    """Return type, choices and range of a value."""
    if action.choices is not None:
        return {"type": "String", "value-choices": list(action.choices), **_excluded_by_value(key, action.choices)}
    if action.type in (int, float):
        return {"type": "Number", "integer": action.type is int, **_range(key)}
    is_file = action.type is Path and action.metavar == "FILE"
    return {"type": "File" if is_file or key in READ_FOLDERS else "String"}


def _excluded_by_value(key: str, choices: Iterable[str]) -> dict[str, Any]:
    """Return which inputs each choice leaves no room for; Boutiques wants all choices there."""
    if key not in EXCLUDED_BY_VALUE:
        return {}
    return {"value-disables": {each: list(EXCLUDED_BY_VALUE[key].get(each, ())) for each in choices}}


def _range(key: str) -> dict[str, Any]:
    if key not in RANGES:
        return {}
    found = RANGES[key]
    ends = {"minimum": found.low, "maximum": found.high}
    opened = {"exclusive-minimum": found.open_low, "exclusive-maximum": found.open_high}
    return {
        **{name: end for name, end in ends.items() if end is not None},
        **{name: True for name, is_open in opened.items() if is_open},
    }


def _beside(key: str) -> dict[str, Any]:
    """Return which other inputs go with one and which do not."""
    relations: dict[str, Any] = {}
    if key in EXCLUDED:
        relations["disables-inputs"] = list(EXCLUDED[key])
    if key in NEEDED:
        relations["requires-inputs"] = list(NEEDED[key])
    return relations
