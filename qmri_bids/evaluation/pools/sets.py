"""Simulated fingerprints with known pools: the box of the prior, tissues with a rare lesion, a brain in small.

Noise is Gaussian on signed Z. In tissue Z stays above a seventh of M0 in all images of published fingerprinting, so that magnitudes
at noise of 1 % of M0 are the same. Over the box it falls to 0.02 in single images, where a magnitude would lie a fifth of the noise
higher.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from qmri_bids.physics.fingerprint import KNOWN, ExchangeScan, KnownVoxels, exchange_signal
from qmri_bids.priors.pools import EXCHANGE_PRIOR
from qmri_bids.training.pools.shipped import PLAYED_SCAN

USUAL_NOISE = 0.01
"""Standard deviation of the noise in units of M0."""

_WHITE = {
    "MT.fraction": 0.112,
    "MT.rate": 29.0,
    "amide.fraction": 1.9e-3,
    "amide.rate": 162.0,
    "t1": 0.939,
    "t2": 0.062,
}
_GREY = {"MT.fraction": 0.063, "MT.rate": 40.0, "amide.fraction": 2.4e-3, "amide.rate": 365.0, "t1": 1.400, "t2": 0.085}

TISSUES: Mapping[str, Mapping[str, float]] = {
    "WM": _WHITE,
    "GM": _GREY,
    "lesion": _WHITE | {"MT.fraction": 0.056, "amide.fraction": 3.8e-3},
}
"""Pools of white and grey matter: Heo et al., NeuroImage 189:202 (2019); T1 and T2 [s] those of relaxometry here. The lesion is
white matter with half of the semisolid fraction and twice the amide."""

B1 = (0.8, 1.2)
OFF_RESONANCE = (-40.0, 40.0)
"""Lowest and highest off-resonance of the tissues [Hz]."""
RELAXATION_SPREAD = 0.05
"""T1 and T2 of a tissue lie within this share of their mean, uniformly and independent of each other."""


@dataclass(frozen=True, kw_only=True)
class ExchangeSet:
    """Voxels of known pools under one scan, M0 = 1.

    Parameters
    ----------
    scan
        Series and pools.
    values
        Fractions and rates [1/s] in the order of `ExchangeScan.parameters`, shape (V, P).
    known
        The known maps, exact.
    groups
        Boolean masks of shape (V,) by name, where the set has parts.
    """

    scan: ExchangeScan
    values: NDArray[np.float64]
    known: KnownVoxels
    groups: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)

    def signal(self, *, noise_stdev: float = USUAL_NOISE, seed: int = 0, threads: int = 1) -> NDArray[np.float64]:
        """Return images of all series with noise, shape (V, N).

        Parameters
        ----------
        noise_stdev
            Standard deviation of the noise in units of M0; 0 for none.
        seed
            Seed of the noise.
        threads
            Threads of the simulation; the result does not depend on it.
        """
        if not noise_stdev >= 0.0:
            raise ValueError(f"noise_stdev must not be negative, found {noise_stdev}")
        clean = exchange_signal(self.scan, self.values, self.known, threads=threads)
        return clean + noise_stdev * np.random.default_rng(seed).standard_normal(clean.shape)

    def column(self, parameter: str) -> NDArray[np.float64]:
        """Return the truth of a parameter by its name, shape (V,)."""
        return self.values[:, self.scan.parameters.index(parameter)]


def box_set(number: int, seed: int, *, scan: ExchangeScan = PLAYED_SCAN) -> ExchangeSet:
    """Return voxels over the whole prior: what networks are trained on and dictionaries are drawn from."""
    rng = np.random.default_rng(seed)
    drawn = EXCHANGE_PRIOR.draw(number, parameters=(*scan.parameters, *KNOWN), rng=rng)
    return ExchangeSet(
        scan=scan,
        values=np.stack([drawn[name] for name in scan.parameters], axis=1),
        known=KnownVoxels.of({name: drawn[name] for name in KNOWN}),
    )


def tissue_set(number: int, seed: int, *, scan: ExchangeScan = PLAYED_SCAN) -> ExchangeSet:
    """Return voxels of `TISSUES` with the same pools in all voxels of a tissue: lesions of 1 %, the rest in equal parts."""
    return mixture(number, seed, scan=scan, shares=(0.495, 0.495, 0.01), spread=0.0)


def mixture(number: int, seed: int, *, scan: ExchangeScan, shares: Sequence[float], spread: float) -> ExchangeSet:
    """Return voxels of `TISSUES` in given shares, with pools that lie within `spread` of their mean, as a share of it."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(len(TISSUES), size=number, p=shares)

    def varied(name: str, share: float) -> NDArray[np.float64]:
        means = np.array([tissue[name] for tissue in TISSUES.values()])[kind]
        return np.asarray(means * rng.uniform(1.0 - share, 1.0 + share, number))

    values = np.stack([varied(name, spread) for name in scan.parameters], axis=1)
    known = KnownVoxels(
        t1=varied("t1", RELAXATION_SPREAD),
        t2=varied("t2", RELAXATION_SPREAD),
        b1=rng.uniform(*B1, number),
        off_resonance=rng.uniform(*OFF_RESONANCE, number),
    )
    groups = {name: kind == place for place, name in enumerate(TISSUES)}
    return ExchangeSet(scan=scan, values=values, known=known, groups=groups)
