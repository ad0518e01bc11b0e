"""What a dry run reads of the images, so that it promises what the call keeps."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from qmri_bids.bids.refusal import Refusal, refusal_of, relative_name
from qmri_bids.pipeline.run import Run
from qmri_bids.pipeline.sources import Take
from qmri_bids.preprocessing.content.images import ContentError
from qmri_bids.scans.session_plan import SessionPlan

logger = logging.getLogger("qmri_bids")

Check = Callable[[], object]


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
        self._known: dict[str, Refusal | None] = {}

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
            for run in plan.runs:
                for name, check in _checks(run).items():
                    if name not in self._known:
                        logger.info("The images of %s are read", name)
                        self._known[name] = _refusal(check, name=name, root=self._root)
                    found = self._known[name]
                    if found is not None:
                        refusals.setdefault(run.label, found)
            left.append(plan.without(refusals) if refusals else plan)
        return tuple(left)


def _checks(run: Run) -> dict[str, Check]:
    """Return what is read for a run, by name: its own images, and the scans and files of maps that enter it."""
    from qmri_bids.scans.b1.scan import load_scan

    found: dict[str, Check] = {run.label: run.check_images}
    for scan in run.b1_scans:
        if scan.run is None:
            found[scan.map.name] = partial(load_scan, scan)
    for take in run.maps_taken:
        found |= _checks_of(take)
    return found


def _checks_of(take: Take) -> dict[str, Check]:
    from qmri_bids.preprocessing.loading.maps import load_maps
    from qmri_bids.scans.fieldmap.nodes import load_fieldmap

    found: dict[str, Check] = {}
    if take.fieldmap is not None:
        found[take.fieldmap.path.name] = partial(load_fieldmap, take.fieldmap)
    if take.files:
        name = " and ".join(dict.fromkeys(path.name for path in take.files.values()))
        found[name] = partial(load_maps, take.files, stdev_files=take.stdev_files)
    return found


def _refusal(check: Check, *, name: str, root: Path) -> Refusal | None:
    """Return why the images cannot be used, None if they can."""
    try:
        check()
    except ContentError as error:
        return Refusal(
            file=name,
            key="images",
            expected="what names and sidecars state",
            found=f"otherwise: {str(error).replace(f'{root}/', '').rstrip('.')}",
            advice="To process the rest, leave the run out with --bids-filter-file.",
        )
    except Exception as error:
        logger.debug("%s cannot be read", name, exc_info=error)
        return refusal_of(error, file=relative_name(Path(name), root))
    return None
