"""The bound of pools and exchange rates against a numeric Fisher matrix, its laws, and the table of the design."""

from dataclasses import replace

import numpy as np
import pytest

from qmri_bids.physics.fingerprint import ExchangeScan, KnownVoxels, exchange_jacobian, exchange_signal
from qmri_bids.physics.published_pools import AMIDE, MT, PUBLISHED_POOLS
from qmri_bids.physics.saturation_bound import exchange_bound, unit_covariance
from qmri_bids.physics.saturation_presets import mrf_amide, mrf_mt

# Fractions, rates, T1 and T2 of white and grey matter: Heo 2019, then Perlman 2022.
TISSUES = np.array(
    [
        (0.112, 29.0, 1.9e-3, 162.0, 0.939, 0.062),
        (0.063, 40.0, 2.4e-3, 365.0, 1.400, 0.085),
        (0.094, 14.0, 3.1e-3, 42.0, 0.939, 0.062),
        (0.042, 35.0, 3.2e-3, 35.0, 1.400, 0.085),
    ]
)
VALUES = TISSUES[:, :4]
JOINT = ((5.2, 12.9, 17.1, 17.7), (5.6, 17.2, 5.5, 8.8), (7.1, 13.7, 42.0, 48.0), (6.7, 18.3, 38.0, 43.0))
MT_ALONE = ((5.9, 15.8), (6.1, 19.0), (8.0, 16.2), (7.9, 23.3))
CORRELATION = ((-0.94, -0.71), (-0.94, -0.49), (-0.96, -0.89), (-0.95, -0.91))


def known_voxels(t1, t2, **changes):
    number = len(t1)
    maps = {"t1": t1, "t2": t2, "b1": np.ones(number), "off_resonance": np.zeros(number)}
    return KnownVoxels(**maps | changes)


KNOWN = known_voxels(TISSUES[:, 4], TISSUES[:, 5])


def make_scan(*, shift=-2.5, protocols=None, pools=(MT, AMIDE)):
    model = replace(PUBLISHED_POOLS, mt=replace(PUBLISHED_POOLS.mt, shift=shift))
    return ExchangeScan(protocols=protocols or (mrf_mt(), mrf_amide()), model=model, pools=pools)


def first_images(protocol, number):
    return replace(protocol, images=protocol.images[:number])


def test_bound_of_both_stages_is_that_of_the_design():
    # The table was made with the semisolid pool at the frequency of water.
    found = 100.0 * exchange_bound(make_scan(shift=0.0), VALUES, KNOWN, noise_stdev=0.01) / VALUES
    np.testing.assert_allclose(found, JOINT, rtol=0.012)


def test_correlations_are_those_of_the_design():
    scan = make_scan(shift=0.0)
    signal, jacobian = exchange_jacobian(scan, VALUES, KNOWN, parameters=scan.parameters)
    covariance = unit_covariance(signal, jacobian, scan=scan)
    stdev = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    found = [covariance[:, one, two] / (stdev[:, one] * stdev[:, two]) for one, two in ((0, 1), (2, 3))]
    np.testing.assert_allclose(np.transpose(found), CORRELATION, atol=0.006)


@pytest.mark.parametrize("row", range(4))
def test_bound_of_the_semisolid_stage_alone_is_that_of_the_design(row):
    scan = make_scan(shift=0.0, protocols=(mrf_mt(),), pools=(MT,))
    scan = scan.with_values({"amide.fraction": VALUES[row, 2], "amide.rate": VALUES[row, 3]})
    own = slice(row, row + 1)
    found = 100.0 * exchange_bound(scan, VALUES[own, :2], KNOWN[own], noise_stdev=0.01) / VALUES[own, :2]
    np.testing.assert_allclose(found[0], MT_ALONE[row], rtol=0.012)


def test_bound_is_that_of_a_numeric_fisher_matrix_with_the_scales_among_the_unknowns():
    scan = make_scan(protocols=(first_images(mrf_mt(), 12), first_images(mrf_amide(), 10)))
    voxel, values, scales = KNOWN[:1], VALUES[:1], np.array([1.0, 1.0])

    def images(unknowns):
        z = exchange_signal(scan, unknowns[None, :4], voxel)[0]
        return z * np.repeat(unknowns[4:], [12, 10])

    truth = np.concatenate([values[0], scales])
    columns = []
    for place, value in enumerate(truth):
        step = np.zeros(6)
        step[place] = 1e-4 * value
        columns.append((images(truth + step) - images(truth - step)) / 2e-4)
    jacobian = np.stack(columns, axis=1) / 0.02
    expected = truth * np.sqrt(np.diagonal(np.linalg.inv(jacobian.T @ jacobian)))
    found = exchange_bound(scan, values, voxel, noise_stdev=0.02)
    np.testing.assert_allclose(found[0], expected[:4], rtol=1e-4)


def test_bound_follows_the_noise_and_falls_with_every_image():
    short = (first_images(mrf_mt(), 12), first_images(mrf_amide(), 12))
    long = (first_images(mrf_mt(), 14), first_images(mrf_amide(), 12))
    one, two = (exchange_bound(make_scan(protocols=short), VALUES, KNOWN, noise_stdev=sd) for sd in (0.01, 0.02))
    np.testing.assert_allclose(two, 2.0 * one, rtol=1e-12)
    more = exchange_bound(make_scan(protocols=long), VALUES, KNOWN, noise_stdev=0.01)
    assert (more < one).all()


def test_what_the_images_do_not_tell_apart_has_no_bound_and_bad_maps_have_none():
    # Two unknowns of the pool and the scale, from two images.
    scan = make_scan(protocols=(first_images(mrf_mt(), 2),), pools=(MT,))
    known = known_voxels(np.array([0.9, np.nan]), np.array([0.06, 0.06]))
    found = exchange_bound(scan, VALUES[:2, :2], known, noise_stdev=0.01)
    assert np.isinf(found[0]).all()
    assert np.isnan(found[1]).all()
    gone = exchange_bound(scan, np.array([[0.0, 30.0]]), known[:1], noise_stdev=0.01)
    assert np.isinf(gone).all()
