import dataclasses
import json
import math
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

from qmri_bids.cli.commands import benchmark as benchmark_command
from qmri_bids.estimation.base import NaturalPoint
from qmri_bids.estimation.bssfp.linear import Linear
from qmri_bids.estimation.bssfp.maximum_likelihood import MaximumLikelihood
from qmri_bids.estimation.bssfp.miracle import Miracle
from qmri_bids.estimation.bssfp.planet import Planet
from qmri_bids.evaluation.benchmark import FIGURES, BenchmarkSettings, create_estimators, plain, run_benchmark
from qmri_bids.evaluation.convergence import convergence
from qmri_bids.evaluation.experiments import (
    accuracy_table,
    calibration_table,
    clamped_estimate,
    noise_dependence,
    off_resonance_dependence,
    plane_error,
    serving,
    tissue_table,
)
from qmri_bids.evaluation.sets import grid_set, uniform_set
from qmri_bids.physics.bssfp import natural_coordinates
from qmri_bids.training.simulation import TrainingSpec, paper_protocol


class Oracle(Miracle):
    """Knows the truth: every experiment must find it perfect."""

    name = "oracle"

    def __init__(self, truth):
        self.truth = truth

    def natural(self, cycles, *, b1, protocol):
        e2, b = natural_coordinates(self.truth.t1, self.truth.t2, b1=b1, protocol=protocol)
        return NaturalPoint(e2=e2, b=b, theta=self.truth.theta)


ESTIMATORS = {"miracle": Miracle(), "linear": Linear()}


def test_an_estimator_is_left_out_where_it_does_not_serve():
    assert set(serving({"planet": Planet(), "miracle": Miracle()}, paper_protocol(4))) == {"miracle"}


def test_accuracy_falls_with_noise_and_with_fewer_cycles():
    rows = accuracy_table(ESTIMATORS, conditions=((12, 50.0), (12, 25.0), (4, 25.0)), samples=4000, seed=0)
    for name in ESTIMATORS:
        errors = [row.t1.mean_absolute_error for row in rows if row.estimator == name]
        assert errors == sorted(errors)
        assert errors[1] / errors[0] == pytest.approx(2.0, abs=0.3)


def test_tissue_table_has_every_tissue_and_small_bias_in_white_matter():
    rows = tissue_table(ESTIMATORS, snr=50.0, samples=8000, seed=0)
    assert [row.tissue for row in rows if row.estimator == "linear"] == ["WM", "GM", "CSF", "lesion"]
    white = next(row for row in rows if (row.estimator, row.tissue) == ("miracle", "WM"))
    assert white.t1 is not None
    assert abs(white.t1.bias) < 0.01
    assert white.t1.missing == 0.0


def test_determination_is_one_without_noise_and_for_an_oracle():
    grid = grid_set(side=12, protocol=paper_protocol())
    rows = noise_dependence(
        {"linear": Linear(), "oracle": Oracle(grid)}, sets={"grid": grid}, snrs=(10.0, math.inf), draws=3, seed=0
    )
    found = {(row.estimator, row.snr): row for row in rows}
    assert found["oracle", 10.0].t1_single == pytest.approx(1.0, abs=1e-9)
    assert found["linear", math.inf].t2_single == pytest.approx(1.0, abs=1e-9)
    noisy = found["linear", 10.0]
    # The mean over draws hides noise: the reason for showing single draws.
    assert noisy.t1_single < noisy.t1_mean < 1.0


def test_aliasing_makes_miracle_swing_with_off_resonance_and_leaves_linear_alone():
    rows = off_resonance_dependence(ESTIMATORS, numbers_of_cycles=(12, 6, 4), points=41)
    largest = {(row.estimator, row.number_of_cycles): np.max(np.abs(row.t1)) for row in rows}
    assert largest["miracle", 12] < 2e-4
    assert 0.02 < largest["miracle", 6] < 0.05
    assert largest["miracle", 4] > 0.2
    assert max(largest["linear", number] for number in (12, 6, 4)) < 1e-9


def test_plane_of_an_oracle_is_empty_and_clamping_pulls_the_edges_inwards():
    grid = grid_set(side=10, protocol=paper_protocol())
    oracle, miracle = plane_error({"oracle": Oracle(grid), "miracle": Miracle()}, grid=grid, snr=25.0, draws=20, seed=0)
    assert np.abs(oracle.t1_bias).max() < 1e-9
    bias = np.array(miracle.t1_bias)
    assert bias[-1].mean() < -0.03  # the longest T1 can only be cut off from above
    assert bias[0].mean() > 0.005
    assert (np.array(miracle.t1_error) >= np.abs(bias) - 1e-12).all()


