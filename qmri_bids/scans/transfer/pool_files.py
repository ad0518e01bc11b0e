"""The semisolid pool of maps in files: of a program that measures it, or of an earlier call of this one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from qmri_bids.bids.images import ImageInfo, check_same_grid, median_of_nonzero
from qmri_bids.bids.metadata.file_name import parse_name
from qmri_bids.bids.metadata.sidecar import Sidecar, read_sidecar
from qmri_bids.bids.refusal import RefusedError, refuse, relative_name
from qmri_bids.estimation.one_model.given_pools import FRACTION_STDEV, RATE, RATE_STDEV, Measure
from qmri_bids.physics.published_pools import MT
from qmri_bids.pipeline.sources import Take
from qmri_bids.scans.pools.map_files import (
    choose,
    description,
    files_of,
    first_on_grid,
    images,
    of_one_scan,
    placed,
    read_map_header,
    stdevs,
)
from qmri_bids.scans.transfer.run import POOLS, StoredPool
from qmri_bids.units import percent_to_fraction

FRACTION, RATE_MAP, CORRELATION = f"{MT}_fraction", f"{MT}_rate", f"{MT}_correlation"

OF_PAIR = "Neighbourhood"
"""Key of the sidecar of a fraction that two pc-bSSFP runs gave."""

LEAST, MOST = 0.01, 0.4
"""Limits of the median of a fraction in a head. In percent it lies between 1 and 40: the two cannot be mistaken for each other."""

SLOWEST, FASTEST = 1.0, 500.0
"""Limits of the median of the exchange rate from the semisolid pool to water [1/s]."""

PERCENT = ("%", "percent", "per cent")
FRACTIONS = ("1", "arbitrary", "fraction", "ratio", "dimensionless", "unitless", "none", "")
RATES = ("1/s", "s^-1", "s-1", "hz")


@dataclass(frozen=True, kw_only=True)
class FractionFile:
    """A way in which programs write the fraction of the semisolid pool.

    Parameters
    ----------
    suffix, desc
        Of the file; `desc` None for any.
    measure
        What it holds.
    title
        The same in words.
    """

    suffix: str
    desc: str | None
    measure: Measure
    title: str


FRACTION_FILES = (
    FractionFile(suffix="fractionmap", desc=MT, measure="ratio", title="F = M0m/M0f"),
    FractionFile(
        suffix="MPFmap", desc=None, measure="share", title="macromolecular proton fraction, F = MPF/(1 - MPF)"
    ),
    FractionFile(suffix="PSRmap", desc=None, measure="ratio", title="pool size ratio, F = M0m/M0f"),
)
"""Files of the fraction, the first first."""


@dataclass(frozen=True, kw_only=True)
class PoolFiles:
    """The semisolid pool as files hold it.

    Parameters
    ----------
    take
        The files; its sentence is a part of one.
    stored
        What their values mean.
    warnings
        What a reader must know, as sentences.
    """

    take: Take
    stored: StoredPool
    warnings: tuple[str, ...] = ()


def fraction_file(
    place: Path, *, subject: str, session: str | None, like: Sequence[Path]
) -> tuple[Path, FractionFile] | None:
    """Return the file of the fraction that is meant in a dataset, None if it holds none.

    Raises
    ------
    RefusedError
        If several could be meant.
    """
    for kind in FRACTION_FILES:
        found = files_of(place, subject=subject, session=session, folder="anat", suffix=kind.suffix)
        own = [path for path in found if _is_of(path, subject=subject, session=session) and not _of_pair(path, place)]
        chosen = choose([path for path in own if kind.desc in (None, description(path))], like=like, place=place)
        if chosen is not None:
            return chosen, kind
    return None


def _is_of(path: Path, *, subject: str, session: str | None) -> bool:
    """Whether a file is named after the subject and session in whose folder it lies."""
    entities = parse_name(path).entities
    return entities.get("sub") == subject and entities.get("ses") == session


def _of_pair(path: Path, place: Path) -> bool:
    """Whether two pc-bSSFP runs gave a map of this program: they are there to free each other again, with what they share."""
    return OF_PAIR in read_sidecar(path, root=place).values


def find_pool_files(
    places: Mapping[str, Path], *, subject: str, session: str | None, like: Sequence[Path]
) -> PoolFiles | None:
    """Return the semisolid pool of the first place that holds a map of its fraction, None if none does.

    Parameters
    ----------
    places
        Roots of datasets, by what sentences call them.
    subject, session
        Bare labels; session None for files outside of sessions.
    like
        Images of the scan that the pool is for: of several maps the one that is named after it is taken.

    Raises
    ------
    RefusedError
        If several maps could be meant, or one is unreadable, has values that no such map holds, or lies on another grid than the
        fraction.
    """
    for shown, place in places.items():
        found = fraction_file(place, subject=subject, session=session, like=like)
        if found is not None:
            return _read(*found, place=place, shown=shown, subject=subject, session=session)
    return None


def _read(path: Path, kind: FractionFile, *, place: Path, shown: str, subject: str, session: str | None) -> PoolFiles:
    info = read_map_header(path, place=place)
    sidecar = read_sidecar(path, root=place)
    unit = _unit(info, sidecar)
    files, spreads = {FRACTION: path}, {}
    said = []
    stdev = _stdev(path, info, place)
    stdev_unit = unit
    if stdev is None:
        said.append(f"no map tells its standard deviation, for which {100.0 * FRACTION_STDEV:.0f} % of it are taken")
    else:
        spreads[FRACTION] = stdev
        _check_stdev(stdev, place)
        stated = read_sidecar(stdev, root=place)
        stdev_unit = unit if _stated(stated) is None else _stated_unit(stated)
    rate = _one_of_scan("exchangemap", path, info, place=place, subject=subject, session=session)
    if rate is None:
        said.append(
            f"its exchange rate is that of the literature, {RATE:g} 1/s with a standard deviation of {RATE_STDEV:g} 1/s, on which "
            "T1 hardly depends"
        )
    else:
        _check_rate(rate, place)
        files[RATE_MAP] = rate
        spread = _stdev(rate, info, place)
        if spread is None:
            said.append(f"{rate.name} has no standard deviation, for which {100.0 * RATE_STDEV / RATE:.0f} % are taken")
        else:
            spreads[RATE_MAP] = spread
        correlation = _one_of_scan("correlationmap", path, info, place=place, subject=subject, session=session)
        if correlation is not None:
            files[CORRELATION] = correlation
    image, doubts = first_on_grid(images(path), info, place)
    words = "".join(f"; {each}" for each in said)
    by = " and ".join(each.name for each in (path, *([] if rate is None else [rate])))
    percent = ", in percent" if unit != 1.0 else ""
    return PoolFiles(
        take=Take(
            names=(),
            key=POOLS,
            method="maps",
            files=files,
            stdev_files=spreads,
            image=image,
            sentence=f"{by} of {shown} ({kind.title}{percent}), {placed(image)}{words}",
        ),
        stored=StoredPool(measure=kind.measure, title=kind.title, unit=unit, stdev_unit=stdev_unit, names=tuple(files)),
        warnings=doubts,
    )


def _stdev(path: Path, info: ImageInfo, place: Path) -> Path | None:
    """Return the file of the standard deviation of a map, None if there is none."""
    found = next(iter(stdevs(path)), None)
    if found is not None:
        _check_grid(info, found, place)
    return found


def _check_stdev(path: Path, place: Path) -> None:
    """Refuse a standard deviation that is none: without one voxel above zero nothing could be freed."""
    median = median_of_nonzero(read_map_header(path, place=place), volume=None)
    if not (math.isfinite(median) and median > 0.0):
        raise refuse(
            file=relative_name(path, place),
            key="values",
            expected="the standard deviation of the fraction, above zero",
            found=f"a median of {median:.4g}" if math.isfinite(median) else "no value above zero",
            advice="Write the map again, or leave it out: 20 % of the fraction are taken then.",
        )


def _check_grid(info: ImageInfo, path: Path, place: Path) -> None:
    own = read_map_header(path, place=place)
    try:
        check_same_grid(replace(info, shape=info.shape[:3]), replace(own, shape=own.shape[:3]))
    except RefusedError as error:
        advice = f"It must lie on the grid of {Path(info.name).name}: write it again, or leave it out."
        raise RefusedError(replace(error.refusal, advice=advice)) from error


def _one_of_scan(
    suffix: str, fraction: Path, info: ImageInfo, *, place: Path, subject: str, session: str | None
) -> Path | None:
    """Return another map of the semisolid pool of the scan that gave its fraction."""
    found = files_of(place, subject=subject, session=session, folder="anat", suffix=suffix)
    path = choose(
        [each for each in found if description(each) == MT and of_one_scan(each, fraction)], like=(), place=place
    )
    if path is not None:
        _check_grid(info, path, place)
    return path


def _stated(sidecar: Sidecar) -> str | None:
    stated = sidecar.values.get("Units")
    return None if stated is None else str(stated).strip().lower()


def _stated_unit(sidecar: Sidecar) -> float:
    """Return the fraction for a stored value of one that the sidecar states.

    Raises
    ------
    RefusedError
        If that is the unit of something else.
    """
    stated = _stated(sidecar)
    if stated not in (*PERCENT, *FRACTIONS):
        raise refuse(
            file=sidecar.origin("Units"),
            key="Units",
            expected="% or 1",
            found=repr(sidecar.values.get("Units")),
            advice="State the unit of the fraction, or leave the map out.",
        )
    return percent_to_fraction(1.0) if stated in PERCENT else 1.0


def _unit(info: ImageInfo, sidecar: Sidecar) -> float:
    """Return the fraction for a stored value of one.

    Raises
    ------
    RefusedError
        If it cannot be told, or the values contradict what is stated.
    """
    median = median_of_nonzero(info, volume=None)
    stated = _stated(sidecar)
    unit = 1.0 if stated is None else _stated_unit(sidecar)
    if LEAST <= unit * median <= MOST:
        return unit
    found = f"a median of {median:.4g}" if math.isfinite(median) else "no value above zero"
    percent = percent_to_fraction(1.0)
    looks = unit == 1.0 and LEAST <= percent * median <= MOST
    if looks:
        raise refuse(
            file=info.name if stated is None else sidecar.origin("Units"),
            key="Units",
            expected='"%", or values that are fractions',
            found=f"{'nothing' if stated is None else repr(sidecar.values['Units'])}, and {found}, which looks like percent",
            advice=f'Write "Units": "%" into {sidecar.expected_name}, or the map as fractions.',
        )
    limits = f"{LEAST / unit:g} to {MOST / unit:g}{' %' if unit != 1.0 else ''}"
    raise refuse(
        file=info.name,
        key="values",
        expected=f"the fraction of the semisolid pool, a median of {limits}",
        found=found,
        advice="Is this such a map, and its unit right? Write it again, or leave it out.",
    )


def _check_rate(path: Path, place: Path) -> None:
    info, sidecar = read_map_header(path, place=place), read_sidecar(path, root=place)
    stated = _stated(sidecar)
    if stated not in (None, *RATES):
        raise refuse(
            file=sidecar.origin("Units"),
            key="Units",
            expected="1/s",
            found=repr(sidecar.values["Units"]),
            advice="Write the exchange rate in 1/s, or leave the map out.",
        )
    median = median_of_nonzero(info, volume=None)
    if not SLOWEST <= median <= FASTEST:
        raise refuse(
            file=info.name,
            key="values",
            expected=f"the exchange rate from the semisolid pool to water, a median of {SLOWEST:g} to {FASTEST:g} 1/s",
            found=f"a median of {median:.4g}" if math.isfinite(median) else "no value above zero",
            advice="Write the map again, or leave it out: a value of the literature is taken then.",
        )
