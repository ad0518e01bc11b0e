"""Absorption lines g of the semisolid pool, normalised to ∫ g(Δω) dΔω = 1; it saturates at the rate π ω1² g(Δω).

Sources: Henkelman et al., MRM 29:759 (1993); Morrison et al., J Magn Reson B 108:103 (1995), for the super-Lorentzian.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from qmri_bids.physics.pools import Lineshape

CUTOFF = 2.0 * math.pi * 1000.0
"""The super-Lorentzian diverges on resonance; inside this offset [rad/s] an even polynomial continues it."""

NODES = 160
"""Nodes of the quadrature over the angle; a double of them changes the line by less than 1e-9 of itself outside the cutoff."""

Values = NDArray[np.float64]


@lru_cache(maxsize=1)
def _angles() -> tuple[Values, Values]:
    """Return |3u² - 1| and weights on both sides of the magic angle.

    The integrand vanishes with all derivatives there, but only a substitution that crowds the nodes lets the quadrature see it.
    """
    nodes, weights = np.polynomial.legendre.leggauss(NODES // 2)
    unit, weight = 0.5 * (nodes + 1.0), 0.5 * weights
    magic = 1.0 / math.sqrt(3.0)
    below, above = magic * (1.0 - unit**2), magic + (1.0 - magic) * unit**2
    cosine = np.concatenate([below, above])
    measure = 2.0 * np.concatenate([magic * unit * weight, (1.0 - magic) * unit * weight])
    return np.abs(3.0 * cosine**2 - 1.0), measure


def _super_lorentzian_sums(offset: Values, t2: float) -> tuple[Values, Values, Values]:
    """Return g and its first two derivatives in the offset, by quadrature."""
    width, weight = _angles()
    x = (np.abs(offset)[..., None] * t2) / width
    term = weight * math.sqrt(2.0 / math.pi) * t2 / width * np.exp(-2.0 * x**2)
    inner = t2 / width
    value = term.sum(-1)
    slope = (-4.0 * x * inner * term).sum(-1)
    curvature = ((16.0 * x**2 - 4.0) * inner**2 * term).sum(-1)
    return value, slope, curvature


def _super_lorentzian(offset: Values, t2: float) -> tuple[Values, Values]:
    outside = np.abs(offset) >= CUTOFF
    value, slope = np.empty_like(offset), np.empty_like(offset)
    far = offset[outside]
    value[outside], rise, _ = _super_lorentzian_sums(far, t2)
    slope[outside] = np.sign(far) * rise
    # log g = a + b Δ² + c Δ⁴ with the value and two derivatives at the cutoff: positive whatever the coefficients.
    edge, first, second = (float(each[0]) for each in _super_lorentzian_sums(np.array([CUTOFF]), t2))
    first, second = first / edge, second / edge - (first / edge) ** 2
    quartic = (second * CUTOFF - first) / (8.0 * CUTOFF**3)
    quadratic = first / (2.0 * CUTOFF) - 2.0 * quartic * CUTOFF**2
    near = offset[~outside]
    value[~outside] = edge * np.exp(quadratic * (near**2 - CUTOFF**2) + quartic * (near**4 - CUTOFF**4))
    slope[~outside] = value[~outside] * (2.0 * quadratic * near + 4.0 * quartic * near**3)
    return value, slope


def _lorentzian(offset: Values, t2: float) -> tuple[Values, Values]:
    value = t2 / math.pi / (1.0 + (offset * t2) ** 2)
    return value, -2.0 * math.pi * t2 * offset * value**2


def _gaussian(offset: Values, t2: float) -> tuple[Values, Values]:
    value = t2 / math.sqrt(2.0 * math.pi) * np.exp(-0.5 * (offset * t2) ** 2)
    return value, -(t2**2) * offset * value


_LINES: dict[Lineshape, Callable[[Values, float], tuple[Values, Values]]] = {
    Lineshape.SUPER_LORENTZIAN: _super_lorentzian,
    Lineshape.LORENTZIAN: _lorentzian,
    Lineshape.GAUSSIAN: _gaussian,
}


def absorption(lineshape: Lineshape, offset: Values, *, t2: float) -> tuple[Values, Values]:
    """Return the line and its slope.

    Parameters
    ----------
    lineshape
        Which line.
    offset
        Δω from the centre of the line [rad/s], any shape.
    t2
        Transverse relaxation time of the pool [s].

    Returns
    -------
    line, slope
        g [s] and dg/dΔω [s²], the shape of `offset`. The super-Lorentzian inside 1 kHz, where it diverges, is continued by
        the exponential of an even quartic with the value and two derivatives at 1 kHz.

    Examples
    --------
    >>> import numpy as np
    >>> line, _ = absorption(Lineshape.LORENTZIAN, np.array([0.0]), t2=1e-5)
    >>> round(float(line[0] / 1e-5), 6)
    0.31831
    """
    return _LINES[lineshape](np.asarray(offset, dtype=np.float64), t2)
