"""The Boutiques descriptor says what the parser says, and Boutiques makes command lines of it that the parser takes."""

from __future__ import annotations

import argparse
import json
import random
import shlex
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import boutiques
import jsonschema
import pytest
from boutiques.invocationSchemaHandler import generateInvocationSchema

from qmri_bids.cli import tools
from qmri_bids.cli.commands.boutiques import (
    EXCLUDED,
    EXCLUDED_BY_VALUE,
    NEEDED,
    NOT_INPUTS,
    RANGES,
    descriptor,
    input_actions,
)
from qmri_bids.cli.parsing.parser import build_parser, parse

COMMITTED = Path(__file__).parents[2] / "boutiques.json"
INPUTS = {each["id"]: each for each in descriptor(build_parser())["inputs"]}
ACTIONS = dict(input_actions(build_parser()))
POSITIONAL = ("bids_dir", "output_dir", "analysis_level")
FOLDERS = {"bids_dir": "my bids", "output_dir": "out", "analysis_level": ["participant"]}

LEFT_OUT = (*EXCLUDED["dry_run"], *EXCLUDED["no_b1"], *EXCLUDED["lorentzian_pools"], *EXCLUDED["cest_posterior"])
"""What a call that has --dry-run, --no-b1, --lorentzian-pools and --cest-posterior cannot be given."""

FORMS = {
    "mem": ["8G", "512"],
    "device": ["cpu", "cuda:1"],
    "output_spaces": [["T1w"], ["native", "MNI152NLin2009aSym"]],
    "derivatives": [["my derivatives"]],
    "lorentzian_pools": [["water"], ["water", "MT", "NOE"]],
    "mtrasym_ranges": [["3.0:4.0"], ["1:2", "3:4"]],
    "ignore": [["gibbs"], ["calibration", "anatomy"]],
    "mask_method": ["auto", "object"],
    "excitation_pulse": ["sinc:1", "rect:0.5"],
    "synthetic": [["T1w"], ["T2w:te=80", "late=T2w:te=150,tr=6000"]],
    "cest_protons": [["iohexol=2"], ["L-arginine=3", "amide=1"]],
}
"""Values of options that take text of a form of their own, or that go with what else is given."""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where relative paths are a dataset, derivatives and files, with blanks in their names."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my bids").mkdir()
    (tmp_path / "my bids" / "dataset_description.json").write_text("{}")
    (tmp_path / "my derivatives" / "sub-01").mkdir(parents=True)
    (tmp_path / "an empty file").touch()
    (tmp_path / "folder").mkdir()
    return tmp_path


@pytest.fixture
def command(here: Path) -> Callable[[dict[str, Any]], list[str]]:
    """Return a function that returns what Boutiques makes of an invocation, without the program's name."""

    def simulate(invocation: dict[str, Any]) -> list[str]:
        path = here / "invocation.json"
        path.write_text(json.dumps(invocation))
        name, *arguments = shlex.split(boutiques.execute("simulate", str(COMMITTED), "-i", str(path)).stdout)
        assert name == "qmri_bids"
        return arguments

    return simulate


@cache
def invocation_schema() -> dict[str, Any]:
    """The schema by which Boutiques checks invocations, in plain dictionaries: jsonschema stumbles over its own."""
    return json.loads(json.dumps(generateInvocationSchema(descriptor(build_parser()))))


def boutiques_takes(invocation: dict[str, Any]) -> bool:
    return jsonschema.Draft4Validator(invocation_schema()).is_valid(FOLDERS | invocation)


def parser_takes(invocation: dict[str, Any]) -> bool:
    try:
        bids, out, levels = [(FOLDERS | invocation)[key] for key in POSITIONAL]
        parse([bids, out, *levels, *written(invocation)])
    except SystemExit:
        return False
    return True


def written(invocation: dict[str, Any]) -> list[str]:
    """Return options as they stand on a command line."""
    arguments = []
    for key, value in invocation.items():
        flag = INPUTS[key].get("command-line-flag")
        if flag is None:
            continue
        if isinstance(value, list):
            arguments += [flag, *map(str, value)]
        else:
            arguments.append(flag if value is True else f"{flag}={value}")
    return arguments


