"""A fingerprint in several ways: which voxels a network has seen, and what becomes of the maps; the estimators are stand-ins."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exchange_runs import SHAPE, fingerprint
from numpy.typing import NDArray

from qmri_bids.estimation.base import ProtocolNotSupported, Status
from qmri_bids.estimation.pool_estimators import EXCHANGE_ESTIMATORS, ExchangeEntry
from qmri_bids.estimation.pools.estimate import ExchangeEstimate, ExchangeOptions
from qmri_bids.physics.fingerprint import ExchangeScan, KnownVoxels
from qmri_bids.pipeline.volumes import save_volume
from qmri_bids.workflows.comparison.pools import PoolSettings, pool_parts

AFFINE = np.diag([8.0, 8.0, 8.0, 1.0])
TRUE = {"MT.fraction": 0.1, "MT.rate": 30.0, "amide.fraction": 2e-3, "amide.rate": 200.0}


class Fixed:
    """Gives the same pools everywhere."""

    name = "fixed"
    frees_t1 = False
    model: Mapping[str, str] = {}

    def check(self, scan: ExchangeScan) -> None:
        """Accept every scan."""

    def remarks(self, scan: ExchangeScan) -> tuple[str, ...]:
        return ()

    def factor(self, number: int) -> float:
        del number
        return 1.0

    def estimate(self, signal: NDArray[Any], *, scan: ExchangeScan, known: KnownVoxels) -> ExchangeEstimate:
        number, factor = len(signal), self.factor(len(signal))
        values = {name: np.full(number, factor * TRUE[name]) for name in scan.parameters}
        return ExchangeEstimate(
            values=values,
            stdev={name: 0.1 * each for name, each in values.items()},
            correlation={pool: np.full(number, -0.9) for pool in scan.pools},
            status={pool: np.full(number, Status.CONVERGED, dtype=np.uint8) for pool in scan.pools},
            amplitude=np.ones((number, len(scan.protocols))),
            fitted=np.asarray(signal, dtype=float),
            residual=np.full(number, 0.01),
            noise=np.full(number, 0.01),
        )


class Learning(Fixed):
    """Keeps the number of voxels that it has seen first, and gives pools by it."""

    def __init__(self, folder: Path | None) -> None:
        assert folder is not None
        self._seen = folder / "seen.txt"

    def factor(self, number: int) -> float:
        if not self._seen.exists():
            self._seen.write_text(str(number))
        return 1.0 + 1e-4 * int(self._seen.read_text())


class Refusing(Fixed):
    """Serves no scan."""

    def check(self, scan: ExchangeScan) -> None:
        raise ProtocolNotSupported(expected="other pools", found="these", advice="Take another.")


def entry(create: Any) -> ExchangeEntry:
    return ExchangeEntry(summary="a stand-in", references=("finkelstein2025",), methods=(), create=create)


@pytest.fixture
def inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    def learning(options: ExchangeOptions) -> Fixed:
        return Fixed() if options.weights_folder is None else Learning(options.weights_folder)

    monkeypatch.setitem(EXCHANGE_ESTIMATORS, "ml", entry(lambda options: Fixed()))
    monkeypatch.setitem(EXCHANGE_ESTIMATORS, "train-by-fit", entry(learning))
    monkeypatch.setitem(EXCHANGE_ESTIMATORS, "pinn", entry(lambda options: Refusing()))
    rng = np.random.default_rng(0)
    mask = np.zeros(SHAPE, dtype=bool)
    mask[2:-2, 2:-2, 2:-2] = True
    t1, t2 = np.full(SHAPE, 1.0), np.full(SHAPE, 0.07)
    np.savez(tmp_path / "known.npz", T1=t1, T1_stdev=0.05 * t1, T2=t2, off_resonance=np.zeros(SHAPE))
    series = [1.0 + 0.1 * rng.random((*SHAPE, 6)) for _ in range(2)]
    return {
        "scan": fingerprint().scan,
        "series": [save_volume(tmp_path / f"series{n}.nii", each, AFFINE) for n, each in enumerate(series)],
        "mask": save_volume(tmp_path / "mask.nii", mask, AFFINE),
        "known": [str(tmp_path / "known.npz")],
        "b1": save_volume(tmp_path / "b1.nii", np.ones(SHAPE, dtype=np.float32), AFFINE),
        "estimator": "ml",
    }


def test_a_reused_network_is_judged_on_the_half_of_the_brain_that_it_has_not_seen(
    inputs: dict[str, Any], tmp_path: Path
) -> None:
    said: list[str] = []
    decisions, (part,) = pool_parts(
        inputs,
        run=fingerprint(),
        output_dir=tmp_path / "out",
        work_dir=tmp_path / "work",
        settings=PoolSettings(estimators=("ml", "train-by-fit", "pinn")),
        say=said.append,
    )
    number = 10 * 12 * 8
    assert "tissues are not told apart" in decisions[0]
    table = part.tables[0].columns
    rows = {
        (way, parameter): (median, voxels)
        for way, parameter, median, voxels in zip(
            table["way"], table["parameter"], table["difference_median"], table["difference_voxels"], strict=True
        )
    }
    assert rows["voxelwise fit", "MT_fraction"] == (0.0, number)
    own, reused = rows["train-by-fit", "MT_fraction"], rows["reused network", "MT_fraction"]
    # The difference tells on how many voxels the network was trained.
    assert own == (pytest.approx(0.1 * 1e-4 * number, rel=1e-4), number)
    assert reused == (pytest.approx(0.1 * 1e-4 * number / 2, rel=1e-4), number // 2)
    assert "pinn is left out: expected other pools, found these." in part.sentences
    assert f"trained on one half of this brain ({number // 2} voxels)" in " ".join(part.sentences)
    assert said == ["pools by voxelwise fit (ml)", "pools by train-by-fit (train-by-fit)", "pools by a reused network"]
    assert {kept.desc for kept in part.maps} >= {"MTTrainByFit", "amideReusedNetwork"}
    assert len(part.figures) == 4
    assert [len(each) for each in part.tables[1].columns.values()] == [3, 3, 3]