def test_calibration_of_stated_deviations():
    rows = calibration_table({"ml": MaximumLikelihood()}, conditions=((12, 50.0),), samples=4000, seed=0)
    assert [row.parameter for row in rows] == ["T1", "T2", "off_resonance"]
    for row in rows:
        assert row.coverage_68 == pytest.approx(0.68, abs=0.03)
        assert row.coverage_95 == pytest.approx(0.95, abs=0.02)
        assert row.missing == 0.0


def test_same_seed_same_estimate():
    truth = uniform_set(50, protocol=paper_protocol(), seed=0)
    first, again, other = (clamped_estimate(Miracle(), truth, snr=25.0, seed=seed)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def small_spec(**changes):
    values = {"name": "small", "protocol": paper_protocol(), "system": "svnn-magnitude", "prior": "uniform"}
    return TrainingSpec(**values | {"samples": 8000, "epochs": 3, "batch_size": 256} | changes)


def test_convergence_ends_at_agreement_with_itself_and_learns():
    samples = uniform_set(500, protocol=paper_protocol(), seed=0)
    row = convergence(small_spec(), samples=samples, snr=50.0)
    assert row.t1[-1] == row.t2[-1] == 1.0
    assert row.t1[0] < 1.0
    assert row.validation_loss[-1] < row.validation_loss[0]
    assert len(row.t1) == len(row.seconds) == 3


def test_convergence_refuses_samples_of_another_protocol():
    with pytest.raises(ValueError, match="the samples must be of the protocol of the training"):
        convergence(small_spec(), samples=uniform_set(5, protocol=paper_protocol(6), seed=0))


def test_rows_become_json():
    row = tissue_table({"miracle": Miracle()}, snr=math.inf, samples=400, seed=0)[0]
    found = plain(dataclasses.replace(row, t1=None))
    assert found["snr"] == "infinity"
    assert found["t1"] is None
    json.dumps(found, allow_nan=False)
    assert plain([math.nan, 1 / 3]) == [None, 0.33333]


def test_benchmark_writes_tables_and_readable_figures(tmp_path):
    lines = []
    content = run_benchmark(
        tmp_path,
        estimators={"miracle": Miracle(), "planet": Planet()},
        figures=(2, 3, 5),
        settings=BenchmarkSettings(samples=1000),
        progress=lines.append,
    )
    assert json.loads((tmp_path / "relaxometry.json").read_text()) == content
    assert "planet" in lines[0]
    # Four cycles are too few for an ellipse: a dash, not a number.
    assert lines[0].splitlines()[-1].split()[-1] == "-"
    for number, words in (
        (2, ("T1 (ms)", "bias at SNR 25 (%)")),
        (3, ("SNR", "T2, grid: difference to miracle")),
        (5, ("θ (π rad)", "error (%)", "T1, 4 cycles, magnitudes")),
    ):
        text = (tmp_path / f"figure-{number}.svg").read_text()
        ElementTree.fromstring(text)
        assert all(f"<!-- {word} -->" in text for word in (*words,))
    assert not (tmp_path / "figure-8.svg").exists()


def test_unknown_names_are_refused(tmp_path):
    from qmri_bids.estimation.base import EstimatorOptions

    with pytest.raises(ValueError, match="unknown estimators nonsense; there are"):
        create_estimators(["nonsense"], options=EstimatorOptions())
    with pytest.raises(ValueError, match=r"unknown figures \[4\]; there are \[2, 3, 5, 8\]"):
        run_benchmark(tmp_path, estimators={}, figures=[4], settings=BenchmarkSettings(), progress=print)
    with pytest.raises(ValueError, match="samples must be at least 100, found 5"):
        BenchmarkSettings(samples=5)


def run_command(*arguments: str) -> int:
    import argparse

    parser = argparse.ArgumentParser(prog="qmri-tools")
    benchmark_command.add_benchmark(parser.add_subparsers(required=True))
    options = parser.parse_args(["benchmark", "relaxometry", *arguments])
    return int(options.run(options))


def test_command_runs_and_always_has_miracle_beside(tmp_path: Path, capsys):
    assert run_command(f"--output={tmp_path}", "--figures", "5", "--estimators", "linear", "--samples", "500") == 0
    content = json.loads((tmp_path / "relaxometry.json").read_text())
    assert {"miracle", "linear"} <= {row["estimator"] for row in content["accuracy"]}
    assert (tmp_path / "figure-5.svg").is_file()
    assert "Mean |error|" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--threads", "0"), "--threads must be at least 1, found 0"),
        (("--estimators", "nonsense"), "unknown estimators nonsense"),
        (("--samples", "3", "--estimators", "linear"), "samples must be at least 100, found 3"),
    ],
)
def test_command_says_what_is_wrong(tmp_path, capsys, arguments, message):
    assert run_command(f"--output={tmp_path}", *arguments) == 2
    assert message in capsys.readouterr().err


def test_command_line_offers_the_figures_that_exist():
    assert tuple(FIGURES) == benchmark_command.FIGURE_NUMBERS
