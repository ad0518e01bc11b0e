"""Weights as safetensors with a model card in JSON beside them; never pickle."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from torch import nn

from qmri_bids.networks.architecture import PaperNetwork, PaperNetworkConfig
from qmri_bids.networks.pools import ExchangeNetwork, ExchangeNetworkConfig
from qmri_bids.networks.profile import NaturalNetwork, NaturalNetworkConfig

CARD_VERSION = 2
"""Version of the layout of cards; a card of another version is not read."""

ARCHITECTURES: dict[str, Callable[[dict[str, Any]], nn.Module]] = {
    "paper": lambda values: PaperNetwork(PaperNetworkConfig.from_dict(values)),
    "natural": lambda values: NaturalNetwork(NaturalNetworkConfig.from_dict(values)),
    "exchange": lambda values: ExchangeNetwork(ExchangeNetworkConfig.from_dict(values)),
}
"""How the network of a card is built from `ModelCard.architecture`, by the card's kind."""


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What a user must know of a network before trusting it.

    Parameters
    ----------
    name
        File stem of weights and card.
    kind
        Key of `ARCHITECTURES`.
    description
        One sentence.
    architecture
        The network's config as a dictionary.
    coverage
        What the network serves, in terms of its kind: numbers of cycles, flip angles [rad], ranges of the relaxation times.
    training
        Prior, loss, noise, seed, epochs, command: how it was made.
    metrics
        Figures measured on the validation set.
    sha256
        Hash of the weights file.
    """

    name: str
    kind: str
    description: str
    architecture: dict[str, Any]
    coverage: dict[str, Any]
    training: dict[str, Any]
    metrics: dict[str, Any]
    sha256: str = ""
    card_version: int = CARD_VERSION


def save_checkpoint(network: nn.Module, card: ModelCard, folder: Path) -> Path:
    """Write weights and card; return the path of the weights.

    Both files appear under their names only when complete, the card last: weights that have a card are whole.

    Raises
    ------
    ValueError
        If the card's kind is not in the table.
    """
    from safetensors.torch import save

    _builder(card.kind, card.name)
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


def _builder(kind: str, where: object) -> Callable[[dict[str, Any]], nn.Module]:
    if kind not in ARCHITECTURES:
        raise ValueError(f"{where}: kind must be one of {', '.join(ARCHITECTURES)}, found {kind!r}")
    return ARCHITECTURES[kind]


def _content(card: Path) -> dict[str, Any]:
    try:
        content = json.loads(card.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{card}: expected a model card in JSON, found what is none ({error}); delete it or train again"
        ) from None
    if not isinstance(content, dict):
        raise ValueError(f"{card}: expected a model card, found {type(content).__name__}; delete it or train again")
    return content


def load_card(path: Path) -> ModelCard:
    """Read a model card.

    Parameters
    ----------
    path
        The `.json` file or the weights beside it.

    Raises
    ------
    ValueError
        If the card is of another version.
    """
    path = path.with_suffix(".json")
    content = _content(path)
    if content.get("card_version") != CARD_VERSION:
        raise ValueError(
            f"{path}: card_version must be {CARD_VERSION}, found {content.get('card_version')}; "
            "train the network again, or delete it with its weights"
        )
    try:
        return ModelCard(**content)
    except TypeError as error:
        known = [field.name for field in fields(ModelCard)]
        missing = [name for name in known if name not in content and name not in ("sha256", "card_version")]
        unknown = [name for name in content if name not in known]
        found = " and ".join(
            filter(None, (f"no {', '.join(missing)}" if missing else "", f"{', '.join(unknown)}" if unknown else ""))
        )
        raise ValueError(
            f"{path}: expected the keys of a model card, found {found}; delete it or train again"
        ) from error


@lru_cache(maxsize=256)
def _sha256(path: Path, _modified: int, _size: int) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def check_weights(weights: Weights) -> None:
    """Check that weights are those of their card, before anything is computed with them.

    Raises
    ------
    ValueError
        If the file is missing, damaged or another one.
    """
    path = weights.path
    if not path.is_file():
        raise ValueError(f"{path}: expected the weights of {path.stem}.json, found no file; restore it or train again")
    stat = path.stat()
    found = _sha256(path, stat.st_mtime_ns, stat.st_size)
    if found != weights.card.sha256:
        raise _other_weights(path, found=found, card=weights.card)


def _other_weights(path: Path, *, found: str, card: ModelCard) -> ValueError:
    return ValueError(
        f"{path}: the weights (sha256 {found[:12]}…) are not those of the model card "
        f"({card.sha256[:12]}…); they are damaged or were exchanged. Install the package again, "
        "or train the network again where the folder is your own"
    )


def load_checkpoint(path: Path) -> tuple[nn.Module, ModelCard]:
    """Read weights and card, and hold them against each other.

    Parameters
    ----------
    path
        The `.safetensors` file; its card lies beside it as `.json`.

    Raises
    ------
    ValueError
        If the card is of another version or kind, or the weights are not those that the card describes.
    """
    from safetensors.torch import load

    card = load_card(path)
    weights = path.read_bytes()
    found = hashlib.sha256(weights).hexdigest()
    if found != card.sha256:
        raise _other_weights(path, found=found, card=card)
    network = _builder(card.kind, path)(card.architecture)
    network.load_state_dict(load(weights))
    network.eval()
    return network, card


@dataclass(frozen=True, kw_only=True)
class Weights:
    """A weights file and its card."""

    path: Path
    card: ModelCard


def package_weights() -> Path:
    """Return the folder of the weights that ship inside the package."""
    return Path(str(files("qmri_bids"))) / "data" / "weights"


def available_weights(folder: Path | None = None) -> Iterator[Weights]:
    """Return the weights of a folder and then those of the package, each in the order of their names.

    Parameters
    ----------
    folder
        Searched before the package; None for the package alone. A folder that does not exist holds none. Weights of another card
        version are left out: a folder may outlive a release.
    """
    for place in (folder, package_weights()):
        for card in sorted(place.glob("[!.]*.json")) if place is not None else ():
            if _content(card).get("card_version") == CARD_VERSION:
                found = Weights(path=card.with_suffix(".safetensors"), card=load_card(card))
                check_weights(found)
                yield found


def find_weights(*, kind: str, folder: Path | None = None, **training: Any) -> list[Weights]:
    """Return the weights of a kind whose training had the values asked for.

    Parameters
    ----------
    kind
        Key of `ARCHITECTURES`.
    folder
        Searched before the package.
    **training
        Values of `ModelCard.training`, such as `system` and `prior`.
    """
    return [
        each
        for each in available_weights(folder)
        if each.card.kind == kind and all(each.card.training.get(key) == value for key, value in training.items())
    ]
