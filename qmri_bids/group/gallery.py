"""The maps of all participants beside each other, as small pictures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from qmri_bids.group.collect import Group
from qmri_bids.group.sample import Sample
from qmri_bids.reports.drawing.thumbnail import thumbnails
from qmri_bids.reports.record import DONE

LARGEST = 2.7e6
"""Bytes that all pictures of a page may have together."""

MOST_READ = 60
"""Runs of records without pictures whose maps are read: a map takes tenths of a second."""


@dataclass(frozen=True, kw_only=True)
class Tile:
    """The map of one run: its place in the group, and the picture (WebP, base64)."""

    place: int
    image: str


@dataclass(frozen=True, kw_only=True)
class Wall:
    """One map of all runs of a scan that are shown.

    Parameters
    ----------
    kind, series, map
        What was done, the entities that name the scan, and the name of the map.
    tiles
        In the order of the runs.
    """

    kind: str
    series: str
    map: str
    tiles: tuple[Tile, ...]


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """All walls, and sentences on what is not shown."""

    walls: tuple[Wall, ...]
    sentences: tuple[str, ...] = ()


def gallery_of(group: Group, *, sample: Sample, first: Iterable[int], output_dir: Path | None) -> Gallery:
    """Return the small pictures of the maps, as many as a page can bear.

    Parameters
    ----------
    group
        What became of every participant.
    sample
        Whose runs are shown.
    first
        Places of the runs that come before others where not all can be shown.
    output_dir
        Root of the derivatives, for maps of records that hold no pictures; None leaves those out.
    """
    preferred = [place for place in first if place in sample.places]
    done = [place for place, run in enumerate(group.runs) if run.state == DONE and place in sample.places]
    others = [place for place in done if place not in set(preferred)]
    order = [*dict.fromkeys(preferred), *_spread(others)]
    found: dict[int, tuple[tuple[str, str], ...]] = {}
    size, read, unread, left = 0.0, 0, 0, 0
    broken: list[str] = []
    for place in order:
        run = group.runs[place]
        if run.record is None or run.state != DONE:
            continue
        pictures = run.record.thumbnails
        if not pictures and run.record.outputs:
            if output_dir is None or read >= MOST_READ:
                unread += 1
                continue
            read += 1
            try:
                pictures = tuple(thumbnails(output_dir / name for name in run.record.outputs))
            except Exception:  # whatever a map holds costs its pictures, not the page of all
                broken.append(run.name)
                continue
        wanted = sum(len(each.image) for each in pictures)
        if size + wanted > LARGEST:
            left += 1
            continue
        size += wanted
        found[place] = tuple((each.map, each.image) for each in pictures)
    sentences = []
    if unread:
        sentences.append(f"{unread} runs of records of earlier versions, which hold no pictures, are not shown.")
    if broken:
        sentences.append(f"The maps of {len(broken)} runs could not be read: {', '.join(broken[:10])}.")
    if left:
        sentences.append(f"{left} runs are not shown, which would have made the page larger than {LARGEST / 1e6:g} MB.")
    walls: dict[tuple[str, str, str], list[Tile]] = {}
    for place in sorted(found):
        run = group.runs[place]
        for name, image in found[place]:
            walls.setdefault((run.kind, run.series, name), []).append(Tile(place=place, image=image))
    return Gallery(
        walls=tuple(
            Wall(kind=kind, series=series, map=name, tiles=tuple(tiles))
            for (kind, series, name), tiles in walls.items()
        ),
        sentences=tuple(sentences),
    )


def _spread(places: list[int]) -> list[int]:
    """Return places in an order of which every beginning is spread over all of them."""
    golden = 0.6180339887
    return [place for _, place in sorted((number * golden % 1.0, place) for number, place in enumerate(places))]
