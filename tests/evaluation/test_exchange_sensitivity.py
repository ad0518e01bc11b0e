from dataclasses import replace

import numpy as np
import pytest
from exchange_cases import SHORT

from qmri_bids.estimation.pools.likelihood import ExchangeLikelihood
from qmri_bids.evaluation.pools.sensitivity import MAP_ERRORS, MODEL_ERRORS, sensitivity_table
from qmri_bids.physics.fingerprint import KNOWN
from qmri_bids.physics.pools import Lineshape, MtForm
from qmri_bids.physics.published_pools import PUBLISHED_POOLS


class Recorder:
    """Answers with what it was given, for a look at the bookkeeping."""

    def __init__(self):
        self.calls = []

    def point(self, signal, *, scan, known):
        self.calls.append((scan, known))
        return np.tile([0.1, 30.0, 2e-3, 200.0], (len(signal), 1))


def test_every_wrong_map_is_handed_over_once():
    recorder = Recorder()
    rows = sensitivity_table(recorder, scan=SHORT)
    assert len(rows) == 2 * (len(MAP_ERRORS) + len(MODEL_ERRORS))
    known = recorder.calls[0][1]
    given = np.stack([getattr(known, name) for name in KNOWN], axis=1).reshape(-1, 2, 4)
    right = np.array([(0.939, 0.062, 1.0, 0.0), (1.4, 0.085, 1.0, 0.0)])
    for label, maps in zip(MAP_ERRORS, given, strict=True):
        wrong = [KNOWN[place] for place in range(4) if not np.allclose(maps[:, place], right[:, place])]
        assert wrong == [MAP_ERRORS[label].name]
    place = list(MAP_ERRORS).index("T2 +5 %")
    assert given[place, 0, 1] == pytest.approx(1.05 * 0.062)
    assert given[list(MAP_ERRORS).index("B0 -20 Hz"), :, 3].tolist() == [-20.0, -20.0]
    first = next(row for row in rows if (row.assumption, row.tissue) == ("T1 +5 %", "WM"))
    assert first.change["MT.fraction"] == pytest.approx(0.1 / 0.112 - 1.0)


def test_every_wrong_pool_is_assumed_once():
    recorder = Recorder()
    sensitivity_table(recorder, scan=SHORT)
    pools = [scan.model.mt for scan, _ in recorder.calls[1:]]
    assert [pool.t2 for pool in pools] == pytest.approx([30e-6, 50e-6, 10e-6, 40e-6])
    assert [pool.form for pool in pools] == [MtForm.FULL, MtForm.FULL, MtForm.Z_ONLY, MtForm.Z_ONLY]
    assert pools[2].lineshape is Lineshape.SUPER_LORENTZIAN
    scan = replace(SHORT, model=replace(PUBLISHED_POOLS, mt=None), pools=("amide",))
    without = Recorder()
    without.point = lambda signal, *, scan, known: np.tile([2e-3, 200.0], (len(signal), 1))
    assert len(sensitivity_table(without, scan=scan)) == 2 * len(MAP_ERRORS)


def test_changes_have_the_sign_and_size_of_the_physics():
    rows = sensitivity_table(ExchangeLikelihood(), scan=SHORT)
    change = {row.assumption: row.change for row in rows if row.tissue == "WM"}
    # A B1 believed too low makes the pool look larger, as does a line believed too broad (short T2) at these offsets.
    assert 0.05 < change["B1 -5 %"]["MT.fraction"] < 0.2
    assert change["B1 +5 %"]["MT.fraction"] < -0.05
    assert 0.15 < change["T2 of MT 30 µs"]["MT.fraction"] < 0.5
    assert change["T2 of MT 50 µs"]["MT.fraction"] < -0.1
    for name in SHORT.parameters:
        one, two = (change[f"T1 +{percent} %"][name] for percent in (5, 10))
        assert two == pytest.approx(2.0 * one, rel=0.5)
