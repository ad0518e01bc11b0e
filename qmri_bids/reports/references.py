r"""The publications that the methods text cites, from `references.bib` beside this file.

The file is BibTeX of a strict subset, so that little reads it and its entries can be handed on as they are:

- empty lines and lines that begin with `%` between entries;
- entries of type article, one field a line as in `FIELDS`; only volume and pages may be missing;
- authors family name first (`Birk, F.`), joined by ` and `, with `others` at the end for those left out;
- the title in two pairs of braces, which keep its capitals;
- letters as they are, in UTF-8; no other braces, no backslashes.

All else is refused.
"""

from __future__ import annotations

import re
import string
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files

from qmri_bids.reports.content import Reference

FILE = "references.bib"

_PLAIN = r"[^{}\\]+"
_OPENING = re.compile(r"@article\{(\w+),")
_CLOSING = "}"
_FIELD = re.compile(r"  (\w+) = \{(.*)\},")
_NAME = re.compile(r"[^{}\\,]+, [^{}\\,]+")

FIELDS: Mapping[str, tuple[str, str]] = {
    "author": (_PLAIN, "Birk, F. and Mahler, L. and others"),
    "title": (rf"\{{{_PLAIN}\}}", "{Mapping of the radiofrequency field}"),
    "journal": (_PLAIN, "Scientific Reports"),
    "year": (r"\d{4}", "2025"),
    "volume": (_PLAIN, "15"),
    "pages": (_PLAIN, "518-526"),
    "doi": (r"10\.\d{4,9}/[^\s{}\\]+", "10.1038/s41598-025-88579-z"),
}
"""What a field must look like, and an example of it."""

OPTIONAL = frozenset({"volume", "pages", "doi"})
"""Fields that may be missing."""


def parse_references(text: str) -> dict[str, Reference]:
    """Return the publications of a text in the subset of BibTeX above, by their keys.

    The short form is that of the methods text (`Birk et al., 2025`); where several would be the same, letters after the year keep
    them apart, in the order of the titles.

    Raises
    ------
    ValueError
        If the text is not of the subset: with the line, what was expected there and what was found.
    """
    entries: dict[str, tuple[dict[str, str], str]] = {}
    lines = enumerate(text.splitlines(), start=1)
    for number, line in lines:
        if not line or line.startswith("%"):
            continue
        opening = _OPENING.fullmatch(line)
        if opening is None:
            raise _refusal(number, "'@article{key,', a comment or an empty line", line)
        if opening[1] in entries:
            raise _refusal(number, "a key that no other entry has", opening[1])
        entries[opening[1]] = _entry(number, line, lines)

    same: dict[tuple[str, str], list[str]] = defaultdict(list)
    for key in sorted(entries, key=lambda key: entries[key][0]["title"]):
        fields = entries[key][0]
        same[_authors_in_text(fields["author"]), fields["year"]].append(key)
    letters = {
        key: letter
        for keys in same.values()
        if len(keys) > 1
        for key, letter in zip(keys, string.ascii_lowercase[: len(keys)], strict=True)
    }
    return {
        key: _reference(key, fields, letter=letters.get(key, ""), bibtex=bibtex)
        for key, (fields, bibtex) in entries.items()
    }


def full_citation(keys: Sequence[str]) -> str | None:
    """Return publications as one line for a sidecar, None of none."""
    return "; ".join(_with_address(REFERENCES[key]) for key in keys) or None


def _with_address(entry: Reference) -> str:
    return f"{entry.full} https://doi.org/{entry.doi}" if entry.doi else entry.full


def _entry(start: int, opening: str, lines: Iterator[tuple[int, str]]) -> tuple[dict[str, str], str]:
    """Return the fields of the entry that opens in the line `start`, and its text; `lines` are those after it."""
    fields: dict[str, str] = {}
    kept = [opening]
    for number, line in lines:
        kept.append(line)
        if line == _CLOSING:
            break
        field = _FIELD.fullmatch(line)
        if field is None or field[1] not in FIELDS or field[1] in fields:
            raise _refusal(number, f"'{_CLOSING}' or a field, each once, of {', '.join(FIELDS)}", line)
        name, value = field.groups()
        pattern, example = FIELDS[name]
        if not re.fullmatch(pattern, value) or (name == "author" and not all(map(_NAME.fullmatch, _names(value)[0]))):
            raise _refusal(number, f"'  {name} = {{{example}}},' or the like", line)
        fields[name] = value
    else:
        raise _refusal(start, f"an entry that ends with '{_CLOSING}' on a line of its own", "the end of the file")
    if missing := [name for name in FIELDS if name not in fields and name not in OPTIONAL]:
        raise _refusal(start, f"the fields {', '.join(missing)}", f"an entry that has {', '.join(fields) or 'none'}")
    return fields, "\n".join(kept)


def _reference(key: str, fields: Mapping[str, str], *, letter: str, bibtex: str) -> Reference:
    """Return an entry; `letter` follows the year where that alone does not tell publications apart."""
    names, others = _names(fields["author"])
    year = fields["year"] + letter
    place = ":".join(fields[name] for name in ("volume", "pages") if name in fields)
    journal = " ".join(filter(None, (fields["journal"], place)))
    return Reference(
        key=key,
        short=f"{_authors_in_text(fields['author'])}, {year}",
        full=f"{', '.join(names)}{' et al.' if others else ''} ({year}). {fields['title'][1:-1]}. {journal}.",
        doi=fields.get("doi", ""),
        bibtex=bibtex,
    )


def _names(author: str) -> tuple[list[str], bool]:
    """Return the names of the authors, and whether some were left out."""
    names = author.split(" and ")
    return (names[:-1], True) if names[-1] == "others" else (names, False)


def _authors_in_text(author: str) -> str:
    """Return the family names of the authors as the text cites them."""
    names, others = _names(author)
    first, *rest = [name.partition(", ")[0] for name in names]
    if others or len(rest) > 1:
        return f"{first} et al."
    return " and ".join([first, *rest])


def _refusal(number: int, expected: str, found: str) -> ValueError:
    return ValueError(f"{FILE}, line {number}: expected {expected}, found {found!r}")


REFERENCES: Mapping[str, Reference] = parse_references(
    files("qmri_bids.reports").joinpath(FILE).read_text(encoding="utf-8")
)
"""Publications by key."""
