"""What is said of a trained protocol-free network: its figures on tissue at common protocols, its coverage, its card."""

from __future__ import annotations

from dataclasses import asdict

import torch

from qmri_bids.networks.checkpoint import ModelCard
from qmri_bids.networks.profile import FEWEST_CYCLES, MOST_CYCLES, NaturalNetwork, canonical_features
from qmri_bids.physics.bssfp import relaxation_times, signal
from qmri_bids.priors.relaxation import PRIORS
from qmri_bids.training.profile import NaturalTrainingSpec
from qmri_bids.training.simulation import paper_protocol

VALIDATION_CYCLES = (3, 4, 6, 8, 12, 18)
VALIDATION_SAMPLES = 50_000


def validate_natural(network: NaturalNetwork, *, seed: int = 1) -> dict[str, dict[str, float]]:
    """Return mean absolute errors of T1 and T2 [%] without noise, for several N.

    Tissue of the uniform prior at TR 4.8 ms and a flip angle of 15°, B1 of 0.7 to 1.3, θ over the whole circle.
    """
    metrics = {}
    for number in VALIDATION_CYCLES:
        protocol = paper_protocol(number)
        generator = torch.Generator().manual_seed(seed)
        t1, t2 = (each.double() for each in PRIORS["uniform"].draw(VALIDATION_SAMPLES, generator=generator))
        b1 = 0.7 + 0.6 * torch.rand(len(t1), generator=generator, dtype=torch.float64)
        turns = torch.rand(len(t1), generator=generator, dtype=torch.float64) - 0.5
        cycles = signal(t1, t2, b1=b1, off_resonance=turns / protocol.repetition_time, protocol=protocol)
        seen = canonical_features(cycles.to(torch.complex64), rf_phase_increment=protocol.rf_phase_increment)
        with torch.no_grad():
            rate, logit, _ = network(seen.features, torch.tensor(number))
        e2, b = torch.exp(-torch.exp(rate.double())), torch.sigmoid(logit.double())
        found_t1, found_t2 = relaxation_times(e2, b, b1=b1, protocol=protocol)
        solved = torch.isfinite(found_t1) & torch.isfinite(found_t2)
        metrics[f"noise_free_n{number}"] = {
            "T1_mean_absolute_error_percent": round(100.0 * float((found_t1 / t1 - 1.0)[solved].abs().mean()), 3),
            "T2_mean_absolute_error_percent": round(100.0 * float((found_t2 / t2 - 1.0)[solved].abs().mean()), 3),
            "without_solution_percent": round(100.0 * float((~solved).double().mean()), 3),
        }
    return metrics


def natural_card(
    network: NaturalNetwork, spec: NaturalTrainingSpec, *, losses: list[float], seconds: float, command: str
) -> ModelCard:
    """Return the model card of a trained network.

    Parameters
    ----------
    network, spec
        What was trained, and how.
    losses
        Mean loss of every thousand steps.
    seconds
        Duration of the training.
    command
        The command line.
    """
    shortest, longest = spec.repetition_time
    return ModelCard(
        name=spec.name,
        kind="natural",
        description=(
            f"Protocol-free physics-informed network: modes of {FEWEST_CYCLES} to {MOST_CYCLES} evenly spaced phase cycles to "
            "E2, b and θ; T1 and T2 follow in closed form for any TR and B1"
        ),
        architecture=network.config.to_dict(),
        coverage={
            "number_of_cycles": [FEWEST_CYCLES, MOST_CYCLES],
            "flip_angle": list(spec.flip_angle),
            "t1_over_tr": [spec.t1[0] / longest, spec.t1[1] / shortest],
            "t2_over_tr": [spec.t2[0] / longest, spec.t2[1] / shortest],
        },
        training=asdict(spec)
        | {
            "command": command,
            "seconds": round(seconds, 1),
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "first_losses": losses[:3],
            "last_losses": losses[-3:],
        },
        metrics=validate_natural(network),
    )
