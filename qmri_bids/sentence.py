"""A sentence of the methods text: what a step says of itself where it is chosen. Imports nothing heavy."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

Paragraph = Literal["general", "preprocessing", "b1", "estimation", "cest", "mt", "outputs"]
"""What a sentence is about."""

PARAGRAPHS: tuple[Paragraph, ...] = get_args(Paragraph)
"""Order of the paragraphs; inside one, the sentences stand in the order of the steps."""


@dataclass(frozen=True, kw_only=True)
class Sentence:
    """What a step says of itself: one sentence or a few that belong together.

    Parameters
    ----------
    paragraph
        Where it stands.
    text
        With {placeholders}, and with [keys] of `references.bib` where it cites.
    values
        One of every placeholder; brackets in them are no citations.

    Raises
    ------
    ValueError
        If there is no such paragraph, or values and placeholders are not the same.

    Examples
    --------
    >>> said = Sentence(paragraph="cest", text="T1 came from {run} [avants2011].", values={"run": "sub-01_acq-pcbssfp"})
    >>> said.cited
    ('avants2011',)
    """

    paragraph: Paragraph
    text: str
    values: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.paragraph not in PARAGRAPHS:
            raise ValueError(
                f"{self.text!r}: expected a paragraph of {', '.join(PARAGRAPHS)}, found {self.paragraph!r}"
            )
        if self.placeholders != set(self.values):
            needed, found = (", ".join(sorted(names)) or "none" for names in (self.placeholders, self.values))
            raise ValueError(f"{self.text!r}: expected the values {needed}, found {found}")

    @property
    def placeholders(self) -> set[str]:
        """Names in braces."""
        return {name for _, name, _, _ in string.Formatter().parse(self.text) if name is not None}

    @property
    def cited(self) -> tuple[str, ...]:
        """Keys of the publications, in their order."""
        return tuple(re.findall(r"\[(.*?)\]", self.text))


def count_of(number: int, noun: str) -> str:
    """Return a number of things in words: separators at thousands, and no plural of one.

    Examples
    --------
    >>> count_of(1, "voxel"), count_of(11438, "voxel")
    ('1 voxel', '11,438 voxels')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
