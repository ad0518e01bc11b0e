"""The command line of `qmri_bids`. Imports nothing heavy: `--help` answers at once."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from qmri_bids import __version__
from qmri_bids.cli.parsing.option import Option
from qmri_bids.cli.parsing.table import CHECKED, GROUPS, OPTIONS

IN_FILE = tuple(row for row in OPTIONS.values() if row.in_file and not row.is_positional)
"""Options that a file may hold."""

SHOWN_TYPES: Mapping[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "a table",
}
"""What values of TOML are called in messages."""


class ConfigError(ValueError):
    """A file of options is wrong; the message names key, what was expected and what was found."""


def spelled_with_dashes(arguments: Sequence[str]) -> list[str]:
    """Return arguments with dashes instead of underscores in the names of options: both may be written.

    Examples
    --------
    >>> spelled_with_dashes(["--low_mem", "--work_dir=my_work"])
    ['--low-mem', '--work-dir=my_work']
    """
    spelled = []
    for argument in arguments:
        name, equals, value = argument.partition("=")
        spelled.append((name.replace("_", "-") if name.startswith("--") else name) + equals + value)
    return spelled


def take_config(
    options: argparse.Namespace, arguments: Sequence[str], *, build: Callable[[], argparse.ArgumentParser]
) -> frozenset[str]:
    """Fill in what a file of options says and the command line does not, and return the attributes that either gave.

    Parameters
    ----------
    options
        What the command line gave; `config_file` is the file, and values are changed in place.
    arguments
        The command line.
    build
        Makes the parser.

    Raises
    ------
    ConfigError
        If the file cannot be read, or a key or value in it is wrong.
    """
    silent = build()
    for action in silent._actions:
        action.default = argparse.SUPPRESS
    given = vars(silent.parse_args(arguments))
    held = {} if options.config_file is None else read_config(options.config_file)
    for name, value in held.items():
        if name not in given:
            setattr(options, name, value)
    return frozenset(given) | frozenset(held)


def read_config(path: Path) -> dict[str, Any]:
    """Return the options of a file by the names that the parser gives them.

    Parameters
    ----------
    path
        TOML: keys are the long options without dashes in front, with dashes or underscores inside; tables only group them.

    Raises
    ------
    ConfigError
        If the file cannot be read, or a key or value in it is wrong.
    """
    from qmri_bids.bids.files.plain import UnreadableError, parse_toml, read_text  # most calls have no file of options

    try:
        content = parse_toml(read_text(path))
    except UnreadableError as error:
        raise ConfigError(f"{path}: expected a TOML file of options, found: {error}") from error
    return values_of(content, path=path)


def values_of(content: Mapping[str, Any], *, path: Path) -> dict[str, Any]:
    """Return the options that the content of a file holds by the names that the parser gives them.

    Parameters
    ----------
    content
        Keys and values.
    path
        The file, for messages.

    Raises
    ------
    ConfigError
        If a key or value is wrong.
    """
    rows = {_plain(name): row for row in IN_FILE for name in row.long_names}
    values: dict[str, Any] = {}
    keys: dict[str, str] = {}
    for key, value in _flat(content, known=rows):
        row = rows.get(_plain(key))
        if row is None:
            raise ConfigError(f"{path}: {_unknown(key, known=tuple(rows))}")
        if row.attribute in values:
            raise ConfigError(f"{path}: {key}: expected each option once, found it as {keys[row.attribute]}, too")
        try:
            values[row.attribute] = _value(row, value)
        except ValueError as error:
            raise ConfigError(f"{path}: {key}: {error}") from error
        keys[row.attribute] = key
    return values


def configuration(options: argparse.Namespace) -> dict[str, Any]:
    """Return what a call was asked for as a file of options holds it: every option that has a value, defaults included.

    Parameters
    ----------
    options
        The command line before the machine filled in what was not asked for.
    """
    held = {}
    for row in IN_FILE:
        value = getattr(options, row.attribute)
        if value is not None and value != [] and value != ():
            held[row.name.removeprefix("--")] = (row.written or _written)(value)
    return held


def _written(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value.resolve())
    if isinstance(value, list | tuple):
        return [_written(each) for each in value]
    return value


def _plain(key: str) -> str:
    return key.removeprefix("--").replace("_", "-")


def _flat(content: Mapping[str, Any], *, known: Mapping[str, object]) -> list[tuple[str, Any]]:
    """Return keys and values with those of tables, whose names are free unless they are those of options."""
    flat: list[tuple[str, Any]] = []
    for key, value in content.items():
        flat += value.items() if isinstance(value, dict) and _plain(key) not in known else [(key, value)]
    return flat


OUTPUT_WORDS = ("out-dir", "output", "outdir", "bids", "level")
"""What a person may call the arguments that stand on the command line."""


def _unknown(key: str, *, known: Sequence[str]) -> str:
    if key in OPTIONS and OPTIONS[key].is_positional:
        return f"{key}: expected an option, found what the command line itself must give"
    if _plain(key) in OUTPUT_WORDS:
        return (
            f"{key}: expected an option, found what the command line itself must give (BIDS_DIR, OUT_DIR and the level)"
        )
    import difflib

    near = difflib.get_close_matches(_plain(key), known, n=1)
    advice = f"did you mean {near[0]}?" if near else "see qmri_bids --help for the options"
    return f"{key}: expected the name of an option, found none of that name; {advice}"


def _value(row: Option, value: Any) -> Any:
    """Return a value as the parser would give it.

    Raises
    ------
    ValueError
        If it has not the type or is none of the choices.
    """
    if row.action in ("store_true", "count"):
        return _typed(value, bool if row.action == "store_true" else int)
    if row.nargs is None:
        return _item(row, value)
    items = _typed(value, list)
    if not items or (isinstance(row.nargs, int) and len(items) != row.nargs):
        raise ValueError(
            f"expected a list of {row.nargs if isinstance(row.nargs, int) else 'one or more'}, found {items}"
        )
    return [_item(row, each) for each in items]


def _item(row: Option, value: Any) -> Any:
    if row.type in (int, float):
        value = _typed(value, row.type)
    elif row.type in (None, Path):
        value = _typed(value, str)
        value = value if row.type is None else Path(value)
    elif row.type is not None:
        try:
            value = row.type(value if isinstance(value, str) else repr(value))
        except argparse.ArgumentTypeError as error:
            raise ValueError(str(error)) from error
    if row.choices is not None and value not in row.choices:
        raise ValueError(f"expected one of {', '.join(map(str, row.choices))}, found {value}")
    return value


def _typed(value: Any, kind: Any) -> Any:
    """Return a value of a type of TOML; whole numbers are numbers, true and false are not."""
    fits = isinstance(value, kind) or (kind is float and isinstance(value, int))
    if not fits or (isinstance(value, bool) and kind is not bool):
        found = SHOWN_TYPES.get(type(value), type(value).__name__)
        raise ValueError(f"expected {SHOWN_TYPES[kind]}, found {found}: {value!r}")
    return float(value) if kind is float else value


EXIT_CODES = """\
exit codes:
  0  every eligible run was processed (group: of every participant)
  1  a run was refused or failed, and the others are done: the reports say which and why (group: or a participant is missing)
  2  the command line, a file of options or a folder is wrong; nothing was computed
  3  no pc-bSSFP, CEST, MT, B1 or B0 run was found (group: no participant was processed)
  130, 143  interrupted; the same command goes on from the last step that was done
