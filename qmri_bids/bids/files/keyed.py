"""YAML files of numbers under keys that a user writes: each fault is refused with file, key, what was expected and found."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qmri_bids.bids.files.plain import KeyTwiceError, UnreadableError, parse_yaml, read_text
from qmri_bids.bids.metadata.values import describe
from qmri_bids.bids.refusal import RefusedError, refuse

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_FACTORS = re.compile(rf"\s*{_NUMBER}(?:\s*[*/]\s*{_NUMBER})*\s*")


class KeyedFile:
    """A reader of such files.

    Parameters
    ----------
    shown
        The file as messages name it.
    """

    advice = "Correct the file."
    """What messages advise."""

    def __init__(self, shown: str) -> None:
        self.shown = shown

    def bad(self, key: str, expected: str, found: str) -> RefusedError:
        """Return a refusal, to be raised."""
        return refuse(file=self.shown, key=key, expected=expected, found=found, advice=self.advice)

    def load(self, path: Path) -> Mapping[str, Any]:
        """Return the content.

        Raises
        ------
        RefusedError
            If it is no YAML of keys and values, or a key stands twice: YAML keeps the last, and a pool would vanish.
        """
        try:
            content = parse_yaml(read_text(path), keys_once=True)
        except KeyTwiceError as error:
            raise self.bad(error.key, "each key once", f"{error.number} of them") from error
        except UnreadableError as error:
            raise self.bad("file", "a YAML file", str(error)) from error
        if not isinstance(content, dict):
            raise self.bad("file", "a YAML file of keys and values", describe(content))
        return content

    def number(self, value: Any, key: str) -> float:
        """Return a number, which may be written as products and quotients of numbers such as 1.0/3.0.

        Raises
        ------
        RefusedError
            If it is none.
        """
        number = math.nan
        if isinstance(value, int | float) and not isinstance(value, bool):
            with contextlib.suppress(OverflowError):
                number = float(value)
        elif isinstance(value, str) and _FACTORS.fullmatch(value) and not _in_quotes(value):
            number = _product(value)
        if not math.isfinite(number):
            raise self.bad(key, "a number", "nothing" if value is None else describe(value))
        return number


def _in_quotes(text: str) -> bool:
    """Return whether a text would be a number to YAML, so that quotes must have made it a text.

    Examples
    --------
    >>> _in_quotes("3.5"), _in_quotes("1.0/3.0"), _in_quotes("6e-6")
    (True, False, False)
    """
    return isinstance(parse_yaml(text), int | float)


def _product(text: str) -> float:
    """Return numbers joined by * and /, from left to right; NaN for a quotient by zero.

    Examples
    --------
    >>> _product("3 * 1.0/4.0")
    0.75
    """
    number, divided = 1.0, False
    for word in re.findall(rf"{_NUMBER}|[*/]", text):
        if word in "*/":
            divided = word == "/"
        elif not divided:
            number *= float(word)
        elif float(word) == 0.0:
            return math.nan
        else:
            number /= float(word)
    return number
