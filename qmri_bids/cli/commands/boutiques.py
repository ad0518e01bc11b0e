"""`qmri-tools boutiques`: the command line of `qmri_bids` for platforms that speak Boutiques, made of its parser."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qmri_bids import __version__
from qmri_bids.cli.parsing.option import Limits
from qmri_bids.cli.parsing.parser import EXIT_CODES
from qmri_bids.cli.parsing.table import OPTIONS


@dataclass(frozen=True, kw_only=True)
class Output:
    """What a call leaves.

    Parameters
    ----------
    name, description
        Name and description for people.
    path
        Path below the output folder; empty for the folder itself.
    many
        Whether the path is a pattern of several files.
    """

    name: str
    description: str
    path: str
    many: bool = False


OUTPUTS: Mapping[str, Output] = {
    "derivatives_dir": Output(
        name="Derivatives",
        description="The output folder, a BIDS derivative: maps with their standard deviations and quality masks, reports, logs",
        path="",
    ),
    "dataset_description": Output(
        name="Description of the derivatives",
        description="What made the dataset, of which data",
        path="dataset_description.json",
    ),
    "participant_dirs": Output(
        name="Folders of participants",
        description="Maps of each participant (level participant)",
        path="sub-*",
        many=True,
    ),
    "participant_reports": Output(
        name="Reports of participants",
        description="One page a participant (level participant)",
        path="sub-*.html",
        many=True,
    ),
    "group_report": Output(
        name="Page of the group", description="All participants on one page (level group)", path="group.html"
    ),
    "group_tables": Output(
        name="Tables of the group",
        description="Statistics by tissue, quality and runs of all participants (level group)",
        path="group_*.tsv",
        many=True,
    ),
    "methods": Output(
        name="Methods text", description="What was done, to be cited, with references", path="logs/CITATION.md"
    ),
}
"""Outputs by identifier; the first is always there unless nothing was to be computed."""

RESOURCES: Mapping[str, float] = {"cpu-cores": 2, "ram": 8, "disk-space": 10, "walltime-estimate": 1800}
"""Cores, GB and seconds for one participant with room to spare: 176 x 176 x 128 voxels with 12 cycles took 2.5 GiB, 3 minutes."""

DEMO = {"bids_dir": "demo/bids", "output_dir": "demo/out", "analysis_level": ["participant"]}
"""The invocation that the tests in the descriptor share, on the data of `make demo`."""

TESTS = (
    {"name": "dry run", "invocation": {**DEMO, "dry_run": True}, "assertions": {"exit-code": 0}},
    {
        "name": "participant",
        "invocation": {**DEMO, "participant_label": ["01"], "work_dir": "demo/work"},
        "assertions": {"exit-code": 0, "output-files": [{"id": "derivatives_dir"}, {"id": "dataset_description"}]},
    },
    {
        "name": "group",
        "invocation": {**DEMO, "analysis_level": ["group"]},
        "assertions": {"exit-code": 0, "output-files": [{"id": "group_report"}]},
    },
)
"""Invocations that anybody can run after `make demo`."""


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


SCHEMA_VERSION = "0.5"


def descriptor(parser: argparse.ArgumentParser, *, version: str = __version__) -> dict[str, Any]:
    """Return what Boutiques is to know of a command line.

    Parameters
    ----------
    parser
        The command line.
    version
        Version of the program and of its image.

    Returns
    -------
    dict
        As the schema 0.5 of Boutiques wants it.
    """
    actions = dict(input_actions(parser))
    inputs = [as_input(parser, key, action) for key, action in actions.items()]
    return {
        "name": parser.prog,
        "tool-version": version,
        "schema-version": SCHEMA_VERSION,
        "description": (parser.description or "").split("\n")[0],
        "author": "The qmri_bids developers",
        "command-line": " ".join([parser.prog, *(each["value-key"] for each in inputs)]),
        # A login shell, which /bin/sh is made here, would forget the PATH of the image.
        "shell": "/bin/bash",
        "container-image": {"type": "docker", "image": f"{parser.prog}:{version}"},
        "inputs": inputs,
        "groups": _groups(parser, known=list(actions)),
        "output-files": _outputs(),
        "error-codes": _error_codes(EXIT_CODES),
        "suggested-resources": dict(RESOURCES),
        "tests": list(TESTS),
        "tags": {
            "domain": ["neuroinformatics", "mri"],
            "bids-app": True,
            "toolbox": "qmri_bids",
        },
    }


def written(content: dict[str, Any]) -> str:
    """Return a descriptor as the text of its file.

    Parameters
    ----------
    content
        The descriptor.
    """
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _groups(parser: argparse.ArgumentParser, *, known: list[str]) -> list[dict[str, Any]]:
    """Return the headings of the help with the options under them."""
    groups = []
    for group in parser._action_groups:
        members = [key for key in map(identifier, group._group_actions) if key in known]
        title = group.title or ""
        groups.append(
            {
                "id": "group_" + re.sub(r"\W+", "_", title.lower()),
                "name": title.capitalize() if title.islower() else title,
                "members": members,
            }
        )
    return [each for each in groups if each["members"]]


def _outputs() -> list[dict[str, Any]]:
    return [
        {
            "id": key,
            "name": output.name,
            "description": output.description,
            "path-template": "/".join(filter(None, ("[OUTPUT_DIR]", output.path))),
            "list": output.many,
            "optional": bool(output.path),
        }
        for key, output in OUTPUTS.items()
    ]


def _error_codes(text: str) -> list[dict[str, Any]]:
    """Return the codes that the help explains, one an entry; 0 is none of an error."""
    rows = re.findall(r"^  (\d+(?:, \d+)*)  (.+)$", text, flags=re.MULTILINE)
    return [{"code": int(code), "description": said} for codes, said in rows for code in codes.split(", ") if int(code)]
