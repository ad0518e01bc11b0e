"""Simulated entries of a dictionary of pools: drawn from a prior, made once for a scan, kept in memory and on disk."""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qmri_bids.physics.fingerprint import KNOWN, ExchangeScan, KnownVoxels, exchange_signal
from qmri_bids.priors.pools import ExchangePrior

LAYOUT = 1
"""Part of the name of a file of entries: raised when the signals or what is kept of them change."""

BLOCK = 16_384
"""Entries simulated at a time."""

KEPT = 2
"""Sets of entries in memory: a hundred megabytes each for two stages of fingerprinting."""

_MEMORY: OrderedDict[str, ExchangeEntries] = OrderedDict()


@dataclass(frozen=True, kw_only=True)
class ExchangeEntries:
    """E simulated voxels.

    Parameters
    ----------
    signal
        Z of all images over the norm of their series, shape (E, N).
    norm
        That norm, shape (E, S).
    values
        Fractions and rates in the order of `ExchangeScan.parameters`, shape (E, P).
    known
        T1, T2, B1 and off-resonance, shape (E, 4).
    """

    signal: NDArray[np.float32]
    norm: NDArray[np.float32]
    values: NDArray[np.float64]
    known: NDArray[np.float64]


def exchange_entries(
    scan: ExchangeScan, *, number: int, prior: ExchangePrior, seed: int, folder: Path | None = None, threads: int = 1
) -> ExchangeEntries:
    """Return the entries of a scan: from memory, from a file, or simulated.

    Parameters
    ----------
    scan
        Series and pools.
    number
        Number of entries E.
    prior
        What fractions, rates and known maps are drawn from.
    seed
        Of the draws.
    folder
        Where entries are looked for, and kept; None for the memory alone.
    threads
        Threads of the simulation; the result does not depend on it.
    """
    # A frozen protocol says all there is of itself; two scans of the same content share their entries.
    content = f"{LAYOUT} {number} {seed} {sorted(prior.ranges.items())} {scan}"
    digest = hashlib.sha256(content.encode()).hexdigest()[:16]
    path = None if folder is None else folder / f"exchange_entries_{digest}.npz"
    if digest not in _MEMORY:
        if path is not None and path.is_file():
            with np.load(path) as stored:
                _MEMORY[digest] = ExchangeEntries(**{each.name: stored[each.name] for each in fields(ExchangeEntries)})
        else:
            _MEMORY[digest] = _simulate(scan, number=number, prior=prior, seed=seed, threads=threads)
    _MEMORY.move_to_end(digest)
    while len(_MEMORY) > KEPT:
        _MEMORY.popitem(last=False)
    entries = _MEMORY[digest]
    if path is not None and not path.is_file():
        _save(path, entries)
    return entries


def _simulate(scan: ExchangeScan, *, number: int, prior: ExchangePrior, seed: int, threads: int) -> ExchangeEntries:
    drawn = prior.draw(number, parameters=(*scan.parameters, *KNOWN), rng=np.random.default_rng(seed))
    values = np.stack([drawn[name] for name in scan.parameters], axis=1)
    signal = np.empty((number, scan.number_of_images), dtype=np.float32)
    norm = np.empty((number, len(scan.protocols)), dtype=np.float32)
    for begin in range(0, number, BLOCK):
        part = slice(begin, begin + BLOCK)
        known = KnownVoxels(**{name: drawn[name][part] for name in KNOWN})
        z = exchange_signal(scan, values[part], known, threads=threads)
        for place, own in enumerate(scan.series):
            length = np.linalg.norm(z[:, own], axis=1)
            norm[part, place] = length
            signal[part, own] = z[:, own] / length[:, None]
    return ExchangeEntries(
        signal=signal, norm=norm, values=values, known=np.stack([drawn[name] for name in KNOWN], axis=1)
    )


def _save(path: Path, entries: ExchangeEntries) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}_{path.name}")
    np.savez(temporary, **{each.name: getattr(entries, each.name) for each in fields(entries)})
    os.replace(temporary, path)