def ends(key: str) -> list[tuple[float, float]]:
    """Return a number just inside and one just outside each end of a range."""
    given = INPUTS[key]
    step = 1 if given["integer"] else 1e-3
    found = []
    for name, outwards in (("minimum", -1), ("maximum", 1)):
        if name in given:
            end, is_open = given[name], given.get(f"exclusive-{name}", False)
            found.append((end - outwards * step, end) if is_open else (end, end + outwards * step))
    return found


def with_number(key: str, number: float) -> dict[str, Any]:
    """Return a number as an option takes it."""
    pair = [1.0] if INPUTS[key].get("max-list-entries") == 2 else []
    return {key: [number, *pair] if INPUTS[key].get("list") else number}


def values(key: str) -> list[Any]:
    """Return the first and the last value of an input: choices, ends of its range, a file or folder that is there."""
    described = INPUTS[key]
    if key in FORMS:
        some = FORMS[key]
    elif described["type"] == "Number":
        return [with_number(key, inner)[key] for inner, _ in ends(key)]
    else:
        one = {"Flag": True, "File": "an empty file", "String": "folder"}[described["type"]]
        some = described.get("value-choices", [one])
        some = [[each] for each in some] if described.get("list") else some
    return [some[0], some[-1]]


def as_parsed(invocation: dict[str, Any]) -> dict[str, Any]:
    """Return what the parser makes of values."""

    def one(action: argparse.Action, value: Any) -> Any:
        if isinstance(action, argparse._CountAction):
            return value.count("v")
        if action.nargs == 0:
            return value
        convert = action.type if callable(action.type) else str
        return [convert(str(each)) for each in value] if isinstance(value, list) else convert(str(value))

    return {ACTIONS[key].dest: one(ACTIONS[key], value) for key, value in invocation.items()}


def read(arguments: list[str], *, keys: dict[str, Any]) -> dict[str, Any]:
    found = vars(build_parser().parse_args(arguments))
    return {ACTIONS[key].dest: found[ACTIONS[key].dest] for key in keys}


def test_the_descriptor_in_the_repository_is_that_of_the_parser(capsys: pytest.CaptureFixture[str]) -> None:
    assert tools.main(["boutiques"]) == 0
    made = capsys.readouterr().out
    assert COMMITTED.read_text(encoding="utf-8") == made, "run: qmri-tools boutiques --output boutiques.json"


def test_every_option_of_the_parser_is_an_input_and_no_other() -> None:
    content = json.loads(COMMITTED.read_text(encoding="utf-8"))
    actions = [action for action in build_parser()._actions if action.dest not in NOT_INPUTS]
    options = {action.option_strings[-1]: action for action in actions if action.option_strings}
    assert len(content["inputs"]) == len(actions) == len(options) + len(POSITIONAL)
    named = {"--" + each["id"].replace("_", "-") for each in content["inputs"] if each["id"] not in POSITIONAL}
    assert all(len(named.intersection(action.option_strings)) == 1 for action in options.values())
    assert {each["command-line-flag"] for each in content["inputs"] if "command-line-flag" in each} <= named
    assert sorted(key for group in content["groups"] for key in group["members"]) == sorted(INPUTS)
    assert content["command-line"].split()[1:] == [each["value-key"] for each in content["inputs"]]
    assert {each["code"] for each in content["error-codes"]} == {1, 2, 3, 130, 143}


@pytest.mark.parametrize(
    ("given", "said"), [({"nargs": "?"}, "found '?'"), ({"action": "store_false"}, "found _StoreFalseAction")]
)
def test_an_option_that_no_input_can_be_is_no_input(given: dict[str, str], said: str) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--new", **given)
    with pytest.raises(NotImplementedError, match=said):
        descriptor(parser)


def test_facts_are_about_options_that_there_are() -> None:
    assert set(RANGES) <= {key for key, each in INPUTS.items() if each["type"] == "Number"}
    related = {**EXCLUDED, **NEEDED}
    related |= {key: sum(rows.values(), ()) for key, rows in EXCLUDED_BY_VALUE.items()}
    assert {each for key, others in related.items() for each in (key, *others)} <= set(INPUTS)


def test_a_folder_that_is_not_there_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tools.main(["boutiques", "--output", str(tmp_path / "none" / "boutiques.json")]) == 2
    assert "none/boutiques.json" in capsys.readouterr().err


