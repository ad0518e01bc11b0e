"""What a pc-bSSFP protocol can tell of a tissue: the Cramér-Rao bound."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from qmri_bids.api.arrays import one_positive
from qmri_bids.api.bssfp import protocol_of
from qmri_bids.physics.cramer_rao import cramer_rao_bound

if TYPE_CHECKING:
    import pandas as pd

TISSUES: Mapping[str, tuple[float, float]] = {"white matter": (0.94, 0.062), "grey matter": (1.4, 0.085)}
"""T1 and T2 at 3 T [s] (Stanisz et al., MRM 54:507, 2005, and pc-bSSFP)."""

LARGEST_B1 = 5.0
"""Actual over nominal flip angle; percent are larger numbers."""

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

    Examples
    --------
    >>> import numpy as np, qmri_bids as q
    >>> table = q.design(tr=4.8e-3, te=2.4e-3, flip_angle=[10, 15, 30], rf_phase_increment=np.arange(12) * 30.0)
    >>> len(table), bool((table.T1_stdev > 0).all())
    (6, True)
    """
    import pandas as pd

    level = one_positive(noise, name="noise")
    actual = one_positive(b1, name="b1")
    if actual > LARGEST_B1:
        raise ValueError(f"b1: expected actual over nominal (1 where nominal), found {actual:g}: is it in percent?")
    for tissue, times in tissues.items():
        if len(times) != 2 or not min(times) > 0.0:
            raise ValueError(f"tissues: expected T1 and T2 in seconds, found {times} of {tissue!r}")
    rows = []
    for angle in np.atleast_1d(np.asarray(flip_angle, dtype=float)):
        protocol = protocol_of(tr=tr, te=te, flip_angle=float(angle), rf_phase_increment=rf_phase_increment)
        fields = np.arange(TURN) / (TURN * protocol.repetition_time)
        for tissue, (t1, t2) in tissues.items():
            ones = np.ones(TURN)
            bound = cramer_rao_bound(
                t1 * ones, t2 * ones, b1=actual * ones, off_resonance=fields, noise_stdev=level, protocol=protocol
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
