import math

import numpy as np
import pytest
from golden_section import golden_section_miracle

from qmri_bids.estimation.bssfp.miracle import Miracle
from qmri_bids.estimation.bssfp.steady_state import SteadyStateEstimator
from qmri_bids.physics.bssfp import relaxation_times, signal
from qmri_bids.physics.protocol import BssfpProtocol


def noisy(number, cycles, *, degrees=15.0, seed=0):
    protocol = BssfpProtocol.evenly_spaced(
        number_of_cycles=cycles, repetition_time=4.8e-3, echo_time=2.4e-3, flip_angle=math.radians(degrees)
    )
    rng = np.random.default_rng(seed)
    t1, t2, b1 = rng.uniform(0.36, 2.08, number), rng.uniform(0.02, 0.12, number), rng.uniform(0.7, 1.3, number)
    data = signal(t1, t2, b1=b1, off_resonance=rng.uniform(-104, 104, number), protocol=protocol)
    data = data + 0.002 * rng.standard_normal((*data.shape, 2)).view(complex)[..., 0]
    return data, b1, protocol


@pytest.mark.parametrize(("cycles", "degrees"), [(12, 15.0), (6, 15.0), (12, 40.0)])
def test_closed_form_is_the_root_of_the_search(cycles, degrees):
    """On noisy and aliased signals too: the closed form is algebra, not an approximation of the tissue range."""
    data, b1, protocol = noisy(200, cycles, degrees=degrees)
    point = Miracle().natural(data, b1=b1, protocol=protocol)
    t1, t2 = relaxation_times(point.e2, point.b, b1=b1, protocol=protocol)
    found_t1, found_t2 = golden_section_miracle(data, b1=b1, protocol=protocol)
    rooted = np.isfinite(t1) & (t1 < 9.9) & (t2 < 4.9)
    assert rooted.mean() > 0.9
    assert np.max(np.abs(found_t1 - t1)[rooted]) < 0.05e-3
    assert np.max(np.abs(found_t2 - t2)[rooted]) < 0.05e-3


@pytest.mark.parametrize("kind", [np.complex64, np.complex128])
def test_kernel_equals_the_differentiable_solution(kind):
    data, b1, protocol = noisy(500, 12)
    kernel = Miracle().natural(data.astype(kind), b1=b1, protocol=protocol)
    torch_path = SteadyStateEstimator.natural(Miracle(), data, b1=b1, protocol=protocol)
    rooted = np.isfinite(torch_path.b)
    for name in ("e2", "b", "theta"):
        tolerance = 1e-10 if kind is np.complex128 else 1e-4
        np.testing.assert_allclose(
            getattr(kernel, name)[rooted], getattr(torch_path, name)[rooted], rtol=tolerance, atol=tolerance
        )


def test_no_signal_gives_no_point():
    protocol = noisy(1, 12)[2]
    cycles = np.zeros((2, 12), complex)
    cycles[1] = np.nan
    point = Miracle().natural(cycles, b1=np.ones(2), protocol=protocol)
    assert np.isnan(point.e2).all()
    assert np.isnan(point.b).all()
