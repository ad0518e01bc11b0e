"""Images of maps and of cycles: their values, their standard deviations, and what has none."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sequence_simulation import mprage, spin_echo

from qmri_bids.estimation.base import PAIRS, EstimatorOptions, Joint, KnownMaps
from qmri_bids.estimation.estimators import ESTIMATORS
from qmri_bids.estimation.images.banding import crossing_pairs, geometric_solution, opposite_pairs, root_of_squares
from qmri_bids.estimation.images.synthetic import FluidTimes, TwoWays, WaterMaps, synthetic_image
from qmri_bids.estimation.one_model.transfer import (
    NOISE_CORRELATION,
    ApparentMaps,
    SemisolidPool,
    TransferMaps,
    freed_of_transfer,
)
from qmri_bids.physics import bssfp
from qmri_bids.physics.contrast import signed_signal
from qmri_bids.physics.excitation.pulse import ExcitationPulse
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.physics.sequences import preset

T1, T2, M0 = 0.94, 0.062, 0.7
NOISE = 0.074 / (math.sqrt(2.0) * 25.0)


def protocol_of(cycles: int) -> BssfpProtocol:
    return BssfpProtocol.evenly_spaced(
        number_of_cycles=cycles, repetition_time=4.8e-3, echo_time=2.4e-3, flip_angle=math.radians(15.0)
    )


def drawn(number: int, *, cycles: int, seed: int) -> tuple[np.ndarray, BssfpProtocol]:
    """Return cycles of white matter at any off-resonance with noise."""
    rng, protocol = np.random.default_rng(seed), protocol_of(cycles)
    clean = bssfp.signal(
        np.full(number, T1),
        np.full(number, T2),
        b1=np.ones(number),
        off_resonance=rng.uniform(-104.0, 104.0, number),
        m0=M0,
        protocol=protocol,
    )
    return clean + NOISE * (rng.standard_normal(clean.shape) + 1j * rng.standard_normal(clean.shape)), protocol


@pytest.mark.parametrize("estimator", ["ml", "miracle"])
def test_stated_deviations_of_images_are_those_of_draws(estimator: str) -> None:
    """With B1 that is off by 2 %; errors of T1 and T2 go together, without which images of FLAIR would seem twice as uncertain."""
    number = 3000
    cycles, protocol = drawn(number, cycles=12, seed=4)
    b1 = 1.0 + 0.02 * np.random.default_rng(5).standard_normal(number)
    found = (
        ESTIMATORS[estimator]
        .create(EstimatorOptions())
        .estimate(cycles, protocol=protocol, known=KnownMaps(b1=b1, b1_stdev=np.full(number, 0.02)))
    )
    assert found.joint is not None
    maps = WaterMaps(values=found.values, stdev=found.stdev, correlation=found.joint.correlation)
    alone = WaterMaps(values=found.values, stdev=found.stdev)
    truths = {
        "T1w": mprage(t1=T1, t2=T2, tr=2.3, ti=0.9, flip_angle=math.radians(9.0), spacing=7e-3, echoes=176),
        "T2w": spin_echo(t1=T1, t2=T2, tr=5.0, te=0.09),
        "FLAIR": spin_echo(t1=T1, t2=T2, tr=9.0, te=0.1, ti=2.5),
    }
    for name, truth in truths.items():
        image, stdev = synthetic_image(preset(name), maps)
        scores = np.abs(image - M0 * truth) / stdev
        held = [float(np.mean(scores[np.isfinite(scores)] < limit)) for limit in (1.0, 1.96)]
        assert 0.63 < held[0] < 0.73, name
        assert 0.91 < held[1] < 0.97, name
    assert np.nanmedian(synthetic_image(preset("FLAIR"), alone)[1]) > 1.3 * np.nanmedian(stdev)
    scores = np.abs(found.joint.amplitude - _without_bands(protocol)) / found.joint.amplitude_stdev
    assert 0.64 < np.mean(scores[np.isfinite(scores)] < 1.0) < 0.72


def _without_bands(protocol: BssfpProtocol) -> float:
    one = np.ones(1)
    zero = np.zeros(1)
    return float(np.abs(bssfp.amplitude(T1 * one, T2 * one, b1=one, off_resonance=zero, m0=M0, protocol=protocol))[0])


def test_tissue_and_fluid_of_a_voxel_add_up_before_the_magnitude() -> None:
    """Of FLAIR both have signs; a voxel of fluid alone is that of fluid."""
    flair = preset("FLAIR")
    fluid = FluidTimes(t1=3.0, t2=2.0, t1_stdev=0.2)

    def image(share: float, share_stdev: float = 0.0) -> tuple[float, float]:
        values = {
            "T1": np.array([1.4]),
            "T2": np.array([0.085]),
            "M0": np.array([0.9]),
            "fluid": np.array([0.9 * share]),
        }
        stdev = {name: np.zeros(1) for name in values} | {"fluid": np.array([0.9 * share_stdev])}
        found = synthetic_image(flair, WaterMaps(values=values, stdev=stdev, fluid=fluid))
        return float(found[0][0]), float(found[1][0])

    tissue, water = (0.9 * spin_echo(t1=t1, t2=t2, tr=9.0, te=0.1, ti=2.5) for t1, t2 in ((1.4, 0.085), (3.0, 2.0)))
    assert image(0.0)[0] == pytest.approx(tissue, rel=1e-6)
    assert image(1.0)[0] == pytest.approx(water, rel=1e-6)
    assert image(0.3)[0] == pytest.approx(0.7 * tissue + 0.3 * water, rel=1e-6)
    by_time = 0.9 * (
        spin_echo(t1=3.1, t2=2.0, tr=9.0, te=0.1, ti=2.5) - spin_echo(t1=2.9, t2=2.0, tr=9.0, te=0.1, ti=2.5)
    )
    assert image(1.0)[1] == pytest.approx(abs(by_time), rel=0.01)
    assert image(0.3, 0.05)[1] == pytest.approx(math.hypot(0.05 * (water - tissue), 0.3 * by_time), rel=0.01)


def test_the_share_of_fluid_is_found_with_its_voxels() -> None:
    """A slab of grey matter beside fluid, a fifth of which its first voxels hold."""
    shape, protocol, rng = (14, 14, 14), protocol_of(12), np.random.default_rng(8)
    share = np.zeros(shape)
    share[:4], share[4] = 1.0, 0.2
    parts = [
        bssfp.signal(
            np.full(shape, t1),
            np.full(shape, t2),
            b1=np.ones(shape),
            off_resonance=np.full(shape, 20.0),
            protocol=protocol,
        )
        for t1, t2 in ((1.4, 0.085), (4.0, 2.0))
    ]
    clean = (1.0 - share)[..., None] * parts[0] + share[..., None] * parts[1]
    noisy = clean + 0.3 * NOISE * (rng.standard_normal(clean.shape) + 1j * rng.standard_normal(clean.shape))
    inside = np.ones(shape, dtype=bool)
    flat = noisy.reshape(-1, 12)
    found = (
        ESTIMATORS["ml"]
        .create(EstimatorOptions())
        .estimate(flat, protocol=protocol, known=KnownMaps(b1=np.ones(len(flat)), inside=inside))
    )
    assert found.joint is not None
    fluid = FluidTimes(
        t1=found.constants["FluidT1"],
        t2=found.constants["FluidT2"],
        t1_stdev=found.constants["FluidT1StandardDeviation"],
        t2_stdev=found.constants["FluidT2StandardDeviation"],
    )
    maps = WaterMaps(
        values={**found.values, "fluid": found.joint.fluid},
        stdev={**found.stdev, "fluid": found.joint.fluid_stdev},
        correlation=found.joint.correlation,
        fluid=fluid,
    )
    image, stdev = (each.reshape(shape) for each in synthetic_image(preset("T2w"), maps))
    tissue, water = (spin_echo(t1=t1, t2=t2, tr=5.0, te=0.09) for t1, t2 in ((1.4, 0.085), (4.0, 2.0)))
    for place, fraction in ((1, 1.0), (4, 0.2), (12, 0.0)):
        truth = (1.0 - fraction) * tissue + fraction * water
        assert np.nanmedian(image[place]) == pytest.approx(truth, rel=0.03)
        scores = np.abs(image[place] - truth) / stdev[place]
        assert np.mean(scores[np.isfinite(scores)] < 2.5) > 0.9
    assert np.median(found.joint.fluid.reshape(shape)[4]) == pytest.approx(0.2, abs=0.03)
    assert (found.joint.fluid.reshape(shape)[12] == 0.0).all()


@pytest.mark.parametrize("cycles", [4, 6, 12])
def test_cycles_alone_give_an_image_with_its_deviation(cycles: int) -> None:
    data, protocol = drawn(4000, cycles=cycles, seed=cycles)
    noise = np.full(len(data), NOISE)
    if cycles == 6:
        assert opposite_pairs(protocol.rf_phase_increment) == ((0, 3), (1, 4), (2, 5))
    image, stdev = geometric_solution(data, rf_phase_increment=protocol.rf_phase_increment, noise=noise)
    scores = np.abs(image - _without_bands(protocol)) / stdev
    assert 0.65 < np.mean(scores < 1.0) < 0.71
    clean = data.real.astype(np.complex128)
    image, stdev = root_of_squares(clean, noise=noise)
    np.testing.assert_allclose(image, np.sqrt(np.mean(np.abs(clean) ** 2, axis=-1)))
    np.testing.assert_allclose(stdev, NOISE / math.sqrt(cycles))


def test_without_opposite_cycles_there_is_no_geometric_solution() -> None:
    assert opposite_pairs([0.0, math.radians(182.0), 1.0]) == ((0, 1),)
    with pytest.raises(ValueError, match="two pairs of cycles half a turn apart"):
        geometric_solution(np.ones((2, 3), dtype=complex), rf_phase_increment=[0.0, 2.0, 4.0])


@pytest.mark.parametrize(
    "degrees", [[0, 180, 0, 180, 90], [0, 180, 1, 181], [0, 180, 170, 350], [10, 190, 190, 10, 70]]
)
def test_pairs_on_one_line_have_no_geometric_solution(degrees: list[int]) -> None:
    increments = [math.radians(each) for each in degrees]
    assert len(opposite_pairs(increments)) == 2
    with pytest.raises(ValueError, match="one 20 degrees or more from the other"):
        geometric_solution(np.ones((2, len(degrees)), dtype=complex), rf_phase_increment=increments)
    assert (
        len(crossing_pairs(increments[:2] + [math.radians(each) for each in (20 + degrees[0], 200 + degrees[0])])) == 2
    )


def test_what_goes_with_maps_comes_back_from_its_arrays() -> None:
    arrays = {"_".join(pair): np.array([0.1]) for pair in PAIRS}
    arrays |= {name: np.array([0.2]) for name in ("fluid", "fluid_stdev", "amplitude", "amplitude_stdev")}
    assert Joint.of(arrays).arrays() == arrays


def test_deviations_of_images_of_freed_t1_are_those_of_draws() -> None:
    """Noise of the scan and of the pool, which move T1 and M0 of free water together."""
    number, rng = 4000, np.random.default_rng(6)
    one = np.ones(number)
    protocol, pulse = protocol_of(12), ExcitationPulse.of("sinc", 1e-3)
    truth = {"T1": 0.76, "T2": 0.062, "M0": 0.65, "F": 0.12, "k": 29.0}
    spread = {"T1": 0.03, "T2": 0.0015, "M0": 0.006, "F": 0.008, "k": 3.0}
    noise = np.eye(5)
    for row, column, value in ((0, 1, 0.9), (0, 2, NOISE_CORRELATION), (1, 2, -0.1), (3, 4, -0.8)):
        noise[row, column] = noise[column, row] = value
    errors = np.linalg.cholesky(noise) @ rng.standard_normal((5, number))
    drawn = {name: truth[name] + spread[name] * errors[row] for row, name in enumerate(truth)}

    def freed(values: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], TransferMaps]:
        found = freed_of_transfer(
            ApparentMaps(
                t1=values["T1"],
                t1_stdev=spread["T1"] * one,
                t2=values["T2"],
                t2_stdev=spread["T2"] * one,
                m0=values["M0"],
                m0_stdev=spread["M0"] * one,
                b1=one,
                b1_stdev=None,
                correlation={("T1", "T2"): 0.9 * one, ("T2", "M0"): -0.1 * one},
            ),
            pool=SemisolidPool(
                fraction=values["F"],
                fraction_stdev=spread["F"] * one,
                rate=values["k"],
                rate_stdev=spread["k"] * one,
                correlation=-0.8 * one,
                line=14e-6,
                line_stdev=0.0,
                r1=1.0,
                r1_stdev=0.0,
            ),
            pulse=pulse,
            protocol=protocol,
        )
        return {"T1": found.recovery_t1, "T2": values["T2"], "M0": found.free_m0}, found

    values, found = freed(drawn)
    exact, _ = freed({name: value * one for name, value in truth.items()})
    stdev = {"T1": found.recovery_t1_stdev, "T2": spread["T2"] * one, "M0": found.free_m0_stdev}
    for name in ("T1w", "PDw", "T2w", "FLAIR"):
        image, own = synthetic_image(preset(name), WaterMaps(values=values, stdev=stdev, correlation=found.correlation))
        true, _ = synthetic_image(preset(name), WaterMaps(values=exact, stdev=stdev))
        assert np.std(image - true) == pytest.approx(float(np.mean(own)), rel=0.06), name


def _head_with_fluid(level: float, *, seed: int) -> tuple[np.ndarray, np.ndarray, BssfpProtocol, np.ndarray]:
    """Return cycles of grey matter with a ball of fluid, a rim of mixtures, and one voxel of a lesion; share of fluid, inside."""
    shape, protocol, rng = (18, 18, 18), protocol_of(12), np.random.default_rng(seed)
    x, y, z = np.indices(shape) - 8.5
    share = np.clip(6.0 - np.sqrt(x**2 + y**2 + z**2), 0.0, 1.0)
    t1, t2 = np.full(shape, 1.4), np.full(shape, 0.085)
    t1[LESION], t2[LESION] = 2.0, 0.16
    tissue, fluid = (
        bssfp.signal(
            of_t1, of_t2, b1=np.ones(shape), off_resonance=np.full(shape, 20.0), m0=0.8, protocol=protocol
        ).reshape(-1, 12)
        for of_t1, of_t2 in ((t1, t2), (np.full(shape, 4.0), np.full(shape, 1.5)))
    )
    flat = share.reshape(-1, 1)
    clean = (1.0 - flat) * tissue + flat * fluid / 0.8
    noisy = clean + level * NOISE * (rng.standard_normal(clean.shape) + 1j * rng.standard_normal(clean.shape))
    return noisy, share, protocol, np.ones(shape, dtype=bool)


LESION = (8, 8, 1)
"""A voxel three from where fluid ends."""


def test_fluid_has_its_image_by_the_times_of_all_its_voxels_and_a_lesion_keeps_its_contrast() -> None:
    """FLAIR of fluid is dark and no brighter by noise; the mean of maps of single voxels made it as bright as white matter."""
    cycles, share, protocol, inside = _head_with_fluid(1.0, seed=3)
    known = KnownMaps(b1=np.ones(len(cycles)), inside=inside)
    found = ESTIMATORS["ml"].create(EstimatorOptions()).estimate(cycles, protocol=protocol, known=known)
    assert found.joint is not None
    ways = ways_of(found.joint.ways, fluid=fluid_of(found.constants))
    of_maps = WaterMaps(
        values={**found.values, "fluid": found.joint.fluid},
        stdev={**found.stdev, "fluid": found.joint.fluid_stdev},
        correlation=found.joint.correlation,
        fluid=fluid_of(found.constants),
    )
    tissue, lesion, water = (
        m0 * spin_echo(t1=t1, t2=t2, tr=9.0, te=0.1, ti=2.5)
        for t1, t2, m0 in ((1.4, 0.085, 0.8), (2.0, 0.16, 0.8), (4.0, 1.5, 1.0))
    )
    truth = share * water + (1.0 - share) * tissue
    truth[LESION] = lesion
    image, stdev = (each.reshape(share.shape) for each in synthetic_image(preset("FLAIR"), ways))
    before = synthetic_image(preset("FLAIR"), of_maps)[0].reshape(share.shape)
    truth = np.abs(truth)
    for where in (share == 1.0, (share > 0.4) & (share < 1.0)):
        error, old = (np.sqrt(np.nanmean((each - truth)[where] ** 2)) for each in (image, before))
        assert error < 0.6 * old
        held = np.abs(image - truth)[where] / stdev[where]
        assert np.mean(held < 2.0) > 0.85
    # One voxel is told by itself alone: its neighbours do not blur it.
    assert abs(image[LESION] - lesion) < 3.0 * stdev[LESION]
    assert image[LESION] > tissue + 0.5 * (lesion - tissue)


def test_two_explanations_are_averaged_with_their_sign() -> None:
    """Tissue of FLAIR is positive here, the signal of the second explanation below zero."""
    one = {"T1": np.array([1.4]), "T2": np.array([0.085]), "M0": np.array([0.8])}
    other = {**one, "M0": np.array([1.0]), "fluid": np.array([1.0])}
    fluid = FluidTimes(t1=4.5, t2=2.0)
    none = {name: np.zeros(1) for name in other}
    alone = WaterMaps(values=one, stdev=none)
    together = WaterMaps(values=other, stdev=none, fluid=fluid)
    flair = preset("FLAIR")
    signals = [signed_signal(flair, t1=t1, t2=t2) * m0 for t1, t2, m0 in ((1.4, 0.085, 0.8), (4.5, 2.0, 1.0))]
    assert signals[0] > 0.0 > signals[1]
    image, stdev = synthetic_image(flair, TwoWays(alone=alone, together=together, probability=np.array([0.25])))
    assert image[0] == pytest.approx(abs(0.75 * signals[0] + 0.25 * signals[1]))
    assert stdev[0] == pytest.approx(math.sqrt(0.75 * 0.25) * (signals[0] - signals[1]))


def ways_of(arrays: dict[str, np.ndarray], *, fluid: FluidTimes) -> TwoWays:
    """Return what images are computed from of the arrays of an estimate."""
    parts = {}
    for way, names in (("alone", ("T1", "T2", "M0")), ("together", ("T1", "T2", "M0", "fluid"))):
        parts[way] = WaterMaps(
            values={name: arrays[f"{way}_{name}"] for name in names},
            stdev={name: arrays[f"{way}_{name}_stdev"] for name in names},
            correlation={pair: arrays[f"{way}_{'_'.join(pair)}"] for pair in PAIRS if {*pair} <= {*names}},
            fluid=fluid if way == "together" else None,
        )
    return TwoWays(**parts, probability=arrays["probability"])


def fluid_of(constants: dict[str, float]) -> FluidTimes:
    return FluidTimes(
        t1=constants["FluidT1"],
        t2=constants["FluidT2"],
        t1_stdev=constants["FluidT1StandardDeviation"],
        t2_stdev=constants["FluidT2StandardDeviation"],
    )
