"""Weights as safetensors with a model card in JSON beside them; never pickle."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from qmri_bids.networks.architecture import ComplexNetwork, ComplexNetworkConfig

CARD_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What a user must know of a network before trusting it.

    Parameters
    ----------
    name
        File stem of weights and card.
    description
        One sentence.
    architecture
        `ComplexNetworkConfig` as a dictionary.
    number_of_cycles
        Number of phase cycles N.
    rf_phase_increment
        Increments used in training [rad].
    flip_angle
        Range of the actual flip angle B1·FA covered [rad].
    t1_over_tr, t2_over_tr
        Ranges of the relaxation times covered, in units of TR.
    training
        Prior, loss, noise, seed, epochs, command: how it was made.
    metrics
        Figures measured on the validation set.
    sha256
        Hash of the weights file.
    """

    name: str
    description: str
    architecture: dict[str, Any]
    number_of_cycles: int
    rf_phase_increment: tuple[float, ...]
    flip_angle: tuple[float, float]
    t1_over_tr: tuple[float, float]
    t2_over_tr: tuple[float, float]
    training: dict[str, Any]
    metrics: dict[str, Any]
    sha256: str = ""
    card_version: int = CARD_VERSION


def save_checkpoint(network: ComplexNetwork, card: ModelCard, folder: Path) -> Path:
    """Write weights and card; return the path of the weights.

    Both files appear under their names only when complete.
    """
    from safetensors.torch import save

    folder.mkdir(parents=True, exist_ok=True)
    weights = save({key: value.contiguous() for key, value in network.state_dict().items()})
    content = asdict(card) | {"sha256": hashlib.sha256(weights).hexdigest()}
    path = folder / f"{card.name}.safetensors"
    for target, data in ((path, weights), (path.with_suffix(".json"), _as_json(content))):
        temporary = target.with_name(f".{target.name}.{os.getpid()}")
        temporary.write_bytes(data)
        os.replace(temporary, target)
    return path


def _as_json(content: dict[str, Any]) -> bytes:
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


def load_checkpoint(path: Path) -> tuple[ComplexNetwork, ModelCard]:
    """Read weights and card, and hold them against each other.

    Parameters
    ----------
    path
        The `.safetensors` file; its card lies beside it as `.json`.

    Raises
    ------
    ValueError
        If the card is of another version, or the weights are not those that the card describes.
    """
    from safetensors.torch import load

    content = json.loads(path.with_suffix(".json").read_text())
    if content.get("card_version") != CARD_VERSION:
        raise ValueError(
            f"{path.with_suffix('.json')}: card_version must be {CARD_VERSION}, "
            f"found {content.get('card_version')}; train the network again"
        )
    weights = path.read_bytes()
    found = hashlib.sha256(weights).hexdigest()
    if found != content["sha256"]:
        raise ValueError(
            f"{path}: the weights (sha256 {found[:12]}…) are not those of the model card "
            f"({content['sha256'][:12]}…); install the package again or train the network again"
        )
    for key in ("rf_phase_increment", "flip_angle", "t1_over_tr", "t2_over_tr"):
        content[key] = tuple(content[key])
    card = ModelCard(**content)
    network = ComplexNetwork(ComplexNetworkConfig.from_dict(card.architecture))
    network.load_state_dict(load(weights))
    network.eval()
    return network, card


def shipped_weights(name: str) -> Path:
    """Return the path of weights that ship inside the package.

    Raises
    ------
    FileNotFoundError
        If there are none of that name; the message lists those that exist.
    """
    folder = Path(str(files("qmri_bids"))) / "data" / "weights"
    path = folder / f"{name}.safetensors"
    if not path.is_file():
        names = ", ".join(sorted(each.stem for each in folder.glob("*.safetensors"))) or "none"
        raise FileNotFoundError(f"no shipped weights are named {name!r}; shipped: {names}")
    return path
