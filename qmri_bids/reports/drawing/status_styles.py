"""How each code of the quality mask is shown, as a table."""

from __future__ import annotations

from dataclasses import dataclass

from qmri_bids.estimation.base import Status


@dataclass(frozen=True, kw_only=True)
class StatusStyle:
    """The display of one code of the quality mask."""

    name: str
    meaning: str
    color: str


STATUS_STYLES: dict[Status, StatusStyle] = {
    Status.OUTSIDE: StatusStyle(name="outside", meaning="Outside the brain mask, not estimated", color="#000000"),
    Status.CONVERGED: StatusStyle(name="converged", meaning="Estimated, the maps have a value", color="#3d5a6c"),
    Status.OUT_OF_RANGE: StatusStyle(
        name="out of range", meaning="The estimate lies outside the range of the estimator", color="#e69f00"
    ),
    Status.NO_ROOT: StatusStyle(
        name="no solution", meaning="No positive relaxation times explain the signal", color="#d55e00"
    ),
    Status.LOW_SIGNAL: StatusStyle(
        name="low signal", meaning="The signal is too low against the noise", color="#56b4e9"
    ),
    Status.INVALID_INPUT: StatusStyle(
        name="invalid input", meaning="An image or a known map has no finite value", color="#f0e442"
    ),
    Status.NOT_CONVERGED: StatusStyle(
        name="not converged", meaning="The fit had not settled after its last iteration", color="#cc79a7"
    ),
    Status.AT_BOUND: StatusStyle(
        name="at a bound",
        meaning="The likelihood is highest at the edge of the bounds that were asked for",
        color="#009e73",
    ),
    Status.NOT_IDENTIFIABLE: StatusStyle(
        name="not identifiable",
        meaning="Fraction and rate cannot be told apart: a standard deviation exceeds its value",
        color="#9a7fd1",
    ),
    Status.MIXED: StatusStyle(
        name="mixed",
        meaning="Tissue and fluid that could not be told apart, or more than half fluid: the standard deviation holds the fluid",
        color="#6f93a8",
    ),
    Status.MISFIT: StatusStyle(
        name="misfit",
        meaning="The signal model does not fit: more is left of the signal than noise leaves. Most maps have a value",
        color="#a3342b",
    ),
    Status.NOT_UNIQUE: StatusStyle(
        name="not unique",
        meaning="Several optima fit as well and differ by more than the standard deviation, which holds their spread",
        color="#b8860b",
    ),
    Status.WRONG_UNITS: StatusStyle(
        name="wrong units",
        meaning="Data of the opposite sense of precession that were to count as given",
        color="#5c4033",
    ),
}
"""Name, meaning and colour (Okabe and Ito) of every code of the quality mask."""