"""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of `qmri_bids`."""
    parser = argparse.ArgumentParser(
        prog="qmri_bids",
        description="Quantitative maps with uncertainty and a report from phase-cycled bSSFP, B1, CEST and MT scans in BIDS.\n"
        "Options may be written with underscores, too, and be kept in a file (--config-file).",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"qmri_bids {__version__}")
    for group in GROUPS:
        group.add_to(parser)
    return parser


def parse(arguments: Sequence[str] | None = None, *, beneath: Mapping[str, Any] | None = None) -> argparse.Namespace:
    """Parse and check what can be checked without reading the dataset.

    Exits with code 2 and one clear message on anything wrong.

    Parameters
    ----------
    arguments
        The command line; that of the program by default.
    beneath
        Values by attribute that hold where neither the command line nor a file of options says anything.

    Returns
    -------
    argparse.Namespace
        The options, with `given`, the attributes that the command line or the file gave, and `configuration`.
    """
    parser = build_parser()
    arguments = spelled_with_dashes(sys.argv[1:] if arguments is None else arguments)
    options = parser.parse_args(arguments)
    try:
        options.given = take_config(options, arguments, build=build_parser)
    except ConfigError as error:
        parser.error(f"--config-file {error}")
    for name, value in (beneath or {}).items():
        if name not in options.given:
            setattr(options, name, value)
    options.configuration = configuration(options)
    for group in CHECKED:
        group.check(parser, options)
    return options
