"""Train a network that a protocol needs and nobody has trained yet; a cache keeps it for the next run."""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

from qmri_bids.networks.checkpoint import CARD_VERSION, save_checkpoint
from qmri_bids.networks.devices import CPU, resolve_device
from qmri_bids.networks.names import NETWORK_SYSTEMS, SYSTEMS
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.training.cache import untrained
from qmri_bids.training.loop import train
from qmri_bids.training.simulation import TrainingSpec

EPOCHS = {"magnitude": 10, "complex": 18}
"""Epochs by input: about half a minute and one and a half minutes on one core."""

WIDE_PRIORS = ("uniform-extended", "in-vivo", "log-uniform")
"""Priors that reach into fluid."""

WIDE_FACTOR = 3
"""How many times the epochs a wide prior takes: tissue is then a corner of what is to be learned."""

BEYOND = {"supervised": 0.1, "physics": 0.0}
"""Share of samples beyond the prior by loss: the physics loss sends them to the edge unasked, and training on them would let their
misfit outweigh all else."""

LEARNING_RATE = 3e-3

RECIPE_VERSION = 1
"""To be raised when the training code changes in a way that changes its result for the same specification."""

LOGGER = logging.getLogger(__name__)


def spec_for(protocol: BssfpProtocol, estimator: str) -> TrainingSpec:
    """Return how to train the network of an estimator for a protocol.

    Parameters
    ----------
    protocol
        The acquisition; the offset of its increments does not matter.
    estimator
        Key of `networks.names.NETWORK_SYSTEMS`.

    Raises
    ------
    ValueError
        If no such network exists or it cannot serve the protocol at any training.
    """
    if estimator not in NETWORK_SYSTEMS:
        raise ValueError(f"a network to train must be one of {', '.join(NETWORK_SYSTEMS)}, found {estimator!r}")
    if not protocol.is_evenly_spaced:
        degrees = ", ".join(f"{math.degrees(each):.1f}" for each in protocol.rf_phase_increment)
        raise ValueError(
            f"{estimator} needs evenly spaced RF phase increments, found {degrees}°; use --bssfp-estimator ml"
        )
    row = NETWORK_SYSTEMS[estimator]
    return TrainingSpec(
        name=f"{row.system.replace('-', '_')}_{row.prior}_n{protocol.number_of_cycles}",
        protocol=BssfpProtocol.evenly_spaced(
            number_of_cycles=protocol.number_of_cycles,
            repetition_time=protocol.repetition_time,
            echo_time=protocol.echo_time,
            flip_angle=protocol.flip_angle,
        ),
        system=row.system,
        prior=row.prior,
        beyond=BEYOND[SYSTEMS[row.system].loss],
        epochs=epochs_for(row.system, row.prior),
        learning_rate=LEARNING_RATE,
    )


def epochs_for(system: str, prior: str) -> int:
    """Return the epochs that a system of `networks.names.SYSTEMS` is trained for on a prior."""
    return EPOCHS[SYSTEMS[system].inputs] * (WIDE_FACTOR if prior in WIDE_PRIORS else 1)


def content_hash(spec: TrainingSpec) -> str:
    """Return a hash of all that determines the result of a training; the name does not."""
    content = asdict(replace(spec, name="")) | {"recipe": RECIPE_VERSION, "card": CARD_VERSION}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def ensure_weights(
    spec: TrainingSpec, *, cache: Path, device: str = CPU, progress: Callable[[str], None] | None = None
) -> Path:
    """Train a network unless the cache has it.

    Two processes that need the same network train it once: the second waits for the first. Weights and card appear only when
    complete; a training that was stopped leaves nothing that counts as trained.

    Parameters
    ----------
    spec
        What to train.
    cache
        Folder that keeps trained networks; made if need be.
    device
        Device of the training; see `networks.devices`.
    progress
        Called with one line of text before the training, after every epoch and at the end; None sends them to the log.

    Returns
    -------
    Path
        The folder for `EstimatorOptions.weights_folder`: the cache itself, so that one folder serves several protocols.
    """
    say = LOGGER.info if progress is None else progress
    digest = content_hash(spec)
    name = f"{spec.name}_{digest[:12]}"
    with untrained(name, cache=cache, say=say) as missing:
        if not missing:
            return cache
        say(
            f"Training network {name} for {spec.protocol.number_of_cycles} phase cycles ({spec.epochs} epochs of "
            f"{spec.samples} samples; a few minutes)"
        )
        seconds: list[float] = []

        def after_epoch(epoch: int, loss: float, duration: float) -> None:
            seconds.append(duration)
            left = (spec.epochs - epoch) * max(seconds)
            say(f"Network {name}: epoch {epoch}/{spec.epochs}, loss {loss:.3e}, at most about {left:.0f} s left")

        result = train(
            replace(spec, name=name),
            command="trained for a protocol on demand",
            device=resolve_device(device),
            progress=after_epoch,
        )
        save_checkpoint(result.network, result.card, cache)
        say(f"Network {name} trained in {sum(seconds):.0f} s")
    return cache
