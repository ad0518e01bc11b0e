"""The sentences of the methods text as they stand in the source of the package: no step needs to run for them to be checked."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import qmri_bids
from qmri_bids.sentence import Sentence

PACKAGE = Path(qmri_bids.__file__).parent
EXAMPLE = "[7]"
"""In the place of every value: its brackets must not become a citation."""


@cache
def written_sentences() -> tuple[Sentence, ...]:
    """Return every sentence with `EXAMPLE` as its values; whatever is wrong with one is raised with its place."""
    return tuple(sentence for path in sorted(PACKAGE.rglob("*.py")) for sentence in _sentences(path))


def said(part: str, **values: object) -> Sentence:
    """Return the one sentence whose text holds `part`, with values of its placeholders."""
    (found,) = {sentence.text: sentence for sentence in written_sentences() if part in sentence.text}.values()
    return Sentence(paragraph=found.paragraph, text=found.text, values=values)


def _sentences(path: Path) -> Iterator[Sentence]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Sentence"):
            continue
        if [keyword.arg for keyword in node.keywords] == [None]:  # `Sentence(**entry)`: read from a file
            continue
        try:
            written = {keyword.arg: keyword.value for keyword in node.keywords}
            values = written.pop("values", ast.Dict(keys=[], values=[]))
            assert isinstance(values, ast.Dict)
            given = {ast.literal_eval(key): EXAMPLE for key in values.keys if key is not None}
            yield Sentence(**{name: ast.literal_eval(value) for name, value in written.items()}, values=given)
        except Exception as error:
            raise AssertionError(
                f"{path}:{node.lineno}: expected paragraph and text as literals, and a value for each placeholder: {error}"
            ) from error
