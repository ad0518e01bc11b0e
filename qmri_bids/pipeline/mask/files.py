"""Writing the mask of a run, unless a person has changed it in the meantime."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.bids.names import output_path
from qmri_bids.pipeline.earlier.mask_record import file_of_person, mask_output, mask_record
from qmri_bids.pipeline.results.run_results import RunResults

logger = logging.getLogger("qmri_bids")


def write_mask(
    add: Callable[..., None],
    written: list[Path],
    *,
    results: RunResults,
    mask: NDArray[np.bool_],
    entities: Mapping[str, str],
    output_dir: Path,
    extra: Mapping[str, Any] | None = None,
    **metadata: Any,
) -> None:
    """Write the mask that the maps were made with; one that a person has changed while the run went on stays.

    Parameters
    ----------
    add
        Function that writes an output and lists it.
    written
        List of what was written.
    results
        Results of the run.
    mask
        The mask, shape (X, Y, Z).
    entities
        Entities of the raw run.
    output_dir
        Root of the derivatives.
    extra, metadata
        Further fields of the sidecar.
    """
    output = mask_output(results.kind)
    path = output_path(output_dir, entities=entities, output=output)
    if file_of_person(path, besides=mask):
        logger.warning(
            "%s was changed by a person while this run went on: it stays, but the maps were made with the mask before; the next "
            "call uses it",
            path.name,
        )
        written.append(path)
        return
    record = mask_record(mask, by_hand=results.by_hand)
    add(output, mask, extra={**(extra or {}), **record}, **metadata)
