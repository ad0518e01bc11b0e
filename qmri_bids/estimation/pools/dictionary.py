r"""Dictionary matching of pools: every voxel gets the values of the simulated entry that looks most like it.

Images x and entries e, each series divided by its norm, are compared by their dot product, as in published fingerprinting. For
vectors of one length the largest dot product is the shortest distance, which is how the known maps enter here: as further
coordinates m of voxel and entry, scaled to the range of the entries and weighted by w,

.. math:: \max_e\; x\cdot e - \tfrac12 w^2 |m_x - m_e|^2

Published matching leaves them out (w = 0): entries of any T1, T2, B1 and off-resonance compete, as in dictionaries that vary them
as nuisance parameters. Its errors are twice as large.

Source: Perlman et al., Nat Biomed Eng 6:648 (2022), and Ma et al., Nature 495:187 (2013), for the matching.
"""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qmri_bids.estimation.base import ProtocolNotSupported, Status
from qmri_bids.estimation.pools.estimate import ExchangeEstimate
from qmri_bids.estimation.pools.input import ExchangeInput, by_image, usable_voxels
from qmri_bids.estimation.pools.point import known_covariance, point_at
from qmri_bids.estimation.pools.start import normalised
from qmri_bids.estimation.variance import moderated_variance
from qmri_bids.physics.fingerprint import KNOWN, ExchangeScan, KnownVoxels, exchange_signal
from qmri_bids.priors.pools import EXCHANGE_PRIOR, ExchangePrior
from qmri_bids.system.blocks import run_blocks

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
        Norm of each series by which its Z was divided, shape (E, S).
    values
        Fractions and rates in the order of `ExchangeScan.parameters`, shape (E, P).
    known
        T1 [s], T2 [s], B1 and off-resonance [Hz], shape (E, 4).
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
        Seed of the draws.
    folder
        Folder in which entries are looked for, and kept; None for the memory alone.
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
        known = KnownVoxels.of({name: drawn[name][part] for name in KNOWN})
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


NUMBER = 400_000
"""Entries, as many as Finkelstein et al. 2025 compare with."""

SEED = 2025

VOXELS, ENTRIES = 1024, 1024
"""Size of a block of the matching: its products stay in the cache, and memory does not grow with the brain."""

CHUNK = 16_384
"""Voxels whose standard deviations are computed at a time."""

Values = NDArray[np.float64]


class ExchangeDictionary:
    """Best match among simulated entries by images and known maps.

    Parameters
    ----------
    threads
        Threads of simulation and matching; the result does not depend on it.
    weights_folder
        Folder in which entries are kept for further calls; None: in memory alone.
    number
        Number of entries.
    prior
        What fractions, rates and known maps are drawn from.
    seed
        Seed of the draws.
    """

    name = "dictionary"
    frees_t1 = False
    known_weight = 0.1
    """Weight of a difference in a known map as large as its range: it left the least mean error over the prior and in tissue at
    noise of 1 %."""

    def __init__(
        self,
        *,
        threads: int = 1,
        weights_folder: Path | None = None,
        number: int = NUMBER,
        prior: ExchangePrior = EXCHANGE_PRIOR,
        seed: int = SEED,
    ) -> None:
        self.threads, self._folder = threads, weights_folder
        self._number, self._prior, self._seed = number, prior, seed

    @property
    def model(self) -> Mapping[str, str]:
        """There is no network behind the maps."""
        return {}

    def check(self, scan: ExchangeScan) -> None:
        """Raise `ProtocolNotSupported` if there is no range to draw a pool from."""
        missing = [name for name in scan.parameters if name not in self._prior.ranges]
        if missing:
            raise ProtocolNotSupported(
                expected=f"pools with a range of fraction and rate (estimator {self.name})",
                found=f"none for {', '.join(missing)}",
                advice="Use --cest-estimator ml.",
            )

    def remarks(self, scan: ExchangeScan) -> tuple[str, ...]:
        """Say what these maps are."""
        low, high = self._prior.bounds(scan.parameters)
        ranges = ", ".join(
            f"{name} {one:g} to {two:g}" for name, one, two in zip(scan.parameters, low, high, strict=True)
        )
        return (
            f"Each voxel has the values of the best of {self._number:,} simulated entries ({ranges}): nothing outside of these "
            "ranges is found.",
            "T1, T2, B1 and B0 take part in the match beside the images, which they do not in published matching.",
            "Standard deviations are those of the noise and of the known maps at the match: the spacing of the entries and false "
            "matches, which make the larger errors, are not in them.",
        )

    def point(self, signal: NDArray[np.floating], *, scan: ExchangeScan, known: KnownVoxels) -> Values:
        """Return the values of the best entry, shape (V, P); NaN where images or known maps have no meaning."""
        entries, usable = self._entries(scan), usable_voxels(signal, known)
        values = np.full((len(signal), len(scan.parameters)), np.nan)
        values[usable] = entries.values[self._match(signal[usable], known[usable], entries, scan)]
        return values

    def estimate(self, signal: NDArray[np.floating], *, scan: ExchangeScan, known: KnownVoxels) -> ExchangeEstimate:
        """Estimate pools; see `ExchangeEstimator`."""
        given = ExchangeInput.of(signal, scan=scan, known=known)
        entries = self._entries(scan)
        match = self._match(given.signal, given.known, entries, scan)
        return given.whole(
            _estimate(given.signal, match, entries=entries, scan=scan, known=given.known, threads=self.threads)
        )

    def _entries(self, scan: ExchangeScan) -> ExchangeEntries:
        self.check(scan)
        return exchange_entries(
            scan,
            number=self._number,
            prior=self._prior,
            seed=self._seed,
            folder=self._folder,
            threads=self.threads,
        )

    def _match(
        self, signal: NDArray[np.floating], known: KnownVoxels, entries: ExchangeEntries, scan: ExchangeScan
    ) -> NDArray[np.int64]:
        maps = np.stack([getattr(known, name) for name in KNOWN], axis=1)
        place_of_voxels, place_of_entries = (
            self.known_weight * self._coordinates(each) for each in (maps, entries.known)
        )
        ones = np.ones((len(maps), 1))
        penalty = -0.5 * np.sum(place_of_entries**2, axis=1, keepdims=True)
        return nearest(
            _single(normalised(signal, scan), place_of_voxels, ones),
            _single(entries.signal, place_of_entries, penalty),
            threads=self.threads,
        )

    def _coordinates(self, known: Values) -> Values:
        """Return known maps (…, 4) over the ranges of the prior, from -1/2 to 1/2; times by their logarithm."""
        low, high = self._prior.bounds(KNOWN)
        times = np.array([name in ("t1", "t2") for name in KNOWN])
        with np.errstate(invalid="ignore"):
            scaled, low, high = (
                np.where(times, np.log(np.where(times, each, 1.0)), each) for each in (known, low, high)
            )
        return np.asarray((scaled - low) / (high - low) - 0.5)


