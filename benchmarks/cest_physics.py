"""CEST and MT against their bars: the forward model beside independent engines and plain torch, sequence files, maps end to end.

    python benchmarks/cest_physics.py [--only PART ...]

Every part prints its rows and saves them in `results/cest_physics.json`. The engines are those of `tests/conformance`.
"""

from __future__ import annotations

import importlib.util
import math
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cest_maps
import numpy as np
import torch
from cest_seq import seq_reading
from rows import AtLeast, Row, run_parts

from qmri_bids.physics.bloch_mcconnell.compiled import signal_and_jacobian
from qmri_bids.physics.bloch_mcconnell.reference import VoxelParameters
from qmri_bids.physics.pools import CestPool, MtForm, MtPool, PoolModel, Water
from qmri_bids.physics.saturation_presets import mrf_amide, mrf_mt, z_spectrum

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
from torch_bloch_mcconnell import signal

SEED = 7
VOXELS = 2048
FEW = 64
"""Voxels of the baseline, which takes that much longer."""
DIFFERENTIATED = ("mt.fraction", "mt.rate", "amide.fraction", "amide.rate")
THREE_POOLS = PoolModel(
    water=Water(t1=1.0, t2=0.07),
    cest=(CestPool(name="amide", fraction=2.4e-3, rate=162.0, shift=3.5, t2=0.04),),
    mt=MtPool(name="mt", fraction=0.112, rate=29.0, shift=-2.5, t2=4e-5, form=MtForm.FULL),
)


def _load(name: str):
    path = Path(__file__).parents[1] / "tests" / "conformance" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"conformance_{name}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def brain_voxels(number: int) -> VoxelParameters:
    """Return voxels over the ranges of brain at 3 T."""
    draw = np.random.default_rng(SEED).uniform
    return VoxelParameters(
        t1=draw(0.8, 1.5, number),
        t2=draw(0.05, 0.1, number),
        b1=draw(0.8, 1.2, number),
        off_resonance=draw(-40.0, 40.0, number),
        fractions={"mt": draw(0.03, 0.2, number), "amide": draw(1e-3, 5e-3, number)},
        rates={"mt": draw(10.0, 70.0, number), "amide": draw(40.0, 400.0, number)},
    )


def conformance() -> list[Row]:
    """Largest difference of the signed Z from two engines that share no code with the package."""
    engines, cases = _load("conftest"), _load("test_bmsim")
    plain = {"compiled": 0.0, "torch": 0.0}
    other = 0.0
    for number, (model, protocol) in cases.CASES.items():
        expected = engines.ScipyEngine(model, protocol).signal()
        found = signal_and_jacobian(model, protocol, VoxelParameters()).signal
        plain["compiled"] = max(plain["compiled"], np.abs(found - expected).max())
        plain["torch"] = max(
            plain["torch"], np.abs(signal(model, protocol, VoxelParameters()).numpy() - expected).max()
        )
        few = protocol if number not in (6, 7) else replace(protocol, images=protocol.images[::2])
        found = signal_and_jacobian(model, few, VoxelParameters()).signal
        other = max(other, np.abs(found - engines.bmctool_signal(model, few)).max())
    for protocol in (mrf_mt(), mrf_amide()):
        voxel = {"b1": 0.83, "off_resonance": 17.0}
        expected = engines.ScipyEngine(THREE_POOLS, protocol, **voxel).signal()
        found = signal_and_jacobian(THREE_POOLS, protocol, VoxelParameters(**voxel)).signal
        plain["compiled"] = max(plain["compiled"], np.abs(found - expected).max())
        double = signal(THREE_POOLS, protocol, VoxelParameters(**voxel)).numpy()
        plain["torch"] = max(plain["torch"], np.abs(double - expected).max())
    label = "largest difference of Z, BMsim cases 1-8"
    rows = [
        Row(figure=f"{label} and MRF: {name} against scipy expm", unit="1", bar=1e-8, value=float(value))
        for name, value in plain.items()
    ]
    return [*rows, Row(figure=f"{label}: compiled against bmctool", unit="1", bar=1e-6, value=float(other))]


