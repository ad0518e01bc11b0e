"""What is trained and on what: the specification, and samples simulated from a prior."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from qmri_bids.networks.features import INPUTS, lowest_configurations, phase_theta
from qmri_bids.networks.names import SYSTEMS, NetworkSystem
from qmri_bids.physics.bssfp import signal
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.priors.relaxation import PRIORS, BoxPrior, Prior

NOISE_REFERENCE = 0.074
"""Mean |F0| in brain tissue for M0 = 1: the signal in the SNR of Birk et al. 2025; sd a channel = 0.074/(√2·SNR)."""

FULL_PRECISION_SNR = 100.0
"""SNR beyond which a sample no longer gains weight in the loss: the accuracy asked of the network."""

BEYOND = BoxPrior(
    t1=(0.100, 6.000), t2=(0.005, 3.000), scale="log", source="whatever else a head may hold, from fat to fluid"
)
"""From where the samples beyond a prior's support are drawn."""


def paper_protocol(number_of_cycles: int = 12) -> BssfpProtocol:
    """Return the protocol of Birk et al. 2025: TR 4.8 ms, TE 2.4 ms, 15°, half-bin increments."""
    return BssfpProtocol.evenly_spaced(
        number_of_cycles=number_of_cycles, repetition_time=4.8e-3, echo_time=2.4e-3, flip_angle=math.radians(15.0)
    )


