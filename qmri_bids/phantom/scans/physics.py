"""What a simulated bSSFP scan has beyond the closed form: finite pulses, magnetisation transfer, drift and gain of the cycles."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qmri_bids.phantom.heads.head import Sample
from qmri_bids.phantom.scans.semisolid import Semisolid
from qmri_bids.phantom.signals.bloch.sequence import PulseSequence, RfPulse
from qmri_bids.phantom.signals.bloch.simulate import simulate_cycles
from qmri_bids.physics.protocol import BssfpProtocol

PHYSICS = ("simple", "full")
"""The closed form of one pool and hard pulses, or the Bloch equations of two pools and finite pulses."""
DEFAULT_PULSE = "sinc:1"
"""Excitation pulse of full physics where none is named."""
DRIFT_SCATTER = 0.05
"""Standard deviation of the frequency of each cycle about the straight drift, relative to the whole drift."""
_STREAM = 20_204
"""Sets the random numbers of drift and gain apart from all others: datasets without them keep every byte."""


@dataclass(frozen=True, kw_only=True)
class Physics:
    """How the cycles of one scan are simulated.

    Parameters
    ----------
    pulse
        Excitation pulse of the Bloch equations; None for the closed form.
    semisolid
        Semisolid pools of the head, which all scans of the session meet; None for none in bSSFP.
    drift
        Off-resonance that every cycle adds [Hz], shape (N,), mean 0; None for none.
    gain
        Real gain of every cycle, shape (N,); None for 1.
    """

    pulse: RfPulse | None = None
    semisolid: Semisolid | None = None
    drift: tuple[float, ...] | None = None
    gain: tuple[float, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class PhysicsSettings:
    """What is asked of the physics of a dataset.

    Parameters
    ----------
    physics
        One of `PHYSICS`.
    excitation_pulse
        `SHAPE:MILLISECONDS`; None for `DEFAULT_PULSE` in full physics.
    semisolid
        The semisolid pools of full physics; None there for `Semisolid()`.
    drift
        Growth of the frequency over all cycles [Hz].
    gain_scatter
        Standard deviation of the logarithm of the gain of the cycles [percent].

    Raises
    ------
    ValueError
        If a setting has no meaning.
    """

    physics: str = "simple"
    excitation_pulse: str | None = None
    semisolid: Semisolid | None = None
    drift: float = 0.0
    gain_scatter: float = 0.0

    def __post_init__(self) -> None:
        if self.physics not in PHYSICS:
            raise ValueError(f"physics must be one of {', '.join(PHYSICS)}, found {self.physics!r}")
        if self.physics == "simple" and self.excitation_pulse is not None:
            raise ValueError("an excitation pulse belongs to full physics, and physics is simple; give --physics full")
        if self.physics == "simple" and self.semisolid is not None:
            raise ValueError(
                "line, T2 and R1 of the semisolid pool belong to full physics, and physics is simple; give --physics full"
            )
        if not math.isfinite(self.drift):
            raise ValueError(f"drift must be a number of Hz, found {self.drift}")
        if not 0.0 <= self.gain_scatter <= 50.0:
            raise ValueError(f"gain scatter must lie in [0, 50] percent, found {self.gain_scatter}")
        self.pulse  # noqa: B018 - a pulse that has no meaning is refused before anything is computed

    @property
    def pulse(self) -> RfPulse | None:
        """The excitation pulse of full physics."""
        return None if self.physics == "simple" else RfPulse.named(self.excitation_pulse or DEFAULT_PULSE)

    @property
    def pools(self) -> Semisolid | None:
        """The semisolid pools that all scans share in full physics; None in the simple one."""
        return None if self.physics == "simple" else (self.semisolid or Semisolid())

    def of(self, entropy: tuple[int, ...], *, cycles: int) -> Physics:
        """Return the physics of one scan; drift and gain have a generator of their own, drawn from `entropy`."""
        scatter, level = np.random.default_rng([*entropy, _STREAM]).standard_normal((2, cycles))
        drift = self.drift * (np.linspace(-0.5, 0.5, cycles) + DRIFT_SCATTER * scatter)
        return Physics(
            pulse=self.pulse,
            semisolid=self.pools,
            drift=tuple((drift - drift.mean()).tolist()) if self.drift else None,
            gain=tuple(np.exp(0.01 * self.gain_scatter * level).tolist()) if self.gain_scatter else None,
        )

    @property
    def said(self) -> dict[str, object]:
        """The settings by name, for the README; nothing where all are the default."""
        return {
            **({"physics": "full"} if self.pulse is not None else {}),
            **(
                {}
                if self.pulse is None
                else {"excitation pulse": f"{self.pulse.name}, {1e3 * self.pulse.duration:g} ms"}
            ),
            **({} if self.pools is None else {"semisolid pool of all scans": self.pools.said}),
            **({"drift over the cycles": f"{self.drift:g} Hz"} if self.drift else {}),
            **({"scatter of the gain of the cycles": f"{self.gain_scatter:g} %"} if self.gain_scatter else {}),
        }


def full_signal(
    sample: Sample,
    m0: NDArray[np.complexfloating],
    *,
    pulse: RfPulse,
    semisolid: Semisolid | None,
    protocol: BssfpProtocol,
    cycles: tuple[int, ...],
    drift: NDArray[np.float64],
) -> NDArray[np.complex64]:
    """Return the signal of some cycles by the Bloch equations, shape (n, len(cycles)).

    The head's T1 is what an inversion recovery finds, and its M0 that of free water.

    Parameters
    ----------
    sample
        What lies at n positions.
    m0
        Its M0 with the phase of the receiver, shape (n,).
    pulse
        The excitation pulse.
    semisolid
        The semisolid pools; None for water alone.
    protocol
        The acquisition.
    cycles
        Indices of the cycles to compute.
    drift
        Off-resonance that they add [Hz], shape (len(cycles),).
    """
    sequence = PulseSequence(
        repetition_time=protocol.repetition_time,
        echo_time=protocol.echo_time,
        flip_angle=protocol.flip_angle,
        increments=tuple(protocol.rf_phase_increment[cycle] for cycle in cycles),
        pulse=pulse,
    )
    out = np.empty((len(m0), len(cycles)), dtype=np.complex64)
    for label in np.unique(sample.label):
        here = sample.label == label
        pools = None if semisolid is None else semisolid.two_pools(int(label))
        t1 = sample.t1[here].astype(np.float64)
        out[here] = simulate_cycles(
            t1 if pools is None else pools.free_t1(t1),
            sample.t2[here],
            sample.b1[here],
            (sample.off_resonance + sample.chemical_shift)[here],
            m0[here],
            sequence=sequence,
            pools=pools,
            drift=drift,
        )
    return out
