"""Saturated images that cannot be those of their offsets, and spectra that can."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from qmri_bids.preprocessing.content.spectra import check_spectrum

OFFSETS = (None, *(float(each) for each in np.arange(-6.0, 6.01, 0.5)))
ROLES = ("m0", *("cest" for _ in OFFSETS[1:]))


def series(*, shift: float = 0.0) -> NDArray[np.float64]:
    """A ball whose water, amide and NOE lines lie about `shift`, and noise."""
    rng = np.random.default_rng(0)
    place = np.stack(np.meshgrid(*[np.linspace(-1.0, 1.0, size) for size in (20, 22, 18)], indexing="ij"))
    ball = np.sqrt((place**2).sum(axis=0)) < 0.7
    levels = [1.0]
    for offset in OFFSETS[1:]:
        at = float(offset) - shift
        lines = ((0.85, 0.0, 1.4), (0.06, 3.5, 1.5), (0.1, -3.5, 3.0))
        levels.append(0.97 - sum(a * (w / 2) ** 2 / ((at - x) ** 2 + (w / 2) ** 2) for a, x, w in lines))
    return np.abs(100.0 * ball[..., None] * np.array(levels) + rng.normal(size=(*ball.shape, len(levels))))


@pytest.mark.parametrize("shift", [0.0, 0.4, -1.0])
def test_spectra_are_spared(shift: float) -> None:
    assert check_spectrum(series(shift=shift), offsets=OFFSETS, roles=ROLES, smooth=True) == ()


def test_a_jump_is_named() -> None:
    odd = series()
    odd[..., 20] *= 0.85
    (said,) = check_spectrum(odd, offsets=OFFSETS, roles=ROLES, smooth=True)
    assert "jumps at" in said
    assert "3.50 ppm" in said
    assert check_spectrum(odd, offsets=OFFSETS, roles=ROLES, smooth=False) == ()


def test_offsets_in_another_order_are_said() -> None:
    order = np.random.default_rng(1).permutation(len(OFFSETS) - 1) + 1
    shuffled = (None, *(OFFSETS[each] for each in order))
    assert check_spectrum(series(), offsets=shuffled, roles=ROLES, smooth=True)


def test_a_dark_image_without_saturation_is_said() -> None:
    odd = series()
    odd[..., 0] *= 0.7
    (said,) = check_spectrum(odd, offsets=OFFSETS, roles=ROLES, smooth=False)
    assert "saturated volumes are brighter than the one without saturation" in said


@pytest.mark.parametrize(("factor", "words"), [(1.0, ""), (-1.0, "the sense"), (0.5, "the unit"), (2.0, "the unit")])
def test_fat_tells_the_sense_and_the_unit_of_offsets(factor: float, words: str) -> None:
    images = series()
    place = np.array([np.nan, *(float(each) for each in OFFSETS[1:])], dtype=float)
    fat = 1.0 - 0.8 * 0.5**2 / ((place + 3.4) ** 2 + 0.5**2)
    fat[0] = 1.0
    images[6:14, 3:8, 6:12] = 80.0 * fat
    stated = (None, *(factor * float(each) for each in OFFSETS[1:]))
    said = " ".join(check_spectrum(images, offsets=stated, roles=ROLES, smooth=True))
    assert words in said
    assert ("Fat" in said) == bool(words)
