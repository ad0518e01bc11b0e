"""Absorption lines: their area, their limits, their slopes, and the continuation of the super-Lorentzian."""

import math

import numpy as np
import pytest
from scipy.integrate import quad

from qmri_bids.physics import lineshapes
from qmri_bids.physics.lineshapes import CUTOFF, absorption
from qmri_bids.physics.pools import Lineshape

T2 = 1e-5


@pytest.mark.parametrize("lineshape", [Lineshape.LORENTZIAN, Lineshape.GAUSSIAN])
def test_area_is_one(lineshape):
    area, _ = quad(lambda x: float(absorption(lineshape, np.array([x / T2]), t2=T2)[0][0]) / T2, -np.inf, np.inf)
    assert area == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("offset", [1.0, 3.0, 10.0, 40.0])
def test_super_lorentzian_is_its_integral(offset):
    omega = 2.0 * math.pi * 1e3 * (offset + 1e-9)

    def integrand(u):
        width = abs(3.0 * u * u - 1.0)
        if width < 1e-12:
            return 0.0
        return math.sqrt(2.0 / math.pi) * T2 / width * math.exp(-2.0 * (omega * T2 / width) ** 2)

    magic = 1.0 / math.sqrt(3.0)
    expected = sum(quad(integrand, *ends, epsabs=0.0, epsrel=1e-11, limit=300)[0] for ends in ((0, magic), (magic, 1)))
    assert absorption(Lineshape.SUPER_LORENTZIAN, np.array([omega]), t2=T2)[0][0] == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("lineshape", Lineshape)
def test_slope_is_the_derivative(lineshape):
    offset = 2.0 * math.pi * np.array([-2e4, -1.2e3, -300.0, 0.0, 50.0, 900.0, 1.1e3, 4e4])
    step = 1.0
    numeric = np.subtract(*(absorption(lineshape, offset + s, t2=T2)[0] for s in (step, -step))) / (2.0 * step)
    _, slope = absorption(lineshape, offset, t2=T2)
    np.testing.assert_allclose(slope, numeric, rtol=1e-5, atol=1e-7 * np.abs(slope).max())


@pytest.mark.parametrize("lineshape", Lineshape)
def test_line_is_even_and_falls(lineshape):
    offset = 2.0 * math.pi * np.linspace(0.0, 3e4, 301)
    line, _ = absorption(lineshape, offset, t2=T2)
    np.testing.assert_allclose(absorption(lineshape, -offset, t2=T2)[0], line, rtol=1e-14)
    assert (line > 0.0).all()
    assert (np.diff(line) < 0.0).all()


def test_continuation_meets_the_line_with_two_derivatives():
    step = 0.01 * CUTOFF
    offset = CUTOFF + step * np.arange(-3, 4)
    line, slope = absorption(Lineshape.SUPER_LORENTZIAN, offset, t2=T2)
    # A jump in the second derivative would show as one in the differences of the slope.
    assert np.abs(np.diff(slope, 2)).max() < 0.06 * np.abs(np.diff(slope)).max()
    assert np.abs(np.diff(line, 3)).max() < 1e-3 * np.abs(np.diff(line)).max()


def test_quadrature_has_converged(monkeypatch):
    offset = 2.0 * math.pi * np.array([1.01e3, 2e3, 1e4, 4e4])
    line, _ = absorption(Lineshape.SUPER_LORENTZIAN, offset, t2=T2)
    monkeypatch.setattr(lineshapes, "NODES", 2 * lineshapes.NODES)
    lineshapes._angles.cache_clear()
    finer, _ = absorption(Lineshape.SUPER_LORENTZIAN, offset, t2=T2)
    lineshapes._angles.cache_clear()
    np.testing.assert_allclose(line, finer, rtol=1e-9)