def test_bosh_validates_the_descriptor_and_the_invocations_in_it() -> None:
    boutiques.validate(str(COMMITTED))
    tests = json.loads(COMMITTED.read_text(encoding="utf-8"))["tests"]
    for test in tests:
        boutiques.invocation(str(COMMITTED), "-i", json.dumps(test["invocation"]))
    assert len(tests) == 3


@pytest.mark.parametrize("which", [0, -1])
def test_the_parser_takes_what_boutiques_makes_of_all_options(
    which: int, command: Callable[[dict[str, Any]], list[str]]
) -> None:
    given = FOLDERS | {key: values(key)[which] for key in INPUTS if key not in (*POSITIONAL, *LEFT_OUT)}
    # What no descriptor can say: networks that can be trained and refined, and no more threads than processes.
    given |= {"bssfp_estimator": "pinn-complex-uniform", "cest_estimator": "pinn", "nprocs": 4}
    arguments = command(given)
    assert read(arguments, keys=given) == as_parsed(given)
    assert parse(arguments).atlas_space == "folder"


@pytest.mark.parametrize("key", LEFT_OUT)
def test_the_parser_takes_what_boutiques_makes_of_options_of_other_calls(
    key: str, command: Callable[[dict[str, Any]], list[str]]
) -> None:
    given = FOLDERS | {key: values(key)[0]}
    arguments = command(given)
    assert read(arguments, keys=given) == as_parsed(given)
    parse(arguments)


def test_the_invocation_in_the_docs_is_one(command: Callable[[dict[str, Any]], list[str]]) -> None:
    page = (COMMITTED.parent / "docs" / "boutiques.md").read_text(encoding="utf-8")
    given = json.loads(page.partition("<<'END'\n")[2].partition("END\n")[0])
    assert read(command(given), keys=given) == as_parsed(given)


def test_numbers_with_a_minus_and_an_exponent_are_numbers(command: Callable[[dict[str, Any]], list[str]]) -> None:
    assert parse(command(FOLDERS | {"cest_off_resonance": -1e-7})).cest_off_resonance == -1e-7


@pytest.mark.parametrize("seed", [1, 2])
def test_the_parser_takes_what_boutiques_makes_up(seed: int, command: Callable[[dict[str, Any]], list[str]]) -> None:
    random.seed(seed)
    made_up = json.loads(boutiques.execute("simulate", str(COMMITTED), "--complete", "--json").stdout)
    assert len(made_up) > len(INPUTS) / 2
    made_up |= {key: FORMS[key][0] for key in ("mem", "device")}
    assert read(command(made_up), keys=made_up) == as_parsed(made_up)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("key", list(RANGES))
def test_the_parser_and_boutiques_take_and_refuse_the_same_numbers(key: str) -> None:
    for inner, outer in ends(key):
        beside = {"nprocs": max(inner, 1)} if key == "omp_nthreads" else {}
        for number, taken in ((inner, True), (outer, False)):
            invocation = beside | with_number(key, number)
            assert (boutiques_takes(invocation), parser_takes(invocation)) == (taken, taken), (key, number)


def excluded_pairs() -> list[tuple[dict[str, Any], str]]:
    pairs: list[tuple[dict[str, Any], str]] = []
    for key, others in EXCLUDED.items():
        pairs += [({key: values(key)[0]}, other) for other in others]
    for key, rows in EXCLUDED_BY_VALUE.items():
        for value, others in rows.items():
            pairs += [({key: [value] if INPUTS[key].get("list") else value}, other) for other in others]
    return pairs


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(("one", "other"), excluded_pairs())
def test_the_parser_refuses_what_the_descriptor_excludes(one: dict[str, Any], other: str) -> None:
    beside = {other: values(other)[0]}
    assert parser_takes(beside)
    assert boutiques_takes(beside)
    # Exclusions by value stand in the descriptor for platforms; the schema of invocations that Boutiques makes has none.
    assert not parser_takes(one | beside)
    assert not boutiques_takes(one | beside) or set(one) <= set(EXCLUDED_BY_VALUE)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(("key", "others"), NEEDED.items())
def test_the_parser_refuses_an_option_without_those_it_needs(key: str, others: tuple[str, ...]) -> None:
    alone = {key: values(key)[0]}
    whole = alone | {other: values(other)[0] for other in others}
    assert (boutiques_takes(alone), parser_takes(alone)) == (False, False)
    assert (boutiques_takes(whole), parser_takes(whole)) == (True, True)
