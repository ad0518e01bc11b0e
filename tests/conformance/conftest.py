"""Two engines that share no code with the package: plain matrix exponentials of SciPy, and bmctool on a sequence in memory."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pypulseq
import pytest
import torch
from bmctool.parameters.Parameters import Parameters
from bmctool.simulation.BMCSim import BMCSim
from scipy.linalg import expm

from qmri_bids.physics.pools import MtForm
from qmri_bids.physics.saturation import Carrier, SpinLock, Start

GAMMA = 42.5764e6


class ScipyEngine:
    """Pool after pool x, y, z, then the constant; every interval by `expm` of the whole matrix."""

    def __init__(self, model, protocol, *, t1=None, t2=None, b1=1.0, off_resonance=0.0):
        self.model, self.protocol, self.b1, self.off_resonance = model, protocol, b1, off_resonance
        self.t1 = model.water.t1 if t1 is None else t1
        self.t2 = model.water.t2 if t2 is None else t2
        assert model.mt is None or model.mt.form is MtForm.FULL

    def matrix(self, *, b1, phase, carrier):
        larmor = GAMMA * self.protocol.field_strength
        pools = [(1.0, 0.0, 0.0, self.t1, self.t2)]
        pools += [(p.fraction, p.rate, p.shift, p.t1 or self.t1, p.t2) for p in self.model.exchanging]
        size = 3 * len(pools) + 1
        a = np.zeros((size, size))
        w1 = 2 * math.pi * GAMMA * b1 * self.b1
        for number, (fraction, rate, shift, t1, t2) in enumerate(pools):
            x, y, z = 3 * number, 3 * number + 1, 3 * number + 2
            away = 2 * math.pi * (shift * 1e-6 * larmor + self.off_resonance - carrier)
            field = np.array([w1 * math.cos(phase), w1 * math.sin(phase), away])
            # dM/dt = M × field
            a[x, y], a[y, x] = a[x, y] + field[2], a[y, x] - field[2]
            a[y, z], a[z, y] = a[y, z] + field[0], a[z, y] - field[0]
            a[z, x], a[x, z] = a[z, x] + field[1], a[x, z] - field[1]
            for each, time in ((x, t2), (y, t2), (z, t1)):
                a[each, each] -= 1 / time + rate
                if number:
                    component = each % 3
                    a[component, each] += rate
                    a[each, component] += fraction * rate
                    a[component, component] -= fraction * rate
            a[z, -1] = fraction / t1
        return a

    def rotation(self, angle, pools):
        turn = np.eye(3 * (1 + len(self.model.exchanging)) + 1)
        c, s = math.cos(angle), math.sin(angle)
        for number in range(pools):
            x, z = 3 * number, 3 * number + 2
            turn[x, x] = turn[z, z] = c
            turn[x, z], turn[z, x] = s, -s
        return turn

    def saturate(self, image, z):
        fractions = [1.0] + [p.fraction for p in self.model.exchanging]
        state = np.array([each for f in fractions for each in (0.0, 0.0, f * z)] + [1.0])
        train = image.saturation
        if train is None:
            return z
        carrier = image.offset * 1e-6 * GAMMA * self.protocol.field_strength
        pulse = np.eye(len(state))
        for segment in train.pulse.segments:
            step = self.matrix(b1=segment.amplitude, phase=segment.phase, carrier=carrier)
            pulse = expm(step * segment.duration) @ pulse
        in_gap = carrier if train.carrier is Carrier.RUNS else 0.0
        gap = expm(self.matrix(b1=0.0, phase=0.0, carrier=in_gap) * train.gap)
        if train.spin_lock is not SpinLock.NONE:
            liquid = 1 + len(self.model.cest)
            number = len(fractions) if train.spin_lock is SpinLock.ALL_POOLS else liquid
            field = GAMMA * train.pulse.segments[0].amplitude * self.b1
            angle = math.atan(field / (self.off_resonance - carrier))
            pulse = self.rotation(-angle, number) @ pulse @ self.rotation(angle, number)
        for number in range(train.number):
            state = pulse @ state
            if number < train.number - 1:
                state = gap @ state
        spoiler = expm(self.matrix(b1=0.0, phase=0.0, carrier=0.0) * train.spoiler)
        return (spoiler @ state)[2]

    def between(self, image, z):
        readout = self.protocol.readout
        if readout is not None:
            angle = readout.flip_angle * (self.b1 if readout.scales_with_b1 else 1.0)
            for _ in range(readout.number):
                z = 1 - (1 - z * math.cos(angle)) * math.exp(-readout.spacing / self.t1)
        return 1 - (1 - z) * math.exp(-image.recovery / self.t1)

    def signal(self):
        z, signal = 1.0, []
        for number, image in enumerate(self.protocol.images):
            chained = self.protocol.start is Start.PREVIOUS and number > 0
            z = self.saturate(image, self.between(image, z) if chained else 1.0)
            signal.append(z)
        return np.array(signal)


class _Sequence(pypulseq.Sequence):
    """A sequence whose blocks are handed over as they are, without the rounding of a file."""

    def __init__(self, blocks, offsets):
        super().__init__()
        self.blocks, self.definitions = blocks, {"offsets_ppm": list(offsets)}
        self.block_events = {number + 1: None for number in range(len(blocks))}

    def get_block(self, number):
        return self.blocks[number - 1]


def bmctool_signal(model, protocol):
    """Return the signed Z of bmctool; every image from full relaxation, no tips."""

    def block(**events):
        return SimpleNamespace(**({"adc": None, "rf": None, "gz": None, "block_duration": 0.0} | events))

    def delay(duration):
        return block(block_duration=duration)

    assert protocol.start is Start.RELAXED
    blocks = []
    for image in protocol.images:
        train = image.saturation
        assert train.carrier is Carrier.STOPS
        assert train.spin_lock is SpinLock.NONE
        offset = image.offset * 1e-6 * GAMMA * protocol.field_strength
        signal = np.array([GAMMA * each.amplitude for each in train.pulse.segments])
        dwell = train.pulse.segments[0].duration
        # Two samples of one value are how a block is written.
        samples = np.repeat(signal, 2) if len(signal) == 1 else signal
        time = np.array([0.0, dwell]) if len(signal) == 1 else dwell * (np.arange(len(signal)) + 0.5)
        phase = 0.0
        for number in range(train.number):
            rf = SimpleNamespace(signal=samples.astype(complex), t=time, freq_offset=offset, phase_offset=phase)
            blocks.append(block(rf=rf))
            phase = (phase + 2 * math.pi * offset * train.pulse.duration) % (2 * math.pi)
            if number < train.number - 1:
                blocks.append(delay(train.gap))
        # Free evolution; its crusher adds nothing to what is read.
        blocks += [delay(train.spoiler), block(adc=SimpleNamespace())]
    config = {
        "water_pool": {"f": 1.0, "t1": model.water.t1, "t2": model.water.t2},
        "cest_pool": {
            pool.name: {"f": pool.fraction, "t1": pool.t1, "t2": pool.t2, "k": pool.rate, "dw": pool.shift}
            for pool in model.exchanging
        },
        "b0": protocol.field_strength, "gamma": 2 * math.pi * GAMMA * 1e-6, "b0_inhom": 0.0, "rel_b1": 1.0,
        "max_pulse_samples": 1000,
    }  # fmt: skip
    simulation = BMCSim(
        Parameters.from_dict(config), _Sequence(blocks, [i.offset for i in protocol.images]), verbose=False
    )
    simulation.run()
    return simulation.get_zspec(return_abs=False)[1]


@pytest.fixture(autouse=True)
def one_thread():
    """Keep torch to one thread: for matrices this small a second one only waits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def scipy_signal():
    return lambda model, protocol, **voxel: ScipyEngine(model, protocol, **voxel).signal()


@pytest.fixture(scope="session")
def bmctool():
    return bmctool_signal