@dataclass(frozen=True, kw_only=True)
class TrainingSpec:
    """All that determines a training.

    Parameters
    ----------
    name
        Name of the network, file stem of its weights.
    protocol
        Acquisition; TR only sets the unit of time of the prior.
    system
        Key of `networks.names.SYSTEMS`: loss, input and width.
    prior
        Key of `PRIORS`.
    beyond
        Share of the samples that lie beyond the prior's support. A supervised network must have seen fluid to put it at the edge of
        its range, where it is told from tissue; one that has not may call it tissue.
    b1
        Range of actual over nominal flip angle, drawn uniformly.
    snr
        Range of the signal-to-noise ratio, drawn log-uniformly; None for noise-free training.
    samples
        Samples an epoch; every epoch draws new ones.
    epochs, batch_size, learning_rate
        Adam with a cosine schedule from `learning_rate` to a hundredth of it.
    warm_up
        First epochs that use the supervised loss whatever the loss of the system is: the physics loss alone is nearly flat along T1
        far from the solution and takes many times the epochs to get there.
    seed
        Seed of weights, samples and noise.

    Raises
    ------
    ValueError
        If a name is not in its table or a number has no meaning.
    """

    name: str
    protocol: BssfpProtocol
    system: str = "pinn-complex"
    prior: str = "uniform-extended"
    beyond: float = 0.0
    b1: tuple[float, float] = (0.6, 1.4)
    snr: tuple[float, float] | None = (5.0, 300.0)
    samples: int = 400_000
    epochs: int = 12
    batch_size: int = 512
    learning_rate: float = 2e-3
    warm_up: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        for name, table in (("system", SYSTEMS), ("prior", PRIORS)):
            if getattr(self, name) not in table:
                raise ValueError(f"{name} must be one of {', '.join(table)}, found {getattr(self, name)!r}")
        for name in ("samples", "epochs", "batch_size", "learning_rate"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, found {getattr(self, name)}")
        if not 0.0 <= self.beyond < 1.0:
            raise ValueError(f"beyond must be a share in [0, 1), found {self.beyond}")
        for name in ("b1", "snr"):
            bounds = getattr(self, name)
            if bounds is not None and not 0.0 < bounds[0] <= bounds[1]:
                raise ValueError(f"{name} must be a range (low, high) with 0 < low ≤ high, found {bounds}")
        if self.b1[0] == self.b1[1]:
            raise ValueError(f"b1 must be a range with low < high, found {self.b1}")
        if self.b1[1] * self.protocol.flip_angle >= math.pi:
            raise ValueError(
                f"b1 times the nominal flip angle must stay below 180°, found {self.b1[1]:g} × "
                f"{math.degrees(self.protocol.flip_angle):g}°; train for a smaller flip angle"
            )

    @property
    def parts(self) -> NetworkSystem:
        """Loss, input and width of the system."""
        return SYSTEMS[self.system]


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Simulated samples, shape (V,) each but for the features.

    Parameters
    ----------
    t1, t2, theta, b1
        True parameters [s], [s], [rad] and actual over nominal flip angle.
    features
        Features of the noisy signal, shape (V, features).
    measured_theta
        θ from the phases of the noisy configurations [rad].
    weight
        Weight in the loss, mean one.
    """

    t1: torch.Tensor
    t2: torch.Tensor
    theta: torch.Tensor
    b1: torch.Tensor
    features: torch.Tensor
    measured_theta: torch.Tensor
    weight: torch.Tensor

    def to(self, device: torch.device) -> Batch:
        """Return them on a device."""
        return Batch(**{name: value.to(device) for name, value in vars(self).items()})


def simulate(spec: TrainingSpec, number: int, *, generator: torch.Generator) -> Batch:
    """Draw parameters from the prior and beyond it and simulate noisy signals; θ covers the whole circle."""
    t1, t2 = _draw_times(spec, number, generator)
    theta = 2.0 * math.pi * torch.rand(number, generator=generator) - math.pi
    b1 = spec.b1[0] + (spec.b1[1] - spec.b1[0]) * torch.rand(number, generator=generator)
    cycles = signal(
        t1,
        t2,
        b1=b1,
        off_resonance=theta / (2.0 * math.pi * spec.protocol.repetition_time),
        protocol=spec.protocol,
    )
    weight = torch.ones(number)
    if spec.snr is not None:
        low, high = math.log(spec.snr[0]), math.log(spec.snr[1])
        snr = torch.exp(low + (high - low) * torch.rand(number, generator=generator))
        noise = torch.randn((*cycles.shape, 2), generator=generator)
        cycles = cycles + torch.view_as_complex(noise) * (NOISE_REFERENCE / (math.sqrt(2.0) * snr))[:, None]
        # As in a likelihood: a sample counts by its precision, or the noisy ones would drown the accuracy of the others.
        weight = 1.0 / (snr.pow(-2) + FULL_PRECISION_SNR**-2)
        weight = weight / weight.mean()
    modes = lowest_configurations(cycles, rf_phase_increment=spec.protocol.rf_phase_increment)
    return Batch(
        t1=t1,
        t2=t2,
        theta=theta,
        b1=b1,
        features=INPUTS[spec.parts.inputs].compute(modes),
        measured_theta=phase_theta(modes),
        weight=weight,
    )


def _draw_times(spec: TrainingSpec, number: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Return T1 and T2 [s], the share `spec.beyond` of them beyond the support of the prior, in random order."""
    prior = PRIORS[spec.prior]
    t1, t2 = prior.draw(number, generator=generator)
    if spec.beyond == 0.0:
        return t1, t2
    missing = torch.nonzero(torch.rand(number, generator=generator) < spec.beyond)[:, 0]
    while missing.numel() > 0:
        other_t1, other_t2 = BEYOND.draw(missing.numel(), generator=generator)
        t1[missing], t2[missing] = other_t1, other_t2
        missing = missing[_within(prior, other_t1, other_t2)]
    return t1, t2


def _within(prior: Prior, t1: torch.Tensor, t2: torch.Tensor) -> torch.Tensor:
    """Return whether T1 and T2 [s] lie in the box of a prior; float32 draws at its very edge do."""
    return (
        (t1 >= prior.t1[0] * (1.0 - 1e-6))
        & (t1 <= prior.t1[1] * (1.0 + 1e-6))
        & (t2 >= prior.t2[0] * (1.0 - 1e-6))
        & (t2 <= prior.t2[1] * (1.0 + 1e-6))
    )
