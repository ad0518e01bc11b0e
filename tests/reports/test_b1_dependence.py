"""T1 of white matter against B1: a wrong B1 map shows, tissue and magnetization transfer do not."""

from __future__ import annotations

import numpy as np
import pytest

from qmri_bids.pipeline.tissues.b1_dependence import b1_dependence_check
from qmri_bids.reports.content import Level
from qmri_bids.tissue_labels import GREY, WHITE

SHAPE = (24, 24, 20)


def scene(seed: int = 0):
    """T1 that varies by noise and a little from front to back, B1 bright in the middle."""
    rng = np.random.default_rng(seed)
    x, y, z = np.meshgrid(*[np.linspace(-1.0, 1.0, size) for size in SHAPE], indexing="ij")
    b1 = 1.15 - 0.35 * (x**2 + y**2 + 0.5 * z**2) / 2.5
    t1 = 0.9 * (1.0 + 0.05 * y) * np.exp(0.1 * rng.standard_normal(SHAPE))
    tissue = np.where(np.abs(x) + np.abs(y) < 1.0, WHITE, GREY)
    return t1, b1, tissue


@pytest.mark.parametrize(
    ("power", "level"), [(0.0, Level.GOOD), (-0.25, Level.GOOD), (1.0, Level.CHECK), (-4.0, Level.CHECK)]
)
def test_what_t1_follows(power: float, level: Level) -> None:
    t1, b1, tissue = scene()
    found = b1_dependence_check(t1 * b1**power, b1=b1, tissue=tissue)
    assert found is not None
    assert found.level is level
    stated = float(found.value.split("changes by ")[1].split(" %")[0])
    assert stated == pytest.approx(10.0 * power, abs=1.5 + 2.0 * abs(power))


def test_what_cannot_be_told_says_nothing() -> None:
    t1, b1, tissue = scene()
    assert b1_dependence_check(t1, b1=b1, tissue=None) is None
    assert b1_dependence_check(t1, b1=np.ones_like(b1), tissue=tissue) is None
    assert b1_dependence_check(t1, b1=b1, tissue=np.where(tissue == WHITE, GREY, tissue)) is None
