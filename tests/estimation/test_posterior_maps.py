"""Posterior maps of a scan: named, beside maximum likelihood, never squeezed into the prior."""

import math

import numpy as np
import pytest

from qmri_bids.estimation.base import Status
from qmri_bids.estimation.bssfp.posterior.maps import posterior_maps
from qmri_bids.physics.bssfp import signal
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.pipeline.options import POSTERIOR_PRIORS
from qmri_bids.priors.relaxation import PRIORS

PROTOCOL = BssfpProtocol.evenly_spaced(
    number_of_cycles=12, repetition_time=4.8e-3, echo_time=2.4e-3, flip_angle=math.radians(15)
)


def scan(t1, t2, *, snr, seed=0):
    rng = np.random.default_rng(seed)
    off_resonance = rng.uniform(-0.5, 0.5, len(t1)) / PROTOCOL.repetition_time
    cycles = signal(t1, t2, b1=np.ones(len(t1)), off_resonance=off_resonance, protocol=PROTOCOL)
    noise = rng.normal(size=(*cycles.shape, 2)).view(complex)[..., 0]
    return cycles + 0.074 / (math.sqrt(2) * snr) * noise


def test_every_offered_prior_exists():
    assert set(POSTERIOR_PRIORS) <= set(PRIORS)


@pytest.mark.parametrize("prior", POSTERIOR_PRIORS)
def test_without_noise_to_speak_of_the_prior_does_not_matter(prior):
    rng = np.random.default_rng(1)
    t1, t2 = rng.uniform(0.6, 1.8, 300), rng.uniform(0.04, 0.10, 300)
    found = posterior_maps(scan(t1, t2, snr=5000), b1=np.ones(300), protocol=PROTOCOL, prior=prior)
    assert np.all(found.status == Status.CONVERGED)
    np.testing.assert_allclose(found.mean["T1"], t1, rtol=5e-3)
    np.testing.assert_allclose(found.mean["T2"], t2, rtol=5e-3)
    assert np.all(found.stdev["T1"] < 0.005 * t1)


def test_fluid_contradicts_a_tissue_prior_and_is_not_squeezed_in():
    t1 = np.concatenate([np.full(200, 0.939), np.full(100, 4.0)])
    t2 = np.concatenate([np.full(200, 0.062), np.full(100, 1.5)])
    found = posterior_maps(scan(t1, t2, snr=100), b1=np.ones(300), protocol=PROTOCOL, prior="uniform")
    assert np.all(found.status[200:] == Status.OUT_OF_RANGE)
    assert np.all(np.isnan(found.mean["T1"][200:]))
    assert "100 of 300 voxels have no posterior, 100 of them because their T1 or T2 lies beyond" in found.sentence()


def test_tissue_mixed_with_fluid_has_no_posterior_under_a_tissue_prior():
    """A pair of short T1 and longest T2 could explain the mixture: T2 of maximum likelihood by itself lies far beyond the prior."""
    grey, fluid = (scan(np.full(200, t1), np.full(200, t2), snr=1e6, seed=3) for t1, t2 in ((1.4, 0.085), (4.0, 1.5)))
    noise = scan(np.full(200, 1.4), np.full(200, 0.085), snr=25, seed=3) - grey
    found = posterior_maps(0.5 * grey + 0.5 * fluid + noise, b1=np.ones(200), protocol=PROTOCOL, prior="uniform")
    assert np.mean(found.status == Status.OUT_OF_RANGE) > 0.95
