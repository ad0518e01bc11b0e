"""The methods text of a report: sentences of the steps that ran, with the publications that they cite."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence

from qmri_bids.reports.content import Reference
from qmri_bids.reports.exchange_sentences import EXCHANGE_SENTENCES
from qmri_bids.reports.references import REFERENCES
from qmri_bids.reports.relaxometry_sentences import RELAXOMETRY_SENTENCES
from qmri_bids.reports.saturation_sentences import SATURATION_SENTENCES
from qmri_bids.reports.sentence import Sentence
from qmri_bids.reports.space_sentences import SPACE_SENTENCES

Step = str | tuple[str, Mapping[str, object]]
"""Key of a step, alone or with the values of its placeholders."""


PARAGRAPHS = ("general", "preprocessing", "b1", "estimation", "cest", "mt", "outputs")
"""Order of the paragraphs; inside one, the sentences stand in the order of the steps."""

STEPS: dict[str, Sentence] = RELAXOMETRY_SENTENCES | SATURATION_SENTENCES | EXCHANGE_SENTENCES | SPACE_SENTENCES
"""What every step says, by its key."""


def methods_text(steps: Sequence[Step]) -> tuple[str, tuple[Reference, ...]]:
    """Return the methods text of the steps that ran, and the publications that it cites.

    Parameters
    ----------
    steps
        Keys of `STEPS` in the order of the processing, with the values of placeholders where a step has some.
        A step that is named twice with the same values is said once.

    Returns
    -------
    text
        Paragraphs apart by an empty line.
    references
        In alphabetical order of their short form, each once.

    Raises
    ------
    ValueError
        If a step is not known, a placeholder has no value or a publication is not in `references.bib`.

    Examples
    --------
    >>> text, references = methods_text(["signal_model", "miracle"])
    >>> [reference.key for reference in references]
    ['nguyen2017', 'zur1990']
    """
    paragraphs: dict[str, list[str]] = {name: [] for name in PARAGRAPHS}
    cited: dict[str, Reference] = {}
    for step in steps:
        key, values = (step, {}) if isinstance(step, str) else step
        if key not in STEPS:
            raise ValueError(f"the step {key!r} has no sentence; known are {', '.join(STEPS)}")
        sentence = STEPS[key]
        text, references = _filled(key, sentence.text, values)
        cited |= {reference.key: reference for reference in references}
        if text not in paragraphs[sentence.paragraph]:
            paragraphs[sentence.paragraph].append(text)
    ordered = sorted(cited.values(), key=lambda reference: reference.short.casefold())
    return "\n\n".join(" ".join(sentences) for sentences in paragraphs.values() if sentences), tuple(ordered)


def _filled(key: str, template: str, values: Mapping[str, object]) -> tuple[str, list[Reference]]:
    """Return the text of a step with its values and citations, and what it cites."""
    needed = {name for _, name, _, _ in string.Formatter().parse(template) if name}
    if missing := sorted(needed - set(values)):
        raise ValueError(f"the step {key!r} needs the values {', '.join(missing)}, found {sorted(values) or 'none'}")
    references = []
    # Citations before values: a value with brackets is not a citation.
    pieces = template.split("[")
    text = pieces[0]
    for piece in pieces[1:]:
        name, _, rest = piece.partition("]")
        if name not in REFERENCES:
            raise ValueError(f"the step {key!r} cites [{name}]: expected a key of references.bib")
        references.append(REFERENCES[name])
        text += f"({REFERENCES[name].short}){rest}"
    return text.format(**{name: str(value) for name, value in values.items()}), references


def citation_markdown(text: str, references: Sequence[Reference]) -> str:
    """Return the methods text and its list of references as Markdown, for `logs/CITATION.md`."""
    lines = ["# Methods", "", text, "", "# References", ""]
    lines += [f"- {entry.full}" + (f" https://doi.org/{entry.doi}" if entry.doi else "") for entry in references]
    return "\n".join(lines) + "\n"


def citation_bibtex(references: Sequence[Reference]) -> str:
    """Return the references as BibTeX, for `logs/CITATION.bib`."""
    return "\n\n".join(entry.bibtex for entry in references if entry.bibtex) + "\n"
