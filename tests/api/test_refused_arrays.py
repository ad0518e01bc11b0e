"""What the interface for arrays refuses, and by which word; what it takes that looks odd."""

import nibabel as nib
import numpy as np
import pytest
import torch

import qmri_bids as q
from qmri_bids.estimation.base import Status
from qmri_bids.physics.pools import MtForm, MtPool

NAN = float("nan")
SCAN = {"tr": 4.8e-3, "te": 2.4e-3, "flip_angle": 15, "rf_phase_increment": np.arange(8) * 45.0}
CYCLES = q.simulate_bssfp(t1=np.full((4, 3, 2), 0.94), t2=0.062, **SCAN, noise=1e-4, seed=0)
SOLUTE = {"fraction": 1e-3, "rate": 200.0, "shift": 3.5, "t2": 0.01}
AMIDE = q.pool_model(amide=SOLUTE)
POWERS = q.cest_protocol([NAN] + [3.5] * 6, b1=[0, 1, 2, 3, 4, 5, 6], duration=3.0, field_strength=9.4, recovery=8.0)
IMAGES = q.simulate_cest(POWERS, pools=AMIDE, t1=np.full((2, 2, 1), 2.5), t2=0.5, noise=2e-4, seed=0)
KNOWN = {"pools": AMIDE, "t1": 2.5, "t2": 0.5}
SIDES = np.linspace(-2.0, 2.0, 31)
SHORT = {"b1": 3.7, "duration": 5e-3, "field_strength": 3.0, "recovery": 3.0}
WEAK = {"b1": 0.2, "duration": 0.5, "field_strength": 3.0, "recovery": 3.0}
WASABI = q.cest_protocol([NAN, *SIDES], **SHORT)
WASSR = q.cest_protocol([NAN, *SIDES], **WEAK)
WIDE = q.cest_protocol([NAN, *np.linspace(-6, 6, 49)], b1=1.0, duration=2.0, field_strength=3.0, recovery=3.0)
ONES = np.ones((3, 32))
ONE, TWO, THREE = np.array([75.0]), np.array([62.0]), np.array([55.0])
ANGLES = {"flip_angle": (5, 15, 5), "tr": 0.03}


def image(values, shift=0.0):
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[0, 3] = shift
    return nib.Nifti1Image(values, affine)


def swapped(values):
    return values.astype(values.dtype.newbyteorder(">"))


def test_the_other_byte_order_gives_the_same():
    plain = q.fit_bssfp(CYCLES, **SCAN)
    other = q.fit_bssfp(swapped(CYCLES), **SCAN, b1=swapped(np.ones((4, 3, 2))))
    stored = q.fit_bssfp(image(swapped(CYCLES.astype(np.complex64))), **SCAN)
    np.testing.assert_array_equal(other.maps["T1"], plain.maps["T1"])
    np.testing.assert_allclose(stored.maps["T1"].get_fdata(), plain.maps["T1"], rtol=2e-3)
    of_swapped, of_plain = (q.banding_free(each, **SCAN).maps["bSSFP"] for each in (swapped(CYCLES), CYCLES))
    np.testing.assert_array_equal(of_swapped, of_plain)


NOISY = {
    "fit_wasabi": lambda noise: q.fit_wasabi(ONES, WASABI, noise=noise),
    "fit_wassr": lambda noise: q.fit_wassr(ONES, WASSR, noise=noise),
    "fit_mtr": lambda noise: q.fit_mtr(TWO, ONE, noise=noise),
    "fit_mtr map": lambda noise: q.fit_mtr(TWO, ONE, noise=np.array([noise])),
    "fit_mtsat": lambda noise: q.fit_mtsat(ONE, TWO, THREE, **ANGLES, noise=noise),
    "b1_from_dam": lambda noise: q.b1_from_dam(ONE, TWO, flip_angle=60, noise=noise),
    "b1_from_afi": lambda noise: q.b1_from_afi(ONE, TWO, flip_angle=60, tr=(0.02, 0.1), noise=noise),
    "fit_zspectrum": lambda noise: q.fit_zspectrum(np.ones((3, 50)), WIDE, noise=noise),
    "design": lambda noise: q.design(**SCAN, noise=noise),
}


