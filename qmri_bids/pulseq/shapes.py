"""Shapes of a pulseq file as runs of equal values, and the envelope of RF made from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOST_SAMPLES = 50_000_000
"""Of a shape: a minute at a raster of 1 µs. Files may state any number, and a ramp is a value a sample."""

MOST_RUNS = 5_000_000
"""Values of a shape that differ from the one before: a pulse of seconds at a raster of 1 µs."""

SILENT = 1e-6
"""Relative amplitude below which a sample is zero: what is left of rounding where a packed shape returns to zero."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Shape:
    """A shape as runs of equal samples.

    Parameters
    ----------
    values
        Shape (runs,).
    counts
        Samples of each run, shape (runs,).
    """

    values: NDArray[np.float64]
    counts: NDArray[np.int64]

    @property
    def number(self) -> int:
        """Number of samples."""
        return int(self.counts.sum())

    def samples(self) -> NDArray[np.float64]:
        """Return all samples; for shapes that are known to be short."""
        return np.repeat(self.values, self.counts)

    @classmethod
    def unpack(cls, packed: Sequence[float], number: int, *, may_be_plain: bool) -> Shape | None:
        """Return a shape from its run-length encoded derivative, None if it does not give `number` samples or too many.

        A derivative that occurs twice in a row is followed by how often it occurs beyond that.

        Parameters
        ----------
        packed
            As in the file.
        number
            Samples that the file states.
        may_be_plain
            Whether as many packed values as samples mean that nothing is packed (from version 1.4).

        Examples
        --------
        >>> Shape.unpack([1.0, 0.0, 0.0, 4997.0, -1.0, 0.0, 0.0, 27.0], 5030, may_be_plain=False).counts.tolist()
        [5000, 30]
        """
        if not 1 <= number <= MOST_SAMPLES or not packed:
            return None
        if may_be_plain and len(packed) == number:
            return cls(values=np.asarray(packed, dtype=float), counts=np.ones(number, dtype=np.int64))
        values: list[float] = []
        counts: list[int] = []
        level, place = 0.0, 0
        while place < len(packed):
            slope, times = packed[place], 1
            if place + 1 < len(packed) and packed[place + 1] == slope:
                if place + 2 >= len(packed) or not 0.0 <= packed[place + 2] <= number:
                    return None
                times = int(packed[place + 2]) + 2
                place += 3
            else:
                place += 1
            if slope == 0.0 and values:
                counts[-1] += times
            elif slope == 0.0:
                values.append(0.0)
                counts.append(times)
            elif len(values) + times > min(number, MOST_RUNS):
                return None
            else:
                values += [level + slope * each for each in range(1, times + 1)]
                counts += [1] * times
                level = values[-1]
        if sum(counts) != number:
            return None
        return cls(values=np.array(values), counts=np.array(counts, dtype=np.int64))


@dataclass(frozen=True, kw_only=True, eq=False)
class Envelope:
    """Piecewise-constant RF from the first sample that is not zero to the last.

    Parameters
    ----------
    amplitude
        [Hz], complex with the phase of the shape, shape (steps,); empty for silence.
    durations
        [s], shape (steps,).
    lead
        Silence before it [s].
    """

    amplitude: NDArray[np.complex128]
    durations: NDArray[np.float64]
    lead: float

    @property
    def duration(self) -> float:
        """[s]."""
        return round(float(self.durations.sum()), 10)

    @property
    def area(self) -> complex:
        """Integral of the amplitude: flip angle over 2π on resonance."""
        return complex((self.amplitude * self.durations).sum())

    @property
    def power(self) -> float:
        """Integral of the squared amplitude [Hz² s]."""
        return float((np.abs(self.amplitude) ** 2 * self.durations).sum())

    def equals(self, other: Envelope) -> bool:
        """Whether both are the same to what printing leaves."""
        return self is other or (
            self.amplitude.shape == other.amplitude.shape
            and np.allclose(self.durations, other.durations, rtol=0.0, atol=1e-9)
            and np.allclose(self.amplitude, other.amplitude, rtol=1e-6, atol=1e-6)
        )

    def averaged(self, steps: int) -> Envelope:
        """Return the means over equal steps, which keep the area."""
        times = np.concatenate([[0.0], np.cumsum(self.durations)])
        integral = np.concatenate([[0.0], np.cumsum(self.amplitude * self.durations)])
        edges = np.linspace(0.0, times[-1], steps + 1)
        parts = np.diff(np.interp(edges, times, integral.real) + 1j * np.interp(edges, times, integral.imag))
        width = times[-1] / steps
        return Envelope(amplitude=parts / width, durations=np.full(steps, width), lead=self.lead)


