import numpy as np
import pytest
from exchange_cases import SHORT
from fingerprint_sets import brain_set, single_tissue_set

from qmri_bids.evaluation.pools.sets import TISSUES, box_set, tissue_set
from qmri_bids.physics.fingerprint import KNOWN
from qmri_bids.priors.pools import EXCHANGE_PRIOR
from qmri_bids.training.pools.shipped import PLAYED_SCAN


def test_box_fills_the_prior():
    samples = box_set(4000, 0, scan=SHORT)
    columns = {name: samples.column(name) for name in SHORT.parameters}
    columns |= {name: getattr(samples.known, name) for name in KNOWN}
    for name, values in columns.items():
        low, high = EXCHANGE_PRIOR.ranges[name]
        assert low <= values.min() < low + 0.02 * (high - low)
        assert high - 0.02 * (high - low) < values.max() <= high


def test_tissues_are_those_of_the_table_with_rare_lesions():
    samples = tissue_set(20_000, 0, scan=SHORT)
    assert set(samples.groups) == set(TISSUES)
    assert samples.groups["lesion"].mean() == pytest.approx(0.01, abs=0.003)
    assert samples.groups["WM"].mean() == pytest.approx(0.495, abs=0.01)
    lesion, white = (samples.values[samples.groups[name]] for name in ("lesion", "WM"))
    np.testing.assert_allclose(lesion[0] / white[0], (0.5, 1.0, 2.0, 1.0))
    assert np.ptp(white, axis=0).max() < 1e-9
    t1 = samples.known.t1[samples.groups["GM"]]
    assert 1.4 * 0.95 <= t1.min() < t1.max() <= 1.4 * 1.05
    assert samples.known.b1.min() >= 0.8
    assert np.abs(samples.known.off_resonance).max() <= 40.0


def test_brain_varies_within_its_tissues():
    samples = brain_set(20_000, 0, scan=SHORT)
    assert samples.groups["GM"].mean() == pytest.approx(0.54, abs=0.01)
    for name, inside in samples.groups.items():
        for parameter in SHORT.parameters:
            ratio = samples.column(parameter)[inside] / TISSUES[name][parameter]
            assert 0.9 <= ratio.min() < 0.93
            assert 1.07 < ratio.max() <= 1.1
    correlation = np.corrcoef(samples.values[samples.groups["WM"]].T)
    assert np.abs(correlation - np.eye(4)).max() < 0.05


def test_one_tissue_alone():
    samples = single_tissue_set(50, 0, tissue="lesion", scan=SHORT)
    assert samples.groups["lesion"].all()
    assert (samples.column("MT.fraction") == 0.056).all()


def test_same_seeds_same_images_and_noise_as_asked_for():
    samples = tissue_set(500, 1, scan=SHORT)
    clean = samples.signal(noise_stdev=0.0)
    np.testing.assert_array_equal(tissue_set(500, 1, scan=SHORT).signal(seed=3), samples.signal(seed=3))
    noise = samples.signal(seed=3) - clean
    assert noise.std() == pytest.approx(0.01, rel=0.02)
    assert not np.array_equal(samples.signal(seed=4), samples.signal(seed=3))
    with pytest.raises(ValueError, match="noise_stdev must not be negative, found -1"):
        samples.signal(noise_stdev=-1)


def test_magnitudes_of_tissue_would_be_the_same():
    samples = tissue_set(300, 2, scan=PLAYED_SCAN)
    assert samples.signal(noise_stdev=0.0).min() > 0.15
    assert box_set(300, 2, scan=PLAYED_SCAN).signal(noise_stdev=0.0).min() > 0.0