@pytest.mark.parametrize("noise", [0.0, -1.0, NAN])
@pytest.mark.parametrize("name", NOISY)
def test_noise_is_above_zero(name, noise):
    with pytest.raises(ValueError, match="noise: expected"):
        NOISY[name](noise)


REFUSED = {
    "negative noise of cycles": (lambda: q.simulate_bssfp(t1=1.0, t2=0.1, **SCAN, noise=-1.0), "noise: expected a finite"),
    "negative noise of images": (lambda: q.simulate_cest(POWERS, **KNOWN, noise=-1.0), "noise: expected a finite"),
    "several noises": (lambda: q.fit_wasabi(ONES, WASABI, noise=[1, 2]), r"noise: expected a number, found shape \(2,\)"),
    "b1_stdev": (lambda: q.fit_bssfp(CYCLES, **SCAN, b1_stdev=-0.1), "b1_stdev: expected a finite standard deviation of 0"),
    "b1_stdev of MT": (lambda: q.fit_mtsat(ONE, TWO, THREE, **ANGLES, noise=1.0, b1_stdev=-0.1), "b1_stdev: expected"),
    "t1_stdev": (lambda: q.fit_pools(IMAGES, POWERS, **KNOWN, t1_stdev=-0.1), "t1_stdev: expected"),
    "t2_stdev": (lambda: q.synthesize("T1w", t1=1.0, t2=0.1, t2_stdev=-0.1), "t2_stdev: expected"),
    "off_resonance_stdev": (
        lambda: q.fit_zspectrum(np.ones((3, 50)), WIDE, off_resonance=0.0, off_resonance_stdev=-1.0, noise=0.01),
        "off_resonance_stdev: expected",
    ),
    "WASSR too strong": (lambda: q.fit_wassr(ONES, WASABI), r"at most 0.5 µT \(WASSR\), found 3.7 µT"),
    "WASSR too wide": (
        lambda: q.fit_wassr(ONES, q.cest_protocol([NAN, *(3 * SIDES)], **WEAK)),
        r"within 2.5 ppm of water \(WASSR\), found 6 ppm",
    ),
    "WASSR of one side": (
        lambda: q.fit_wassr(ONES, q.cest_protocol([NAN, *np.abs(SIDES)], **WEAK)),
        r"offsets on both sides of water \(WASSR\).*signs lost",
    ),
    "WASABI too long": (lambda: q.fit_wasabi(ONES, WASSR), r"one block of at most 0.02 s above 1 µT \(WASABI\), found 1 of 0.5 s"),
    "WASABI of one side": (
        lambda: q.fit_wasabi(ONES, q.cest_protocol([NAN, *np.abs(SIDES)], **SHORT)),
        "offsets on both sides",
    ),
    "WASABI without M0": (lambda: q.fit_wasabi(ONES[:, 1:], q.cest_protocol(SIDES, **SHORT)), "normalises WASABI, found none"),
    "m0 beyond": (lambda: q.cest_protocol(SIDES, **SHORT, m0=[31]), "m0: expected indices.*from 0 to 30"),
    "m0 negative": (lambda: q.cest_protocol(SIDES, **SHORT, m0=[-1]), "m0: expected indices"),
    "m0 by halves": (lambda: q.cest_protocol(SIDES, **SHORT, m0=[0.5]), "m0: expected indices"),
    "m0 a word": (lambda: q.cest_protocol(SIDES, **SHORT, m0="first"), "m0: expected numbers"),
    "pulses by halves": (lambda: q.cest_protocol(SIDES, **SHORT, pulses=1.5), "pulses: expected a whole number of 1"),
    "no pulses": (lambda: q.cest_protocol(SIDES, **SHORT, pulses=0), "pulses: expected a whole number of 1"),
    "negative gap": (lambda: q.cest_protocol(SIDES, **SHORT, gap=-1.0), "gap: expected one number in seconds of 0"),
    "recovery": (lambda: q.cest_protocol(SIDES, **{**SHORT, "recovery": 3000.0}), "recovery: .*milliseconds"),
    "offsets of amide in Hz": (
        lambda: q.cest_protocol([NAN, -447.0, 447.0], **SHORT),
        r"offsets: expected ppm, within 50 .* found a median distance of 447: if they are in Hz, divide them by 127.73",
    ),
    "a spectrum in Hz": (lambda: q.cest_protocol([NAN, *np.linspace(-766, 766, 33)], **SHORT), "offsets: expected ppm"),
    "continued a word": (lambda: q.cest_protocol(SIDES, **SHORT, continued="no"), "continued: expected True or False, found 'no'"),
    "continued a number": (lambda: q.cest_protocol(SIDES, **SHORT, continued=1), "continued: expected True or False, found 1"),
    "offsets None": (lambda: q.cest_protocol(None, **SHORT), "offsets: expected numbers, found None"),
    "offsets of words": (lambda: q.cest_protocol(["a"], **SHORT), "offsets: expected numbers"),
    "ragged offsets": (lambda: q.cest_protocol([[1.0], [1.0, 2.0]], **SHORT), "offsets: expected numbers in rows"),
    "b1 of two axes": (lambda: q.cest_protocol(SIDES, **{**SHORT, "b1": np.ones((31, 2))}), r"b1: .*shape \(31, 2\)"),
    "duration a list": (lambda: q.cest_protocol(SIDES, **{**SHORT, "duration": [1.0]}), "duration: expected a positive time"),
    "field a word": (lambda: q.cest_protocol(SIDES, **{**SHORT, "field_strength": "3T"}), "field_strength: expected"),
    "pulse a list": (lambda: q.cest_protocol(SIDES, **SHORT, pulse=["block"]), "pulse: expected one of block"),
    "shift in Hz": (lambda: q.pool_model(amide={**SOLUTE, "shift": 450.0}), "shift of amide: expected ppm.*Hz"),
    "t2 in ms": (lambda: q.pool_model(amide={**SOLUTE, "t2": 10.0}), "t2 of amide: .*at most 1, .*milliseconds"),
    "t2 of MT in µs": (
        lambda: q.pool_model(mt=MtPool(name="MT", **{**SOLUTE, "t2": 0.04}, form=MtForm.FULL)),
        "t2 of MT: expected a time in seconds of at most 0.001",
    ),
    "water_t1 in ms": (lambda: q.pool_model(water_t1=1500.0), "water_t1: .*milliseconds"),
    "water_t2 negative": (lambda: q.pool_model(water_t2=-0.1), "water_t2: expected a positive time"),
    "one name of two pools": (lambda: q.pool_model(**{"a.b": SOLUTE, "a_b": SOLUTE}), "'a.b' and 'a_b', which both become 'a_b'"),
    "pool a number": (lambda: q.pool_model(a=3), "a: expected fraction, rate, shift, t2 and perhaps t1, found 3"),
    "pool without rate": (lambda: q.pool_model(a={"fraction": 1e-3}), "a: expected .*found no rate"),
    "pool with more": (lambda: q.pool_model(a={**SOLUTE, "ph": 7.0}), "a: expected .*found 'ph'"),
    "rate a word": (lambda: q.pool_model(a={**SOLUTE, "rate": "fast"}), "rate of a: expected numbers, found .fast."),
    "mt a number": (lambda: q.pool_model(mt=3), "mt: expected an MtPool"),
    "pools None": (lambda: q.fit_pools(IMAGES, POWERS, **{**KNOWN, "pools": None}), "pools: expected a model of pool_model"),
    "water alone": (lambda: q.fit_pools(IMAGES, POWERS, **{**KNOWN, "pools": q.pool_model()}), "pools: .*found water alone"),
    "protocol None": (lambda: q.fit_pools(IMAGES, None, **KNOWN), "protocol: expected a protocol of cest_protocol"),
    "a pool twice": (lambda: q.fit_pools(IMAGES, POWERS, **KNOWN, estimate=["amide", "amide"]), "estimate: .*twice"),
    "a pool as a word": (lambda: q.fit_pools(IMAGES, POWERS, **KNOWN, estimate="amide"), r"as \('amide',\), found 'amide'"),
    "no such pool": (lambda: q.fit_pools(IMAGES, POWERS, **KNOWN, estimate=["guan"]), "estimate: .*found 'guan'"),
    "negative fraction": (lambda: q.simulate_cest(POWERS, **KNOWN, values={"amide_fraction": -1e-3}), "amide_fraction: expected"),
    "t1 of cycles": (lambda: q.simulate_bssfp(t1=0.0, t2=0.1, **SCAN), "t1: expected a positive time in seconds, found 0"),
    "t2 of images": (lambda: q.simulate_cest(POWERS, **{**KNOWN, "t2": -1.0}), "t2: expected a positive time"),
    "t1 of a contrast": (lambda: q.synthesize("T1w", t1=-1.0, t2=0.1), "t1: expected a positive time"),
    "maps of two shapes": (lambda: q.simulate_cest(POWERS, **{**KNOWN, "t1": [2.5] * 2}, b1=[1.0] * 3), r"b1: .*\(2,\).*\(3,\)"),
    "map elsewhere": (
        lambda: q.fit_pools(image(IMAGES), POWERS, **{**KNOWN, "t1": image(np.full((2, 2, 1), 2.5), shift=5.0)}),
        "t1: expected the affine of the images.*resample",
    ),
    "B1 elsewhere": (lambda: q.fit_bssfp(image(CYCLES), **SCAN, b1=image(np.ones((4, 3, 2)), shift=5.0)), "b1: .*affine"),
    "mask elsewhere": (lambda: q.fit_bssfp(image(CYCLES), **SCAN, mask=image(np.ones((4, 3, 2)), shift=5.0)), "mask: .*affine"),
    "one TR of AFI": (lambda: q.b1_from_afi(ONE, TWO, flip_angle=60, tr=0.02), "tr: expected TR1 and TR2"),
    "TRs of words": (lambda: q.b1_from_afi(ONE, TWO, flip_angle=60, tr=("a", "b")), "tr: expected numbers"),
    "nested angles": (lambda: q.design(**{**SCAN, "flip_angle": [[10, 20]]}), r"flip_angle: .*shape \(1, 2\)"),
    "tissue without time": (lambda: q.design(**SCAN, tissues={"fat": (0.3, 0.0)}), r"tissues\['fat'\]: expected a positive time"),
    "tissue with one time": (lambda: q.design(**SCAN, tissues={"fat": 0.3}), r"tissues\['fat'\]: expected T1 and T2"),
    "increments repeat": (
        lambda: q.design(**{**SCAN, "rf_phase_increment": [0, 360, 180, 180]}),
        "rf_phase_increment: expected at least 3 different",
    ),
    "one angle in a list": (lambda: q.fit_bssfp(CYCLES, **{**SCAN, "flip_angle": [15]}), r"flip_angle: .*found \[15\]"),
    "te None": (lambda: q.fit_bssfp(CYCLES, **{**SCAN, "te": None}), "te: expected numbers, found None"),
    "no threads": (lambda: q.fit_bssfp(CYCLES, **SCAN, threads=0), "threads: expected a whole number of 1 or more, found 0"),
    "no threads of pools": (lambda: q.fit_pools(IMAGES, POWERS, **KNOWN, threads=0), "threads: expected a whole number"),
    "sense": (lambda: q.fit_bssfp(CYCLES, **SCAN, sense="reversed"), "sense: expected one of found, as given, opposite"),
    "echo after TR": (lambda: q.fit_bssfp(CYCLES, **{**SCAN, "te": 6e-3}), "te: expected an echo before the end"),
    "estimators": (lambda: q.fit_pools(IMAGES, POWERS, **KNOWN, estimator=["ml"]), "estimator: expected one of"),
    "t1 None": (lambda: q.fit_pools(IMAGES, POWERS, **{**KNOWN, "t1": None}), "t1: expected numbers, found None"),
    "no protocol": (lambda: q.fit_pools([], [], **KNOWN), "protocol: expected a protocol"),
    "no list of images": (lambda: q.fit_pools(None, [POWERS], **KNOWN), "images: expected a list of arrays"),
    "values a list": (lambda: q.simulate_cest(POWERS, **KNOWN, values=[1.0]), "values: expected maps by name"),
    "seed a word": (lambda: q.simulate_cest(POWERS, **KNOWN, noise=0.1, seed="a"), "seed: expected numbers"),
    "tissues a list": (lambda: q.design(**SCAN, tissues=[(0.94, 0.062)]), "tissues: expected T1 and T2 in seconds by name"),
    "contrasts": (lambda: q.synthesize(["T1w"], t1=1.0, t2=0.1), "contrast: expected one of T1w"),
    "TR1 after TR2": (lambda: q.b1_from_afi(ONE, TWO, flip_angle=60, tr=(0.1, 0.02)), "tr: expected TR1 shorter"),
    "a line as a word": (lambda: q.fit_zspectrum(np.ones((3, 50)), WIDE, pools="water"), "pools: expected names of lines"),
    "coarse numbers": (lambda: q.fit_mtr(torch.ones(2, dtype=torch.bfloat16), torch.ones(2)), r"mt_on: .*give mt_on.float\(\)"),
    "complex B1": (lambda: q.fit_bssfp(CYCLES, **SCAN, b1=1j), "b1: expected real numbers"),
}  # fmt: skip


