"""Tables of a dataset: one reader and one refusal for all of them."""

from __future__ import annotations

from pathlib import Path

from qmri_bids.bids.files.plain import UnreadableError, read_rows
from qmri_bids.bids.refusal import refuse, relative_name


def read_table(path: Path, *, root: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Return the columns and rows of a table of tab-separated values; cells that are missing are empty.

    Parameters
    ----------
    path
        The table, in UTF-8 with or without a byte-order mark.
    root
        The dataset, for names in messages.

    Raises
    ------
    RefusedError
        If it cannot be read.
    """
    try:
        return read_rows(path)
    except UnreadableError as error:
        raise refuse(
            file=relative_name(path, root),
            key="file",
            expected="a table of tab-separated values in UTF-8",
            found=str(error),
            advice="Repair or restore the file.",
        ) from error
