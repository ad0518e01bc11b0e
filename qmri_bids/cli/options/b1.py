"""The options of B1 maps."""

from __future__ import annotations

from collections.abc import Sequence

from qmri_bids.cli.parsing.option import Limits, Option, OptionGroup, Relation, Setting
from qmri_bids.units import degrees_to_radians

POSITIVE = Limits(low=0, open_low=True, refusal="must be positive, found {}")

REPETITION_TIMES = Limits(low=0, high=5, open_low=True)
"""Repetition times [s]; longer ones are milliseconds."""

WITHOUT_B1 = Relation(
    ("no_b1",), "--no-b1 uses no B1 map: leave out --b1-scale, --b1-nominal-fa and --b1-afi-tr, or --no-b1"
)


def _no_two_times(times: Sequence[float]) -> str:
    if times[0] != times[1] and all(map(REPETITION_TIMES.hold, times)):
        return ""
    return f"takes two different repetition times in seconds, found {times[0]:g} and {times[1]:g}"


B1 = OptionGroup(
    title="B1 map",
    rows=(
        Option(
            name="--no-b1",
            action="store_true",
            help="use no B1 map, not even one that is there, and assume B1 = 1; T1 is wrong by about twice the error of B1",
            setting=Setting("finding"),
        ),
        Option(
            name="--b1-nominal-fa",
            type=float,
            metavar="DEGREES",
            help="nominal flip angle of a B1 scan where its sidecar holds another angle (TB1DAM: the smaller one)",
            limits=POSITIVE,
            excluded_by=(WITHOUT_B1,),
            setting=Setting("finding", field="b1_nominal_flip_angle", convert=degrees_to_radians),
        ),
        Option(
            name="--b1-afi-tr",
            type=float,
            nargs=2,
            metavar=("TR1", "TR2"),
            help="repetition times of a TB1AFI scan in seconds, in the order of its images, where its sidecars do not tell them",
            limits=REPETITION_TIMES,
            complaint=_no_two_times,
            excluded_by=(WITHOUT_B1,),
            setting=Setting("finding", field="b1_afi_repetition_times"),
        ),
        Option(
            name="--b1-scale",
            type=float,
            metavar="FACTOR",
            help="relative B1 (1 = nominal) per stored value of the B1 image, where the usual scale of its kind does not hold",
            limits=POSITIVE,
            excluded_by=(WITHOUT_B1,),
            setting=Setting("finding"),
        ),
    ),
)
