"""One set of semisolid pools for all scans of a head in full physics."""

import json
from dataclasses import dataclass, replace

import nibabel
import numpy as np
import pytest
from scipy.linalg import eigvals, expm

from qmri_bids.cli.tools import main
from qmri_bids.phantom.heads.head import Sample
from qmri_bids.phantom.heads.pools import EXCHANGE, pool_model
from qmri_bids.phantom.heads.tissues import TISSUES, Label
from qmri_bids.phantom.scans import cest, physics
from qmri_bids.phantom.scans.acquisition import bssfp_signal
from qmri_bids.phantom.scans.physics import Physics, PhysicsSettings
from qmri_bids.phantom.scans.semisolid import Semisolid, model_of
from qmri_bids.phantom.scans.series import Contrast
from qmri_bids.phantom.scans.session import simulated_protocol
from qmri_bids.phantom.signals.bloch.sequence import PulseSequence, RfPulse, TwoPools
from qmri_bids.phantom.signals.bloch.simulate import simulate_cycles
from qmri_bids.phantom.signals.mt import MtPulse, SpoiledEcho, echo_signal, steady_state
from qmri_bids.phantom.signals.saturation import tissue_signal
from qmri_bids.physics.bloch_mcconnell.compiled import signal_and_jacobian
from qmri_bids.physics.bloch_mcconnell.reference import VoxelParameters
from qmri_bids.physics.lineshapes import absorption
from qmri_bids.physics.pools import Lineshape, MtForm, PoolModel, Water
from qmri_bids.physics.saturation import SaturationProtocol
from qmri_bids.units import GYROMAGNETIC_RATIO

MRF_MT = cest.CEST_SCANS["mrf"][0]
PROTOCOL = simulated_protocol(phase_cycles=4)
HELD = (Label.WM, Label.GM, Label.MUSCLE)
FIELD = 3.0


@dataclass(frozen=True)
class Series:
    """Z of a series without tables."""

    model: PoolModel
    protocol: SaturationProtocol

    def z(self, image: int, **voxels: np.ndarray) -> np.ndarray:
        return signal_and_jacobian(self.model, self.protocol, VoxelParameters(**voxels)).signal[:, image]


def _sample(label: Label) -> Sample:
    tissue = TISSUES[label]
    values = {"t1": tissue.t1, "t2": tissue.t2, "m0": 0.8, "off_resonance": 10.0, "chemical_shift": 0.0, "b1": 1.0}
    one = {name: np.array([value], dtype=np.float32) for name, value in values.items()}
    return Sample(label=np.array([label], dtype=np.uint8), share=np.ones(1, dtype=np.float32), **one)


def _matrix(pools: TwoPools, free_t1: float) -> np.ndarray:
    """Return the matrix of recovery of both z."""
    back = pools.exchange_rate / pools.fraction
    r1m = 1.0 / free_t1 if pools.r1 is None else pools.r1
    return np.array([[-1.0 / free_t1 - pools.exchange_rate, back], [pools.exchange_rate, -r1m - back]])


@pytest.mark.parametrize("r1", [1.0, 3.0, None], ids=["1", "3", "water"])
@pytest.mark.parametrize("label", HELD)
def test_an_inversion_recovery_finds_t1_of_the_head(label, r1):
    semisolid = Semisolid(r1=r1)
    t1 = TISSUES[label].t1
    free = float(semisolid.free_t1(label, np.array(t1)))
    rates = eigvals(_matrix(semisolid.two_pools(label), free)).real
    assert -1.0 / rates.max() == pytest.approx(t1, rel=1e-9)
    assert (free == t1) == (r1 is None)
    # The pools of saturated scans recover with the same two rates.
    model = model_of(label, TISSUES[label], semisolid=semisolid, every_pool=False)
    water, mt = model.water, model.mt
    r1m = 1.0 / (water.t1 if mt.t1 is None else mt.t1)
    forth = mt.fraction * mt.rate
    other = eigvals(np.array([[-1.0 / water.t1 - forth, mt.rate], [forth, -r1m - mt.rate]])).real
    np.testing.assert_allclose(np.sort(other), np.sort(rates), rtol=1e-9)


