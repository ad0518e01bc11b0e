"""The options of fingerprints, and those that hold for both tables of estimators."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from qmri_bids.cli.parsing.parser import parse
from qmri_bids.estimation.estimators import DEFAULT_ESTIMATOR
from qmri_bids.estimation.pool_estimators import DEFAULT_EXCHANGE_ESTIMATOR


@pytest.fixture
def bids(tmp_path: Path) -> Path:
    folder = tmp_path / "bids"
    folder.mkdir()
    (folder / "dataset_description.json").write_text("{}")
    return folder


def parsed(bids: Path, *arguments: object) -> argparse.Namespace:
    folders = (bids, bids.parent / "out", "participant", "-w", bids.parent / "work")
    return parse([str(each) for each in (*folders, *arguments)])


def error(bids: Path, capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    with pytest.raises(SystemExit) as end:
        parsed(bids, *arguments)
    assert end.value.code == 2
    return " ".join(capsys.readouterr().err.split())


def test_defaults(bids: Path) -> None:
    options = parsed(bids)
    assert (options.bssfp_estimator, options.cest_estimator) == (DEFAULT_ESTIMATOR, DEFAULT_EXCHANGE_ESTIMATOR)
    assert (options.bssfp_weights, options.cest_weights, options.cest_posterior, options.cest_pools) == (None,) * 4
    assert (options.cest_t1, options.cest_t2, options.cest_off_resonance) == (None,) * 3
    assert (options.cest_b0, options.derivatives, options.train_missing) == ("auto", {}, False)


def test_no_refine_holds_for_every_estimator_that_has_a_refinement(
    bids: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = parsed(bids, "--no-refine")
    assert (options.bssfp_estimator, options.cest_estimator) == ("pinn-bare", "pinn-bare")
    options = parsed(bids, "--no-refine", "--bssfp-estimator", "linear")
    assert (options.bssfp_estimator, options.cest_estimator) == ("linear", "pinn-bare")
    options = parsed(bids, "--no-refine", "--cest-estimator", "dictionary")
    assert (options.bssfp_estimator, options.cest_estimator) == ("pinn-bare", "dictionary")
    text = error(bids, capsys, "--no-refine", "--bssfp-estimator", "linear", "--cest-estimator", "ml")
    assert "--no-refine goes with --bssfp-estimator pinn or --cest-estimator pinn" in text
    assert "found --bssfp-estimator linear and --cest-estimator ml, which have no refinement" in text


def test_train_missing_holds_for_every_estimator_that_can_be_trained(
    bids: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    work = bids.parent / "work" / "weights"
    options = parsed(bids, "--train-missing")
    assert (options.bssfp_weights, options.cest_weights) == (None, work)
    options = parsed(bids, "--train-missing", "--bssfp-estimator", "svnn-complex-uniform", "--cest-estimator", "ml")
    assert (options.bssfp_weights, options.cest_weights) == (work, None)
    options = parsed(bids, "--train-missing", "--cest-weights", tmp_path / "new")
    assert options.cest_weights == tmp_path / "new"
    text = error(bids, capsys, "--train-missing", "--cest-estimator", "ml")
    assert "--train-missing goes with a network of Birk et al. 2025, for instance" in text
    assert "or with a network of pools, for instance --cest-estimator pinn" in text
    assert "found --bssfp-estimator pinn and --cest-estimator ml, which need no training" in text


def test_weights_of_pools(bids: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    text = error(bids, capsys, "--cest-weights", missing)
    assert f"--cest-weights {missing} is not a folder; give one of network weights" in text
    options = parsed(bids, "--cest-estimator", "train-by-fit", "--cest-weights", missing)
    assert options.cest_weights == missing, "what is trained on a subject makes its folder"
    assert parsed(bids, "--cest-estimator", "train-by-fit").cest_weights == bids.parent / "work" / "weights"
    assert parsed(bids, "--cest-weights", tmp_path).cest_weights == tmp_path


def test_derivatives(bids: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "two", "deep/one")]
    for folder in folders:
        (folder / "sub-01").mkdir(parents=True)
    one, two, again = folders
    assert parsed(bids, "-d", one, f"mp2rage={two}").derivatives == {"one": one, "mp2rage": two}
    assert parsed(bids, "-d", one, "--derivatives", two).derivatives == {"one": one, "two": two}
    assert "--derivatives names one twice; give them names of their own" in error(bids, capsys, "-d", one, again)
    text = error(bids, capsys, "-d", tmp_path)
    assert f"--derivatives {tmp_path} holds no folder sub-…; give the root of one dataset of derivatives" in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--cest-t1", "1400"), "--cest-t1 must lie within 0.05 to 10, in seconds, found 1400"),
        (("--cest-t2", "80"), "--cest-t2 must lie within 0.001 to 5, in seconds, found 80"),
        (("--cest-t1", "nan"), "--cest-t1 must lie within"),
        (("--cest-off-resonance", "1e6"), "--cest-off-resonance must lie within -20000 to 20000, in Hz, found 1e+06"),
        (("--cest-pools", "nowhere.yaml"), "nowhere.yaml is not a file"),
        (
            ("--cest-protons", "iohexol"),
            "--cest-protons takes a pool and the exchanging protons of one of its molecules",
        ),
        (("--cest-protons", "iohexol=0"), "such as iohexol=2, found 'iohexol=0'"),
        (("--cest-protons", "iohexol=2", "Iohexol=3"), "--cest-protons must name each pool once"),
        (("--cest-fit-water", "B1"), "invalid choice: 'B1'"),
        (
            ("--cest-fit-water", "T1", "T2", "--cest-t2", "0.9"),
            "--cest-t2 gives T2 of water, and --cest-fit-water T2 has it fitted: give one of the two",
        ),
        (
            ("--cest-fit-water", "T1", "--cest-estimator", "quesp"),
            "--cest-fit-water does not go with --cest-estimator quesp, which takes T1 and T2 of water as known",
        ),
        (
            ("--cest-fit-water", "T1", "--cest-posterior", "uniform"),
            "--cest-fit-water does not go with --cest-posterior",
        ),
        (("--cest-estimator", "magic"), "invalid choice: 'magic'"),
        (("--cest-posterior", "in-vivo"), "invalid choice: 'in-vivo'"),
    ],
)
def test_what_makes_no_map_is_refused(
    bids: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str
) -> None:
    assert words in error(bids, capsys, *arguments)


def test_offsets_whose_maps_would_be_one_file_are_refused(bids: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = error(bids, capsys, "--mtrasym-offsets", 3.6, 2, 3.6001)
    assert "--mtrasym-offsets must differ in the four digits that names of files hold, found 3.6 and 3.6001" in said
    said = error(bids, capsys, "--mtrasym-ranges", "3:4", "3.00:4.0")
    assert "--mtrasym-ranges must differ in the four digits" in said
    assert parsed(bids, "--mtrasym-offsets", 3.6, 3.601, 3.5).mtrasym_offsets == [3.6, 3.601, 3.5]
