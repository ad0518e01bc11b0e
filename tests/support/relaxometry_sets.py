"""Test sets of T1 and T2 beside those of `qmri-tools benchmark`: one tissue, and a scan in small."""

from __future__ import annotations

import math

import numpy as np

from qmri_bids.evaluation.sets import LESION_FRACTION, PAPER_B1, TISSUES, SimulatedSet, uniform_set
from qmri_bids.physics.protocol import BssfpProtocol


def single_tissue_set(number: int, *, tissue: str, protocol: BssfpProtocol, seed: int) -> SimulatedSet:
    """Return voxels of one of `TISSUES`, B1 and θ as in `uniform_set`."""
    t1, t2 = TISSUES[tissue]
    return uniform_set(number, protocol=protocol, seed=seed, t1=(t1, t1), t2=(t2, t2))


def brain_set(
    number: int,
    *,
    protocol: BssfpProtocol,
    seed: int,
    lesion_fraction: float = LESION_FRACTION,
    spread: float = 0.04,
) -> SimulatedSet:
    """Return a scan in small: white and grey matter, voxels mixed of both, and rare lesions.

    Parameters
    ----------
    number
        Number of voxels V; lesions of `lesion_fraction`, a fifth mixed, the rest in equal parts.
    protocol
        The acquisition.
    seed
        Seed of the truth.
    lesion_fraction
        Share of the voxels that are lesion.
    spread
        Relative standard deviation of T1 and of T2 within a tissue, independent of each other.
    """
    rng = np.random.default_rng(seed)
    rest = 1.0 - lesion_fraction
    names = ("WM", "GM", "mixed", "lesion")
    kind = rng.choice(len(names), size=number, p=(0.4 * rest, 0.4 * rest, 0.2 * rest, lesion_fraction))
    ends = {name: np.array(TISSUES[name]) for name in ("WM", "GM", "lesion")}
    share = rng.uniform(0.0, 1.0, (number, 1))
    # A mixed voxel is one substance of values in between: partial volume proper is outside the model of every estimator here.
    mixed = ends["WM"] ** share * ends["GM"] ** (1.0 - share)
    pure = np.stack([ends["WM"], ends["GM"], ends["GM"], ends["lesion"]])[kind]
    times = np.where((kind == names.index("mixed"))[:, None], mixed, pure)
    times = times * np.exp(spread * rng.standard_normal((number, 2)))
    return SimulatedSet(
        t1=times[:, 0],
        t2=times[:, 1],
        b1=rng.uniform(*PAPER_B1, number),
        theta=rng.uniform(-math.pi, math.pi, number),
        protocol=protocol,
        groups={name: kind == index for index, name in enumerate(names)},
    )
