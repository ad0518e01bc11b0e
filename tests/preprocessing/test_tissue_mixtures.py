import numpy as np

from qmri_bids.preprocessing.tissues.mixtures import mixed_times

TISSUES = {"t1": np.array([1.4, 0.94, 4.0]), "t2": np.array([0.085, 0.062, 1.5]), "m0": np.array([0.8, 0.7, 1.0])}


def test_a_tissue_alone_is_itself_whatever_its_amount():
    t1, t2 = mixed_times(np.eye(3), **TISSUES)
    np.testing.assert_allclose(t1, TISSUES["t1"], rtol=0.01)
    np.testing.assert_allclose(t2, TISSUES["t2"], rtol=0.01)
    np.testing.assert_allclose(mixed_times(0.3 * np.eye(3), **TISSUES), (t1, t2), rtol=1e-3)


def test_fluid_gives_more_than_its_share_to_t2_and_little_to_t1():
    share = np.linspace(0.0, 1.0, 6)
    mixed = np.stack([1.0 - share, np.zeros_like(share), share], axis=1)
    t1, t2 = mixed_times(mixed, **TISSUES)
    assert np.all(np.diff(t2) > 0.0)
    rates_add_up = 1.0 / (mixed @ (1.0 / TISSUES["t2"]))
    assert np.all(t2[1:-1] > 1.2 * rates_add_up[1:-1])
    np.testing.assert_allclose(t1[:3], 1.4, rtol=0.1)


def test_matter_mixes_between_its_ends():
    t1, t2 = mixed_times(np.array([[0.5, 0.5, 0.0]]), **TISSUES)
    np.testing.assert_allclose(
        (1.0 / t1[0], 1.0 / t2[0]), (0.5 / 1.4 + 0.5 / 0.94, 0.5 / 0.085 + 0.5 / 0.062), rtol=0.03
    )
