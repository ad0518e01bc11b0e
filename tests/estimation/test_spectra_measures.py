"""Measures beside the fit of pools: each is what its definition says, and its standard deviation holds its error."""

import math

import numpy as np
import pytest
from scipy.optimize import least_squares

from qmri_bids.estimation.base import Status
from qmri_bids.estimation.spectra.maps import ZSpectrumOptions, zspectrum_maps
from qmri_bids.estimation.spectra.measures.asymmetry import mean_asymmetry
from qmri_bids.estimation.spectra.measures.linearised import Measured
from qmri_bids.estimation.spectra.measures.plan import plan_measures
from qmri_bids.estimation.spectra.spline import spline_operator
from qmri_bids.physics.lineshapes import absorption
from qmri_bids.physics.pools import Lineshape
from qmri_bids.physics.saturation import Pulse, SaturatedImage, Saturation, SaturationProtocol
from qmri_bids.physics.zspectrum import lorentzian_spectrum
from qmri_bids.units import ppm_to_hertz

FIELD = 3.0
HERTZ = ppm_to_hertz(1.0, FIELD)
SIDE = (60.0, 30.0, 20.0, 14.0, 10.0, 8.0, 7.0, 6.0, *np.arange(5.0, 0.9, -0.25), 0.7, 0.4, 0.2)
OFFSETS = np.array([*(-each for each in SIDE), 0.0, *reversed(SIDE)])
LINES = {
    "amplitude": np.array([0.8, 0.12, 0.04, 0.06, 0.02]),
    "width": np.array([1.4, 40.0, 1.2, 3.0, 1.5]),
    "position": np.array([0.0, -2.4, 3.5, -3.5, 2.0]),
}
BACKGROUND = {name: values[:2] for name, values in LINES.items()}
NOISE, SHIFT_NOISE = 10.0, 0.02
"""Of one volume, whose full signal is 1000, and of the shift of water [ppm]."""
ALL = ZSpectrumOptions(ranges=((3.0, 4.0),), measures=("three-offset", "lda", "rex", "emr"), pools=())


def z_at(offsets, **lines):
    return lorentzian_spectrum(np.asarray(offsets, dtype=float), **(lines or LINES))


def series(offsets=OFFSETS, every=12):
    """A protocol with an M0 before every dozen offsets and at the end, its roles, and the columns of (Z, M0)."""
    train = Saturation(pulse=Pulse.block(amplitude=0.6e-6, duration=2.0))
    columns = []
    for place in range(len(offsets)):
        columns += [-1] * (place % every == 0) + [place]
    columns.append(-1)
    images = [
        SaturatedImage(saturation=None, offset=None, recovery=5.0)
        if column < 0
        else SaturatedImage(saturation=train, offset=float(offsets[column]), recovery=5.0)
        for column in columns
    ]
    roles = tuple("m0" if column < 0 else "cest" for column in columns)
    return SaturationProtocol(field_strength=FIELD, images=tuple(images)), roles, columns


def maps_of(voxels, *, noise=NOISE, options=ALL, seed=0, offsets=OFFSETS):
    rng = np.random.default_rng(seed)
    protocol, roles, columns = series(offsets)
    shift = rng.uniform(-0.15, 0.15, voxels)
    z = np.concatenate([z_at(offsets - shift[:, None]), np.ones((voxels, 1))], axis=1)[:, columns]
    share = noise / NOISE
    found_shift = shift + share * SHIFT_NOISE * rng.normal(size=voxels)
    return zspectrum_maps(
        1000.0 * z + noise * rng.normal(size=z.shape),
        protocol=protocol,
        roles=roles,
        water_shift=HERTZ * found_shift,
        water_shift_stdev=np.full(voxels, HERTZ * share * SHIFT_NOISE),
        noise=noise,
        options=options,
    )


