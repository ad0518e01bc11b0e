"""The viewers of a page: which volumes have all voxels, so that the page stays small enough to be sent and opened."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import asdict

from qmri_bids.reports.viewer.content import Viewer, ViewerPage, size_in_page

FIRST_RUN, FURTHER_RUN, LARGEST_PAGE = 2_950_000, 4_200_000, 11_500_000
"""Bytes that a page may have with one run, those that each further run adds, and the most it may have."""

TEXT_OF_RUN = 40_000
"""Bytes kept for the words of a viewer."""


def pages_of(viewers: Sequence[Viewer | None], *, others: int) -> tuple[ViewerPage | None, ...]:
    """Return the viewers of a page: all voxels where it holds them, else every second one of what matters least.

    Halved are, in this order, the first image and maps of the fit, standard deviations, the mean image, and maps from the last to
    the first, until the page is small enough.

    Parameters
    ----------
    viewers
        Viewer of each run, None where a run has none.
    others
        Bytes of the page without viewers.
    """
    runs = max(len(viewers), 1)
    allowed = min(FIRST_RUN + FURTHER_RUN * (runs - 1), LARGEST_PAGE)
    room = allowed - TEXT_OF_RUN * runs - others
    present = [(run, viewer) for run, viewer in enumerate(viewers) if viewer is not None]
    taken = sum(
        sum(size_in_page(volume.full.data) for volume in viewer.volumes) + sum(map(size_in_page, viewer.labels))
        for _, viewer in present
    )
    halved: set[tuple[int, int]] = set()
    in_order = sorted(
        (
            (volume.rank, volume.saved, run, number)
            for run, viewer in present
            for number, volume in enumerate(viewer.volumes)
        ),
        reverse=True,
    )
    for _, saved, run, number in in_order:
        if taken <= room:
            break
        taken -= saved
        halved.add((run, number))
    for _, saved, run, number in reversed(in_order):
        # The last one may have made more room than was needed.
        if (run, number) in halved and taken + saved <= room:
            taken += saved
            halved.remove((run, number))
    return tuple(
        None if viewer is None else _page(viewer, {number for other, number in halved if other == run})
        for run, viewer in enumerate(viewers)
    )


def _page(viewer: Viewer, halved: set[int]) -> ViewerPage:
    """Return a viewer as it stands in a page, some of its volumes halved."""
    said, blobs = [], [*viewer.labels]
    for number, volume in enumerate(viewer.volumes):
        packed = volume.half if number in halved else volume.full
        told = {key: value for key, value in asdict(packed).items() if key != "data" and value is not None}
        said.append(told | {"stride": 2 if number in halved else 1, "blob": len(blobs)})
        blobs.append(packed.data)
    return ViewerPage(
        meta={**viewer.meta, "volumes": said},
        blobs=tuple(base64.b64encode(blob).decode("ascii") for blob in blobs),
    )