def _single(*columns: NDArray[np.floating]) -> Tensor:
    return torch.from_numpy(np.concatenate(columns, axis=1, dtype=np.float32))


def nearest(voxels: Tensor, entries: Tensor, *, threads: int = 1) -> NDArray[np.int64]:
    """Return the row of `entries` (E, D) with the largest dot product with each row of `voxels` (V, D), shape (V,)."""
    found = torch.zeros(len(voxels), dtype=torch.int64)

    def match_block(begin: int) -> None:
        part = voxels[begin : begin + VOXELS]
        largest = torch.full((len(part),), -torch.inf)
        block = torch.zeros(len(part), dtype=torch.int64)
        # The largest value of a block is found twice as fast as its place: the place is looked up in the winning block alone.
        for number, first in enumerate(range(0, len(entries), ENTRIES)):
            top = (part @ entries[first : first + ENTRIES].T).amax(dim=1)
            better = top > largest
            largest, block = torch.where(better, top, largest), torch.where(better, number, block)
        for number in block.unique().tolist():
            chosen, first = block == number, number * ENTRIES
            place = (part[chosen] @ entries[first : first + ENTRIES].T).argmax(dim=1)
            found[begin : begin + VOXELS][chosen] = first + place

    run_blocks(match_block, len(voxels), block=VOXELS, threads=threads)
    return found.numpy()


def _estimate(
    data: Values,
    match: NDArray[np.int64],
    *,
    entries: ExchangeEntries,
    scan: ExchangeScan,
    known: KnownVoxels,
    threads: int,
) -> ExchangeEstimate:
    """Return the estimate of usable voxels: signals are those of the entries, standard deviations those at the match."""
    unit = entries.signal[match].astype(np.float64)
    scale = np.stack([np.einsum("vn,vn->v", data[:, own], unit[:, own]) for own in scan.series], axis=1)
    fitted = unit * by_image(scale, scan)
    amplitude = scale / entries.norm[match]
    residual_sum = np.sum((data - fitted) ** 2, axis=1)
    freedom = scan.number_of_images - len(scan.parameters) - len(scan.protocols)
    m0 = np.maximum(np.abs(amplitude[:, 0]), 1e-300)
    noise = np.maximum(np.sqrt(moderated_variance(residual_sum / m0**2, freedom).variance), scan.least_noise / m0)
    values, count, covariances = entries.values[match], len(scan.parameters), []
    for begin in range(0, max(1, len(data)), CHUNK):
        part = slice(begin, begin + CHUNK)
        point = point_at(values[part], data[part], scan=scan, known=known[part], threads=threads)
        own_noise = point.covariance[:, :count, :count] * (noise * m0)[part, None, None] ** 2
        covariances.append(own_noise + known_covariance(point, known[part], scan=scan))
    covariance = np.concatenate(covariances)
    relative = np.sqrt(np.einsum("vpp->vp", covariance))
    correlation = {
        pool: covariance[:, 2 * place, 2 * place + 1] / (relative[:, 2 * place] * relative[:, 2 * place + 1])
        for place, pool in enumerate(scan.pools)
    }
    return ExchangeEstimate(
        values={name: values[:, place] for place, name in enumerate(scan.parameters)},
        stdev={name: values[:, place] * relative[:, place] for place, name in enumerate(scan.parameters)},
        correlation=correlation,
        status={pool: np.full(len(data), Status.CONVERGED, dtype=np.uint8) for pool in scan.pools},
        amplitude=amplitude,
        fitted=fitted,
        residual=np.sqrt(residual_sum / np.maximum(np.sum(data**2, axis=1), 1e-300)),
        noise=noise,
    )
