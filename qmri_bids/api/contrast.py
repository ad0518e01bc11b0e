"""Contrast-weighted images of quantitative maps."""

from __future__ import annotations

from typing import Any

import numpy as np

from qmri_bids.api.arrays import Selection, check_time, given, one_of, relaxation, spread_over
from qmri_bids.api.result import Result
from qmri_bids.estimation.base import Status
from qmri_bids.physics.contrast import CONTRASTS, Contrast, weighted


def synthesize(
    contrast: str | Contrast,
    *,
    t1: Any,
    t2: Any,
    m0: Any = 1.0,
    t1_stdev: Any = 0.0,
    t2_stdev: Any = 0.0,
    m0_stdev: Any = 0.0,
) -> Result:
    """Return the image that a sequence would show of tissue with these maps.

    Parameters
    ----------
    contrast
        `T1w`, `T2w`, `PDw`, `FLAIR` or `MPRAGE` with usual parameters (`qmri_bids.physics.contrast.CONTRASTS`), or parameters of
        one's own.
    t1, t2, m0
        T1, T2 [s] and M0, shape (...).
    t1_stdev, t2_stdev, m0_stdev
        Their standard deviations, taken as independent.

    Returns
    -------
    Result
        The image under the name of the contrast, in the unit of `m0`; NaN where a map has no value or T1 or T2 is not positive.

    Examples
    --------
    >>> import numpy as np, qmri_bids as q
    >>> image = q.synthesize("T1w", t1=np.array([0.94, 1.4]), t2=np.array([0.062, 0.085])).maps["T1w"]
    >>> bool(image[0] > image[1])
    True
    """
    if isinstance(contrast, Contrast):
        played = contrast
    else:
        played = CONTRASTS[one_of(contrast, CONTRASTS, name="contrast", more=" or a Contrast")]
    like = given(t1, name="t1")
    shape = like.values.shape
    every = Selection.of(None, shape=shape, affine=like.affine)
    values: dict[str, Any] = {
        name: spread_over(value, shape=shape, name=name, affine=like.affine)
        for name, value in (("t1", t1), ("t2", t2), ("m0", m0))
    }
    spreads = {
        name: np.zeros(shape) if spread is None else every.whole(spread)
        for name, spread in (
            ("t1", every.spread(t1_stdev, name="t1_stdev")),
            ("t2", every.spread(t2_stdev, name="t2_stdev")),
            ("m0", every.spread(m0_stdev, name="m0_stdev")),
        )
    }
    for name, time in (("t1", t1), ("t2", t2)):
        check_time(time, name=name)
        values[name] = relaxation(values[name], name=name)
    with np.errstate(all="ignore"):
        image = weighted(played, **values)
        variance = np.zeros(shape)
        for name, spread in spreads.items():
            # A tiny imaginary step gives the exact derivative of an analytic function.
            moved = weighted(played, **{**values, name: values[name] + 1e-30j})
            variance = variance + (np.imag(moved) / 1e-30 * spread) ** 2
    status = np.where(np.isfinite(image), Status.CONVERGED, Status.INVALID_INPUT).astype(np.uint8)
    return Result(
        maps={played.name: like.as_given(np.asarray(image, dtype=np.float32))},
        stdev={played.name: like.as_given(np.sqrt(variance).astype(np.float32))},
        status=like.as_given(status),
        units={played.name: "arbitrary"},
        decisions=(played.sentence,),
        like=like,
    )
