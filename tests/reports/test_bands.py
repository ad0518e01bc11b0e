"""Published ranges: what they are held against, and that a reader is told where there are none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qmri_bids.reports.bands import FIELDS, PUBLISHED, bands, no_bands_because, nominal_field
from qmri_bids.reports.content import RunReport, StatisticsRow, SubjectReport
from qmri_bids.reports.figure_table import histogram_figure
from qmri_bids.reports.references import REFERENCES
from qmri_bids.reports.render import report_html
from qmri_bids.tissue_labels import GREY, WHITE


def test_every_value_has_a_source_and_the_order_of_nature() -> None:
    assert {row.source for row in PUBLISHED} <= set(REFERENCES)
    for field in FIELDS:
        t1 = {band.tissue: band for band in bands("T1", field)}
        assert t1[WHITE].high < t1[GREY].low
        assert len(t1[WHITE].sources) >= 2
    middle = [sum((band.low, band.high)) for field in FIELDS for band in bands("T1", field) if band.tissue == WHITE]
    assert middle == sorted(middle)
    falling = [sum((band.low, band.high)) for field in FIELDS for band in bands("T2", field) if band.tissue == GREY]
    assert falling == sorted(falling, reverse=True)


@pytest.mark.parametrize(("field", "nominal"), [(2.89, 3.0), (3.0, 3.0), (1.49, 1.5), (6.98, 7.0), (9.4, None)])
def test_a_scanner_is_of_the_field_that_it_is_sold_as(field: float, nominal: float | None) -> None:
    assert nominal_field(field) == nominal
    assert bool(bands("T1", field)) == (nominal is not None)


def test_what_is_of_no_tissue_or_no_paper_has_no_band() -> None:
    assert bands("free_T1", 3.0) == ()
    assert bands("MTR", 3.0) == ()
    assert "no sidecar states MagneticFieldStrength" in no_bands_because(None)
    assert "the field is 9.4 T" in no_bands_because(9.4)
    assert no_bands_because(3.0) == ""


def test_the_table_of_tissues_holds_the_range_its_papers_and_the_word_about_apparent_t1() -> None:
    row = StatisticsRow(
        map="T1", unit="ms", region="white matter", median=700.0, lower_quartile=650.0, upper_quartile=750.0, mean=700.0,
        standard_deviation=50.0, voxels=1000,
    )  # fmt: skip
    run = RunReport(title="pc-bSSFP relaxometry", statistics=(row,), field_strength=3.0)
    report = SubjectReport(participant="01", version="0", command="", created="", runs=(run,))
    html = report_html(report)
    assert "788 to 939" in html
    assert "Wright et al., 2008" in html
    assert "magnetization transfer shortens it" in html
    assert "10.1007/s10334-008-0104-8" in html
    assert "Above it lie voxels that share their place with fluid" in html
    assert "Rows of fluid" not in html
    of_fluid = replace(run, statistics=(row, replace(row, region="fluid")))
    assert "Rows of fluid hold every voxel that is mostly fluid" in report_html(replace(report, runs=(of_fluid,)))
    unknown = report_html(replace(report, runs=(replace(run, field_strength=None),)))
    assert "788 to 939" not in unknown
    assert "no sidecar states MagneticFieldStrength" in unknown


def test_a_histogram_says_which_papers_are_shaded_and_how_much_lies_beyond_its_axis() -> None:
    mask = np.ones((10, 10, 10), dtype=bool)
    values = np.full(mask.shape, 1.0)
    values[0] = 3.0
    shaded = histogram_figure({"T1": values}, mask=mask, field_strength=3.0).caption
    assert "Beyond their axis lie T1 10.0 %." in shaded
    assert "Shaded: published in healthy adults at 3 T" in shaded
    assert "Shaded" not in histogram_figure({"T1": values}, mask=mask).caption
