"""Styles, sentences and references of CEST and MT runs."""

from __future__ import annotations

import numpy as np
import pytest
from written_sentences import said, written_sentences

from qmri_bids.estimation.mt.corrections import CORRECTION_SENTENCES, MTSAT_CORRECTIONS
from qmri_bids.estimation.pool_estimators import EXCHANGE_ESTIMATORS
from qmri_bids.estimation.spectra.lorentzian.pools import POOLS
from qmri_bids.physics.fingerprint import QUANTITIES
from qmri_bids.quantities import find_quantity
from qmri_bids.reports import figure_table as figures
from qmri_bids.reports.methods import methods_text
from qmri_bids.reports.references import REFERENCES
from qmri_bids.reports.tables import statistics_rows

MAPS = (
    *("MTR", "MTsat", "R1", "A", "MTRasym", "MTRasym_3.5", "MTRasym_2", "b1", "off_resonance"),
    *(
        "MTRasym_3to4",
        "threeoffset_APT",
        "threeoffset_NOE",
        "lda_APT",
        "lda_NOE",
        "ldarex_APT",
        "emr_APT",
        "emr_NOE",
        "rex_amide",
        "rex_own",
    ),
    *(f"amplitude_{pool}" for pool in (*POOLS, "own")),
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
    assert "MTR asymmetry at 3.5 ppm [%], fixed window \N{MINUS SIGN}5 to 5 %." in figure.caption
    assert "50.0 % of the voxels lie below the window." in figure.caption
    (row,) = statistics_rows({"MTRasym_3.5": values}, mask=np.ones(values.shape))
    assert (row.map, row.unit, row.upper_quartile) == ("MTR asymmetry at 3.5 ppm", "%", pytest.approx(2.0))
    with pytest.raises(ValueError, match="shown in %, found unit='ppm'"):
        figures.map_figure(values, name="MTRasym_3.5", unit="ppm", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("part", "references"),
    [
        ("from the B0 map of a WASABI scan", {"schuenke2017"}),
        ("B0 and B1 were mapped from the WASABI series", {"schuenke2017"}),
        ("The three-offset measure of", {"jin2013"}),
        ("The Lorentzian difference is this background", {"jones2013"}),
        ("are the lines of MT and of the direct saturation of water", {"heo2016", "heo2016human"}),
        ("MTR_Rex of a pool is", {"zaiss2014"}),
        ("a sum of lines", {"zaiss2011", "marquardt1963"}),
        ("The shift of water was mapped by WASSR", {"kim2009"}),
        ("B0 was mapped from the series", {"kim2009"}),
        ("The MTR asymmetry is", {"zhou2003"}),
        ("a sum of Lorentzian lines", {"zaiss2011", "huang2022", "marquardt1963"}),
        ("(AREX)", {"zaiss2014"}),
        ("(MTR)", {"dousset1992"}),
        ("with flip angles corrected by B1", {"helms2008", "helms2010", "helms2008ernst"}),
        ("No B1+ map was available: nominal flip angles", {"helms2008", "helms2010", "helms2008ernst"}),
        ("was taken from the field map", set()),
        ("the dip of the Z-spectrum itself", set()),
        ("Lorentzian lines were not fitted", set()),
        ("motion and registration were joined", {"avants2011"}),
        ("was unwrapped in space", {"herraez2002"}),
        ("{files}, placed by the coordinates", set()),
        ("{maps} was not measured", set()),
        ("under the prior '{prior}'", set()),
    ],
)
def test_a_step_cites_its_sources(part: str, references: set[str]) -> None:
    (sentence,) = [sentence for sentence in written_sentences() if part in sentence.text]
    assert {entry.key for entry in methods_text([sentence])[1]} == references


@pytest.mark.parametrize("estimator", EXCHANGE_ESTIMATORS)
def test_every_estimator_of_pools_is_told_with_its_references(estimator: str) -> None:
    cited = {entry.key for entry in methods_text(EXCHANGE_ESTIMATORS[estimator].methods)[1]}
    assert cited >= set(EXCHANGE_ESTIMATORS[estimator].references)


def test_every_correction_of_mt_saturation_is_told() -> None:
    assert set(CORRECTION_SENTENCES) == set(MTSAT_CORRECTIONS)
    mtsat = said("with flip angles corrected by B1", correction="helms")
    text, references = methods_text([mtsat, CORRECTION_SENTENCES["helms"]])
    assert "by the correction 'helms'" in text
    assert text.count("\n\n") == 0
    assert "helms2021" in {entry.key for entry in references}


def test_the_methods_of_cest_and_mt_stand_in_paragraphs_of_their_own() -> None:
    text, _ = methods_text(
        [
            said("(MTR)"),
            said("steady state of a single pool"),
            said("Z-spectra are the signal divided by", m0="the M0 image"),
            said("Voxels without a valid estimate"),
        ]
    )
    starts = [paragraph.split()[0] for paragraph in text.split("\n\n")]
    assert starts == ["The", "Z-spectra", "The", "Voxels"]


def test_two_runs_of_one_kind_are_told_apart() -> None:
    values = {
        "images": 34,
        "offsets": "-4 to 4",
        "train": "36 pulses of 50 ms, 5 ms apart",
        "b1": "2",
        "field": "3",
    }
    text, _ = methods_text([said("The CEST series", run=run, **values) for run in ("acq-a", "acq-b", "acq-a")])
    assert text.count("series acq-a holds 34 images at 3 T, each after 36 pulses") == 1
    assert text.count("series acq-b") == 1


def test_the_erratum_and_the_papers_of_one_year_have_short_forms_of_their_own() -> None:
    shorts = [entry.short for entry in REFERENCES.values()]
    assert len(set(shorts)) == len(shorts)
    assert {REFERENCES[key].short for key in ("helms2008", "helms2008ernst", "helms2010", "helms2021")} == {
        "Helms et al., 2008a", "Helms et al., 2008b", "Helms et al., 2010", "Helms et al., 2021",
    }  # fmt: skip
