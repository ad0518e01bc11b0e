"""How errors of T1, T2, M0 and the M0 of fluid go together, of one fit and of the mean of two."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qmri_bids.estimation.base import PAIRS

ROWS = ("T1", "T2", "M0", "fluid")

PLACES = tuple(
    (6 if one == "fluid" else ROWS.index(one), 6 if two == "fluid" else ROWS.index(two)) for one, two in PAIRS
)
"""Rows of the pairs where the M0 of fluid stands seventh."""

Values = NDArray[np.float64]


@dataclass(kw_only=True)
class JointMaps:
    """Covariances of V voxels while they are put together.

    Parameters
    ----------
    covariance
        Of the pairs of `PAIRS`, shape (6, V).
    fluid, fluid_variance
        The part of M0 that is that of fluid, beside T1 and T2, shape (V,).
    amplitude, amplitude_variance
        Magnitude of the signal without bands, shape (V,).
    """

    covariance: Values
    fluid: Values
    fluid_variance: Values
    amplitude: Values
    amplitude_variance: Values

    @classmethod
    def of_one_pool(
        cls,
        *,
        correlation: Values,
        stdev: Values,
        b1_error: Values | None,
        amplitude: Values,
        amplitude_variance: Values,
    ) -> JointMaps:
        """Return those of a fit of one pool.

        Parameters
        ----------
        correlation
            Of T1 with T2, T1 with M0 and T2 with M0 from noise, shape (3, V).
        stdev
            Standard deviations of T1, T2 and M0 from noise, shape (3 or more, V).
        b1_error
            What one standard deviation of B1 changes in T1 and M0, shape (2, V); None where B1 is exact.
        amplitude, amplitude_variance
            As above; B1 moves neither.
        """
        covariance = np.zeros((len(PAIRS), stdev.shape[1]))
        for row, (one, two) in enumerate(PLACES[:3]):
            covariance[row] = correlation[row] * stdev[one] * stdev[two]
        if b1_error is not None:
            covariance[1] += b1_error[0] * b1_error[1]
        none = np.zeros(stdev.shape[1])
        return cls(
            covariance=covariance,
            fluid=none.copy(),
            fluid_variance=none,
            amplitude=amplitude.copy(),
            amplitude_variance=amplitude_variance,
        )

    def mix(
        self,
        where: NDArray[np.bool_],
        *,
        weight: Values,
        apart: Values,
        covariance: Values,
        fluid_variance: Values,
        amplitude: Values,
        amplitude_variance: Values,
    ) -> None:
        """Write the mean with a fit that knows of fluid, weighted by its probability; all of shape (..., K).

        Parameters
        ----------
        where
            The K voxels.
        weight
            Probability of that fit.
        apart
            Its T1, T2, M0 and fluid less those of one pool, shape (4, K).
        covariance, fluid_variance, amplitude, amplitude_variance
            As above, of that fit.
        """
        between = weight * (1.0 - weight)
        rows = [(min(one, 3), min(two, 3)) for one, two in PLACES]
        across = np.stack([apart[one] * apart[two] for one, two in rows])
        self.covariance[:, where] = (1.0 - weight) * self.covariance[:, where] + weight * covariance + between * across
        self.fluid[where] = weight * apart[3]
        self.fluid_variance[where] = weight * fluid_variance + between * apart[3] ** 2
        own = self.amplitude[where]
        self.amplitude[where] = (1.0 - weight) * own + weight * amplitude
        self.amplitude_variance[where] = (
            (1.0 - weight) * self.amplitude_variance[where]
            + weight * amplitude_variance
            + between * (amplitude - own) ** 2
        )

    def arrays(self, stdev: Values) -> dict[str, Values]:
        """Return what `estimation.base.Joint` holds by name, for standard deviations of T1, T2 and M0, shape (3 or more, V)."""
        fluid = np.sqrt(self.fluid_variance)
        spread = [*stdev[:3], fluid]
        found = {
            "fluid": self.fluid,
            "fluid_stdev": fluid,
            "amplitude": self.amplitude,
            "amplitude_stdev": np.sqrt(self.amplitude_variance),
        }
        for row, pair in enumerate(PAIRS):
            one, two = (spread[ROWS.index(name)] for name in pair)
            with np.errstate(all="ignore"):  # a voxel without a value may have no finite deviation
                size = one * two
                found["_".join(pair)] = np.where(size > 0.0, np.clip(self.covariance[row] / size, -1.0, 1.0), 0.0)
        return found
