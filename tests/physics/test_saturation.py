"""Pools and saturation protocols: what they refuse, and the published figures of the presets."""

import math
from dataclasses import replace

import numpy as np
import pytest
from protocol_presets import PROTOCOL_PRESETS

from qmri_bids.physics.pools import CestPool, Lineshape, MtForm, MtPool, PoolModel, Water
from qmri_bids.physics.saturation import (
    Pulse,
    Readout,
    RfSegment,
    SaturatedImage,
    Saturation,
    SaturationProtocol,
    SpinLock,
    Start,
)

AMIDE = {"name": "amide", "fraction": 1e-3, "rate": 50.0, "shift": 3.5, "t2": 0.04}
SOLID = {"name": "mt", "fraction": 0.1, "rate": 30.0, "shift": 0.0, "t2": 1e-5}
BLOCK = Pulse.block(amplitude=2e-6, duration=0.1)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Water(t1=0.0, t2=0.1), "t1 must be positive"),
        (lambda: CestPool(**AMIDE | {"fraction": -1e-3}), "'amide': fraction must be finite and not negative"),
        (lambda: CestPool(**AMIDE | {"shift": math.nan}), "shift must be finite"),
        (lambda: MtPool(**SOLID, form=MtForm.Z_ONLY), "a lineshape is needed for form 'z-only'"),
        (lambda: MtPool(**SOLID, form=MtForm.FULL, lineshape=Lineshape.GAUSSIAN), "and only there"),
        (lambda: PoolModel(water=Water(t1=1.0, t2=0.1), cest=(CestPool(**AMIDE),) * 2), "'amide' more than once"),
        (lambda: RfSegment(amplitude=2.0, duration=0.1), "is it in µT"),
        (lambda: RfSegment(amplitude=2e-6, duration=0.0), "duration of an RF segment"),
        (lambda: Pulse(segments=()), "at least one RF segment"),
        (lambda: Pulse.shaped(np.array([1.0, -1.0]), mean_amplitude=1e-6, duration=0.1), "positive mean"),
        (lambda: Saturation(pulse=BLOCK, number=0), "number of pulses must be at least 1"),
        (lambda: Saturation(pulse=BLOCK, gap=-1.0), r"gap must lie in \[0, 100\)"),
        (
            lambda: Saturation(pulse=Pulse.gauss(mean_amplitude=1e-6, duration=0.1), spin_lock=SpinLock.ALL_POOLS),
            "a pulse of one segment of phase 0, found 128",
        ),
        (lambda: SaturatedImage(saturation=None, offset=3.5), "saturation and offset go together"),
        (lambda: SaturatedImage(saturation=None, offset=None, recovery=-1.0), "recovery must lie in"),
        (lambda: Readout(number=0, flip_angle=0.2, spacing=0.01), "number of excitations"),
        (lambda: Readout(number=1, flip_angle=15.0, spacing=0.01), "flip_angle must lie in"),
        (lambda: SaturationProtocol(field_strength=3.0, images=()), "at least one image"),
        (
            lambda: replace(PROTOCOL_PRESETS["WASABI_3T_001"](), field_strength=127.7),
            "is it in MHz",
        ),
    ],
)
def test_what_has_no_meaning_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_states_of_the_two_forms():
    model = PoolModel(water=Water(t1=1.0, t2=0.1), cest=(CestPool(**AMIDE),), mt=MtPool(**SOLID, form=MtForm.FULL))
    reduced = replace(model, mt=MtPool(**SOLID, form=MtForm.Z_ONLY, lineshape=Lineshape.SUPER_LORENTZIAN))
    assert (model.number_of_states, reduced.number_of_states) == (9, 7)
    assert model.number_of_liquid_pools == reduced.number_of_liquid_pools == 2


@pytest.mark.parametrize(
    ("name", "b1_rms", "duty_cycle", "images"),
    [
        ("APTw_3T_000", 2.0, 1.0, 34),
        ("APTw_3T_001", 1.996, 0.91, 34),
        ("APTw_3T_002", 1.996, 0.50, 34),
        ("APTw_3T_004", 1.952, 0.952, 34),
        ("WASABI_3T_001", 3.7, 1.0, 32),
        ("MultiPool_3T_001", 0.523, 0.506, 56),
        ("MultiPool_3T_002", 0.785, 0.506, 56),
    ],
)
def test_published_figures_of_z_spectra(name, b1_rms, duty_cycle, images):
    protocol = PROTOCOL_PRESETS[name]()
    saturation = protocol.images[0].saturation
    assert saturation.b1_rms * 1e6 == pytest.approx(b1_rms, abs=1e-3)
    assert saturation.duty_cycle == pytest.approx(duty_cycle, abs=2e-3)
    assert protocol.number_of_images == images
    assert protocol.m0_images == (0,)
    assert protocol.offsets[0] == -300.0
    assert list(protocol.offsets[1:]) == pytest.approx([-offset for offset in reversed(protocol.offsets[1:])])


@pytest.mark.parametrize("name", ["MRF_MT_3T", "MRF_amide_3T"])
def test_published_fingerprinting(name):
    protocol = PROTOCOL_PRESETS[name]()
    trains = [image.saturation for image in protocol.images[1:]]
    assert protocol.number_of_images == 31
    assert protocol.images[0].saturation is None
    assert protocol.start is Start.PREVIOUS
    assert [train.duration for train in trains] == pytest.approx([2.5] * 30)
    assert sum(train.pulse.segments[0].amplitude for train in trains) == pytest.approx(56.1e-6)
    assert set(protocol.offsets[1:]) == ({6.0, 8.0, 10.0, 14.0} if name == "MRF_MT_3T" else {3.5})


def test_shape_keeps_its_mean_and_power():
    pulse = Pulse.sinc_gauss(mean_amplitude=1.78e-6, duration=50e-3)
    amplitudes = np.array([segment.amplitude for segment in pulse.segments])
    assert amplitudes.mean() == pytest.approx(1.78e-6)
    assert amplitudes.max() == pytest.approx(3.32737e-6, rel=1e-5)
    assert pulse.power == pytest.approx((amplitudes**2).mean() * 50e-3)
    assert pulse.duration == pytest.approx(50e-3)


def test_negative_lobes_have_opposite_phase():
    pulse = Pulse.shaped(np.array([-1.0, 3.0]), mean_amplitude=1e-6, duration=0.1)
    assert [segment.phase for segment in pulse.segments] == [math.pi, 0.0]
    assert [segment.amplitude for segment in pulse.segments] == pytest.approx([1e-6, 3e-6])
