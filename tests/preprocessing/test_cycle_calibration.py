"""Gain, phase and frequency of cycles are found, the maps are those of a scan without, and odd cycles are left out.

Signals are those of the phantom, which shares no code with the estimators.
"""

import math

import numpy as np
import pytest

from qmri_bids.estimation.base import KnownMaps
from qmri_bids.estimation.bssfp.maximum_likelihood import MaximumLikelihood
from qmri_bids.estimation.bssfp.profile_fit import fit_natural
from qmri_bids.phantom.signals.steady_state import balanced_signal, spoiled_echo
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.preprocessing.calibration.cycles import calibrate_cycles
from qmri_bids.preprocessing.calibration.errors import CycleErrors, correct, no_errors, terms_at

TR, TE, ANGLE = 4.8e-3, 2.0e-3, math.radians(15)
SHAPE = (24, 24, 22)
INSIDE = np.ones(SHAPE, dtype=bool)


def protocol_of(number: int) -> BssfpProtocol:
    return BssfpProtocol.evenly_spaced(number_of_cycles=number, repetition_time=TR, echo_time=TE, flip_angle=ANGLE)


def tissue(seed: int = 5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """T1, T2 [s] and off-resonance [Hz]: white and grey matter, each at all θ."""
    rng = np.random.default_rng(seed)
    x, y, z = np.meshgrid(*[np.linspace(-0.5, 0.5, size) for size in SHAPE], indexing="ij")
    spread = np.exp(0.05 * rng.standard_normal((2, *SHAPE)))
    return np.where(z > 0, 0.939, 1.4) * spread[0], np.where(z > 0, 0.062, 0.085) * spread[1], 170 * x + 80 * y


def scan(number: int, errors: CycleErrors, *, snr: float = 25.0, seed: int = 5) -> np.ndarray:
    t1, t2, field = (each.ravel() for each in tissue())
    terms = terms_at(np.argwhere(INSIDE), SHAPE)
    increments = protocol_of(number).rf_phase_increment
    single = np.float32
    cycles = np.stack(
        [
            balanced_signal(
                t1.astype(single), t2.astype(single), np.ones(len(t1), single),
                (field + terms[:, :4] @ errors.frequency[j]).astype(single), np.full(len(t1), 0.75, np.complex64),
                TR, TE, ANGLE, np.array([increments[j]]),
            )[:, 0] * np.exp(errors.gain[j] + 1j * (terms @ errors.phase[j]))
            for j in range(number)
        ],
        axis=-1,
    )  # fmt: skip
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((*cycles.shape, 2)).view(complex)[..., 0] * 0.074 / (math.sqrt(2) * snr)
    return (cycles + noise).reshape(*SHAPE, number).astype(np.complex64)


def drawn(number: int, *, drift: float, gain: float = 0.01, gradient: float = 0.4, phase: float = 0.01) -> CycleErrors:
    """Errors of cycles whose mean is 0: a drift [Hz] with 0.5 Hz of scatter, gains with a first cycle 5 % low."""
    rng = np.random.default_rng(9)
    frequency = gradient * rng.standard_normal((number, 4))
    frequency[:, 0] = drift * np.linspace(-0.5, 0.5, number) + (0.5 if drift else 0.0) * rng.standard_normal(number)
    gains = gain * rng.standard_normal(number)
    gains[0] += math.log(0.95) if gain else 0.0
    phases = phase * rng.standard_normal((number, 7))
    return CycleErrors(
        gain=gains - gains.mean(), phase=phases - phases.mean(axis=0), frequency=frequency - frequency.mean(axis=0)
    )


def stripes(cycles: np.ndarray, protocol: BssfpProtocol) -> np.ndarray:
    """Median errors of T1 and T2 in twelve classes of θ, relative, shape (2, 12)."""
    t1, t2, field = tissue()
    found = MaximumLikelihood(threads=2).estimate(
        cycles.reshape(-1, cycles.shape[-1]), protocol=protocol, known=KnownMaps(b1=np.ones(t1.size))
    )
    classes = np.floor(12 * ((field.ravel() * TR) % 1.0)).astype(int)
    return np.array(
        [
            [np.nanmedian((found.values[name] / truth.ravel() - 1.0)[classes == index]) for index in range(12)]
            for name, truth in (("T1", t1), ("T2", t2))
        ]
    )


@pytest.mark.parametrize(
    ("number", "drift", "hertz", "share", "stripe"),
    [(12, 20.0, 0.2, 0.002, 0.02), (6, 10.0, 0.2, 0.002, 0.02), (4, 10.0, 2.5, 0.012, 0.04)],
)
def test_drift_and_gains_are_found_and_leave_no_stripes(number, drift, hertz, share, stripe):
    errors = drawn(number, drift=drift)
    cycles, protocol = scan(number, errors), protocol_of(number)
    found = calibrate_cycles(cycles, mask=INSIDE, protocol=protocol, threads=2)
    assert np.abs(found.frequency - errors.frequency[:, 0]).max() < hertz
    assert np.abs(found.gain - np.exp(errors.gain)).max() < share
    assert (np.abs(found.frequency - errors.frequency[:, 0]) < 3.0 * found.frequency_stdev).all()
    without = stripes(scan(number, no_errors(number)), protocol)
    assert np.abs(stripes(cycles, protocol) - without).max() > 2.0 * stripe
    assert np.abs(stripes(found.cycles, protocol) - without).max() < stripe
    assert not found.left_out.any()
    assert any("drifted by" in said for said in found.decisions)


@pytest.mark.parametrize("number", [4, 6, 12])
def test_a_scan_without_errors_keeps_its_cycles_but_for_a_milliradian(number):
    cycles = scan(number, no_errors(number))
    found = calibrate_cycles(cycles, mask=INSIDE, protocol=protocol_of(number), threads=2)
    assert found.corrected == ("phase",)
    np.testing.assert_allclose(np.abs(found.cycles), np.abs(cycles), rtol=1e-5)
    assert found.phase.max() < 2e-3
    assert found.warnings == ()
    assert sum("nothing was changed for it" in said for said in found.decisions) == 2


def test_the_sign_of_gain_phase_and_frequency():
    """Taken off with their own sign, errors leave the cycles of a scan that has none; without noise that is exact."""
    errors, protocol = drawn(6, drift=12.0, gradient=1.0, phase=0.1), protocol_of(6)
    clean = scan(6, no_errors(6), snr=1e9)
    corrected, share = correct(scan(6, errors, snr=1e9), mask=INSIDE, errors=errors, protocol=protocol)
    assert share > 0.999
    assert np.abs(corrected - clean).max() < 2e-4 * np.abs(clean).max()


def test_outside_of_the_mask_gain_and_phase_alone_are_taken_off():
    errors, protocol = drawn(6, drift=12.0), protocol_of(6)
    cycles, mask = scan(6, errors), INSIDE.copy()
    mask[:, :, :8] = False
    corrected, _ = correct(cycles, mask=mask, errors=errors, protocol=protocol)
    ratio = np.abs(corrected[~mask]) / np.abs(cycles[~mask])
    np.testing.assert_allclose(ratio, np.broadcast_to(np.exp(-errors.gain), ratio.shape), rtol=1e-5)
    assert np.abs(np.abs(corrected[mask]) / np.abs(cycles[mask]) - np.exp(-errors.gain)).max() > 0.05


def spoiled(cycles: np.ndarray, index: int) -> np.ndarray:
    """Replace a cycle by that of a train whose transverse magnetisation is spoiled."""
    t1, t2, field = tissue()
    echo = 0.75 * spoiled_echo(np.full(SHAPE, ANGLE), t1=t1, repetition_time=TR)
    result = cycles.copy()
    result[..., index] = echo * np.exp(-TE / t2 + 2j * math.pi * field * TE)
    return result


@pytest.mark.parametrize("number", [6, 12])
def test_a_spoiled_cycle_is_left_out_and_the_maps_are_those_of_the_others(number):
    cycles = scan(number, no_errors(number))
    found = calibrate_cycles(spoiled(cycles, 0), mask=INSIDE, protocol=protocol_of(number), threads=2)
    assert found.left_out.tolist() == [True] + (number - 1) * [False]
    assert found.protocol.rf_phase_increment == protocol_of(number).rf_phase_increment[1:]
    assert "Cycle 1 does not follow" in found.warnings[0]
    assert "left out" in found.warnings[0]
    others = stripes(cycles[..., 1:], found.protocol)
    assert np.abs(stripes(found.cycles, found.protocol) - others).max() < 0.02


def test_a_cycle_is_named_but_kept_where_the_estimator_needs_it():
    found = calibrate_cycles(
        spoiled(scan(6, no_errors(6)), 2),
        mask=INSIDE,
        protocol=protocol_of(6),
        numbers=(2, 3, 4, 5, 6, 7),
        serves=lambda _: False,
    )
    assert not found.left_out.any()
    assert found.cycles.shape[-1] == 6
    assert "Cycle 4 does not follow" in found.warnings[0]
    assert "used all the same" in found.warnings[0]


@pytest.mark.parametrize("number", [6, 12])
def test_a_cycle_that_is_low_is_mended_and_said(number):
    cycles = scan(number, no_errors(number))
    cycles[..., 0] *= 0.9
    found = calibrate_cycles(cycles, mask=INSIDE, protocol=protocol_of(number), threads=2)
    assert not found.left_out.any()
    assert found.gain[0] / found.gain[1:].mean() == pytest.approx(0.9, abs=0.003)
    assert "by more than 5 %" in found.warnings[0]
    assert "by cycle: 1: -" in found.warnings[0]


def test_large_phase_differences_are_said_and_left_alone():
    wild = scan(12, drawn(12, drift=0.0, gain=0.0, gradient=0.0, phase=0.4))
    found = calibrate_cycles(wild, mask=INSIDE, protocol=protocol_of(12), threads=2)
    assert any("RFPhaseIncrement is in the order of the volumes" in warned for warned in found.warnings)
    if not found.left_out.any():
        np.testing.assert_allclose(found.cycles, wild)


def test_too_few_cycles_or_voxels_are_said():
    cycles = scan(6, no_errors(6))
    three = BssfpProtocol(repetition_time=TR, echo_time=TE, flip_angle=ANGLE, rf_phase_increment=(0.5, 2.6, 4.7))
    found = calibrate_cycles(cycles[..., :3], mask=INSIDE, protocol=three)
    assert "too few cycles or voxels" in found.decisions[0]
    np.testing.assert_array_equal(found.cycles, cycles[..., :3])
    mask = np.zeros(SHAPE, dtype=bool)
    mask[:4, :4, :4] = True
    assert "too few cycles or voxels" in calibrate_cycles(cycles, mask=mask, protocol=protocol_of(6)).decisions[0]


def test_uneven_increments_are_calibrated_too():
    errors = drawn(12, drift=10.0)
    kept = np.delete(np.arange(12), [3, 4])
    protocol = BssfpProtocol(
        repetition_time=TR, echo_time=TE, flip_angle=ANGLE,
        rf_phase_increment=tuple(protocol_of(12).rf_phase_increment[index] for index in kept),
    )  # fmt: skip
    found = calibrate_cycles(scan(12, errors)[..., kept], mask=INSIDE, protocol=protocol, threads=2)
    truth = errors.frequency[kept, 0]
    assert np.abs(found.frequency - (truth - truth.mean())).max() < 0.3


@pytest.mark.parametrize("number", [4, 6])
def test_where_the_field_hardly_varies_nothing_is_made_worse(number):
    """A bottle that is shimmed well: a phase there imitates T2, and to take off what was found would change T2 by half."""
    protocol, shape = protocol_of(number), (16, 16, 16)
    rng, places = np.random.default_rng(7), np.indices(shape)
    solid = places[2].ravel() < 8
    off_resonance = (10.0 * places[0] + 5.0 * places[1]).ravel() / 16.0
    frequency = 3.0 * np.linspace(-0.5, 0.5, number)
    columns = [
        balanced_signal(
            np.where(solid, 1.0, 1.4).astype(np.float32),
            np.where(solid, 0.06, 0.09).astype(np.float32),
            np.ones(solid.size, np.float32),
            (off_resonance + each).astype(np.float32),
            np.ones(solid.size, np.complex64),
            protocol.repetition_time,
            protocol.echo_time,
            protocol.flip_angle,
            np.array([increment]),
        )[:, 0]
        for each, increment in zip(frequency, protocol.rf_phase_increment, strict=True)
    ]
    cycles = np.stack(columns, axis=-1) + 9e-4 * (rng.standard_normal((solid.size, number, 2)) @ np.array([1.0, 1j]))
    cycles = cycles.reshape(*shape, number).astype(np.complex64)
    mask = np.ones(shape, dtype=bool)
    found = calibrate_cycles(cycles, mask=mask, protocol=protocol, threads=2)
    fits = [
        fit_natural(each[mask].astype(complex), rf_phase_increment=protocol.rf_phase_increment)
        for each in (cycles, found.cycles)
    ]
    before, after = (float(np.median(fit.e2[solid])) for fit in fits)
    assert abs(np.log(before) / np.log(after) - 1.0) < 0.1
    if found.corrected == ():
        assert "the field varies too little" in found.decisions[0]


def test_what_cannot_be_calibrated_comes_back_as_it_was_with_the_reason():
    protocol = protocol_of(6)
    empty = np.zeros((12, 12, 12, 6), dtype=np.complex64)
    for cycles, mask in ((empty, np.ones((12, 12, 12), bool)), (empty + 1.0, np.zeros((12, 12, 12), bool))):
        found = calibrate_cycles(cycles, mask=mask, protocol=protocol)
        np.testing.assert_array_equal(found.cycles, cycles)
        assert "not calibrated" in found.decisions[0]


def test_voxels_without_a_finite_signal_do_not_switch_it_off():
    errors, protocol = drawn(6, drift=12.0), protocol_of(6)
    cycles = scan(6, errors)
    plain = calibrate_cycles(cycles, mask=INSIDE, protocol=protocol, threads=2)
    broken = cycles.copy()
    broken[tuple(np.argwhere(INSIDE)[0])] = np.nan
    found = calibrate_cycles(broken, mask=INSIDE, protocol=protocol, threads=2)
    np.testing.assert_allclose(found.frequency, plain.frequency, atol=0.05)
