"""Options in a TOML file: read with the checks of the command line, and written as what a call was asked for."""

from __future__ import annotations

import argparse
import difflib
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

NOT_IN_FILE = ("help", "version", "config_file")
"""Options that a file does not hold."""

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
) -> None:
    """Fill in what a file of options says and the command line does not.

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
    if options.config_file is None:
        return
    silent = build()
    for action in silent._actions:
        action.default = argparse.SUPPRESS
    given = vars(silent.parse_args(arguments))
    for name, value in read_config(options.config_file, parser=build()).items():
        if name not in given:
            setattr(options, name, value)


def read_config(path: Path, *, parser: argparse.ArgumentParser) -> dict[str, Any]:
    """Return the options of a file by the names that the parser gives them.

    Parameters
    ----------
    path
        TOML: keys are the long options without dashes in front, with dashes or underscores inside; tables only group them.
    parser
        Knows the options.

    Raises
    ------
    ConfigError
        If the file cannot be read, or a key or value in it is wrong.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: expected a TOML file of options, found: {error}") from error
    actions = {key: action for action in _file_actions(parser) for key in _keys(action)}
    positional = [action.dest for action in parser._actions if not action.option_strings]
    values: dict[str, Any] = {}
    keys: dict[str, str] = {}
    for key, value in _flat(content, known=actions):
        action = actions.get(_plain(key))
        if action is None:
            raise ConfigError(f"{path}: {_unknown(key, known=tuple(actions), positional=positional)}")
        if action.dest in values:
            raise ConfigError(f"{path}: {key}: expected each option once, found it as {keys[action.dest]}, too")
        try:
            values[action.dest] = _value(action, value)
        except ValueError as error:
            raise ConfigError(f"{path}: {key}: {error}") from error
        keys[action.dest] = key
    return values


def configuration(options: argparse.Namespace, *, parser: argparse.ArgumentParser) -> dict[str, Any]:
    """Return what a call was asked for as a file of options holds it: every option that has a value, defaults included.

    Parameters
    ----------
    options
        Before the machine filled in what was not asked for.
    parser
        Knows the options.
    """
    held = {}
    for action in _file_actions(parser):
        value = getattr(options, action.dest)
        if value is None or value == [] or value == ():
            continue
        written = FORMATS.get(action.dest, _written)(value)
        held[action.option_strings[-1 if action.option_strings[0].count("-") == 1 else 0].removeprefix("--")] = written
    return held


def _written(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value.resolve())
    if isinstance(value, list | tuple):
        return [_written(each) for each in value]
    return value


def _written_derivative(text: str) -> str:
    name, equals, path = text.partition("=")
    return f"{name}={Path(path).resolve()}" if equals else str(Path(text).resolve())


FORMATS: Mapping[str, Callable[[Any], Any]] = {
    "memory_gb": lambda value: f"{value!r}G",
    "derivatives": lambda value: [_written_derivative(each) for each in value],
}
"""How options are written whose values are not what the command line takes."""


def _file_actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return [action for action in parser._actions if action.option_strings and action.dest not in NOT_IN_FILE]


def _keys(action: argparse.Action) -> list[str]:
    return [_plain(each) for each in action.option_strings if each.startswith("--")]


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


def _unknown(key: str, *, known: Sequence[str], positional: Sequence[str]) -> str:
    if key in positional:
        return f"{key}: expected an option, found what the command line itself must give"
    if _plain(key) in OUTPUT_WORDS:
        return (
            f"{key}: expected an option, found what the command line itself must give (BIDS_DIR, OUT_DIR and the level)"
        )
    near = difflib.get_close_matches(_plain(key), known, n=1)
    advice = f"did you mean {near[0]}?" if near else "see qmri_bids --help for the options"
    return f"{key}: expected the name of an option, found none of that name; {advice}"


def _value(action: argparse.Action, value: Any) -> Any:
    """Return a value as the parser would give it.

    Raises
    ------
    ValueError
        If it has not the type or is none of the choices.
    """
    if action.nargs == 0:
        kind = bool if action.const is True else int
        return _typed(value, kind)
    if action.nargs is None:
        return _item(action, value)
    items = _typed(value, list)
    if not items or (isinstance(action.nargs, int) and len(items) != action.nargs):
        raise ValueError(
            f"expected a list of {action.nargs if isinstance(action.nargs, int) else 'one or more'}, found {items}"
        )
    return [_item(action, each) for each in items]


def _item(action: argparse.Action, value: Any) -> Any:
    if action.type in (int, float):
        value = _typed(value, action.type)
    elif action.type in (None, Path):
        value = _typed(value, str)
        value = value if action.type is None else Path(value)
    elif callable(action.type):
        try:
            value = action.type(value if isinstance(value, str) else repr(value))
        except argparse.ArgumentTypeError as error:
            raise ValueError(str(error)) from error
    if action.choices is not None and value not in action.choices:
        raise ValueError(f"expected one of {', '.join(map(str, action.choices))}, found {value}")
    return value


def _typed(value: Any, kind: Any) -> Any:
    """Return a value of a type of TOML; whole numbers are numbers, true and false are not."""
    fits = isinstance(value, kind) or (kind is float and isinstance(value, int))
    if not fits or (isinstance(value, bool) and kind is not bool):
        found = SHOWN_TYPES.get(type(value), type(value).__name__)
        raise ValueError(f"expected {SHOWN_TYPES[kind]}, found {found}: {value!r}")
    return float(value) if kind is float else value
