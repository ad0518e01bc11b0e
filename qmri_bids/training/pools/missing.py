"""Train a network of pools that a scan needs and nobody has trained yet; a cache keeps it for the next run."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from qmri_bids.networks.checkpoint import CARD_VERSION, save_checkpoint
from qmri_bids.networks.devices import CPU, resolve_device
from qmri_bids.physics.fingerprint import ExchangeScan
from qmri_bids.training.cache import untrained
from qmri_bids.training.pools.card import exchange_card
from qmri_bids.training.pools.specification import ExchangeTrainingSpec, train_exchange

RECIPE_VERSION = 1
"""To be raised when the training code changes in a way that changes its result for the same specification."""

LOGGER = logging.getLogger(__name__)


def scan_hash(scan: ExchangeScan, *, loss: str) -> str:
    """Return a hash of all that determines the network of a scan."""
    content = asdict(scan) | {"loss": loss, "recipe": RECIPE_VERSION, "card": CARD_VERSION}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def ensure_exchange_weights(
    scan: ExchangeScan,
    *,
    cache: Path,
    threads: int = 1,
    device: str = CPU,
    seed: int = 0,
    loss: Literal["physics", "supervised"] = "physics",
    progress: Callable[[str], None] | None = None,
) -> Path:
    """Train the network of a scan unless the cache has it.

    Two processes that need the same network train it once: the second waits for the first. A training that was stopped leaves
    nothing that counts as trained.

    Parameters
    ----------
    scan
        Series and pools.
    cache
        Folder that keeps trained networks; made if need be.
    threads
        Threads of the forward model.
    device
        Device of the training; see `networks.devices`.
    seed
        Seed of all draws; a network of another seed does not count as trained.
    loss
        Loss of the training.
    progress
        Called with lines of text; None sends them to the log.

    Returns
    -------
    Path
        The cache, for `ExchangeOptions.weights_folder`.
    """
    say = LOGGER.info if progress is None else progress
    name = f"{loss}_{'_'.join(scan.pools)}_{scan_hash(scan, loss=loss)[:12]}" + (f"_seed{seed}" if seed else "")
    with untrained(name, cache=cache, say=say) as missing:
        if not missing:
            return cache
        say(f"Training network {name} on simulated signals of {scan.number_of_images} images (about ten minutes)")
        spec = ExchangeTrainingSpec(name=name, scan=scan, loss=loss, seed=seed)
        result = train_exchange(
            spec,
            threads=threads,
            device=resolve_device(device),
            progress=lambda line: say(f"Network {name}: {line}"),
        )
        card = exchange_card(
            result.network,
            spec,
            losses=result.losses,
            seconds=result.seconds,
            command="trained for a protocol on demand",
        )
        save_checkpoint(result.network, card, cache)
        say(f"Network {name} trained in {result.seconds:.0f} s")
    return cache
