"""Z of a tissue at millions of points: tables of the Bloch-McConnell model, or the model itself where no table can hold it.

A tissue's pools are the same everywhere; T1 and T2 of its water, off-resonance and B1 vary from point to point.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from qmri_bids.phantom.signals.spectrum_table import BandTable, build_bands
from qmri_bids.phantom.signals.spline_table import (
    B1_RANGE,
    RELAXATION_NODES,
    Axis,
    SplineTable,
    Values,
    voxels_of_nodes,
)
from qmri_bids.physics.bloch_mcconnell.compiled import signal_and_jacobian
from qmri_bids.physics.bloch_mcconnell.reference import VoxelParameters
from qmri_bids.physics.pools import PoolModel
from qmri_bids.physics.saturation import SaturationProtocol, SpinLock, Start
from qmri_bids.units import ppm_to_hertz

OFF_RESONANCE_RANGE = 900.0
"""To both sides of a tissue's chemical shift [Hz]: air against tissue makes at most ±800 Hz at 3 T."""
USUAL_RANGE = 650.0
"""What spectra are tabulated for: the few points beyond are simulated."""


class TissueSignal(Protocol):
    """Z of a tissue."""

    def z(self, image: int, *, t1: Values, t2: Values, b1: Values, off_resonance: Values) -> NDArray[np.float64]:
        """Return the signed Z of n points in one image, shape (n,), from T1 and T2 [s], relative B1 and off-resonance [Hz]."""
        ...


@dataclass(frozen=True, kw_only=True)
class DirectSignal:
    """Every point simulated.

    Parameters
    ----------
    model
        The pools.
    protocol
        The acquisition; its images start relaxed.
    """

    model: PoolModel
    protocol: SaturationProtocol

    def z(self, image: int, *, t1: Values, t2: Values, b1: Values, off_resonance: Values) -> NDArray[np.float64]:
        """See `TissueSignal`."""
        alone = replace(self.protocol, images=(self.protocol.images[image],))
        voxels = VoxelParameters(t1=t1, t2=t2, b1=b1, off_resonance=off_resonance)
        return signal_and_jacobian(self.model, alone, voxels).signal[:, 0]


@dataclass(frozen=True, kw_only=True)
class SeriesSignal:
    """A table in off-resonance and B1 for every image: where Z has no narrow lines, as under spin lock.

    Parameters
    ----------
    tables
        One an image; the coordinate is the off-resonance [Hz].
    """

    tables: tuple[SplineTable, ...]

    @classmethod
    def build(
        cls, model: PoolModel, protocol: SaturationProtocol, *, chemical_shift: float, threads: int
    ) -> SeriesSignal:
        """Simulate the nodes."""
        ends = chemical_shift - OFF_RESONANCE_RANGE, chemical_shift + OFF_RESONANCE_RANGE
        x, b1 = Axis.over(*ends, step=6.0), Axis.over(*B1_RANGE, step=0.04)
        nodes = voxels_of_nodes(model, b1)
        voxels = VoxelParameters(t1=nodes["t1"], t2=nodes["t2"], b1=nodes["b1"], off_resonance=x.nodes[:, None])
        z = np.moveaxis(signal_and_jacobian(model, protocol, voxels, threads=threads).signal, -1, 0)
        shape = (x.number, 1, b1.number, len(RELAXATION_NODES))
        return cls(tables=tuple(SplineTable.of(each.reshape(shape), model=model, x=x, b1=b1) for each in z))

    def z(self, image: int, *, t1: Values, t2: Values, b1: Values, off_resonance: Values) -> NDArray[np.float64]:
        """See `TissueSignal`."""
        nothing = np.zeros(len(off_resonance))
        return self.tables[image].at(off_resonance, nothing, b1=b1, t1=t1, t2=t2)


@dataclass(frozen=True, kw_only=True)
class SpectrumSignal:
    """Images of one saturation, each from full relaxation: bands of carrier less water, and the model itself between them.

    Parameters
    ----------
    exact
        The model.
    bands
        Tables in carrier less water x [Hz] and the turns of water from pulse to pulse, see `spectrum_table`.
    """

    exact: DirectSignal
    bands: tuple[BandTable, ...]

    @classmethod
    def build(
        cls, model: PoolModel, protocol: SaturationProtocol, *, chemical_shift: float, threads: int
    ) -> SpectrumSignal:
        """Simulate the nodes."""
        usual = chemical_shift - USUAL_RANGE, chemical_shift + USUAL_RANGE
        bands = build_bands(model, protocol, off_resonance=usual, threads=threads)
        return cls(exact=DirectSignal(model=model, protocol=protocol), bands=bands)

    def z(self, image: int, *, t1: Values, t2: Values, b1: Values, off_resonance: Values) -> NDArray[np.float64]:
        """See `TissueSignal`."""
        protocol = self.exact.protocol
        offset, saturation = protocol.images[image].offset, protocol.images[image].saturation
        assert offset is not None
        assert saturation is not None
        off_resonance = np.asarray(off_resonance, dtype=np.float64)
        x = ppm_to_hertz(offset, protocol.field_strength) - off_resonance
        turns = off_resonance * saturation.gap - x * saturation.pulse.duration
        out, left = np.empty(len(x)), np.ones(len(x), dtype=bool)
        for band in self.bands:
            here = left & band.holds(x)
            if here.any():
                out[here] = band.at(x[here], turns[here], b1=b1[here], t1=t1[here], t2=t2[here])
                left &= ~here
        if left.any():
            out[left] = self.exact.z(image, t1=t1[left], t2=t2[left], b1=b1[left], off_resonance=off_resonance[left])
        return out


@lru_cache(maxsize=32)
def tissue_signal(
    model: PoolModel, protocol: SaturationProtocol, *, chemical_shift: float = 0.0, threads: int = 2
) -> TissueSignal:
    """Return what gives Z of a tissue in the images of a protocol, within 3e-4 of the model.

    Parameters
    ----------
    model
        The pools; T1 and T2 may differ by ±9 % from those of its water.
    protocol
        Either a spectrum (relaxed start, one saturation) or a spin-locked series.
    chemical_shift
        Of the tissue's water [Hz]: the middle of its off-resonances.
    threads
        Processor threads to use; the result does not depend on it.

    Raises
    ------
    ValueError
        If the protocol is neither.
    """
    saturations = {image.saturation for image in protocol.images}
    if protocol.start is Start.RELAXED and len(saturations) == 1 and None not in saturations:
        return SpectrumSignal.build(model, protocol, chemical_shift=chemical_shift, threads=threads)
    locked = all(each is None or each.spin_lock is not SpinLock.NONE for each in saturations)
    if locked:
        return SeriesSignal.build(model, protocol, chemical_shift=chemical_shift, threads=threads)
    raise ValueError(
        "a protocol can be tabulated if all its images start relaxed and share a saturation, or are spin-locked; found start "
        f"'{protocol.start}' with {len(saturations)} saturations"
    )
