"""Phantoms of tubes with solutes by plain matrix exponentials of the Bloch-McConnell equations: the judge of `any_pools.py`.

Nothing here is shared with the program: neither its equations nor its readers. A tube holds water, one solute and, of tissue, a
semisolid pool (x, y, z, a Lorentzian line); the magnetisation of all pools runs on from image to image, through readout and
recovery.
What is written is what a user has: NIfTI, sidecar, table of the volumes, maps of T1 and T2, and the YAML of the pools.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy.linalg import expm

GAMMA = 42.5764e6  # Hz/T
WATER = 111e3  # mmol/L of protons
SIZE, SLICES, VOXEL = 60, 4, 2.0
RADIUS = 4.2  # voxels
FULL_SIGNAL = 1000.0

POWERS = (2.0, 0.6, 3.4, 1.2, 4.6, 0.3, 2.8, 1.6, 5.4, 0.9, 3.9, 2.3, 6.0, 0.5, 1.9, 4.2, 1.0, 3.1, 5.0, 0.7, 2.6, 1.4, 5.7, 0.4,
          3.6, 2.1, 4.9, 1.1, 3.0, 0.8)  # fmt: skip
"""Powers of the images of a phantom, in units of a sixth of the strongest."""


@dataclass(frozen=True)
class Solute:
    """A pool: name in the file, shift [ppm], T2 [s], exchanging protons of a molecule."""

    name: str
    shift: float
    t2: float
    protons: float


@dataclass(frozen=True)
class Semisolid:
    """The semisolid pool of a tube: fraction, rate [1/s]; shift [ppm], T1 and T2 [s] are those of all tubes."""

    fraction: float
    rate: float
    shift: float = -2.5
    t1: float = 1.0
    t2: float = 40e-6


@dataclass(frozen=True)
class Tube:
    """One tube: concentration [mmol/L], rate [1/s], T1 and T2 of water [s]."""

    concentration: float
    rate: float
    t1: float
    t2: float
    semisolid: Semisolid | None = None


@dataclass(frozen=True)
class Pulses:
    """The saturation of an image: `number` Hann-windowed Gaussian pulses, or one block."""

    duration: float
    number: int = 1
    gap: float = 0.0

    @property
    def whole(self) -> float:
        return self.number * self.duration + (self.number - 1) * self.gap


@dataclass(frozen=True)
class Scene:
    """A phantom and its scan.

    Offsets [ppm] and powers [µT, root mean square over pulse and gap] of the images; the first image is an M0 after a long wait.
    """

    name: str
    field: float
    solute: Solute
    tubes: tuple[Tube, ...]
    offsets: tuple[float, ...]
    powers: tuple[float, ...]
    pulses: Pulses
    recovery: float = 2.0
    wait: float = 12.0
    flip_angle: float = 60.0
    spacing: float = 0.05
    noise: float = 0.005
    recoveries: tuple[float, ...] = ()  # of each saturated image, where they differ

    @property
    def waits(self) -> tuple[float, ...]:
        """Return the recovery before every saturated image."""
        return self.recoveries or (self.recovery,) * len(self.powers)


def generator(scene: Scene, tube: Tube, *, amplitude: float, carrier: float) -> np.ndarray:
    """Return the matrix of d/dt of (x, y, z of each pool, 1) in the frame of a carrier [Hz], B1 along x [T]."""
    fraction = tube.concentration * scene.solute.protons / WATER
    pools = [(1.0, 0.0, 0.0, tube.t1, tube.t2), (fraction, tube.rate, scene.solute.shift, tube.t1, scene.solute.t2)]
    if tube.semisolid is not None:
        own = tube.semisolid
        pools.append((own.fraction, own.rate, own.shift, own.t1, own.t2))
    size = 3 * len(pools) + 1
    matrix = np.zeros((size, size))
    nutation = 2.0 * math.pi * GAMMA * amplitude
    for place, (share, rate, shift, t1, t2) in enumerate(pools):
        x, y, z = 3 * place, 3 * place + 1, 3 * place + 2
        away = 2.0 * math.pi * (shift * 1e-6 * GAMMA * scene.field - carrier)
        matrix[x, y] += away
        matrix[y, x] -= away
        matrix[y, z] += nutation
        matrix[z, y] -= nutation
        for row, time in ((x, t2), (y, t2), (z, t1)):
            matrix[row, row] -= 1.0 / time + rate
            if place:
                matrix[row % 3, row] += rate
                matrix[row, row % 3] += share * rate
                matrix[row % 3, row % 3] -= share * rate
        matrix[z, -1] = share / t1
    return matrix


def propagators(scene: Scene, tube: Tube, *, power: float, offset: float) -> np.ndarray:
    """Return what a whole saturation does to the state."""
    carrier, pulses = offset * 1e-6 * GAMMA * scene.field, scene.pulses
    if pulses.number == 1:
        return expm(generator(scene, tube, amplitude=power * 1e-6, carrier=carrier) * pulses.duration)
    # exp(-π(0.2 t/τ)²) under 0.5 + 0.5 cos(2πt/τ), as pulseq-CEST plays it; RMS over pulse and gap.
    steps = 128
    t = (np.arange(steps) + 0.5) / steps - 0.5
    shape = np.exp(-math.pi * (0.2 * t) ** 2) * (0.5 + 0.5 * np.cos(2.0 * math.pi * t))
    energy = np.mean(shape**2) * pulses.duration * pulses.number
    scale = power * 1e-6 * math.sqrt(pulses.whole / energy)
    step = pulses.duration / steps
    halves = [
        expm(generator(scene, tube, amplitude=scale * each, carrier=carrier) * step) for each in shape[: steps // 2]
    ]
    pulse = np.eye(len(halves[0]))
    for each in (*halves, *reversed(halves)):
        pulse = each @ pulse
    # Each pulse begins with the phase that the carrier has then: in its frame nothing turns.
    gap = expm(generator(scene, tube, amplitude=0.0, carrier=carrier) * pulses.gap)
    return pulse @ np.linalg.matrix_power(gap @ pulse, pulses.number - 1)


def signals(scene: Scene, tube: Tube) -> np.ndarray:
    """Return the magnitudes of all images, M0 first, for full signal 1."""
    free = generator(scene, tube, amplitude=0.0, carrier=0.0)
    rest = np.linalg.solve(free[:-1, :-1], -free[:-1, -1])
    state = np.append(rest, 1.0)
    flip = math.cos(math.radians(scene.flip_angle))
    between = {wait: expm(free * (scene.spacing + wait)) for wait in set(scene.waits)}
    found = [state[2]]
    for power, offset, wait in zip(scene.powers, scene.offsets, scene.waits, strict=True):
        state = spoiled(between[wait] @ after_readout(state, flip))
        state = spoiled(propagators(scene, tube, power=power, offset=offset) @ state)
        found.append(state[2])
    return np.abs(np.array(found))


def after_readout(state: np.ndarray, flip: float) -> np.ndarray:
    """Return the state after the excitation of the liquids, which takes z to z cos α, and a crusher."""
    turned = spoiled(state)
    turned[2:6:3] *= flip
    return turned


def spoiled(state: np.ndarray) -> np.ndarray:
    """Return the state without transverse magnetisation."""
    left = state.copy()
    for row in range(len(left) - 1):
        if row % 3 != 2:
            left[row] = 0.0
    return left


def tube_labels(number: int) -> np.ndarray:
    """Return the tubes of a slice on a square grid, 1, 2 …, 0 between them, shape (SIZE, SIZE)."""
    side = math.ceil(math.sqrt(number))
    centres = (np.arange(side) + 0.5) * SIZE / side
    x, y = np.meshgrid(np.arange(SIZE), np.arange(SIZE), indexing="ij")
    labels = np.zeros((SIZE, SIZE), dtype=int)
    for place in range(number):
        first, second = centres[place // side], centres[place % side]
        labels[(x - first) ** 2 + (y - second) ** 2 < RADIUS**2] = place + 1
    return labels


def write_dataset(
    scene: Scene, folder: Path, *, seed: int, t1_error: float = 0.01, t2_error: float = 0.01
) -> np.ndarray:
    """Write the scan of a phantom as a raw dataset with maps of T1 and T2, `pools.yaml` beside it; return the
    tube of every voxel, 0 outside."""
    rng = np.random.default_rng(seed)
    root, labels = folder / "bids", np.repeat(tube_labels(len(scene.tubes))[..., None], SLICES, axis=2)
    anat = root / "sub-01" / "anat"
    anat.mkdir(parents=True)
    _json(root / "dataset_description.json", {"Name": scene.name, "BIDSVersion": "1.11.1"})
    (root / "README").write_text("A simulated phantom of tubes.\n", encoding="utf-8")
    (root / ".bidsignore").write_text("*_cest.*\n*_cestcontext.*\n", encoding="utf-8")
    inside = labels > 0
    images = 1 + len(scene.powers)
    series = np.zeros((*labels.shape, images))
    for place, tube in enumerate(scene.tubes, start=1):
        series[labels == place] = signals(scene, tube)
    noise = FULL_SIGNAL * scene.noise
    real, imaginary = noise * rng.standard_normal((2, *series.shape))
    magnitude = np.hypot(FULL_SIGNAL * series + real, imaginary)
    stem = f"sub-01_acq-{scene.solute.name.replace('-', '')}"
    _image(anat / f"{stem}_cest.nii.gz", magnitude)
    pulses = scene.pulses
    shape = {"MTPulseShape": "block"}
    if pulses.number > 1:
        shape = {
            "MTPulseShape": "gausshann",
            "MTNumberOfPulses": pulses.number,
            "MTPulseDuration": pulses.duration,
            "SaturationInterpulseDelay": pulses.gap,
        }
    _json(
        anat / f"{stem}_cest.json",
        {
            "MagneticFieldStrength": scene.field,
            "SaturationDuration": pulses.whole,
            **shape,
            "FlipAngle": scene.flip_angle,
            "NumberOfReadoutPulses": 1,
            "RepetitionTimeExcitation": scene.spacing,
        },
    )
    rows = ["volume_type\toffset_ppm\tb1_rms\trecovery_time", f"m0scan\tn/a\tn/a\t{scene.wait:g}"]
    rows += [
        f"cest\t{offset:g}\t{power:g}\t{wait:g}"
        for offset, power, wait in zip(scene.offsets, scene.powers, scene.waits, strict=True)
    ]
    (anat / f"{stem}_cestcontext.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    for suffix, error, times in (
        ("T1map", t1_error, [tube.t1 for tube in scene.tubes]),
        ("T2map", t2_error, [tube.t2 for tube in scene.tubes]),
    ):
        true = np.array([0.0, *times])[labels]
        _image(anat / f"sub-01_{suffix}.nii.gz", true * (1.0 + error * rng.standard_normal(true.shape)))
        _image(anat / f"sub-01_desc-std_{suffix}.nii.gz", error * true)
        _json(anat / f"sub-01_{suffix}.json", {"Units": "s"})
    (folder / "pools.yaml").write_text(pools_yaml(scene), encoding="utf-8")
    return np.where(inside, labels, 0)


def pools_yaml(scene: Scene) -> str:
    """Return the pools of a scene in the YAML of pulseq-CEST, fractions and rates far from the true ones."""
    solute = scene.solute
    text = (
        "water_pool: {f: 1.0, t1: 2.0, t2: 1.0}\n"
        f"cest_pool:\n  {solute.name}: {{f: 0.001, t1: 2.0, t2: {solute.t2}, k: 200, dw: {solute.shift}}}\n"
    )
    own = scene.tubes[0].semisolid
    if own is not None:
        text += f"mt_pool: {{f: 0.1, t1: {own.t1}, t2: {own.t2}, k: 30, dw: {own.shift}, lineshape: None}}\n"
    return text


def block_difference(scene: Scene, tube: Tube) -> float:
    """Return the largest difference of a saturation from full relaxation between these equations and bmctool, of Z."""
    from types import SimpleNamespace

    import pypulseq
    from bmctool.parameters.Parameters import Parameters
    from bmctool.simulation.BMCSim import BMCSim

    class Sequence(pypulseq.Sequence):
        def __init__(self, blocks: Sequence, offsets: list[float]) -> None:
            super().__init__()
            self.blocks, self.definitions = blocks, {"offsets_ppm": offsets}
            self.block_events = {number + 1: None for number in range(len(blocks))}

        def get_block(self, number: int) -> SimpleNamespace:
            return self.blocks[number - 1]

    def block(**events: object) -> SimpleNamespace:
        return SimpleNamespace(**({"adc": None, "rf": None, "gz": None, "block_duration": 0.0} | events))

    blocks = []
    for power, offset in zip(scene.powers, scene.offsets, strict=True):
        hertz = offset * 1e-6 * GAMMA * scene.field
        samples, times = np.full(2, GAMMA * power * 1e-6, dtype=complex), np.array([0.0, scene.pulses.duration])
        blocks += [
            block(rf=SimpleNamespace(signal=samples, t=times, freq_offset=hertz, phase_offset=0.0)),
            block(adc=SimpleNamespace()),
        ]
    fraction = tube.concentration * scene.solute.protons / WATER
    config = {
        "water_pool": {"f": 1.0, "t1": tube.t1, "t2": tube.t2},
        "cest_pool": {
            "solute": {"f": fraction, "t1": tube.t1, "t2": scene.solute.t2, "k": tube.rate, "dw": scene.solute.shift}
        },
        "b0": scene.field,
        "gamma": 2.0 * math.pi * GAMMA * 1e-6,
        "b0_inhom": 0.0,
        "rel_b1": 1.0,
        "max_pulse_samples": 1000,
    }
    simulation = BMCSim(Parameters.from_dict(config), Sequence(blocks, list(scene.offsets)), verbose=False)
    simulation.run()
    other = simulation.get_zspec(return_abs=False)[1]
    free = generator(scene, tube, amplitude=0.0, carrier=0.0)
    state = np.append(np.linalg.solve(free[:-1, :-1], -free[:-1, -1]), 1.0)
    own = [
        (propagators(scene, tube, power=power, offset=offset) @ state)[2]
        for power, offset in zip(scene.powers, scene.offsets, strict=True)
    ]
    return float(np.abs(np.array(own) - other).max())


def _image(path: Path, values: np.ndarray) -> None:
    nib.save(nib.Nifti1Image(values.astype(np.float32), np.diag([VOXEL, VOXEL, VOXEL, 1.0])), path)


def _json(path: Path, content: dict[str, object]) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
