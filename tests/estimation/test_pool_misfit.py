"""What pool models leave beyond noise: silent where they hold, heard where tissue has another line or images tell little."""

import math
from dataclasses import replace

import numpy as np
import pytest
from exchange_cases import WHITE_MATTER, WHOLE, seen, shortened, tissue

from qmri_bids.estimation.base import Status
from qmri_bids.estimation.pools.likelihood import ExchangeLikelihood
from qmri_bids.estimation.pools.misfit import pool_misfit
from qmri_bids.estimation.shared_residual import locally_shared, shared_over_noise
from qmri_bids.physics.fingerprint import ExchangeScan
from qmri_bids.physics.pools import Lineshape, MtForm
from qmri_bids.physics.published_pools import PUBLISHED_POOLS
from qmri_bids.physics.saturation_presets import mrf_mt
from qmri_bids.reports.content import Level
from qmri_bids.scans.pools.outputs import model_light, width_light

INSIDE = np.ones((10, 10, 9), dtype=bool)
SIX = ExchangeScan(protocols=(shortened(mrf_mt(), 7),), model=PUBLISHED_POOLS, pools=("MT",))
OTHER_LINE = replace(
    WHOLE,
    model=replace(
        PUBLISHED_POOLS,
        mt=replace(PUBLISHED_POOLS.mt, form=MtForm.Z_ONLY, lineshape=Lineshape.SUPER_LORENTZIAN, t2=10e-6),
    ),
)


def judged(scan, *, truth, noise, count=INSIDE.size):
    values, known = tissue(count, WHITE_MATTER, b1=(0.95, 1.05))
    own = values[:, : len(scan.parameters)]
    data = seen(own, known, scan=truth, noise=noise)
    found = ExchangeLikelihood(threads=2).estimate(data, scan=scan, known=known)
    inside = np.zeros(INSIDE.shape, dtype=bool)
    inside.flat[:count] = True
    # T1 of one tissue is even; that of the voxels differs here so that no two have the same signal.
    return own, pool_misfit(data, found, scan=scan, t1=np.full(count, 0.939), inside=inside)


def light_of_width(left, pool):
    return width_light(
        pool, {name.rpartition(".")[2]: value for name, value in left.width.items() if name.startswith(pool)}
    )


def test_a_model_that_holds_is_green_and_marks_no_voxel():
    _, left = judged(WHOLE, truth=WHOLE, noise=0.01)
    model = model_light(left.shared)
    assert model.level is Level.GOOD
    assert f"{left.shared:.2f} of the noise" in model.value
    assert light_of_width(left, "MT").level is Level.GOOD
    assert all(np.mean(codes == Status.MISFIT) < 0.005 for codes in left.estimate.status.values())


@pytest.mark.parametrize(("noise", "level", "marked"), [(0.01, Level.CHECK, 0.0), (0.002, Level.BAD, 0.5)])
def test_another_line_is_not_green(noise, level, marked):
    truth, left = judged(WHOLE, truth=OTHER_LINE, noise=noise)
    assert model_light(left.shared).level is level
    codes = left.estimate.status["MT"]
    assert np.mean(codes == Status.MISFIT) >= marked
    assert np.isfinite(left.estimate.values["MT.rate"][codes == Status.MISFIT]).all()
    # What the light is for: the rate is off by much more than the residual tells.
    off = np.nanmedian(left.estimate.values["MT.rate"]) / truth[0, 1] - 1.0
    per_unit = abs(off) / left.width["MT.rate"] / left.shared
    assert 3.0 < per_unit < 8.0


def test_six_images_of_one_pool_have_wide_intervals_and_no_green_light():
    _, left = judged(SIX, truth=SIX, noise=0.01)
    assert light_of_width(left, "MT").level is not Level.GOOD
    assert left.width["MT.rate"] > 0.25


def test_few_voxels_say_that_nothing_is_known():
    _, left = judged(SIX, truth=SIX, noise=0.01, count=20)
    assert math.isnan(left.shared)
    model = model_light(left.shared)
    assert model.level is Level.CHECK
    assert "too few voxels" in model.value


@pytest.mark.parametrize("share", [0.0, 0.5, 2.0])
def test_the_shared_part_is_measured_in_the_whole_and_about_a_voxel(share):
    """Real residuals of known make: the same pattern in every voxel of one half, noise everywhere."""
    rng = np.random.default_rng(3)
    inside = np.ones((16, 12, 10), dtype=bool)
    pattern = rng.standard_normal(40)
    pattern /= np.sqrt(np.mean(pattern**2))
    half = np.indices(inside.shape)[0].ravel() < 8
    residual = rng.standard_normal((inside.size, 40)) + share * pattern * half[:, None]
    counted = np.ones(inside.size, dtype=bool)
    assert shared_over_noise(residual[half], counted=half, inside=inside) == pytest.approx(share, abs=0.08)
    around = locally_shared(residual, counted=counted, inside=inside)
    deep = np.indices(inside.shape)[0].ravel()
    assert np.mean(np.isfinite(around)) > 0.95
    assert np.nanmedian(around[deep < 5]) == pytest.approx(share, abs=0.15)
    assert np.nanmedian(around[deep > 10]) < 0.15
