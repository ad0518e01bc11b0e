"""The cycles of a run without the duration of its excitation pulse, before anything is estimated of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from qmri_bids.estimation.base import Estimate, Joint, Status, has_value
from qmri_bids.estimation.bssfp.finite_pulse import as_by_hard_pulses, hard_over_pulsed
from qmri_bids.estimation.bssfp.maximum_likelihood import MaximumLikelihood
from qmri_bids.physics.bssfp import relaxation_times
from qmri_bids.physics.excitation.pulse import ExcitationPulse
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.preprocessing.unwrapping import unwrap_off_resonance
from qmri_bids.units import seconds_to_milliseconds


@dataclass(frozen=True, kw_only=True)
class CorrectedCycles:
    """Phase cycles as pulses without duration would have given them.

    Parameters
    ----------
    cycles
        The cycles, shape (V, N).
    changed
        Where that is what they are, shape (V,); elsewhere they are as scanned.
    sentences
        What was decided.
    """

    cycles: NDArray[np.complex64]
    changed: NDArray[np.bool_]
    sentences: tuple[str, ...]

    @property
    def told(self) -> NDArray[np.complex64]:
        """The cycles, NaN where they are as scanned, shape (V, N)."""
        return np.where(self.changed[:, None], self.cycles, np.complex64(np.nan))

    def withhold(self, found: Estimate) -> tuple[Estimate, tuple[str, ...]]:
        """Return the estimate without values where the pulse could not be accounted for, and a sentence on these voxels.

        Parameters
        ----------
        found
            Of `cycles`, shape (V,).
        """
        lost = has_value(found.status) & ~self.changed
        number = int(np.count_nonzero(lost))
        if not number:
            return found, ()

        def masked(values: NDArray[np.floating]) -> NDArray[np.floating]:
            return np.where(lost, np.float32(np.nan), values)

        return (
            replace(
                found,
                values={name: masked(values) for name, values in found.values.items()},
                stdev={name: masked(values) for name, values in found.stdev.items()},
                one_pool={name: masked(values) for name, values in found.one_pool.items()},
                joint=None
                if found.joint is None
                else Joint.of({name: masked(values) for name, values in found.joint.arrays().items()}),
                status=np.where(lost, np.uint8(Status.OUT_OF_RANGE), found.status),
            ),
            (
                f"{number} voxels ({100.0 * number / len(lost):.2g} %) have no value (code {Status.OUT_OF_RANGE:d}), since their "
                "off-resonance is beyond what the excitation pulse excites, or no fit told what to change.",
            ),
        )


def cycles_of_hard_pulses(
    cycles: NDArray[np.complexfloating],
    *,
    b1: NDArray[np.floating],
    inside: NDArray[np.bool_],
    pulse: ExcitationPulse,
    source: str,
    protocol: BssfpProtocol,
    threads: int = 1,
) -> CorrectedCycles:
    """Return the cycles of a scan without the duration of its pulse; see `estimation.bssfp.finite_pulse`.

    The off-resonance is that of a first fit by maximum likelihood, unwrapped in space: the pulse knows no period of 1/TR.

    Parameters
    ----------
    cycles
        Complex signal, shape (V, N).
    b1
        Actual over nominal flip angle, shape (V,).
    inside
        Where in the image the voxels lie, shape (X, Y, Z).
    pulse
        The excitation pulse.
    source
        Where it is stated, for the sentence; empty where that is not known.
    protocol
        The acquisition.
    threads
        Threads to use; the result does not depend on it.
    """
    estimator = MaximumLikelihood(threads=threads)

    def fit(data: NDArray[np.complexfloating]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        point = estimator.natural(data, b1=b1, protocol=protocol)
        strength = np.asarray(b1, dtype=np.float64)
        with np.errstate(all="ignore"):
            t1, t2 = relaxation_times(point.e2, point.b, b1=strength, protocol=protocol)
        return t1, t2, np.asarray(point.theta / (2.0 * np.pi * protocol.repetition_time), dtype=np.float64)

    field = np.full(inside.shape, np.nan)
    field[inside] = fit(cycles)[2]
    stated = f"{pulse.name}, from {source}" if source else pulse.name
    if not np.isfinite(field).any():
        said = f"The duration of the excitation pulse ({stated}) could not be accounted for: no voxel could be fitted."
        return CorrectedCycles(
            cycles=np.asarray(cycles, dtype=np.complex64),
            changed=np.zeros(len(cycles), dtype=np.bool_),
            sentences=(said,),
        )
    unwrapped, _ = unwrap_off_resonance(field, period=1.0 / protocol.repetition_time)
    found = as_by_hard_pulses(
        cycles,
        fit=fit,
        b1=b1,
        off_resonance=unwrapped[inside],
        pulse=pulse,
        protocol=protocol,
        threads=threads,
    )
    changed = found.changed & ~found.outside
    return CorrectedCycles(
        cycles=found.cycles,
        changed=changed,
        sentences=(_told(stated, cycles[changed], found.cycles[changed], (found.t1_before, found.t1_after)),),
    )


def drawn_without_duration(
    cycles: NDArray[np.complexfloating],
    estimate: Estimate,
    *,
    b1: NDArray[np.floating],
    off_resonance: NDArray[np.floating],
    pulse: ExcitationPulse,
    protocol: BssfpProtocol,
) -> NDArray[np.complexfloating]:
    """Return cycles as the maps were made of them, to be drawn beside the model; those without a value stay as they are.

    Parameters
    ----------
    cycles
        As scanned and preprocessed, shape (V, N).
    estimate
        Maps of T1 and T2 [s], shape (V,).
    b1
        Actual over nominal flip angle, shape (V,).
    off_resonance
        Unwrapped [Hz], shape (V,).
    pulse, protocol
        The acquisition.
    """
    t1, t2, offset = (
        np.asarray(each, dtype=np.float64) for each in (estimate.values["T1"], estimate.values["T2"], off_resonance)
    )
    factor = hard_over_pulsed(t1, t2, b1=b1, off_resonance=offset, pulse=pulse, protocol=protocol)
    drawn: NDArray[np.complexfloating] = np.where(np.isfinite(factor), factor, np.complex64(1.0)) * cycles
    return drawn


def _told(
    stated: str, before: NDArray[np.complexfloating], after: NDArray[np.complexfloating], t1: tuple[float, float]
) -> str:
    """Return what was done to the cycles, and to the median T1 [s] before and after."""
    if not len(before):
        return f"The duration of the excitation pulse ({stated}) could not be accounted for in any voxel."
    with np.errstate(all="ignore"):
        size = 100.0 * float(np.nanmedian(np.abs(np.abs(after) / np.abs(before) - 1.0)))
    first, last = (seconds_to_milliseconds(each) for each in t1)
    growth = 100.0 * (last / first - 1.0)
    return (
        f"The excitation pulse takes time ({stated}): the cycles were changed to what pulses without duration would have "
        f"given, by {size:.2g} % in magnitude (median), and the median T1 from {first:.0f} to {last:.0f} ms ({growth:+.1f} %). "
        "Maps, residuals and misfit are those of the changed cycles; the picture of all cycles shows them as scanned."
    )
