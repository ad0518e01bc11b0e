"""What is said about a run that cannot be used, and where each value of one that can be used came from."""

from __future__ import annotations

import os
import traceback
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class ValueSource:
    """A value of the protocol and where it came from, for the log, the report and the sidecars.

    Parameters
    ----------
    key
        Name of the value, e.g. `repetition_time`.
    value
        The value as text, in the unit given.
    unit
        Unit of `value`; empty where there is none.
    source
        File and key, `command line`, or `derived: …`.
    """

    key: str
    value: str
    unit: str
    source: str

    def __str__(self) -> str:
        return f"{self.key} = {self.value}{' ' + self.unit if self.unit else ''} [{self.source}]"


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A run that cannot be used, and what to do about it.

    Parameters
    ----------
    file
        File (relative to the dataset) that shows the fault.
    key
        Metadata key, column or property at fault.
    expected, found
        What the program needs and what is there.
    advice
        What the user can do.

    Examples
    --------
    >>> print(
    ...     Refusal(
    ...         file="sub-01_VFA.json",
    ...         key="FlipAngle",
    ...         expected="a number in degrees",
    ...         found="nothing",
    ...         advice="Add FlipAngle.",
    ...     )
    ... )
    sub-01_VFA.json: FlipAngle: expected a number in degrees, found nothing. Add FlipAngle.
    """

    file: str
    key: str
    expected: str
    found: str
    advice: str

    def __str__(self) -> str:
        end = "" if self.found.endswith("?") else "."
        return f"{self.file}: {self.key}: expected {self.expected}, found {self.found}{end} {self.advice}"


class RefusedError(Exception):
    """Carries a `Refusal` from the check that failed to the plan of the session."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal)
        self.refusal = refusal

    def __str__(self) -> str:
        return str(self.refusal)


def refuse(*, file: str, key: str, expected: str, found: str, advice: str) -> RefusedError:
    """Return the exception of a refusal, to be raised."""
    return RefusedError(Refusal(file=file, key=key, expected=expected, found=found, advice=advice))


def refusal_of(error: Exception, *, file: str) -> Refusal:
    """Return what is said of whatever ended a check, so that the runs beside it go on.

    Parameters
    ----------
    error
        What was raised: the refusal that it carries, an error of the operating system, or a fault of this program.
    file
        What was checked, as messages name it.
    """
    if isinstance(error, RefusedError):
        return error.refusal
    if isinstance(error, OSError) and error.errno is not None:
        return Refusal(
            file=file if error.filename is None else str(error.filename),
            key="file",
            expected="a file that can be read",
            found=(error.strerror or str(error)).lower(),
            advice="Restore the file or the folder, or give this user permission to read it.",
        )
    if isinstance(error, MemoryError):
        return Refusal(
            file=file,
            key="size",
            expected="files that fit into memory",
            found="more than there is",
            advice="Is the size in the header right? Give the job more memory otherwise.",
        )
    # The line in this package is what its authors need; the rest is of no use to a user.
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if "qmri_bids" in frame.filename]
    where = f" in {Path(own[-1].filename).name}, line {own[-1].lineno}" if own else ""
    words = " ".join(str(error).split())
    return Refusal(
        file=file,
        key="check",
        expected="files that can be checked",
        found=f"a fault of this program ({type(error).__name__}{where}: {words[:200]})",
        advice="Please report it with this line; without these files (--bids-filter-file) the rest is processed.",
    )


def relative_name(path: Path, root: Path) -> str:
    """Return a path as it is named in messages: relative to the dataset where it lies inside."""
    try:
        return Path(os.path.abspath(path)).relative_to(os.path.abspath(root)).as_posix()
    except ValueError:
        return str(path)
