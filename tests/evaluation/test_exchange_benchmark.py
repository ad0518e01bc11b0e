import json
import xml.etree.ElementTree as ElementTree

import pytest
from exchange_cases import SHORT

from qmri_bids.cli.commands import benchmark as benchmark_command
from qmri_bids.estimation.pools.dictionary import ExchangeDictionary
from qmri_bids.estimation.pools.estimate import ExchangeOptions
from qmri_bids.estimation.pools.likelihood import ExchangeLikelihood
from qmri_bids.evaluation.pools import benchmark as exchange_benchmark
from qmri_bids.evaluation.pools.benchmark import (
    REFERENCE,
    ExchangeSettings,
    create_exchange_estimators,
    run_exchange_benchmark,
    scores_text,
)
from qmri_bids.evaluation.pools.figures import label_of
from qmri_bids.evaluation.pools.scores import ExchangeRow


def small_estimators():
    return {"ml": ExchangeLikelihood(), "dictionary": ExchangeDictionary(number=500)}


def test_benchmark_writes_tables_and_readable_figures(tmp_path):
    lines = []
    settings = ExchangeSettings(samples=120, noise_stdev=0.003)
    content = run_exchange_benchmark(
        tmp_path, estimators=small_estimators(), settings=settings, progress=lines.append, scan=SHORT
    )
    assert json.loads((tmp_path / "cest.json").read_text()) == content
    assert content["settings"] == {"samples": 120, "noise_stdev": 0.003, "seed": 0, "threads": 1}
    assert {(row["estimator"], row["set_name"]) for row in content["scores"]} == {
        (estimator, name) for estimator in ("ml", "dictionary") for name in ("tissues", "box")
    }
    assert {row["tissue"] for row in content["sensitivity"]} == {"WM", "GM"}
    text = "\n".join(lines)
    assert "tissues, WM: mean |error| of clamped estimates (%)" in text
    assert "T2 of MT 30 µs" in text
    for name, words in (
        ("tissues", ("bias of the map (%)", "RMSE / Cramér-Rao bound", "fs (amide fraction)", "dictionary", "GM")),
        ("sensitivity", ("B0 -20 Hz", "kssw", "change of the estimate when this is assumed, without noise (%)")),
        ("scatter", ("truth", "fss (semisolid fraction)")),
    ):
        drawn = (tmp_path / f"{name}.svg").read_text()
        ElementTree.fromstring(drawn)
        assert all(f"<!-- {word} -->" in drawn for word in words)


def test_maximum_likelihood_always_runs_beside():
    made = create_exchange_estimators(["dictionary"], options=ExchangeOptions())
    assert list(made) == [REFERENCE, "dictionary"]


def test_without_names_all_run_that_serve_and_none_is_trained_first():
    made = create_exchange_estimators(None, options=ExchangeOptions())
    assert {"ml", "dictionary", "pinn"} <= set(made)
    assert "train-by-fit" not in made


def test_what_does_not_serve_is_refused_when_it_was_asked_for():
    with pytest.raises(ValueError, match=r"supervised does not serve the scan of the benchmark: expected a protocol"):
        create_exchange_estimators(["supervised"], options=ExchangeOptions(), scan=SHORT)
    with pytest.raises(ValueError, match="unknown estimators nonsense; there are pinn"):
        create_exchange_estimators(["nonsense"], options=ExchangeOptions())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"samples": 5}, "samples must be at least 100, found 5"),
        ({"noise_stdev": 0.0}, "noise must be positive, found 0"),
    ],
)
def test_settings_are_checked(values, message):
    with pytest.raises(ValueError, match=message):
        ExchangeSettings(**values)


def test_what_cannot_be_scored_is_a_dash():
    empty = ExchangeRow(
        estimator="none", set_name="box", group="all", parameter="MT.rate", written=None, clamped=None, over_bound=None,
        coverage_68=None, coverage_95=None,
    )  # fmt: skip
    assert scores_text([empty]).splitlines()[-1].split(maxsplit=1) == ["none", "- | - - -/- 100"]


def test_a_parameter_without_a_symbol_goes_by_its_name():
    assert label_of("amine.rate") == "amine.rate"


def run_command(*arguments):
    import argparse

    parser = argparse.ArgumentParser(prog="qmri-tools")
    benchmark_command.add_benchmark(parser.add_subparsers(required=True))
    options = parser.parse_args(["benchmark", "cest", *arguments])
    return int(options.run(options))


def test_command_hands_its_options_over(tmp_path, capsys, monkeypatch):
    given = {}

    def record(output, **options):
        given.update(options, output=output)

    monkeypatch.setattr(exchange_benchmark, "run_exchange_benchmark", record)
    monkeypatch.setattr("torch.set_num_threads", lambda number: given.update(torch=number))
    options = ("--estimators", "ml", "--samples", "300", "--noise", "0.02", "--seed", "4", "--threads", "2")
    assert run_command(f"--output={tmp_path}", *options) == 0
    assert given["settings"] == ExchangeSettings(samples=300, noise_stdev=0.02, seed=4, threads=2)
    assert (list(given["estimators"]), given["torch"]) == (["ml"], 2)
    assert given["output"] == tmp_path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--threads", "0"), "--threads must be at least 1, found 0"),
        (("--estimators", "nonsense"), "unknown estimators nonsense"),
        (("--samples", "3", "--estimators", "ml"), "samples must be at least 100, found 3"),
        (("--noise", "-1", "--estimators", "ml"), "noise must be positive, found -1"),
    ],
)
def test_command_says_what_is_wrong(tmp_path, capsys, arguments, message):
    assert run_command(f"--output={tmp_path}", *arguments) == 2
    assert message in capsys.readouterr().err