def envelope(
    *, amplitude: float, magnitude: Shape, phase: Shape | None, times: Shape | None, raster: float
) -> tuple[Envelope, float]:
    """Return the envelope of an RF event, and when its shape ends [s].

    Parameters
    ----------
    amplitude
        [Hz].
    magnitude, phase
        Relative amplitude, and phase in turns.
    times
        When the samples are, in units of the raster; None for the middle of every raster step.
    raster
        [s].
    """
    if times is None:
        values, counts = _merged(magnitude, phase)
        durations = counts * raster
        start = 0.0
    else:
        at = times.samples() * raster
        number = min(len(at), magnitude.number, len(at) if phase is None else phase.number)
        at, values = at[:number], _turned(magnitude.samples()[:number], phase.samples()[:number] if phase else None)
        spaces = np.diff(at)
        if at[0] > 0.0 and np.allclose(spaces, 2.0 * at[0], rtol=1e-6):
            # Middles of equal steps.
            durations, start = np.full(number, 2.0 * at[0]), 0.0
        else:
            # Points on a line: its mean between each two.
            values, durations, start = 0.5 * (values[1:] + values[:-1]), spaces, float(at[0])
    end = start + float(durations.sum())
    sounding = np.flatnonzero(np.abs(values) > SILENT)
    if not len(sounding) or amplitude == 0.0:
        return Envelope(amplitude=np.empty(0, dtype=complex), durations=np.empty(0), lead=0.0), end
    first, last = sounding[0], sounding[-1] + 1
    lead = start + float(durations[:first].sum())
    values, durations = values[first:last], durations[first:last]
    edges = np.flatnonzero(np.abs(np.diff(values)) > 1e-9) + 1
    begins = np.concatenate([[0], edges])
    return Envelope(
        amplitude=amplitude * values[begins],
        durations=np.round(np.add.reduceat(durations, begins), 10),
        lead=round(lead, 10),
    ), round(end, 10)


def _turned(magnitude: NDArray[np.float64], phase: NDArray[np.float64] | None) -> NDArray[np.complex128]:
    if phase is None:
        return magnitude.astype(complex)
    turned = magnitude * np.exp(2j * np.pi * phase)
    # Half turns are signs: exact, so that runs of them stay one.
    halves = np.abs(2.0 * phase - np.round(2.0 * phase)) < 1e-6
    return np.where(halves, magnitude * np.where(np.round(2.0 * phase) % 2 == 0, 1.0, -1.0), turned)


def _merged(magnitude: Shape, phase: Shape | None) -> tuple[NDArray[np.complex128], NDArray[np.int64]]:
    """Return runs on which both magnitude and phase are constant."""
    if phase is None:
        return magnitude.values.astype(complex), magnitude.counts
    m_ends, p_ends = np.cumsum(magnitude.counts), np.cumsum(phase.counts)
    ends = np.union1d(m_ends, p_ends)
    ends = ends[ends <= min(m_ends[-1], p_ends[-1])]
    m = magnitude.values[np.searchsorted(m_ends, ends)]
    p = phase.values[np.searchsorted(p_ends, ends)]
    return _turned(m, p), np.diff(ends, prepend=0)
