"""One sentence of the methods text."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Sentence:
    """What one step says: a text with {placeholders} and [keys of references], in one of the paragraphs."""

    paragraph: str
    text: str
