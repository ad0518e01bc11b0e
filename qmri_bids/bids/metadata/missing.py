"""All keys that a scan lacks, named in one message with what to write."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from qmri_bids.bids.metadata.added import OPTION
from qmri_bids.bids.metadata.sidecar import Sidecar
from qmri_bids.bids.refusal import refuse


@dataclass(frozen=True, kw_only=True)
class Needed:
    """A key without which a scan cannot be used.

    Parameters
    ----------
    key
        As BIDS or this program calls it.
    meaning
        What its value is, with the unit.
    template
        What stands for the value in a sidecar to copy.
    others
        Keys that state it, too.
    everywhere
        Whether every file of the run states its own.
    """

    key: str
    meaning: str
    template: str
    others: tuple[str, ...] = ()
    everywhere: bool = False

    def lacking(self, sidecars: Sequence[Sidecar]) -> list[Sidecar]:
        """Return the files that should state it and do not; none where one states it for all."""
        without = [each for each in sidecars if not any(key in each.values for key in (self.key, *self.others))]
        return without if self.everywhere or len(without) == len(sidecars) else []


def refuse_missing(sidecars: Sequence[Sidecar], needed: Sequence[Needed], *, kind: str, hint: str = "") -> None:
    """Refuse a run that lacks several keys; what is said of one alone is up to who reads it.

    Parameters
    ----------
    sidecars
        Of the files of the run.
    needed
        What they must state.
    kind
        Name of the kind of scan in a file of metadata.
    hint
        A further sentence, with a space before it.

    Raises
    ------
    RefusedError
        If two keys or more are missing.
    """
    lacking = {each.key: each.lacking(sidecars) for each in needed}
    missing = [each for each in needed if lacking[each.key]]
    if len(missing) < 2:
        return
    files = dict.fromkeys(sidecar.expected_name for each in missing for sidecar in lacking[each.key])
    first, *others = files
    content = {each.key: each.template for each in missing}
    where = f" in {_listed(list(files))}"
    raise refuse(
        file=first,
        key=", ".join(content),
        expected=_listed([each.meaning for each in missing]),
        found=f"none of these{where if others else ''}",
        advice=f"Write into the sidecar{'s' if others else ''}, with the values of your scan: {json.dumps(content)[1:-1]} "
        f"— or for the whole dataset into a file of {json.dumps({kind: content})}, given by {OPTION} FILE.{hint}",
    )


def _listed(items: Sequence[str]) -> str:
    return ", ".join(items[:-1]) + f" and {items[-1]}" if len(items) > 1 else items[0]