ONE_MORE = {"creatine": {**SOLUTE, "shift": 2.0}, "amide": SOLUTE}
UNSERVED = {
    "dictionary": (
        lambda: q.fit_pools(IMAGES, POWERS, **{**KNOWN, "pools": q.pool_model(**ONE_MORE)}, estimator="dictionary"),
        r"Use estimator='ml'\.$",
    ),
    "supervised": (
        lambda: q.fit_pools(IMAGES, POWERS, **KNOWN, estimator="supervised"),
        r"Use estimator='pinn' or estimator='ml'\.$",
    ),
    "train-by-fit": (
        lambda: q.fit_pools(IMAGES, POWERS, **KNOWN, estimator="train-by-fit"),
        "use estimator='pinn' or estimator='ml'$",
    ),
    "quesp": (
        lambda: q.fit_pools(IMAGES, POWERS, **{**KNOWN, "pools": q.pool_model(**ONE_MORE)}, estimator="quesp"),
        "use estimator='ml', which fits any pools",
    ),
    "planet": (
        lambda: q.fit_bssfp(CYCLES[..., :4], **{**SCAN, "rf_phase_increment": np.arange(4) * 90.0}, estimator="planet"),
        "use estimator='ml'",
    ),
    "network of 12 cycles": (
        lambda: q.fit_bssfp(CYCLES, **SCAN, estimator="svnn-magnitude-uniform"),
        r"Use estimator='ml'\.$",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", UNSERVED)
def test_an_estimator_that_cannot_serve_names_an_argument_and_no_option(name):
    call, word = UNSERVED[name]
    with pytest.raises(ValueError, match=word) as refused:
        call()
    assert "--" not in str(refused.value)


def test_remarks_name_arguments_and_no_options():
    for found in (
        q.fit_pools(IMAGES, POWERS, **KNOWN, estimator="pinn"),
        q.fit_bssfp(CYCLES, **SCAN, estimator="miracle"),
        q.fit_bssfp(CYCLES, **SCAN),
    ):
        assert found.decisions
        assert not any("--" in sentence for sentence in found.decisions)
    assert "estimator='linear' has no such bias." in " ".join(
        q.fit_bssfp(CYCLES, **SCAN, estimator="miracle").decisions
    )


@pytest.mark.parametrize("offsets", [[NAN, 3.5], [-300.0, 3.5], [-1560.0, 8.0, 12.0], [NAN], [7.8, 23.0, 78.0]])
def test_offsets_in_ppm_are_taken(offsets):
    assert q.cest_protocol(offsets, **SHORT).number_of_images == len(offsets)
    assert q.cest_protocol(offsets, **SHORT, continued=np.True_).start != q.cest_protocol(offsets, **SHORT).start


@pytest.mark.parametrize("method", ["model", "geometric", "rss"])
@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy, image])
def test_images_without_bands_have_no_value_outside_of_a_mask(method, kind):
    mask = np.zeros(CYCLES.shape[:-1], dtype=bool)
    mask[1] = True
    found = q.banding_free(kind(CYCLES.astype(np.complex64)), **SCAN, method=method, mask=mask).maps["bSSFP"]
    values = found.get_fdata() if kind is image else np.asarray(found)
    np.testing.assert_array_equal(np.isfinite(values), mask)
    everywhere = q.banding_free(CYCLES, **SCAN, method=method).maps["bSSFP"]
    np.testing.assert_allclose(values[mask], everywhere[mask], rtol=1e-3)