def single_precision() -> list[Row]:
    """The float32 path over brain, and far off resonance."""
    voxels = brain_voxels(FEW)
    protocols = (mrf_mt(), mrf_amide())
    gap = max(
        float((signal(THREE_POOLS, each, voxels, dtype=torch.float32) - signal(THREE_POOLS, each, voxels)).abs().max())
        for each in protocols
    )
    protocol = _load("test_bmsim").spectrum(_load("test_bmsim").block(15.0), (3.5,))
    far = signal(THREE_POOLS, protocol, voxels, dtype=torch.float32)[:, 0]
    reference = signal(THREE_POOLS, protocol, voxels)[:, 0]
    return [
        Row(figure="float32 against float64, both MRF stages, largest difference", unit="1", bar=1e-3, value=gap),
        Row(
            figure="float32 at -300 ppm, block of 15 s, largest difference",
            unit="1",
            bar=1e-3,
            value=float((far - reference).abs().max()),
            baseline=f"{int((~torch.isfinite(far)).sum())} not finite of {FEW}",
        ),
    ]


def plain_torch(voxels: VoxelParameters, protocol) -> tuple[torch.Tensor, torch.Tensor]:
    """The signal by `torch.matrix_exp` of whole 10-state matrices, all images in one batch, and its derivatives by autograd.

    Every image has parameters of its own, so that two backward passes, of a and of b in Z → a Z + b, give all derivatives of all
    images; the recursion over images is written out. No arrangement of autograd was found that is cheaper.
    """
    t1, t2, b1, off = (torch.tensor(each) for each in (voxels.t1, voxels.t2, voxels.b1, voxels.off_resonance))
    gamma, larmor = 2.0 * math.pi * 42.5764e6, 2.0 * math.pi * 42.5764 * 3.0
    shifts, relaxed = (0.0, 3.5, -2.5), (1.0 / t2, 1.0 / 0.04, 1.0 / 4e-5)
    images = [image for image in protocol.images if image.saturation is not None]
    train, readout = images[0].saturation, protocol.readout
    carrier = torch.tensor([image.offset * larmor for image in images], dtype=torch.float64)[:, None]
    w1 = (
        gamma
        * torch.tensor([image.saturation.pulse.segments[0].amplitude for image in images], dtype=torch.float64)[:, None]
        * b1
    )
    angle = torch.atan(w1 / (2.0 * math.pi * off - carrier))
    c, s = torch.cos(angle)[..., None], torch.sin(angle)[..., None]

    def matrix(strength, fractions, rates):
        zero = torch.zeros_like(w1)
        rows = [[zero] * 10 for _ in range(10)]
        for p in range(3):
            x, y, z = 3 * p, 3 * p + 1, 3 * p + 2
            leave = fractions[1] * rates[1] + fractions[2] * rates[2] if p == 0 else rates[p]
            away = 2.0 * math.pi * off + shifts[p] * larmor - carrier
            rows[x][x] = rows[y][y] = -relaxed[p] - leave + zero
            rows[z][z] = -1.0 / t1 - leave + zero
            rows[x][y], rows[y][x] = away, -away
            rows[y][z], rows[z][y] = strength + zero, -strength + zero
            rows[z][9] = fractions[p] / t1 + zero
            if p:
                for k in range(3):
                    rows[k][3 * p + k], rows[3 * p + k][k] = rates[p] + zero, fractions[p] * rates[p] + zero
        return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)

    def tipped(state, c, s):
        parts = list(state.unbind(-2))
        for p in range(3):
            x, z = parts[3 * p], parts[3 * p + 2]
            parts[3 * p], parts[3 * p + 2] = c * x + s * z, c * z - s * x
        return torch.stack(parts, dim=-2)

    def maps(values):
        fractions, rates = (torch.ones_like(w1), values[2], values[0]), (torch.zeros_like(w1), values[3], values[1])
        pulse = torch.matrix_exp(matrix(w1, fractions, rates) * train.pulse.duration)
        gap = torch.matrix_exp(matrix(0.0, fractions, rates) * train.gap)
        empty = torch.zeros_like(w1)
        unit = [each for p in range(3) for each in (empty, empty, fractions[p])] + [empty]
        constant = [empty] * 9 + [empty + 1.0]
        state = torch.stack([torch.stack(unit, dim=-1), torch.stack(constant, dim=-1)], dim=-1)
        for number in range(train.number):
            state = tipped(pulse @ tipped(state, c, s), c, -s)
            if number < train.number - 1:
                state = gap @ state
        return state[..., 2, 0], state[..., 2, 1]

    given = (voxels.fractions["mt"], voxels.rates["mt"], voxels.fractions["amide"], voxels.rates["amide"])
    leaves = [torch.tensor(each).expand(w1.shape).clone().requires_grad_() for each in given]
    a, b = maps(leaves)
    a_slope = torch.stack(torch.autograd.grad(a.sum(), leaves, retain_graph=True), dim=-1)
    b_slope = torch.stack(torch.autograd.grad(b.sum(), leaves), dim=-1)
    z, slope = torch.ones_like(t1), torch.zeros(len(t1), 4, dtype=torch.float64)
    signals, slopes = [z], [slope]
    decay = torch.exp(-readout.spacing / t1)
    for index, image in enumerate(images):
        gain = torch.ones_like(t1)
        for _ in range(readout.number):
            z = 1.0 - (1.0 - z * math.cos(readout.flip_angle)) * decay
            gain = gain * math.cos(readout.flip_angle) * decay
        recovered = torch.exp(-image.recovery / t1)
        z, gain = 1.0 - (1.0 - z) * recovered, gain * recovered
        slope = a_slope[index] * z[:, None] + b_slope[index] + (a[index].detach() * gain)[:, None] * slope
        z = a[index].detach() * z + b[index].detach()
        signals.append(z)
        slopes.append(slope)
    return torch.stack(signals, dim=-1), torch.stack(slopes, dim=1)


