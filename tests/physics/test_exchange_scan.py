import math
from dataclasses import replace

import numpy as np
import pytest
from exchange_cases import MT_ALONE, SHORT, WHITE_MATTER, box, seen, tissue

from qmri_bids.physics.excitation.pulse import ExcitationPulse
from qmri_bids.physics.excitation.transfer import Relaxometry
from qmri_bids.physics.fingerprint import (
    KNOWN,
    ExchangeScan,
    KnownVoxels,
    exchange_jacobian,
    free_water,
    scaled_model,
)
from qmri_bids.physics.pools import Lineshape, MtForm
from qmri_bids.physics.protocol import BssfpProtocol


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


SEEN_BY = Relaxometry(
    pulse=ExcitationPulse.of("sinc", 1e-3),
    protocol=BssfpProtocol.evenly_spaced(
        number_of_cycles=12, repetition_time=4.8e-3, echo_time=2.4e-3, flip_angle=math.radians(15.0)
    ),
)


def modelled(*, t1=None, lineshape=None):
    """Return the short scan with another semisolid pool."""
    mt = replace(SHORT.model.mt, t1=t1)
    if lineshape is not None:
        mt = replace(mt, form=MtForm.Z_ONLY, lineshape=lineshape, t2=10e-6)
    return replace(SHORT, model=replace(SHORT.model, mt=mt))


@pytest.mark.parametrize(
    "scan",
    [modelled(), modelled(t1=1.0), modelled(lineshape=Lineshape.SUPER_LORENTZIAN)],
    ids=["lorentzian", "own-t1", "super-lorentzian"],
)
def test_the_jacobian_with_an_apparent_t1_is_the_slope_of_the_signal(scan):
    """T1 of water goes with fraction, rate, B1 and the apparent T1."""
    values, known = tissue(3)
    known = replace(known, seen_by=SEEN_BY)
    names = (*scan.parameters, *KNOWN)
    signal, jacobian = exchange_jacobian(scan, values, known, parameters=names)
    np.testing.assert_array_equal(signal, seen(values, known, scan=scan))
    for place, name in enumerate(names):
        at = values[:, place] if place < 4 else getattr(known, name)
        width = 1e-5 * np.abs(at)
        moved = []
        for sign in (1.0, -1.0):
            pools = values.copy()
            if place < 4:
                pools[:, place] += sign * width
                moved.append(seen(pools, known, scan=scan))
            else:
                moved.append(seen(pools, replace(known, **{name: at + sign * width}), scan=scan))
        slope = (moved[0] - moved[1]) / (2.0 * width[:, None])
        np.testing.assert_allclose(
            jacobian[..., place], slope, rtol=5e-4, atol=5e-6 * np.abs(slope).max(), err_msg=name
        )
    # What is asked for changes nothing but the columns.
    _, alone = exchange_jacobian(scan, values, known, parameters=scan.parameters)
    np.testing.assert_allclose(alone, jacobian[..., :4], rtol=1e-12)


def test_an_apparent_t1_is_that_of_the_water_that_follows_from_it():
    values, known = tissue(4)
    apparent = replace(known, seen_by=SEEN_BY)
    water = free_water(SHORT, values, apparent)
    assert water is not None
    assert (water.t1 > 1.05 * known.t1).all()
    np.testing.assert_array_equal(
        seen(values, apparent), seen(values, replace(known, t1=water.t1)), err_msg="the same model"
    )
    assert free_water(SHORT, values, known) is None
    without = replace(SHORT, model=replace(SHORT.model, mt=None), pools=("amide",))
    assert free_water(without, values[:, 2:], apparent) is None


def test_a_semisolid_pool_that_is_not_estimated_is_that_of_the_model():
    values, known = tissue(3)
    amide = ExchangeScan(protocols=SHORT.protocols, model=SHORT.model, pools=("amide",)).with_values(
        {"MT.fraction": WHITE_MATTER[0], "MT.rate": WHITE_MATTER[1]}
    )
    apparent = replace(known, seen_by=SEEN_BY)
    np.testing.assert_allclose(seen(values[:, 2:], apparent, scan=amide), seen(values, apparent), rtol=1e-12)
    part = apparent[np.array([0, 2])]
    assert part.seen_by is SEEN_BY
    np.testing.assert_array_equal(part.t1, known.t1[[0, 2]])
