"""What a dry run reads of the images, so that it promises what the call keeps."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from qmri_bids.bids.refusal import Refusal, refusal_of, relative_name
from qmri_bids.pipeline.run import Run
from qmri_bids.pipeline.sources import B1Run, Take
from qmri_bids.preprocessing.content.images import ContentError
from qmri_bids.scans.session_plan import SessionPlan

logger = logging.getLogger("qmri_bids")

Check = Callable[[], tuple[str, ...]]


class ImageChecks:
    """Reads the images of runs as their workflows do, and refuses the runs of which they hold something else than is stated.

    A call finds the same when it loads a run, before anything else is done with it; here all runs are looked at first.

    Parameters
    ----------
    root
        Of the dataset, for the messages.
    """

    def __init__(self, *, root: Path) -> None:
        self._root = root
        self._known: dict[str, Refusal | tuple[str, ...]] = {}

    def refuse(self, plans: Sequence[SessionPlan]) -> tuple[SessionPlan, ...]:
        """Return the plans without the runs whose images cannot be used; what was read before is not read again.

        Parameters
        ----------
        plans
            What was found in each session: before runs are linked, so that none takes maps of one that is refused, and after it,
            when it is known what else they take.
        """
        left = []
        for plan in plans:
            refusals: dict[str, Refusal] = {}
            said: dict[str, tuple[str, ...]] = {}
            for run in plan.runs:
                for name, check in _checks(run).items():
                    if name not in self._known:
                        logger.info("The images of %s are read", name)
                        self._known[name] = _found(check, name=name, root=self._root)
                    found = self._known[name]
                    if isinstance(found, Refusal):
                        refusals.setdefault(run.label, found)
                    else:
                        said[run.label] = (*said.get(run.label, ()), *found)
            kept = plan.without(refusals) if refusals else plan
            left.append(kept.with_warnings(said))
        return tuple(left)


def _checks(run: Run) -> dict[str, Check]:
    """Return what is read for a run, by name: its own images, and the scans and files of maps that enter it."""
    found: dict[str, Check] = {run.label: run.check_images}
    for scan in run.b1_scans:
        if scan.run is None:
            found[scan.map.name] = partial(_warnings_of_b1, scan)
    for take in run.maps_taken:
        found |= _checks_of(take)
    return found


def _checks_of(take: Take) -> dict[str, Check]:
    from qmri_bids.preprocessing.loading.maps import load_maps
    from qmri_bids.scans.fieldmap.nodes import load_fieldmap

    found: dict[str, Check] = {}
    if take.fieldmap is not None:
        found[take.fieldmap.path.name] = partial(_silently, partial(load_fieldmap, take.fieldmap))
    if take.files:
        name = " and ".join(dict.fromkeys(path.name for path in take.files.values()))
        found[name] = partial(_silently, partial(load_maps, take.files, stdev_files=take.stdev_files))
    return found


def _warnings_of_b1(scan: B1Run) -> tuple[str, ...]:
    from qmri_bids.scans.b1.scan import load_scan

    return load_scan(scan).warnings


def _silently(read: Callable[[], object]) -> tuple[str, ...]:
    read()
    return ()


def _found(check: Check, *, name: str, root: Path) -> Refusal | tuple[str, ...]:
    """Return why the images cannot be used, or the warnings of those that can."""
    try:
        return check()
    except ContentError as error:
        return Refusal(
            file=name,
            key="images",
            expected="what their names and sidecars state",
            found=f"this: {str(error).replace(f'{root}/', '').rstrip('.')}",
            advice="Nothing is computed of this run; the others are not touched by it.",
        )
    except Exception as error:
        logger.debug("%s cannot be read", name, exc_info=error)
        return refusal_of(error, file=relative_name(Path(name), root))
