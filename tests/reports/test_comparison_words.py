"""The page of a comparison in words: what agrees, what is written again, and columns that have content."""

from __future__ import annotations

import numpy as np
import pytest

from qmri_bids.evaluation.own_scan.differences import DifferenceRow
from qmri_bids.evaluation.own_scan.summary import Summary
from qmri_bids.quantities import QUANTITIES
from qmri_bids.quantity import stdev
from qmri_bids.reports.comparison.bottom_line import differences_in_short
from qmri_bids.reports.comparison.content import ShownTable
from qmri_bids.reports.comparison.drawing import Row, Scale, picture_table
from qmri_bids.reports.comparison.map_parts import spread_scale
from qmri_bids.workflows.comparison.prepared import _sameness


def _row(estimator: str, parameter: str, tissue: str, value: float, stated: float) -> DifferenceRow:
    def summary(number: float) -> Summary:
        return Summary(median=number, standard_error=0.0, lower_quartile=number, upper_quartile=number, voxels=9)

    zero = summary(0.0)
    return DifferenceRow(
        estimator=estimator, parameter=parameter, tissue=tissue, value=summary(value), stated=summary(stated),
        difference=zero, relative=zero,
    )  # fmt: skip


def test_what_agrees_and_who_states_more_is_said() -> None:
    rows = [
        _row(name, parameter, tissue, value, stated)
        for name, value, stated in (
            ("miracle", 1.05, 1.0),
            ("pinn", 1.003, 1.0),
            ("ml", 1.0, 1.0),
            ("linear", 1.002, 1.35),
        )
        for parameter in ("T1", "T2")
        for tissue in ("WM", "GM")
    ]
    said = differences_in_short(rows, tissues=("WM", "GM"), reference="miracle")
    assert said[0] == (
        "T1: ml, pinn and linear agree within 0.3 %; MIRACLE lies 5.0 % above ml in white matter and 5.0 % in grey matter; linear "
        "states 35 % more sd in white matter and 35 % in grey matter than ml."
    )
    assert differences_in_short(rows[:4], tissues=("WM", "GM"), reference="miracle") == ()


@pytest.mark.parametrize(
    ("apart", "said"),
    [
        (np.zeros(50), "the same T1 as in T1map.nii.gz: within 0.1 % in every voxel."),
        (np.array([0.01, *np.zeros(50)]), "the same T1 as in T1map.nii.gz: within 0.1 % in all but one voxel."),
        (
            np.full(50, 0.03),
            "another T1 than in T1map.nii.gz: 0 % of the voxels are within 0.1 %; half of all differ by more than 3 %.",
        ),
    ],
)  # fmt: skip
def test_what_is_prepared_again_is_compared_in_words(apart: np.ndarray, said: str) -> None:
    assert _sameness(apart, name="T1", file="T1map.nii.gz") == said


def test_columns_without_content_are_left_out() -> None:
    table = ShownTable(caption="", head=("Way", "T1", "T2"), rows=(("ml", "–; –", "3"), ("pinn", "–", "–")))
    assert table.filled == ShownTable(caption="", head=("Way", "T2"), rows=(("ml", "3"), ("pinn", "–")))
    scales = [Scale(title=each, unit="ms", window=(0.0, 1.0), colormap="plasma") for each in ("there", "nowhere")]
    volume = np.ones((9, 9, 9), dtype=np.float32)
    canvas, _ = picture_table(
        [Row(name="ml", volumes=(volume, None))], scales, affine=np.eye(4), mask=np.ones((9, 9, 9), dtype=np.bool_)
    )
    words = [each.get_text() for each in canvas.texts]
    assert "there" in words
    assert "nowhere" not in words


@pytest.mark.parametrize(("parameter", "end"), [("T1", 400), ("T2", 40)])
def test_standard_deviations_have_the_window_of_the_report(parameter: str, end: float) -> None:
    assert spread_scale(parameter).window == stdev(QUANTITIES[parameter]).display.window == (0, end)
