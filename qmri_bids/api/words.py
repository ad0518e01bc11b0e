"""Advice of estimators in words of Python: they speak to users of the command line, whose options are arguments here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from qmri_bids.estimation.base import ProtocolNotSupported

_RULES = (
    # Networks are trained on the command line alone: here another estimator is the way out.
    (r"Add --train-missing to train one for this protocol, or use", "Use"),
    (r"Train one with --train-missing, or do without \((.*), no --cest-posterior\)\.", r"Use \1."),
    (r"Train one with --train-missing, or use", "Use"),
    (r" --train-missing trains one\.", ""),
    (r"(--(?:bssfp|cest)-estimator) (\w+) or (\w+)", r"\1 \2 or \1 \3"),
    (r"--(?:bssfp|cest)-estimator (\w+)", r"estimator='\1'"),
    (r"\bsidecar\b", "protocol"),
)
"""Patterns, and what stands in their place, one after the other."""


def in_python(text: str) -> str:
    """Return a sentence with arguments in the place of options of the command line."""
    for pattern, words in _RULES:
        text = re.sub(pattern, words, text)
    return text


def all_in_python(sentences: Iterable[str]) -> tuple[str, ...]:
    """Return sentences as `in_python`."""
    return tuple(in_python(sentence) for sentence in sentences)


@contextmanager
def advice_in_python() -> Iterator[None]:
    """Put the advice of what is refused inside into words of Python.

    Raises
    ------
    ProtocolNotSupported, ValueError
        As what was refused.
    """
    try:
        yield
    except ProtocolNotSupported as error:
        raise ProtocolNotSupported(
            expected=error.expected, found=error.found, advice=in_python(error.advice)
        ) from error
    except ValueError as error:
        said = in_python(str(error))
        if said == str(error):
            raise
        raise ValueError(said) from error
