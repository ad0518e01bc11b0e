"""All keys that a scan lacks, named in one message with what to write."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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
    """Refuse a run that lacks several keys, or one in several files; what is said of one alone is up to who reads it.

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
        If two keys or more are missing, or one in several files.
    """
    lacking = {each.key: each.lacking(sidecars) for each in needed}
    missing = [each for each in needed if lacking[each.key]]
    if sum(len(lacking[each.key]) if each.everywhere else 1 for each in missing) < 2:
        return
    # Of what one file may state for all, the first one is named.
    files = dict.fromkeys(
        sidecar.expected_name
        for each in missing
        for sidecar in (lacking[each.key] if each.everywhere else lacking[each.key][:1])
    )
    first, *others = files
    content = {each.key: each.template for each in missing}
    whole: dict[str, Any] = {kind: content}
    if any(each.everywhere for each in missing):
        # What differs from image to image must not be stated of all of them.
        whole = {
            f"*{_without_participant(sidecar)}": {
                each.key: each.template for each in missing if sidecar in lacking[each.key]
            }
            for sidecar in sidecars
            if any(sidecar in lacking[each.key] for each in missing)
        }
    where = f" in {_listed(list(files))}"
    raise refuse(
        file=first,
        key=", ".join(content),
        expected=_listed([each.meaning for each in missing]),
        found=f"{'none of these' if len(missing) > 1 else 'nothing'}{where if others else ''}",
        advice=f"Write into the sidecar{'s' if others else ''}, with the values of your scan: {_shown(content)[1:-1]} "
        f"— or for the whole dataset into a file of {_shown(whole)}, given by {OPTION} FILE.{hint}",
    )


def _without_participant(sidecar: Sidecar) -> str:
    """Return the name of an image without the labels of participant and session."""
    stem = sidecar.file.rpartition("/")[2].partition(".")[0]
    return re.sub(r"^sub-[^_]+(_ses-[^_]+)?", "", stem)


def _shown(content: dict[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False)


def _listed(items: Sequence[str]) -> str:
    return ", ".join(items[:-1]) + f" and {items[-1]}" if len(items) > 1 else items[0]
