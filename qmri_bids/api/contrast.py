"""Contrast-weighted images of quantitative maps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from qmri_bids.api.arrays import Selection, check_time, given, one_of, relaxation, spread_over
from qmri_bids.api.result import Result
from qmri_bids.estimation.base import Status
from qmri_bids.estimation.images.synthetic import WaterMaps, synthetic_image
from qmri_bids.physics.sequences import PRESETS, USUAL_FIELD, Contrast, requested

CORRELATED = ("T1", "T2", "M0")
"""Maps whose errors may be correlated."""


def synthesize(
    contrast: str | Contrast,
    *,
    t1: Any,
    t2: Any,
    m0: Any = 1.0,
    t1_stdev: Any = 0.0,
    t2_stdev: Any = 0.0,
    m0_stdev: Any = 0.0,
    correlation: Mapping[tuple[str, str], Any] | None = None,
    field_strength: float | None = None,
) -> Result:
    """Return the image that a sequence would show of tissue with these maps.

    Parameters
    ----------
    contrast
        What `--synthetic` of the command line takes: `T1w` (MPRAGE), `T1wSE`, `T2w`, `PDw` or `FLAIR` with usual parameters,
        changed ones as in `T2w:te=80` (milliseconds, degrees), or a `qmri_bids.physics.sequences.Contrast`.
    t1, t2, m0
        T1, T2 [s] and M0, shape (...).
    t1_stdev, t2_stdev, m0_stdev
        Their standard deviations.
    correlation
        Correlation of the errors by pair of names, as in `{("T1", "T2"): 0.9}`: numbers or maps; independent without. Those of
        pc-bSSFP are large.
    field_strength
        Field [T] whose usual parameters are taken; 3 T by default.

    Returns
    -------
    Result
        The image under the name of the contrast, in the unit of `m0`; NaN where a map has no value or T1 or T2 is not positive.
        What has neither T1 nor T2 counts as outside.

    Raises
    ------
    ValueError
        If there is no such sequence, or a number has no physical meaning or another unit.

    Examples
    --------
    >>> import numpy as np, qmri_bids as q
    >>> image = q.synthesize("T1w", t1=np.array([0.94, 1.4]), t2=np.array([0.062, 0.085])).maps["T1w"]
    >>> bool(image[0] > image[1])
    True
    """
    played = contrast if isinstance(contrast, Contrast) else _sequence(contrast, field_strength)
    like = given(t1, name="t1")
    shape = like.values.shape
    every = Selection.of(None, shape=shape, affine=like.affine)
    values: dict[str, Any] = {
        name: spread_over(value, shape=shape, name=name.lower(), affine=like.affine)
        for name, value in (("T1", t1), ("T2", t2), ("M0", m0))
    }
    spreads = {
        name: np.zeros(shape) if spread is None else every.whole(spread)
        for name, spread in (
            ("T1", every.spread(t1_stdev, name="t1_stdev")),
            ("T2", every.spread(t2_stdev, name="t2_stdev")),
            ("M0", every.spread(m0_stdev, name="m0_stdev")),
        )
    }
    for name, time in (("T1", t1), ("T2", t2)):
        check_time(time, name=name.lower())
        values[name] = relaxation(values[name], name=name.lower())
    together = {
        _pair(pair): _coefficient(spread_over(value, shape=shape, name=f"correlation of {pair}", affine=like.affine))
        for pair, value in (correlation or {}).items()
    }
    image, stdev = synthetic_image(played, WaterMaps(values=values, stdev=spreads, correlation=together))
    outside = np.isnan(values["T1"]) & np.isnan(values["T2"])
    missing = np.where(outside, Status.OUTSIDE, Status.INVALID_INPUT)
    status = np.where(np.isfinite(image), Status.CONVERGED, missing).astype(np.uint8)
    return Result(
        maps={played.name: like.as_given(np.asarray(image, dtype=np.float32))},
        stdev={played.name: like.as_given(stdev.astype(np.float32))},
        status=like.as_given(status),
        units={played.name: "arbitrary"},
        decisions=(played.sentence,),
        like=like,
    )


def _sequence(contrast: Any, field_strength: float | None) -> Contrast:
    """Return the sequence that a text asks for."""
    if not isinstance(contrast, str):
        one_of(contrast, PRESETS, name="contrast", more=" or a Contrast")
    if field_strength is not None and not 0.0 < field_strength < 100.0:
        raise ValueError(f"field_strength: expected tesla, found {field_strength!r}")
    try:
        at = USUAL_FIELD if field_strength is None else field_strength
        return requested(contrast, field_strength=at).contrast(field_strength=at)
    except ValueError as error:
        raise ValueError(f"contrast: {error}") from error


def _pair(names: Any) -> tuple[str, str]:
    """Return two different names of maps."""
    pair = tuple(names) if isinstance(names, tuple) else ()
    if len(pair) != 2 or len({*pair} & {*CORRELATED}) != 2:
        raise ValueError(f"correlation: expected pairs of {', '.join(CORRELATED)}, found {names!r}")
    return pair


def _coefficient(values: Any) -> Any:
    """Return coefficients of correlation."""
    with np.errstate(invalid="ignore"):
        if np.any(np.abs(values) > 1.0):
            raise ValueError("correlation: expected numbers from -1 to 1, found larger ones")
    return values
