"""The methods text of a report: sentences of the steps that ran, with the publications that they cite."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from qmri_bids.reports.content import Reference, RunReport
from qmri_bids.reports.references import FILE, REFERENCES
from qmri_bids.sentence import PARAGRAPHS, Sentence


def methods_text(sentences: Iterable[Sentence]) -> tuple[str, tuple[Reference, ...]]:
    """Return the methods text of the steps that ran, and the publications that it cites.

    Parameters
    ----------
    sentences
        Sentences in the order of the processing. One that comes twice with the same values is said once.

    Returns
    -------
    text
        Paragraphs apart by an empty line.
    references
        Publications that the text cites, in alphabetical order of their short form, each once.

    Raises
    ------
    ValueError
        If a publication is not in `references.bib`.

    Examples
    --------
    >>> fit = Sentence(paragraph="estimation", text="{maps} were fitted [golub1973].", values={"maps": "T1 and T2"})
    >>> text, references = methods_text([fit])
    >>> text
    'T1 and T2 were fitted (Golub and Pereyra, 1973).'
    >>> [reference.key for reference in references]
    ['golub1973']
    """
    paragraphs: dict[str, list[str]] = {name: [] for name in PARAGRAPHS}
    cited: dict[str, Reference] = {}
    for sentence in sentences:
        references = _references(sentence)
        cited |= references
        text = sentence.text
        # Citations before values: a value with brackets is not a citation.
        for key, reference in references.items():
            text = text.replace(f"[{key}]", f"({reference.short})")
        text = text.format(**sentence.values)
        if text not in paragraphs[sentence.paragraph]:
            paragraphs[sentence.paragraph].append(text)
    ordered = sorted(cited.values(), key=lambda reference: reference.short.casefold())
    return "\n\n".join(" ".join(sentences) for sentences in paragraphs.values() if sentences), tuple(ordered)


DEPARTURES = ("discarded", "LEFT OUT", "left out", "was not computed")
"""What a decision says where the data decided against what was planned."""


def departures(run: RunReport) -> tuple[str, ...]:
    """Return the decisions of a run by which it was processed otherwise than the methods text says.

    The text is written of what was planned, which the data may decide against: an alignment that made things worse is discarded.

    Parameters
    ----------
    run
        Its report.
    """
    return tuple(
        sentence
        for sentence in dict.fromkeys((*run.decisions, *run.warnings))
        if any(words in sentence for words in DEPARTURES)
    )


def _references(sentence: Sentence) -> dict[str, Reference]:
    """Return what a sentence cites, by key."""
    for key in sentence.cited:
        if key not in REFERENCES:
            raise ValueError(f"{sentence.text!r} cites [{key}]: expected a key of {FILE}")
    return {key: REFERENCES[key] for key in sentence.cited}


def citation_markdown(text: str, references: Sequence[Reference]) -> str:
    """Return the methods text and its list of references as Markdown, for `logs/CITATION.md`."""
    lines = ["# Methods", "", text, "", "# References", ""]
    lines += [f"- {entry.full}" + (f" https://doi.org/{entry.doi}" if entry.doi else "") for entry in references]
    return "\n".join(lines) + "\n"


def citation_bibtex(references: Sequence[Reference]) -> str:
    """Return the references as BibTeX, for `logs/CITATION.bib`."""
    return "\n\n".join(entry.bibtex for entry in references if entry.bibtex) + "\n"
