"""Text files of other people are read or refused in words: never a hang, never a word of a parser's inside."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from qmri_bids.bids.files.plain import (
    UnreadableError,
    parse_json,
    parse_toml,
    parse_yaml,
    read_bytes,
    read_rows,
    read_text,
)

LAUGHS = "a: &a [1, 1]\n" + "".join(
    f"{name}: &{name} [*{before}, *{before}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("parse", "text", "words"),
    [
        (parse_json, "[" * 100_000, "JSON nested too deeply to be read"),
        (parse_json, '{"a": ' + "1" * 10_000 + "}", None),
        (parse_json, "{", "no JSON: "),
        (parse_json, " ", "an empty file"),
        (parse_toml, "a = " + "[" * 100_000, "TOML nested too deeply to be read"),
        (parse_toml, "a = " + "1" * 10_000, "a number of thousands of digits"),
        (parse_toml, "a = ", "no TOML: "),
        (parse_yaml, "[" * 100_000, "YAML nested too deeply to be read"),
        (parse_yaml, "a: " + "{a: " * 200 + "1" + "}" * 200, "YAML nested too deeply to be read"),
        (parse_yaml, LAUGHS, r"an alias \(\*\) in line 2: write the values out"),
        (parse_yaml, "a: !!python/object/apply:os.system [x]", "no YAML: "),
        (parse_yaml, "a: 2001-99-99", "no YAML: "),
        (parse_yaml, "? [a, b]\n: 1\n? {a: b}\n: 1", "no YAML: "),
    ],
)
def test_texts_that_no_reader_takes(parse, text: str, words: str | None) -> None:
    if words is None:
        assert parse(text) == {"a": "a number of 10000 digits"}
        return
    with pytest.raises(UnreadableError, match=words):
        parse(text)


def test_files_that_are_none(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("gone")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "large").write_bytes(bytes(2000))
    for name, words in (
        ("pipe", "a pipe of this name"),
        ("folder", "a folder of this name"),
        ("link", "a link to a file that is not here"),
        ("zero", "a device of this name"),
        ("gone", "no such file or directory"),
        ("large", "more than the 0 that are read"),
    ):
        with pytest.raises(UnreadableError, match=words):
            read_bytes(tmp_path / name, largest=1000)


def test_encodings(tmp_path: Path) -> None:
    path = tmp_path / "text"
    for encoding in ("utf-8", "utf-8-sig"):
        path.write_text("µ", encoding=encoding)
        assert read_text(path) == "µ"
    for encoding, words in (("utf-16", "UTF-16"), ("latin-1", r"another encoding \(line 1\)")):
        path.write_text("µ", encoding=encoding)
        with pytest.raises(UnreadableError, match=words):
            read_text(path)


@pytest.mark.parametrize(
    ("text", "columns", "rows"),
    [
        ("a\tb\n1\t2\n", ["a", "b"], [{"a": "1", "b": "2"}]),
        ('\ufeff"a"\tb\r\n"1"\t\r\n\r\n', ["a", "b"], [{"a": "1", "b": ""}]),
        ("a\tb\n1\n", ["a", "b"], [{"a": "1", "b": ""}]),
        ('a\tb\n"1\t2\n3\t4"\n', ["a", "b"], [{"a": '"1', "b": "2"}, {"a": "3", "b": '4"'}]),
        ("", [], []),
    ],
)
def test_tables(tmp_path: Path, text: str, columns: list[str], rows: list[dict[str, str]]) -> None:
    path = tmp_path / "table.tsv"
    path.write_bytes(text.encode())
    assert read_rows(path) == (columns, rows)


def test_a_row_with_more_cells_than_columns_is_said(tmp_path: Path) -> None:
    path = tmp_path / "table.tsv"
    path.write_text("a\tb\n1\t2\t3\n")
    with pytest.raises(UnreadableError, match="3 cells in row 1 below 2 columns"):
        read_rows(path)