def definition(name):
    """What a measure is of spectra without noise, written down anew."""
    kind, _, solute = name.partition("_")
    at = {"APT": 3.5, "NOE": -3.5}.get(solute, 0.0)
    if name == "MTRasym_3to4":
        dense = np.linspace(3.0, 4.0, 2001)
        return float(np.mean(z_at(-dense) - z_at(dense)))
    if name == "MTRasym_3.5":
        return float(np.subtract(*z_at([-3.5, 3.5])))
    if kind == "threeoffset":
        low, middle, high = z_at({"APT": [3.0, 3.5, 4.0], "NOE": [-5.0, -3.5, -2.0]}[solute])
        return float(0.5 * (low + high) - middle)
    if kind == "emr":
        return extrapolated(at) - float(z_at([at])[0])
    counted = OFFSETS[(np.abs(OFFSETS) <= 1.0) | (np.abs(OFFSETS) >= 6.5)]

    def model(values, where):
        names = ("amplitude", "width", "position")
        return z_at(where, **{key: values[2 * k : 2 * k + 2] for k, key in enumerate(names)})

    start = np.concatenate([BACKGROUND[key] for key in ("amplitude", "width", "position")])
    # What is known beforehand of widths and positions weighs next to nothing where there is no noise.
    fit = least_squares(lambda values: model(values, counted) - z_at(counted), start, xtol=1e-12, ftol=1e-12)
    reference, label = float(model(fit.x, np.array([at]))[0]), float(z_at([at])[0])
    return reference - label if kind == "lda" else 1.0 / label - 1.0 / reference


def extrapolated(at):
    """Water 0.9 high at 0 ppm and MT at -2.4 ppm, fitted to the offsets from 8 ppm outwards."""
    far = OFFSETS[np.abs(OFFSETS) >= 8.0]

    def model(values, where):
        width, height, semisolid = values
        return z_at(where, amplitude=[0.9, height], width=[width, semisolid], position=[0.0, -2.4])

    fit = least_squares(lambda values: model(values, far) - z_at(far), [1.4, 0.12, 40.0], x_scale=[1.0, 0.1, 40.0])
    return float(model(fit.x, np.array([at]))[0])


NAMES = (
    "MTRasym_3.5",
    "MTRasym_3to4",
    *(f"{kind}_{solute}" for kind in ("threeoffset", "lda", "ldarex", "emr") for solute in ("APT", "NOE")),
)


@pytest.fixture(scope="module")
def clean():
    return maps_of(50, noise=0.01)


@pytest.fixture(scope="module")
def noisy():
    return maps_of(3000)


@pytest.mark.parametrize("name", NAMES)
def test_a_measure_is_what_its_definition_says(clean, name):
    found = np.median(clean.maps[name][0])
    assert found == pytest.approx(definition(name), abs=2e-3 if "lda" in name or "emr" in name else 4e-4)


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("emr")])
def test_its_standard_deviation_holds_its_error(clean, noisy, name):
    """Noise in every volume, several M0 among them, and in the shift of water."""
    values, stdev = noisy.maps[name]
    assert np.isfinite(values).mean() > 0.99
    score = np.abs(values - np.median(clean.maps[name][0])) / stdev
    assert 0.62 < np.mean(score < 1.0) < 0.76
    assert 0.92 < np.mean(score < 1.96) < 0.98


def test_asymmetry_changes_sign_with_the_spectrum_and_is_not_extrapolated():
    shift = np.array([0.0, 0.3, -0.3, 1.6, -1.6])
    offsets = OFFSETS[np.abs(OFFSETS) <= 5.0]
    z = z_at(offsets - shift[:, None])

    def asymmetry(z, shift):
        measured = Measured(
            z=z,
            stdev=np.full(len(z), 0.01),
            offsets=offsets,
            shift=shift,
            shift_stdev=np.full(len(z), 0.02),
            shared=np.ones((len(offsets), 1)),
            repeated=1.0,
        )
        found = mean_asymmetry(measured, spline_operator(offsets), low=3.5, high=3.5)
        return found.values, found.stdev(measured)

    (values, stdev), (mirrored, mirrored_stdev) = asymmetry(z, shift), asymmetry(z[:, ::-1], -shift)
    np.testing.assert_allclose(values[:3], np.subtract(*z_at([-3.5, 3.5])), atol=1e-3)
    assert np.isnan(values[3:]).all()
    np.testing.assert_allclose(mirrored, -values, atol=1e-9)
    np.testing.assert_allclose(mirrored_stdev, stdev, rtol=1e-9)


