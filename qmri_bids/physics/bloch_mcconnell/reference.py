r"""The Bloch-McConnell equations: what differs from voxel to voxel, and the numbers that engines take from pools and protocols.

On every interval of constant RF the magnetisation of all pools obeys, in the frame that turns with the carrier,

.. math::
    \dot M = A M + C,\qquad \dot M_p = M_p\times(\omega_1\cos\varphi,\ \omega_1\sin\varphi,\ \omega_p-\omega_{rf})
    - \text{relaxation} + \text{exchange with water},

so that a pulse, a gap or a whole train is an affine map: M → E M + d. After the crusher the state is (Z, f_b Z, f_c Z, …) once the
pools have equilibrated, hence each image is a scalar affine map of the Z before it, and a series of images a recursion of scalars.

Sources: McConnell, J Chem Phys 28:430 (1958); Finkelstein et al., Commun Phys 8:164 (2025), for the series.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from qmri_bids.physics.pools import CestPool, PoolModel
from qmri_bids.physics.saturation import SaturatedImage, SpinLock
from qmri_bids.units import ppm_to_hertz


@dataclass(frozen=True, kw_only=True)
class VoxelParameters:
    """What differs from voxel to voxel; what is not given is taken from the pool model. All shapes must broadcast.

    Parameters
    ----------
    t1, t2
        Relaxation times of water [s].
    b1
        Actual over nominal B1.
    off_resonance
        ΔB0 [Hz]: shifts all pools.
    fractions, rates
        Fractions of exchanging pools and their exchange rates from the pool to water [1/s], by name.
    """

    t1: Any = None
    t2: Any = None
    b1: Any = 1.0
    off_resonance: Any = 0.0
    fractions: Mapping[str, Any] = field(default_factory=dict)
    rates: Mapping[str, Any] = field(default_factory=dict)

    def resolved(self, model: PoolModel) -> dict[str, Any]:
        """Return every parameter of `parameter_names`, from here or from the model.

        Raises
        ------
        ValueError
            If a fraction or rate names a pool that the model does not have.
        """
        for kind, given in (("fractions", self.fractions), ("rates", self.rates)):
            unknown = sorted(set(given) - set(model.names))
            if unknown:
                raise ValueError(f"{kind} names the pools {unknown}, the model has {list(model.names)}")
        values = {
            "t1": model.water.t1 if self.t1 is None else self.t1,
            "t2": model.water.t2 if self.t2 is None else self.t2,
            "b1": self.b1,
            "off_resonance": self.off_resonance,
        }
        values |= {f"{pool.name}.fraction": self.fractions.get(pool.name, pool.fraction) for pool in model.exchanging}
        values |= {f"{pool.name}.rate": self.rates.get(pool.name, pool.rate) for pool in model.exchanging}
        return values


def parameter_names(model: PoolModel) -> tuple[str, ...]:
    """Return the names of what may differ from voxel to voxel: t1, t2, b1, off_resonance, then fractions, then rates.

    Examples
    --------
    >>> from qmri_bids.physics.pools import CestPool, Water
    >>> amide = CestPool(name="amide", fraction=1e-3, rate=50.0, shift=3.5, t2=0.04)
    >>> parameter_names(PoolModel(water=Water(t1=1.0, t2=0.04), cest=(amide,)))[4:]
    ('amide.fraction', 'amide.rate')
    """
    return tuple(VoxelParameters().resolved(model))


def precession(pool: CestPool, field_strength: float) -> float:
    """Return the shift of a pool from water [rad/s] at a field strength [T]."""
    return 2.0 * math.pi * ppm_to_hertz(pool.shift, field_strength)


def carrier_offset(image: SaturatedImage, field_strength: float) -> float:
    """Return the offset of an image's carrier from water [rad/s], 0 without saturation."""
    return 0.0 if image.offset is None else 2.0 * math.pi * ppm_to_hertz(image.offset, field_strength)


def tipped_pools(model: PoolModel, spin_lock: SpinLock) -> int:
    """Return how many of the rotating pools, in their order, are tipped."""
    return {
        SpinLock.NONE: 0,
        SpinLock.ALL_POOLS: model.number_of_rotating_pools,
        SpinLock.LIQUID_POOLS: model.number_of_liquid_pools,
    }[spin_lock]


def as_columns(values: Mapping[str, Any]) -> tuple[dict[str, np.ndarray], tuple[int, ...]]:
    """Return parameters broadcast to one flat axis of voxels in double precision, and their common shape."""
    arrays = np.broadcast_arrays(*(np.asarray(each, dtype=np.float64) for each in values.values()))
    return {name: each.ravel() for name, each in zip(values, arrays, strict=True)}, arrays[0].shape