@pytest.mark.parametrize(
    ("line", "value"),
    [("lorentzian", 40e-6 / np.pi), ("super-lorentzian", None), ("gaussian", 10e-6 / np.sqrt(2.0 * np.pi))],
)
def test_both_kinds_of_scans_meet_the_line_that_is_named(line, value):
    semisolid = Semisolid.named(line=line)
    pool, pools = semisolid.pool(Label.WM), semisolid.two_pools(Label.WM)
    on = absorption(Lineshape(line), np.zeros(1), t2=pool.t2)[0][0]
    assert pools.line == pytest.approx(on if value is None else value)
    assert (pool.form, pool.lineshape) == (
        (MtForm.FULL, None) if line == "lorentzian" else (MtForm.Z_ONLY, Lineshape(line))
    )
    assert (pool.fraction, pool.rate, pool.shift) == (0.112, 29.0, -2.5)
    assert pools.exchange_rate == pytest.approx(0.112 * 29.0)
    assert Semisolid.named(line=line, t2=12.0, r1="water") == Semisolid(r1=None, line=Lineshape(line), t2=12e-6)


def test_settings_are_those_of_full_physics_alone():
    assert PhysicsSettings().pools is None
    assert PhysicsSettings().of((0, 1, 1), cycles=4).semisolid is None
    assert PhysicsSettings(physics="full").of((0, 1, 1), cycles=4).semisolid == Semisolid()
    for label in EXCHANGE:
        tissue = TISSUES[Label(label)]
        plain = pool_model(label, every_pool=True, tissue=tissue)
        assert model_of(label, tissue, semisolid=None, every_pool=True) == plain
        if EXCHANGE[label].mt is None:
            assert model_of(label, tissue, semisolid=Semisolid(), every_pool=True) == plain


@pytest.mark.parametrize("line", ["lorentzian", "super-lorentzian"])
@pytest.mark.parametrize("label", [Label.WM, Label.GM])
def test_one_voxel_has_the_same_pools_in_bssfp_and_fingerprint(monkeypatch, label, line):
    semisolid, tissue = Semisolid.named(line=line), TISSUES[label]
    sample, pulse = _sample(label), RfPulse.sinc(1e-3)
    fraction, rate = {Label.WM: (0.112, 29.0), Label.GM: (0.063, 40.0)}[label]
    # T1 of free water, written out: the slow rate of both pools is that of the head.
    slow = 1.0 / tissue.t1
    free = 1.0 / (slow - fraction * rate + fraction * rate * rate / (1.0 + rate - slow))

    met = {}

    def seen(t1: np.ndarray, *others: np.ndarray, pools: TwoPools, **settings: object) -> np.ndarray:
        met.update(t1=t1, pools=pools)
        return simulate_cycles(t1, *others, pools=pools, **settings)

    monkeypatch.setattr(physics, "simulate_cycles", seen)
    found = bssfp_signal(
        sample,
        np.zeros((3, 1)),
        protocol=PROTOCOL,
        cycles=(0, 1, 2, 3),
        receiver=np.zeros(7),
        physics=Physics(pulse=pulse, semisolid=semisolid),
    )
    assert met["t1"] == pytest.approx(free, rel=1e-6)
    t2 = {"lorentzian": 40e-6, "super-lorentzian": 10e-6}[line]
    on = float(absorption(Lineshape(line), np.zeros(1), t2=t2)[0][0])
    pools = TwoPools(fraction=fraction, exchange_rate=fraction * rate, r1=1.0, line=on)
    sequence = PulseSequence(
        repetition_time=PROTOCOL.repetition_time,
        echo_time=PROTOCOL.echo_time,
        flip_angle=PROTOCOL.flip_angle,
        increments=tuple(PROTOCOL.rf_phase_increment),
        pulse=pulse,
    )
    expected = simulate_cycles(free, tissue.t2, 1.0, 10.0, 0.8, sequence=sequence, pools=pools)
    np.testing.assert_allclose(found, expected, rtol=1e-5)

    protocol = replace(MRF_MT.protocol, images=MRF_MT.protocol.images[:6])
    signals = {int(label): Series(model_of(label, tissue, semisolid=semisolid, every_pool=False), protocol)}
    contrast = Contrast(signals=signals, readout=MRF_MT.readout_flip_angle, volumes=6, semisolid=semisolid)
    images = contrast.of(sample, np.zeros((3, 1)), volumes=tuple(range(6)), receiver=np.zeros(7))
    known = pool_model(label, every_pool=False)
    mt = replace(
        known.mt,
        fraction=pools.fraction,
        rate=pools.exchange_rate / pools.fraction,
        t1=1.0 / pools.r1,
        t2=t2,
        form=MtForm.FULL if line == "lorentzian" else MtForm.Z_ONLY,
        lineshape=None if line == "lorentzian" else Lineshape(line),
    )
    same = PoolModel(water=Water(t1=free, t2=tissue.t2), cest=known.cest, mt=mt)
    voxel = VoxelParameters(
        t1=np.array([free]), t2=np.array([tissue.t2]), b1=np.ones(1), off_resonance=np.array([10.0])
    )
    z = signal_and_jacobian(same, protocol, voxel).signal
    np.testing.assert_allclose(images, 0.8 * np.sin(MRF_MT.readout_flip_angle) * z, rtol=1e-5)