def test_the_inverse_difference_is_that_of_the_fit_where_there_is_one():
    found = maps_of(60, noise=0.1, options=ZSpectrumOptions(measures=("rex",)))
    assert not [name for name in found.maps if name.startswith("ldarex")]
    pool = 2
    label = z_at([3.5])[0]
    expected = 1.0 / label - 1.0 / (label + LINES["amplitude"][pool])
    assert np.nanmedian(found.maps["rex_amide"][0]) == pytest.approx(expected, abs=2e-3)
    assert {name for name in found.maps if name.startswith("rex_")} == {"rex_amide", "rex_NOE", "rex_MT", "rex_amine"}


def test_a_measure_that_offsets_do_not_allow_is_left_out_with_the_reason():
    offsets = np.linspace(-4.0, 4.0, 33)
    plan = plan_measures(
        offsets, wanted=("three-offset", "lda", "rex"), asymmetry=(3.5,), ranges=((3.0, 5.0), (1.0, 2.0)), pools=()
    )
    assert plan.three_offset == ("APT",)
    assert not plan.needs_background
    assert plan.ranges == ((1.0, 2.0),)
    for words in (
        "no three-offset measure of NOE: it needs an offset at -5 ppm",
        "no Lorentzian difference: it needs offsets out to ±10 ppm",
        "no inverse difference (MTR_Rex): there is no fit of pools",
        "no MTR asymmetry from 3 to 5 ppm",
    ):
        assert any(words in sentence for sentence in (*plan.sentences, *plan.warnings)), words
    sparse = np.array([-12.0, -8.0, -0.5, 0.0, 3.0, 4.0, 8.0, 12.0])
    said = plan_measures(sparse, wanted=("three-offset", "lda"), asymmetry=(), ranges=(), pools=()).sentences
    assert any("needs an offset at 3.5 ppm" in sentence for sentence in said)
    assert any("needs 3 offsets within 1 ppm of water, found 2" in sentence for sentence in said)


def test_the_extrapolated_reference_needs_far_offsets_and_says_so():
    def of(offsets):
        return plan_measures(np.array(offsets), wanted=("emr",), asymmetry=(), ranges=(), pools=())

    near = (-3.5, -1.0, 0.0, 1.0, 3.5)
    for offsets, words in (
        ((-10.0, *near, 10.0, 20.0), "no APT# or NOE#: it needs 4 offsets at 8 ppm or more from water, found 3"),
        ((-10.0, -8.0, *near, 8.0, 10.0), "no APT# or NOE#: it needs offsets out to 15 ppm, found them to 10 ppm"),
    ):
        assert of(offsets).extrapolated == ()
        assert words in of(offsets).sentences[0]
    one_side = of((-1.0, 0.0, 1.0, 3.5, 8.0, 10.0, 15.0, 30.0))
    assert one_side.extrapolated == ("APT",)
    assert "no NOE#: it needs an offset at -3.5 ppm" in one_side.sentences[0]


