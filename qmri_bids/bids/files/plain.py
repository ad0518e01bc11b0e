"""Text files of other people: JSON, YAML, TOML and tables, read whole or refused in words.

Every reader asks first whether there is a file at all (not a folder, a pipe or an endless device) and whether it can be as large as
it is; what the parsers of Python say of damage is put into words here.
"""

from __future__ import annotations

import csv
import json
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

LARGEST_TEXT = 32 * 2**20
"""Of a sidecar, a table or a file of options [bytes]: real ones hold a few thousand."""

LONGEST_NUMBER = 300
"""Digits of a whole number: one of more is no number of physics, and no float holds it."""

DEEPEST = 60
"""Levels of a YAML file: real ones have three."""

Content = TypeVar("Content")


class UnreadableError(ValueError):
    """A file cannot be read: its message says what was found in place of it, as the end of a sentence."""


def check_regular(path: Path, *, largest: int | None = None) -> int:
    """Return the size of a file [bytes].

    Raises
    ------
    UnreadableError
        If it is missing, no regular file (reading a pipe or a device may never end), or larger than `largest`.
    """
    try:
        found = path.stat()
    except OSError as error:
        raise UnreadableError(_of_system(path, error)) from error
    if not stat.S_ISREG(found.st_mode):
        kinds = {stat.S_ISDIR: "a folder", stat.S_ISFIFO: "a pipe", stat.S_ISSOCK: "a socket"}
        kind = next((name for test, name in kinds.items() if test(found.st_mode)), "a device")
        raise UnreadableError(f"{kind} of this name")
    if largest is not None and found.st_size > largest:
        raise UnreadableError(f"{found.st_size / 2**20:.0f} MiB, more than the {largest / 2**20:.0f} that are read")
    return found.st_size


def _of_system(path: Path, error: OSError) -> str:
    """Return what the operating system says, without its number."""
    if path.is_symlink():
        try:
            path.stat()
        except OSError:
            return "a link to a file that is not here (fetch it, e.g. with `datalad get`)"
    return (error.strerror or str(error)).lower()


def read_bytes(path: Path, *, largest: int = LARGEST_TEXT) -> bytes:
    """Return what a file holds.

    Raises
    ------
    UnreadableError
        If it cannot be read, is no regular file or is larger than `largest` [bytes].
    """
    check_regular(path, largest=largest)
    try:
        with path.open("rb") as handle:
            content = handle.read(largest + 1)
    except OSError as error:
        raise UnreadableError(_of_system(path, error)) from error
    if len(content) > largest:
        raise UnreadableError(f"more than {largest / 2**20:.0f} MiB")
    return content


def read_text(path: Path, *, largest: int = LARGEST_TEXT) -> str:
    """Return the text of a file in UTF-8, without a byte-order mark.

    Raises
    ------
    UnreadableError
        If it cannot be read, or is in another encoding.
    """
    content = read_bytes(path, largest=largest)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise UnreadableError("text in UTF-16: save it in UTF-8") from error
        line = content.count(b"\n", 0, error.start) + 1
        raise UnreadableError(f"text in another encoding (line {line}): save it in UTF-8") from error


def read_json(path: Path) -> Any:
    """Return the content of a JSON file.

    Raises
    ------
    UnreadableError
        If it cannot be read or is no JSON.
    """
    return parse_json(read_text(path))


def parse_json(text: str) -> Any:
    """Return the content of a text in JSON; whole numbers of hundreds of digits become the text that says so.

    Raises
    ------
    UnreadableError
        If it is no JSON.
    """
    return _parsed(text, lambda each: json.loads(each, parse_int=_whole), "JSON")


def _whole(digits: str) -> Any:
    return int(digits) if len(digits) <= LONGEST_NUMBER else f"a number of {len(digits)} digits"


def parse_toml(text: str) -> Any:
    """Return the content of a text in TOML.

    Raises
    ------
    UnreadableError
        If it is no TOML.
    """
    import tomllib

    return _parsed(text, tomllib.loads, "TOML")


def parse_yaml(text: str, *, keys_once: bool = False) -> Any:
    """Return the content of a text in YAML.

    Parameters
    ----------
    text
        Without aliases: a few lines of them stand for millions of values.
    keys_once
        Refuse a key that stands twice in one mapping, of which YAML keeps the last.

    Raises
    ------
    UnreadableError
        If it is no YAML, or has aliases.
    """

    def parse(each: str) -> Any:
        import yaml

        class Loader(yaml.SafeLoader):
            depth = 0

            def compose_node(self, parent: Any, index: Any) -> Any:
                if self.check_event(yaml.AliasEvent):
                    line = self.peek_event().start_mark.line + 1
                    raise UnreadableError(f"an alias (*) in line {line}: write the values out")
                self.depth += 1
                if self.depth > DEEPEST:
                    raise RecursionError
                node = super().compose_node(parent, index)
                self.depth -= 1
                if keys_once and isinstance(node, yaml.MappingNode):
                    keys = [key.value for key, _ in node.value if isinstance(key.value, str)]
                    twice = next((key for key in keys if keys.count(key) > 1), None)
                    if twice is not None:
                        raise KeyTwiceError(twice, keys.count(twice))
                return node

        return yaml.load(each, Loader=Loader)

    return _parsed(text, parse, "YAML")


class KeyTwiceError(UnreadableError):
    """A key stands more than once in a mapping.

    Parameters
    ----------
    key
        The key.
    number
        How often it stands there.
    """

    def __init__(self, key: str, number: int) -> None:
        super().__init__(f"{number} of the key {key}")
        self.key = key
        self.number = number


def _parsed(text: str, parse: Callable[[str], Content], name: str) -> Content:
    try:
        return parse(text)
    except UnreadableError:
        raise
    except RecursionError:
        found = f"{name} nested too deeply to be read"
    except Exception as error:  # each parser has errors of its own, and those of numbers and dates besides
        words = " ".join(str(error).split())
        found = "a number of thousands of digits" if "integer string conversion" in words else f"no {name}: {words}"
    raise UnreadableError(found if text.strip() else "an empty file")


def read_rows(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Return the columns and rows of a table of tab-separated values; cells that are missing are empty.

    Raises
    ------
    UnreadableError
        If it cannot be read, or a row has more cells than there are columns.
    """
    text = read_text(path)
    if "\0" in text:
        raise UnreadableError("binary content")
    lines = csv.reader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)
    try:
        table = [row for row in lines if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise UnreadableError(f"no table: {error}") from error
    if not table:
        return [], []
    columns = [_unquoted(cell) for cell in table[0]]
    for number, row in enumerate(table[1:], start=1):
        if len(row) > len(columns) and any(cell.strip() for cell in row[len(columns) :]):
            raise UnreadableError(f"{len(row)} cells in row {number} below {len(columns)} columns")
    rows = [
        {column: _unquoted(row[place]) if place < len(row) else "" for place, column in enumerate(columns)}
        for row in table[1:]
    ]
    return [column for column in columns if column], rows


def _unquoted(cell: str) -> str:
    """Return a cell without blanks and without the quotation marks that spreadsheets put around it."""
    return re.sub(r'^"(.*)"$', r"\1", cell.strip())
