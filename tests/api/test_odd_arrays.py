"""What is no number, no noise, no protocol or in another byte order is told, or taken as it is meant."""

import nibabel as nib
import numpy as np
import pytest
import torch

import qmri_bids as q

NAN = float("nan")
SCAN = {"tr": 4.8e-3, "te": 2.4e-3, "flip_angle": 15, "rf_phase_increment": np.arange(6) * 60.0}
FRINGES = {"b1": 3.7, "duration": 5e-3, "field_strength": 3.0, "recovery": 3.0}
WASABI = q.cest_protocol([NAN, *np.linspace(-2, 2, 31)], **FRINGES)
ONE = np.ones(1)


def cycles():
    return q.simulate_bssfp(t1=[0.94, 1.4], t2=[0.062, 0.085], noise=1e-4, seed=0, **SCAN)


@pytest.mark.parametrize("estimator", ["pinn", "ml"])
def test_byte_orders_are_those_of_the_machine(estimator):
    expected = q.fit_bssfp(cycles(), **SCAN, estimator=estimator).maps["T1"]
    swapped = cycles().astype(">c16")
    np.testing.assert_array_equal(q.fit_bssfp(swapped, **SCAN, estimator=estimator).maps["T1"], expected)
    image = nib.Nifti1Image(swapped.reshape(2, 1, 1, 6), np.eye(4), nib.Nifti1Header(endianness=">"))
    found = q.fit_bssfp(image, **SCAN, estimator=estimator)
    assert np.isfinite(found.maps["T1"].get_fdata()).all()
    assert np.isfinite(q.banding_free(swapped, **SCAN)).all()


@pytest.mark.parametrize("noise", [0.0, -1.0, NAN])
def test_noise_is_positive(noise):
    for call in (
        lambda: q.fit_wasabi(np.ones((2, 32)), WASABI, noise=noise),
        lambda: q.fit_mtr(ONE, 2.0 * ONE, noise=noise),
        lambda: q.b1_from_dam(ONE, ONE, flip_angle=60, noise=noise),
        lambda: q.b1_from_afi(ONE, ONE, flip_angle=60, tr=(0.02, 0.1), noise=noise),
        lambda: q.design(**SCAN, noise=noise),
    ):
        with pytest.raises(ValueError, match="noise: expected a positive number"):
            call()
    with pytest.raises(ValueError, match="b1_stdev: expected 0 or more"):
        q.fit_bssfp(cycles(), **SCAN, b1_stdev=-0.1)


@pytest.mark.parametrize(
    ("offsets", "changed", "word"),
    [
        (np.linspace(100, 200, 31), {}, "protocol: "),
        (np.linspace(0.1, 2, 31), {}, "protocol: "),
        (np.linspace(-2, 2, 31), {"b1": 0.3, "duration": 0.5}, "expected a series of WASABI"),
        (np.linspace(-2, 2, 31), {"b1": 3.7, "duration": 3.0}, "protocol: "),
    ],
)
def test_other_series_are_no_wasabi(offsets, changed, word):
    protocol = q.cest_protocol([NAN, *offsets], **{**FRINGES, **changed})
    with pytest.raises(ValueError, match=word):
        q.fit_wasabi(np.ones((2, 32)), protocol)


def test_fringes_are_no_wassr():
    with pytest.raises(ValueError, match="protocol: "):
        q.fit_wassr(np.ones((2, 32)), WASABI)


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: q.cest_protocol([NAN, 3.5], **FRINGES, m0=[99]), "m0: expected indices from 0 to 1, found 99"),
        (lambda: q.cest_protocol([NAN, 3.5], **FRINGES, pulses=2.5), "pulses: expected a whole number"),
        (lambda: q.cest_protocol([NAN, 3.5], **FRINGES, gap=[1, 2]), "gap: expected one number"),
        (lambda: q.fit_bssfp(cycles(), **{**SCAN, "flip_angle": [15]}), "flip_angle: expected one number"),
        (lambda: q.fit_bssfp(cycles(), **{**SCAN, "tr": None}), "tr: expected one number"),
        (lambda: q.fit_bssfp(cycles(), **SCAN, b1="one"), "b1: expected numbers"),
        (lambda: q.fit_bssfp(np.ma.masked_array(cycles()), **SCAN), "found a masked array"),
        (lambda: q.fit_mtr(torch.ones(3, dtype=torch.bfloat16), torch.ones(3), noise=1.0), "give tensor.float"),
        (lambda: q.b1_from_afi(ONE, ONE, flip_angle=60, tr=0.02), "tr: expected TR1 and TR2"),
        (lambda: q.design(**SCAN, b1=100.0), "b1: expected actual over nominal .* percent"),
        (lambda: q.design(**SCAN, tissues={"a": (-1.0, 0.0)}), "tissues: expected T1 and T2 in seconds"),
    ],
)
def test_what_is_no_number_is_told_by_name(call, word):
    with pytest.raises(ValueError, match=word):
        call()