@pytest.mark.parametrize("far", [(8.0, 10.0, 15.0, 30.0), tuple(sign * at for at in SIDE[:6] for sign in (-1.0, 1.0))])
def test_the_standard_deviation_of_an_extrapolated_reference_holds(far):
    """Of few far offsets on one side, and of many: MT and water of voxels differ as much as is expected of them beforehand."""
    offsets = np.array(sorted({*far, -4.0, -3.5, -3.0, -1.0, 0.0, 1.0, 3.0, 3.5, 4.0}))
    protocol, roles, columns = series(offsets)
    voxels, rng = 2000, np.random.default_rng(5)
    width, t2 = 1.5 * np.exp(0.23 * rng.normal(size=voxels)), 1e-5 * np.exp(0.17 * rng.normal(size=voxels))
    radians = 2.0 * np.pi * HERTZ * np.append(offsets + 2.4, 0.0)
    shapes = np.array([absorption(Lineshape.SUPER_LORENTZIAN, radians, t2=each)[0] for each in t2])
    semisolid = rng.uniform(0.06, 0.14, (voxels, 1)) * shapes[:, :-1] / shapes[:, -1:]
    z = 1.0 - semisolid - 0.9 / (1.0 + 4.0 * (offsets / width[:, None]) ** 2)
    z -= 0.04 * (np.abs(offsets - 3.5) < 1.0) + 0.05 * (np.abs(offsets + 3.5) < 1.0)
    signal = np.concatenate([z, np.ones((voxels, 1))], axis=1)[:, columns]
    found = zspectrum_maps(
        1000.0 * signal + NOISE * rng.normal(size=signal.shape),
        protocol=protocol, roles=roles, water_shift=np.zeros(voxels), noise=NOISE,
        options=ZSpectrumOptions(measures=("emr",), pools=()),
    )  # fmt: skip
    for name, true in (("emr_APT", 0.04), ("emr_NOE", 0.05)):
        values, stdev = found.maps[name]
        assert np.isfinite(values).mean() > 0.99
        score = (values - true) / stdev
        assert abs(np.nanmedian(score)) < 0.4
        # Of few offsets it is up to a tenth too wide: what is expected of widths is even in their logarithms.
        assert 0.62 < np.mean(np.abs(score) < 1.0) < (0.76 if len(far) > 4 else 0.8)
        assert 0.92 < np.mean(np.abs(score) < 1.96) < 0.98


def test_a_voxel_without_a_shift_or_beyond_the_offsets_has_no_measure():
    offsets = OFFSETS[np.abs(OFFSETS) <= 5.0]
    protocol, roles, columns = series(offsets)
    shift = np.array([0.0, math.nan, -0.2, 0.2])
    z = np.concatenate([z_at(offsets - np.nan_to_num(shift)[:, None]), np.ones((4, 1))], axis=1)[:, columns]
    found = zspectrum_maps(
        1000.0 * z, protocol=protocol, roles=roles, water_shift=HERTZ * shift, noise=1.0, options=ALL
    )
    assert found.status[1] != Status.CONVERGED
    assert np.isfinite(found.maps["threeoffset_APT"][0]).tolist() == [True, False, True, True]
    # -5 ppm from true water was measured where water lies higher alone.
    assert np.isfinite(found.maps["threeoffset_NOE"][0]).tolist() == [True, False, False, True]


def test_what_is_no_measure_is_refused():
    with pytest.raises(ValueError, match="measures must be among three-offset, lda, rex, emr, found apt"):
        ZSpectrumOptions(measures=("apt",))
    with pytest.raises(ValueError, match="two positive offsets, the smaller first, found 4 to 3"):
        ZSpectrumOptions(ranges=((4.0, 3.0),))


def test_the_report_says_which_solutes_the_mean_spectrum_tells(clean):
    told = next(
        each for each in maps_of(300, options=ZSpectrumOptions()).decisions if "The mean spectrum tells" in each
    )
    assert "amide (" in told
    assert "NOE (" in told

    def without_solutes(voxels=300):
        protocol, roles, columns = series()
        z = np.concatenate([np.tile(z_at(OFFSETS, **BACKGROUND), (voxels, 1)), np.ones((voxels, 1))], axis=1)[
            :, columns
        ]
        signal = 1000.0 * z + NOISE * np.random.default_rng(3).normal(size=z.shape)
        return zspectrum_maps(signal, protocol=protocol, roles=roles, water_shift=np.zeros(voxels), noise=NOISE)

    said = next(each for each in without_solutes().decisions if "The mean spectrum tells" in each)
    assert "none of the solutes" in said
    for pool in ("amide", "NOE", "amine"):
        assert f"With {pool} it is higher by" in said
    assert "it was fitted all the same" in said


def test_a_range_beyond_the_offsets_is_a_warning() -> None:
    offsets = np.arange(-5.0, 5.1, 0.5)
    plan = plan_measures(offsets, wanted=(), asymmetry=(), ranges=((3.0, 4.0), (100.0, 200.0)), pools=())
    assert (plan.ranges, plan.sentences) == (((3.0, 4.0),), ())
    assert plan.warnings == (
        "There is no MTR asymmetry from 100 to 200 ppm: the spectrum was measured from -5 to 5 ppm.",
    )
