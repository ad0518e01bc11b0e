"""Styles, sentences and references of CEST and MT runs."""

from __future__ import annotations

import numpy as np
import pytest

from qmri_bids.estimation.exchange_table import EXCHANGE_ESTIMATORS
from qmri_bids.estimation.lorentzian_pools import POOLS
from qmri_bids.estimation.mt_maps import MTSAT_CORRECTIONS
from qmri_bids.physics.exchange_scan import QUANTITIES
from qmri_bids.quantities import find_quantity
from qmri_bids.reports import figures
from qmri_bids.reports.methods import STEPS, methods_text
from qmri_bids.reports.references import REFERENCES
from qmri_bids.reports.tables import statistics_rows

MAPS = (
    *("MTR", "MTsat", "R1", "A", "MTRasym", "MTRasym_3.5", "MTRasym_2", "b1", "off_resonance"),
    *(f"amplitude_{pool}" for pool in POOLS),
    *(f"arex_{pool}" for pool in POOLS if pool != "water"),
    *(
        f"{prefix}{pool}_{quantity}"
        for prefix in ("", "posterior_")
        for pool in ("MT", "amide")
        for quantity in QUANTITIES
    ),
)


@pytest.mark.parametrize("name", MAPS)
def test_every_map_and_its_standard_deviation_are_shown_in_one_unit(name: str) -> None:
    quantity, spread = find_quantity(name), find_quantity(f"{name}_stdev")
    assert quantity is not None
    assert spread is not None
    assert quantity.display.unit == spread.display.unit
    assert quantity.display.convert(0.03) == pytest.approx(spread.display.convert(0.03))
    assert quantity.label.lower().split(": ")[-1] in spread.label.lower()
    if quantity.display.window and spread.display.window:
        assert spread.display.window[0] == 0
        assert spread.display.window[1] < quantity.display.window[1]


def test_the_asymmetry_is_diverging_around_zero_and_says_its_offset() -> None:
    quantity, spread = find_quantity("MTRasym_3.5"), find_quantity("MTRasym_2.0_stdev")
    assert quantity is not None
    assert spread is not None
    assert quantity.display.window == (-5, 5)
    assert quantity.label == "MTR asymmetry at 3.5 ppm"
    assert "at 2 ppm" in spread.label
    for name in ("MTRasym_", "MTRasym_x", "MTRasym_3.5_other", "MTRasymm"):
        assert find_quantity(name) is None


def test_the_asymmetry_is_drawn_and_counted_in_percent() -> None:
    values = np.full((12, 12, 12), 0.02)
    values[:6] = -0.06
    options = {"affine": np.eye(4), "mask": np.ones(values.shape)}
    figure = figures.map_figure(values, name="MTRasym_3.5", **options)  # type: ignore[arg-type]
    assert "MTR asymmetry at 3.5 ppm [%], fixed window -5 to 5 %." in figure.caption
    assert "50.0 % of the voxels lie below the window." in figure.caption
    (row,) = statistics_rows({"MTRasym_3.5": values}, mask=np.ones(values.shape))
    assert (row.map, row.unit, row.upper_quartile) == ("MTR asymmetry at 3.5 ppm", "%", pytest.approx(2.0))
    with pytest.raises(ValueError, match="shown in %, found unit='ppm'"):
        figures.map_figure(values, name="MTRasym_3.5", unit="ppm", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("step", "references"),
    [
        ("b0_wasabi", {"schuenke2017"}),
        ("wasabi", {"schuenke2017"}),
        ("b0_wassr", {"kim2009"}),
        ("wassr", {"kim2009"}),
        ("mtr_asymmetry", {"zhou2003"}),
        ("lorentzian", {"zaiss2011", "huang2022", "marquardt1963"}),
        ("arex", {"zaiss2014"}),
        ("mtr", {"dousset1992"}),
        ("mtsat", {"helms2008", "helms2010", "helms2008ernst"}),
        ("mts_no_b1", {"helms2008", "helms2010", "helms2008ernst"}),
        ("cest_preset", {"herz2021"}),
        ("b0_fieldmap", set()),
        ("b0_spectrum", set()),
        ("lorentzian_left_out", set()),
        ("exchange_stages", {"avants2011"}),
        ("exchange_unwrapped", {"herraez2002"}),
        ("exchange_known_placed", set()),
        ("exchange_known_fixed", set()),
        ("exchange_posterior", set()),
    ],
)
def test_a_step_cites_its_sources(step: str, references: set[str]) -> None:
    names = ("offsets", "pools", "run", "source", "reason", "correction", "preset", "first", "maps", "value", "prior")
    values = dict.fromkeys(names, "x")
    assert {entry.key for entry in methods_text([(step, values)])[1]} == references


@pytest.mark.parametrize("estimator", EXCHANGE_ESTIMATORS)
def test_every_estimator_of_pools_is_told_with_its_references(estimator: str) -> None:
    cited = {entry.key for entry in methods_text([f"exchange_{estimator}"])[1]}
    assert cited >= set(EXCHANGE_ESTIMATORS[estimator].references)


def test_every_correction_of_mt_saturation_is_told() -> None:
    for name in MTSAT_CORRECTIONS:
        assert f"mts_b1_{name}" in STEPS
    text, references = methods_text([("mtsat", {"correction": "helms"}), "mts_b1_helms"])
    assert "by the correction 'helms'" in text
    assert text.count("\n\n") == 0
    assert "helms2021" in {entry.key for entry in references}


def test_the_methods_of_cest_and_mt_stand_in_paragraphs_of_their_own() -> None:
    text, _ = methods_text(["mtr", "signal_model", ("cest_normalisation", {"m0": "the M0 image"}), "failed_voxels"])
    starts = [paragraph.split()[0] for paragraph in text.split("\n\n")]
    assert starts == ["The", "Z-spectra", "The", "Voxels"]


def test_two_runs_of_one_kind_are_told_apart() -> None:
    values = {
        "images": 34,
        "offsets": "-4 to 4",
        "train": "36 pulses of 50 ms, 5 ms apart",
        "b1_microtesla": "2",
        "field": "3",
    }
    steps = [("cest_acquisition", {"run": run, **values}) for run in ("acq-a", "acq-b", "acq-a")]
    text, _ = methods_text(steps)
    assert text.count("series acq-a holds 34 images at 3 T, each after 36 pulses") == 1
    assert text.count("series acq-b") == 1


def test_the_erratum_and_the_papers_of_one_year_have_short_forms_of_their_own() -> None:
    shorts = [entry.short for entry in REFERENCES.values()]
    assert len(set(shorts)) == len(shorts)
    assert {REFERENCES[key].short for key in ("helms2008", "helms2008ernst", "helms2010", "helms2021")} == {
        "Helms et al., 2008a", "Helms et al., 2008b", "Helms et al., 2010", "Helms et al., 2021",
    }  # fmt: skip
