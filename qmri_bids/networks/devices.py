"""Where networks compute: on the processor or on a CUDA device.

Networks, and their training in silico, obey the choice; kernels compiled by numba, closed forms and everything else stay on the
processor. Results of two devices agree within the tolerance of single precision, not to the bit.
"""

from __future__ import annotations

import torch
from torch import nn

AUTO, CPU, CUDA = "auto", "cpu", "cuda"

PROCESSOR = torch.device(CPU)


class DeviceNotFoundError(ValueError):
    """A device that was asked for is not there."""


def resolve_device(name: str) -> torch.device:
    """Return the device of a name.

    Parameters
    ----------
    name
        `auto` (the first CUDA device that torch sees, else the processor), `cpu`, `cuda` or `cuda:N`.

    Raises
    ------
    DeviceNotFoundError
        If torch sees no such device.
    ValueError
        If the name is none of these.

    Examples
    --------
    >>> resolve_device("cpu")
    device(type='cpu')
    """
    if name == CPU:
        return PROCESSOR
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == AUTO:
        return torch.device(CUDA, 0) if there else PROCESSOR
    kind, _, number = name.partition(":")
    if kind != CUDA or (number and not number.isdecimal()) or name.endswith(":"):
        raise ValueError(f"device must be auto, cpu, cuda or cuda:N, found {name!r}")
    index = int(number or 0)
    if index >= there:
        raise DeviceNotFoundError(f"--device {name}: expected a CUDA device that torch sees, found {_seen(there)}")
    return torch.device(CUDA, index)


def _seen(there: int) -> str:
    if there:
        return f"cuda:0 to cuda:{there - 1}; give one of them" if there > 1 else "cuda:0 alone; give --device cuda:0"
    build = f"is built for CUDA {torch.version.cuda}" if torch.version.cuda else "is a build without CUDA"
    return (
        f"none (torch {torch.__version__} {build}); give --device auto or cpu, or install a torch that fits the driver"
    )


def device_of(network: nn.Module) -> torch.device:
    """Return the device on which a network lies."""
    return next(network.parameters()).device
