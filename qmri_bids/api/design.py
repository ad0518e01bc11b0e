"""What a pc-bSSFP protocol can tell of a tissue: the Cramér-Rao bound."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from qmri_bids.api.arrays import LONGEST_RELAXATION, deviation, given, ratio_of_b1, seconds
from qmri_bids.api.bssfp import protocol_of
from qmri_bids.physics.cramer_rao import cramer_rao_bound

if TYPE_CHECKING:
    import pandas as pd

TISSUES: Mapping[str, tuple[float, float]] = {"white matter": (0.94, 0.062), "grey matter": (1.4, 0.085)}
"""T1 and T2 at 3 T [s] (Stanisz et al., MRM 54:507, 2005, and pc-bSSFP)."""

TURN = 24
"""Off-resonances over a turn of which the mean information is taken."""


def design(
    *,
    tr: float,
    te: float,
    flip_angle: ArrayLike,
    rf_phase_increment: ArrayLike,
    noise: float = 0.003,
    tissues: Mapping[str, tuple[float, float]] = TISSUES,
    b1: float = 1.0,
) -> pd.DataFrame:
    """Return the smallest standard deviation of T1 and T2 that any unbiased estimator can have.

    Parameters
    ----------
    tr, te
        Repetition and echo time [s].
    flip_angle
        Nominal flip angle, or several to compare [degrees].
    rf_phase_increment
        RF phase increment of every cycle [degrees].
    noise
        Standard deviation of the noise in real and imaginary part of a cycle, relative to M0.
    tissues
        T1 and T2 [s] by name.
    b1
        Actual over nominal flip angle, known.

    Returns
    -------
    pandas.DataFrame
        A row for each tissue and flip angle: `T1_stdev` and `T2_stdev` [s], root mean squares over the off-resonance, `worst_T1`
        and `worst_T2` at the worst one, `T1_percent` and `T2_percent` relative to the value.

    Raises
    ------
    ValueError
        If a number has no physical meaning or another unit, or fewer than three increments differ.

    Examples
    --------
    >>> import numpy as np, qmri_bids as q
    >>> table = q.design(tr=4.8e-3, te=2.4e-3, flip_angle=[10, 15, 30], rf_phase_increment=np.arange(12) * 30.0)
    >>> len(table), bool((table.T1_stdev > 0).all())
    (6, True)
    """
    import pandas as pd

    level = float(deviation(noise, name="noise"))
    ratio = float(ratio_of_b1(b1, shape=()))
    if not ratio > 0.0:
        raise ValueError(f"b1: expected actual over nominal, above 0, found {ratio:g}: correct it")
    angles = np.atleast_1d(given(flip_angle, name="flip_angle").values)
    if angles.ndim > 1:
        raise ValueError(
            f"flip_angle: expected one angle in degrees or several along one axis, found an array of shape {angles.shape}"
        )
    if not isinstance(tissues, Mapping) or not tissues:
        raise ValueError(
            f"tissues: expected T1 and T2 in seconds by name, found {tissues!r}: give {{'white matter': (0.94, 0.062)}}"
        )
    times = {tissue: _times(pair, name=f"tissues[{tissue!r}]") for tissue, pair in tissues.items()}
    rows = []
    for angle in angles:
        protocol = protocol_of(tr=tr, te=te, flip_angle=float(angle), rf_phase_increment=rf_phase_increment)
        fields = np.arange(TURN) / (TURN * protocol.repetition_time)
        for tissue, (t1, t2) in times.items():
            ones = np.ones(TURN)
            bound = cramer_rao_bound(
                t1 * ones, t2 * ones, b1=ratio * ones, off_resonance=fields, noise_stdev=level, protocol=protocol
            )
            mean = {name: float(np.sqrt(np.mean(bound[name] ** 2))) for name in ("T1", "T2")}
            rows.append(
                {
                    "tissue": tissue,
                    "flip_angle": float(angle),
                    "T1_stdev": mean["T1"],
                    "T2_stdev": mean["T2"],
                    "worst_T1": float(bound["T1"].max()),
                    "worst_T2": float(bound["T2"].max()),
                    "T1_percent": 100.0 * mean["T1"] / t1,
                    "T2_percent": 100.0 * mean["T2"] / t2,
                }
            )
    return pd.DataFrame(rows)


def _times(pair: Any, *, name: str) -> tuple[float, float]:
    """Return T1 and T2 of a tissue [s].

    Raises
    ------
    ValueError
        If they are not two positive times in seconds.
    """
    values = given(pair, name=name).values
    if values.shape != (2,):
        raise ValueError(f"{name}: expected T1 and T2 in seconds, found {pair!r}: give both, as (0.94, 0.062)")
    t1, t2 = (seconds(value, name=name, longest=LONGEST_RELAXATION) for value in values)
    return t1, t2