def _voxels(model: PoolModel, number: int) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(5).uniform
    return {
        "t1": model.water.t1 * draw(0.9, 1.1, number),
        "t2": model.water.t2 * draw(0.91, 1.09, number),
        "b1": draw(0.70, 1.25, number),
        "off_resonance": draw(-300.0, 420.0, number),
    }


@pytest.mark.parametrize("line", ["lorentzian", "super-lorentzian", "gaussian"])
@pytest.mark.parametrize(
    ("design", "offsets"),
    [(cest.WASABI, None), (cest.CEST_SCANS["aptw"][0], (-3.5, 3.5)), (MRF_MT, None)],
    ids=["wasabi", "aptw", "mrf"],
)
def test_tables_are_within_3e_4_of_the_model_with_any_line(design, offsets, line):
    semisolid = Semisolid.named(line=line)
    model = replace(model_of(Label.WM, TISSUES[Label.WM], semisolid=semisolid, every_pool=False), cest=())
    protocol = design.protocol
    if offsets is not None:
        protocol = replace(protocol, images=tuple(image for image in protocol.images if image.offset in offsets))
    # T1 of free water spreads by a tenth where that of the head spreads by 9 %.
    voxels = _voxels(model, 150)
    expected = signal_and_jacobian(model, protocol, VoxelParameters(**voxels), threads=2).signal
    tissue = tissue_signal(model, protocol)
    found = np.stack([tissue.z(image, **voxels) for image in range(protocol.number_of_images)], axis=1)
    np.testing.assert_allclose(found, expected, atol=3e-4)


