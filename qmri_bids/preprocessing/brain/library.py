"""The brain as deepbet's networks see it: the only place that knows this library.

deepbet (Fisch et al. 2024, doi:10.1016/j.media.2024.103177) ships its weights in its wheel, so that nothing is downloaded. They
are TorchScript archives, which run code when they are loaded: their hash is compared first.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

WEIGHTS = {
    "bbox_model.pt": "39a7b2b5f799faa1391ea97bfcdc0b9299f20d84f2316a4ff8918dc4685e40aa",
    "model.pt": "de8ee7c69654d0dd3935dc4a5d84571d8ecf4637a6bfc01df399c4c2bc86e0fd",
}
"""SHA-256 of the files of version 1.0.2."""

_NETWORK = (256, 256, 256)


def weight_files() -> dict[str, Path]:
    """Return where the weights of the installed package lie, by their names.

    Raises
    ------
    FileNotFoundError
        If the package or one of its files is missing.
    ValueError
        If a file is not that of the version that was tested.
    """
    try:
        installed = files("deepbet") or []
    except PackageNotFoundError:
        installed = []
    found = {path.name: Path(str(path.locate())) for path in installed if path.name in WEIGHTS}
    for name, expected in WEIGHTS.items():
        if name not in found or not found[name].is_file():
            raise FileNotFoundError(f"{name} of the package deepbet 1.0.2 is not installed: pip install deepbet==1.0.2")
        digest = hashlib.sha256(found[name].read_bytes()).hexdigest()
        if digest != expected:
            raise ValueError(
                f"{found[name]}: sha256: expected {expected}, that of deepbet 1.0.2, found {digest}; install deepbet==1.0.2"
            )
    return found


@lru_cache(maxsize=1)
def _extraction() -> Any:
    paths = weight_files()
    with warnings.catch_warnings():
        # torch 2.13 calls the format of these weights deprecated; there are none in another.
        warnings.filterwarnings("ignore", message=".*torch.jit.*", category=DeprecationWarning)
        warnings.filterwarnings("ignore", message=".*torch.jit.*", category=FutureWarning)
        from deepbet import BrainExtraction

        return BrainExtraction(
            no_gpu=True, model_path=str(paths["model.pt"]), bbox_model_path=str(paths["bbox_model.pt"])
        )


def whole_head(image: NDArray[np.floating]) -> NDArray[np.float32] | None:
    """Return the probability that a voxel belongs to the brain, or nothing where no brain is seen.

    Parameters
    ----------
    image
        Magnitudes of a head with axes towards right, anterior and superior, shape (X, Y, Z).
    """
    with _one_thread():
        try:
            return np.asarray(_extraction().run_model(np.array(image, dtype=np.float32)), dtype=np.float32)
        except (AssertionError, ValueError, RuntimeError):  # its ways of saying that it saw nothing
            return None


def boxed(image: NDArray[np.floating], *, low: float, high: float) -> NDArray[np.float32]:
    """Return the probability in a box that the brain fills as the network expects it: with a tenth of its size on either side.

    Parameters
    ----------
    image
        Magnitudes with axes towards right, anterior and superior, shape (X, Y, Z).
    low, high
        Range of the magnitudes: what lies beyond is clipped.
    """
    import torch
    from deepbet.utils import normalize
    from torch.nn.functional import interpolate

    values = torch.from_numpy(np.ascontiguousarray(image, dtype=np.float32))[None, None]
    with _one_thread(), torch.no_grad():
        box = interpolate(values, _NETWORK, mode="trilinear")[0, 0]
        found = _extraction().model(normalize(box, low, high)[None, None])[:, 1:2]
        return np.asarray(interpolate(found, image.shape, mode="trilinear")[0, 0], dtype=np.float32)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep torch to one thread: several would add in another order."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
