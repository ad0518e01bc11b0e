"""The table of options: every row fits what is made of it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import fields

import pytest

from qmri_bids.cli.parsing.option import Limits, Option, OptionGroup, Relation
from qmri_bids.cli.parsing.parser import build_parser
from qmri_bids.cli.parsing.table import CHECKED, GROUPS, OPTIONS, compared_settings, settings_of
from qmri_bids.engine.execution import EngineOptions
from qmri_bids.pipeline.options import ProcessingOptions
from qmri_bids.scans.find_options import FindOptions

FILLED = {"finding": FindOptions, "processing": ProcessingOptions, "engine": EngineOptions}


def test_every_group_is_checked_once() -> None:
    assert sorted(group.title for group in CHECKED) == sorted(group.title for group in GROUPS)


def test_the_parser_holds_the_rows_and_no_other() -> None:
    attributes = [action.dest for action in build_parser()._actions]
    assert sorted(attributes) == sorted([*OPTIONS, "help", "version"])
    assert len(OPTIONS) == sum(len(group.rows) for group in GROUPS)


def test_relations_are_with_options_that_there_are() -> None:
    for row in OPTIONS.values():
        for relation in (*row.excluded_by, *row.needs):
            assert set(relation.others) <= set(OPTIONS)
            choices = [OPTIONS[other].choices or () for other in relation.others]
            assert all(value in offered for value in relation.values for offered in choices)
        assert row.limits is None or not row.limits.most_of or row.limits.most_of in OPTIONS


@pytest.mark.parametrize("of", list(FILLED))
def test_settings_are_fields_of_what_they_fill(of: str, parsed: Callable[..., argparse.Namespace]) -> None:
    names = [row.setting_name for row in OPTIONS.values() if row.setting is not None and row.setting.of == of]
    assert len(set(names)) == len(names)
    assert set(names) <= {field.name for field in fields(FILLED[of])}
    FILLED[of](**settings_of(parsed(), of=of))


def test_values_come_in_the_unit_of_the_field(parsed: Callable[..., argparse.Namespace]) -> None:
    options = parsed("--fd-threshold", 0.5, "--b1-nominal-fa", 180, "--ignore", "gibbs", "anatomy")
    processing = settings_of(options, of="processing")
    assert processing["fd_threshold"] == pytest.approx(0.5e-3)
    assert processing["ignore"] == ("gibbs", "anatomy")
    assert settings_of(options, of="finding")["b1_nominal_flip_angle"] == pytest.approx(3.14159265)
    shown = compared_settings(ProcessingOptions(**processing))
    assert (shown["fd-threshold [m]"], shown["ignore"], shown["lorentzian-pools"]) == (
        "0.0005",
        "gibbs anatomy",
        "none",
    )


def test_one_row_is_an_option_that_is_checked(capsys: pytest.CaptureFixture[str]) -> None:
    group = OptionGroup(
        title="new",
        rows=(
            Option(name="--most", type=int, default=4, help="end"),
            Option(
                name="--new",
                short="-n",
                type=float,
                help="a number",
                limits=Limits(low=0, open_low=True, most_of="most", refusal="lies above 0 to {high}, found {:g}"),
                needs=(Relation(("beside",), "{option} needs --beside"),),
            ),
            Option(name="--beside", action="store_true", help="a flag"),
        ),
    )
    parser = argparse.ArgumentParser()
    group.add_to(parser)

    def said(*arguments: str) -> str:
        options = parser.parse_args(arguments)
        with pytest.raises(SystemExit):
            group.check(parser, options)
        return capsys.readouterr().err

    group.check(parser, parser.parse_args(["-n", "4", "--beside"]))
    assert "--new lies above 0 to 4, found 4.5" in said("-n", "4.5", "--beside")
    assert "--new lies above 0 to 4, found nan" in said("-n", "nan", "--beside")
    assert "--new needs --beside" in said("--new", "1")