def _cpu_seconds(action: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.process_time()
        action()
        times.append(time.process_time() - start)
    return min(times)


def speed() -> list[Row]:
    """Signals a second with the Jacobian in four parameters: 31 images, 3 pools with x, y and z."""
    protocol, many, few = mrf_mt(), brain_voxels(VOXELS), brain_voxels(FEW)
    reference, slopes = plain_torch(few, protocol)
    found = signal_and_jacobian(THREE_POOLS, protocol, few, parameters=DIFFERENTIATED)
    gap = np.abs(found.jacobian - slopes.numpy()).max() / np.abs(slopes.numpy()).max()
    assert np.abs(found.signal - reference.numpy()).max() < 1e-9, "the baseline must compute the same signal"
    theirs = FEW / _cpu_seconds(lambda: plain_torch(few, protocol), repeats=2)
    mine = VOXELS / _cpu_seconds(
        lambda: signal_and_jacobian(THREE_POOLS, protocol, many, parameters=DIFFERENTIATED), repeats=4
    )
    forward = VOXELS / _cpu_seconds(lambda: signal_and_jacobian(THREE_POOLS, protocol, many), repeats=4)
    label = "forward and Jacobian (fss, kssw, fs, ksw), 31 images, 3 pools, one thread"
    return [
        Row(
            figure=f"{label}: compiled over plain torch",
            unit="×",
            bar=AtLeast(10.0),
            value=mine / theirs,
            baseline=f"torch.matrix_exp with autograd {theirs:.0f} signals/s; largest relative difference {gap:.1e}",
        ),
        Row(
            figure=f"{label}: compiled",
            unit="1/s",
            bar=AtLeast(2000.0),
            value=mine,
            baseline=f"signal alone {forward:.0f}/s",
        ),
    ]


def spectra() -> list[Row]:
    """Signals of a Z-spectrum of shaped pulses, where each image is a product of 200 exponentials."""
    cases = _load("test_bmsim")
    model, protocol = cases.FIVE_POOLS, z_spectrum(cases.CASES[7][1].images[0].saturation, (3.5,), recovery=3.5)
    voxels = VoxelParameters(b1=np.linspace(0.8, 1.2, 64))
    images = 64 * protocol.number_of_images
    rate = images / _cpu_seconds(lambda: signal_and_jacobian(model, protocol, voxels), repeats=3)
    both = images / _cpu_seconds(
        lambda: signal_and_jacobian(model, protocol, voxels, parameters=("amide.fraction",)), repeats=3
    )
    return [
        Row(
            figure="36 shaped pulses of 200 steps, 5 pools: images a second, one thread",
            unit="1/s",
            bar=None,
            value=rate,
            baseline=f"with Jacobian {both:.0f}/s",
        )
    ]


PARTS: dict[str, Callable[[], list[Row]]] = {
    "conformance": conformance,
    "single-precision": single_precision,
    "speed": speed,
    "spectra": spectra,
    "seq": seq_reading,
    **cest_maps.PARTS,
}


if __name__ == "__main__":
    run_parts("cest_physics", PARTS, description=__doc__.splitlines()[0])