@pytest.mark.parametrize("case", REFUSED)
def test_one_word_names_the_argument(case):
    call, word = REFUSED[case]
    with pytest.raises(ValueError, match=word):
        call()


def test_masked_voxels_have_no_value():
    hidden = np.zeros(IMAGES.shape, dtype=bool)
    hidden[0, 0] = True
    found = q.fit_pools(np.ma.array(IMAGES, mask=hidden), POWERS, **KNOWN)
    known = q.fit_pools(IMAGES, POWERS, **{**KNOWN, "t1": np.ma.array(np.full((2, 2, 1), 2.5), mask=hidden[..., 0])})
    for result in (found, known):
        assert result.status["amide"][..., 0].tolist() == [[Status.INVALID_INPUT, 1], [1, 1]]
        assert np.isnan(result.maps["amide_rate"][0, 0, 0])
    mtr = q.fit_mtr(np.ma.array([60, 60], mask=[True, False]), np.array([100, 100]), noise=1.0)
    assert mtr.status.tolist() == [Status.INVALID_INPUT, 1]


def test_maps_without_a_time_have_no_image():
    t1 = np.array([0.94, 0.0, -1.0])
    found = q.synthesize("T1w", t1=t1, t2=0.062)
    assert found.status.tolist() == [1, Status.INVALID_INPUT, Status.INVALID_INPUT]
    pools = q.fit_pools(IMAGES, POWERS, **{**KNOWN, "t1": np.zeros((2, 2, 1))})
    assert (pools.status["amide"] == Status.INVALID_INPUT).all()
    for simulated in (q.simulate_bssfp(t1=t1, t2=0.062, **SCAN), q.simulate_cest(POWERS, **{**KNOWN, "t1": t1})):
        assert np.isfinite(simulated).all(axis=-1).tolist() == [True, False, False]


def test_what_overflows_has_no_value():
    images = (np.array([value, value * 1e200]) for value in (75.0, 62.0, 55.0))
    found = q.fit_mtsat(*images, **ANGLES, noise=0.3)
    assert found.status.tolist() == [1, Status.INVALID_INPUT]
    for values in (*found.maps.values(), *found.stdev.values()):
        assert np.isfinite(values).tolist() == [True, False]