@pytest.mark.parametrize("r1", [2.5, None], ids=["2.5", "water"])
def test_echoes_with_a_pool_of_z_alone_are_what_a_simulation_pulse_by_pulse_reaches(r1):
    semisolid = Semisolid.named(line="super-lorentzian", r1="water" if r1 is None else str(r1))
    model = replace(model_of(Label.WM, TISSUES[Label.WM], semisolid=semisolid, every_pool=False), cest=())
    echo, b1, off = SpoiledEcho(flip_angle=0.105, repetition_time=28e-3, mt_pulse=MtPulse()), 1.1, 40.0
    mt, water, r1m = model.mt, model.water, 1.0 / model.water.t1 if r1 is None else r1
    larmor = 2.0 * np.pi * GYROMAGNETIC_RATIO
    free = np.zeros((5, 5))  # x, y, z of water, z of the pool, 1
    forth = mt.fraction * mt.rate
    free[0, 0] = free[1, 1] = -1.0 / water.t2
    free[2:4, 2:4] = [[-1.0 / water.t1 - forth, mt.rate], [forth, -r1m - mt.rate]]
    free[2:4, 4] = 1.0 / water.t1, mt.fraction * r1m
    away = 2.0 * np.pi * (echo.mt_pulse.offset - off)
    centre = 2.0 * np.pi * mt.shift * 1e-6 * GYROMAGNETIC_RATIO * FIELD
    line = float(absorption(mt.lineshape, np.array([away - centre]), t2=mt.t2)[0][0])
    pulse = np.eye(5)
    for segment in echo.mt_pulse.pulse.segments:
        omega = larmor * segment.amplitude * b1
        driven = free.copy()
        driven[0, 1], driven[1, 0] = -away, away
        driven[1, 2], driven[2, 1] = omega, -omega
        driven[3, 3] -= np.pi * omega**2 * line
        pulse = expm(driven * segment.duration) @ pulse
    rest = expm(free * (echo.repetition_time - echo.mt_pulse.duration))
    spoil = np.diag([0.0, 0.0, 1.0, 1.0, 1.0])
    state = np.array([0.0, 0.0, 1.0, mt.fraction, 1.0])
    for _ in range(1500):
        state = spoil @ pulse @ state
        seen = state[2] * np.sin(b1 * echo.flip_angle)
        state[2] *= np.cos(b1 * echo.flip_angle)
        state = spoil @ rest @ state
    voxel = {"t1": water.t1, "t2": water.t2, "b1": b1, "off_resonance": off}
    arrays = {name: np.full(1, value) for name, value in voxel.items()}
    np.testing.assert_allclose(steady_state(model, echo, **arrays, field_strength=FIELD), seen, rtol=1e-9)
    voxels = _voxels(model, 100)
    table = echo_signal(model, (echo,), chemical_shift=0.0, field_strength=FIELD)
    exact = steady_state(model, echo, **voxels, field_strength=FIELD)
    np.testing.assert_allclose(table.z(0, **voxels), exact, atol=1e-4)


def test_a_dataset_of_full_physics_has_one_set_of_pools(tmp_path):
    root = tmp_path / "full"
    options = ("--matrix", "18", "22", "18", "--voxel-size", "10.5", "--phase-cycles", "3", "--b1", "none")
    pools = ("--semisolid-line", "super-lorentzian", "--semisolid-r1", "2")
    assert main(["simulate", str(root), *options, "--motion", "0", "--wasabi", "--physics", "full", *pools]) == 0
    told = " ".join((root / "README.md").read_text().split())
    assert "R1 2 1/s, super-Lorentzian line of T2 10 µs, on resonance G(0) " in told
    assert "of z alone that is saturated with the rate π ω1² g of its super-Lorentzian line" in told
    assert "T1 of free water, T2, off-resonance and B1 of every point" in told
    truth = root / "derivatives/truth/sub-01/anat"

    def values(name: str) -> np.ndarray:
        return np.asanyarray(nibabel.load(truth / f"sub-01_acq-{name}.nii.gz").dataobj)

    for scan in ("pcbssfp", "WASABI"):
        for tissue, label in (("WM", Label.WM), ("GM", Label.GM)):
            pure = values(f"{scan}_label-{tissue}_probseg") == 1.0
            if not pure.any():
                continue
            held = Semisolid(r1=2.0)
            t1, free = values(f"{scan}_T1map")[pure], values(f"{scan}_desc-free_T1map")[pure]
            np.testing.assert_allclose(free, held.free_t1(label, t1), rtol=3e-4)
            assert np.all(free > 1.05 * t1)
            np.testing.assert_allclose(values(f"{scan}_desc-MT_fractionmap")[pure], held.pool(label).fraction)
            np.testing.assert_allclose(values(f"{scan}_desc-MT_exchangemap")[pure], held.pool(label).rate)
        assert (values(f"{scan}_label-WM_probseg") == 1.0).any()
        sidecar = json.loads((truth / f"sub-01_acq-{scan}_desc-free_T1map.json").read_text())
        assert sidecar["Units"] == "s"
        assert "super-Lorentzian line of T2 10 µs" in sidecar["Description"]
        described = json.loads((truth / f"sub-01_acq-{scan}_T1map.json").read_text())["Description"]
        assert described.startswith("as an inversion recovery finds it")
    assert "*_fractionmap.*" in (root / "derivatives/truth/.bidsignore").read_text()
