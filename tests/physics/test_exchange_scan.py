import numpy as np
import pytest
from exchange_cases import MT_ALONE, SHORT, WHITE_MATTER, box, seen, tissue

from qmri_bids.physics.fingerprint import KNOWN, ExchangeScan, KnownVoxels, exchange_jacobian, scaled_model


def test_parameters_and_series_follow_the_pools_and_protocols():
    assert SHORT.parameters == ("MT.fraction", "MT.rate", "amide.fraction", "amide.rate")
    assert SHORT.number_of_images == 32
    assert SHORT.series == (slice(0, 16), slice(16, 32))
    assert MT_ALONE.parameters == ("MT.fraction", "MT.rate")


def test_what_makes_no_scan_is_refused():
    with pytest.raises(ValueError, match="at least one series"):
        ExchangeScan(protocols=(), model=SHORT.model, pools=("MT",))
    with pytest.raises(ValueError, match=r"pools must be among \['amide', 'MT'\] of the model, found \['NOE'\]"):
        ExchangeScan(protocols=SHORT.protocols, model=SHORT.model, pools=("NOE",))


def test_known_maps_are_of_one_shape():
    with pytest.raises(ValueError, match=r"shape \(2,\) of t1, found b1"):
        KnownVoxels(t1=np.ones(2), t2=np.ones(2), b1=np.ones(3), off_resonance=np.zeros(2))


def test_other_values_of_the_model_are_those_of_the_voxels():
    values, known = tissue(2)
    changed = MT_ALONE.with_values({"amide.fraction": WHITE_MATTER[2], "amide.rate": WHITE_MATTER[3]})
    np.testing.assert_allclose(
        seen(values[:, :2], known, scan=changed), seen(values, known)[:, :16], rtol=1e-12, atol=0.0
    )


def test_the_jacobian_is_the_slope_of_the_signal():
    values, known = box(3)
    names = (*SHORT.parameters, *KNOWN)
    _, jacobian = exchange_jacobian(SHORT, values, known, parameters=names)
    for place, name in enumerate(names):
        step = 1e-5
        moved = []
        for sign in (1.0, -1.0):
            pools, maps = values.copy(), {each: getattr(known, each).copy() for each in KNOWN}
            if place < 4:
                pools[:, place] *= 1.0 + sign * step
                width = values[:, place] * step
            else:
                width = np.abs(maps[name]) * step
                maps[name] = maps[name] + sign * width
            moved.append(seen(pools, KnownVoxels(**maps)))
        slope = (moved[0] - moved[1]) / (2.0 * width[:, None])
        np.testing.assert_allclose(jacobian[..., place], slope, rtol=2e-4, atol=2e-6 * np.abs(slope).max())


def test_scales_are_profiled_out():
    """The projected Jacobian is the slope of the residual when the scales follow."""
    values, known = tissue(2)
    data = seen(*box(2, seed=3)) * np.repeat([3.0, 0.7], 16)
    z, slopes = exchange_jacobian(SHORT, values, known, parameters=SHORT.parameters)
    here = scaled_model(data, z, slopes, scan=SHORT)
    for part in SHORT.series:
        np.testing.assert_allclose(np.einsum("vn,vn->v", here.residual[:, part], z[:, part]), 0.0, atol=1e-12)
    step = 1e-6 * values[:, 0]
    ahead = values.copy()
    ahead[:, 0] += step
    moved = scaled_model(data, seen(ahead, known), slopes, scan=SHORT)
    # The gradient of the cost is -2 Jᵀr (Kaufman's projection leaves it exact).
    expected = -2.0 * np.einsum("vn,vn->v", here.projected[..., 0], here.residual)
    np.testing.assert_allclose((moved.cost - here.cost) / step, expected, rtol=1e-3)
