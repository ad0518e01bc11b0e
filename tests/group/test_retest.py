"""Test and retest against SciPy, pandas and simulation; outliers against SciPy; what is comparable."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from qmri_bids.bids.refusal import ValueSource
from qmri_bids.group.collect import Group, collect_group
from qmri_bids.group.distributions import tissue_distributions
from qmri_bids.group.findings import Findings, findings_of
from qmri_bids.group.page import page_html
from qmri_bids.group.protocols import protocols_of
from qmri_bids.group.retest import limits_of_agreement, within_stdev, within_variation
from qmri_bids.group.tables import write_tables
from qmri_bids.pipeline.results.report_parts import protocol_rows
from qmri_bids.reports.content import ProtocolRow, SubjectReport
from qmri_bids.reports.record import write_record

LABELS = tuple(f"{number:02d}" for number in range(1, 13))


@pytest.fixture(scope="module")
def repeated(tmp_path_factory: pytest.TempPathFactory, processed: Callable[..., SubjectReport]) -> Findings:
    """Return twelve participants of two sessions; 01 has two runs in the first, 11 lies apart, 12 changed its protocol."""
    output_dir = tmp_path_factory.mktemp("repeated")
    generator = np.random.default_rng(3)
    for label in LABELS:
        runs = []
        for session, run in [("1", "1"), ("2", "1"), *([("1", "2")] if label == "01" else [])]:
            t1 = 900.0 * (1.0 + 0.03 * generator.standard_normal()) * (1.5 if label == "11" else 1.0)
            strength = "1.5" if (label, session) == ("12", "2") else "3"
            (own,) = processed(label, t1).runs
            rows = (ProtocolRow(key="field_strength", value=strength, unit="T"),)
            runs.append(replace(own, session=session, entities={"acq": "pcbssfp", "run": run}, protocol=rows))
        write_record(processed(label, 900.0, runs=tuple(runs)), output_dir=output_dir)
    findings = findings_of(collect_group(output_dir, participants=LABELS), output_dir=output_dir)
    write_tables(findings, output_dir=output_dir)
    return findings


def _table(findings: Findings, name: str) -> pd.DataFrame:
    return pd.read_csv(
        findings.output_dir / f"group_{name}.tsv", sep="\t", na_values="n/a", dtype={"participant_id": str}
    )


def test_the_table_of_test_and_retest_is_that_of_pandas(repeated: Findings) -> None:
    tissues = _table(repeated, "tissues").query(
        "map == 'T1' and tissue == 'white matter' and participant_id != 'sub-12'"
    )
    first = tissues[tissues.run.str.endswith("run-1")]
    wide = first.pivot(index="participant_id", columns="session_id", values="median").to_numpy()
    row = _table(repeated, "retest").query("measure == 'T1' and of == 'white matter' and by == 'session'").iloc[0]
    difference = wide[:, 1] - wide[:, 0]
    assert (row.units, row["values"]) == (11, 22)
    assert row.wsd == pytest.approx(np.sqrt(np.mean(difference**2) / 2.0), rel=1e-5)
    cov = np.sqrt(np.mean(wide.var(axis=1, ddof=1) / wide.mean(axis=1) ** 2))
    assert row.wcv == pytest.approx(100.0 * cov, rel=1e-5)
    assert row.wcv_low == pytest.approx(100.0 * cov * np.sqrt(11 / stats.chi2.isf(0.025, 11)), rel=1e-5)
    assert row.repeatability == pytest.approx(2.772 * row.wsd, rel=1e-3)
    interval = stats.ttest_1samp(difference, 0.0).confidence_interval(0.95)
    assert (row.bias_low, row.bias_high) == pytest.approx((interval.low, interval.high), rel=1e-4)
    assert row.upper_limit == pytest.approx(difference.mean() + 1.96 * difference.std(ddof=1), rel=1e-4)


def test_the_page_colours_by_session_joins_runs_and_says_where_pictures_stop(
    repeated: Findings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qmri_bids.group.page.MOST_AGREEMENTS", 1)
    html = page_html(repeated, version="0.1.0", command="qmri_bids group")
    data = json.loads(re.findall(r'id="group-data">(.*?)</script>', html)[0])
    assert data["columns"][data["first"]]["name"] == "session"
    white = re.findall(r'<svg[^>]*aria-label="T1, white matter: 25 values.*?</svg>', html)[0]
    assert white.count('class="j"') == len(LABELS) - 1  # the runs of 12 are of two protocols, in two lanes
    for path in re.findall(r'class="j" d="M([^"]*)"', white):
        assert len({point.split()[1] for point in path.split("L")}) == 1 or "sub-11" in white
    assert html.count("runs of one participant lie at one height and are joined by a line") == 1
    assert re.search(r"The first 1 of \d+ pictures of agreement by session: group_retest.tsv holds all", html)


def test_runs_of_one_session_are_compared_by_themselves(repeated: Findings) -> None:
    row = _table(repeated, "retest").query("measure == 'T1' and of == 'white matter' and by == 'run'").iloc[0]
    assert (row.units, row["values"]) == (1, 2)
    assert row.wsd > 0.0
    assert np.isnan(row.lower_limit)
    assert row.wcv_high > 20.0 * row.wcv


def test_values_of_another_protocol_are_left_out(repeated: Findings) -> None:
    found = {(each.distribution.title, each.by): each for each in repeated.repeated}
    assert found["T1, white matter", "session"].left_out == 1
    (white,) = [each for each in repeated.tissues if each.title == "T1, white matter"]
    assert [int(each) for each in white.protocols] == [1] * 24 + [2]
    words = [each.differs for each in repeated.protocols.found]
    assert words == ["Field strength 3 T", "Field strength 1.5 T"]


def test_scores_are_those_of_scipy(repeated: Findings) -> None:
    tissues = _table(repeated, "tissues").query("map == 'T1' and tissue == 'white matter'")
    comparable = tissues["median"].to_numpy()[:-1]
    rows = _table(repeated, "outliers").query("measure == 'T1' and of == 'white matter'")
    assert list(rows.participant_id).count("sub-11") == 2
    spread = stats.median_abs_deviation(comparable, scale="normal")
    expected = (rows.value.to_numpy() - np.median(comparable)) / spread
    assert rows.score.to_numpy() == pytest.approx(expected, rel=1e-3)


def test_the_intervals_hold_the_truth_as_often_as_they_say() -> None:
    generator = np.random.default_rng(4)
    held = np.zeros(4)
    trials = 1500
    for _ in range(trials):
        truth = 900.0 * (1.0 + 0.05 * generator.standard_normal((6, 1)))
        values = list(truth * (1.0 + 0.03 * generator.standard_normal((6, 3))))
        cov = within_variation(values)
        stdev = within_stdev(list(5.0 * generator.standard_normal((6, 2))))
        bias, _, upper = limits_of_agreement(generator.standard_normal(6))
        of_limit = upper.low <= 1.96 <= upper.high
        held += [cov.low <= 0.03 <= cov.high, stdev.low <= 5.0 <= stdev.high, bias.low <= 0.0 <= bias.high, of_limit]
    assert held / trials == pytest.approx([0.95] * 4, abs=0.02)


def test_of_many_pairs_the_limits_are_those_of_bland_and_altman() -> None:
    differences = np.random.default_rng(5).standard_normal(100)
    _, _, exact = limits_of_agreement(differences)
    spread = differences.std(ddof=1)
    half = stats.t.ppf(0.975, 99) * spread * np.sqrt(1 / 100 + 1.96**2 / (2 * 99))
    assert (exact.low, exact.high) == pytest.approx((exact.value - half, exact.value + half), abs=0.05 * spread)
    _, lower, _ = limits_of_agreement(np.append(differences, 0.0))
    assert lower.value - lower.low == pytest.approx(half, rel=0.02)


def test_a_map_with_a_sign_has_no_coefficient_of_variation(repeated: Findings) -> None:
    assert np.isnan(within_variation([np.array([-1.0, 2.0])]).value)


def test_frequencies_of_heads_are_one_field_strength(tmp_path: Path, processed: Callable[..., SubjectReport]) -> None:
    for label, frequency in (("01", "123.257"), ("02", "123.262"), ("03", "63.86")):
        (own,) = processed(label, 900.0).runs
        rows = (ProtocolRow(key="field_strength", value=frequency, unit="MHz"),)
        write_record(processed(label, 900.0, runs=(replace(own, protocol=rows),)), output_dir=tmp_path)
    group: Group = collect_group(tmp_path, participants=("01", "02", "03"))
    assert [int(each) for each in tissue_distributions(group)[0].protocols] == [1, 1, 2]


@pytest.mark.parametrize("earlier", [False, True])
def test_how_b1_and_the_field_were_stated_makes_no_other_protocol(
    tmp_path: Path, processed: Callable[..., SubjectReport], earlier: bool
) -> None:
    """Rows as the program writes them; those of earlier records have no keys."""
    stated = {
        "01": (("3", "T"), "0.00125", "4.8"),
        "02": (("127.729", "MHz"), "0.002", "4.8"),
        "03": (("2.89", "T"), None, "4.8"),
        "04": (("3", "T"), "0.00125", "5.2"),
    }
    for label, (field, scale, time) in stated.items():
        sources = [("field_strength", *field), ("repetition_time", time, "ms"), ("m0", "volume 1", "")]
        if scale is not None:
            sources += [("b1_scale", scale, "per stored value"), ("b1_nominal_flip_angle", str(60 + len(scale)), "deg")]
        sources += [("m0_file", f"1 volume(s) of sub-{label}_m0.nii.gz", "")]
        rows = protocol_rows(ValueSource(key=key, value=value, unit=unit, source="") for key, value, unit in sources)
        (own,) = processed(label, 900.0).runs
        path = write_record(processed(label, 900.0, runs=(replace(own, protocol=rows),)), output_dir=tmp_path)
        if earlier and label != "01":
            content = json.loads(path.read_text())
            del content["runs"][0]["protocol_keys"]
            path.write_text(json.dumps(content))
    found = protocols_of(collect_group(tmp_path, participants=tuple(stated)))
    assert list(found.number_of.values()) == [1, 1, 1, 2]
    assert [each.differs for each in found.found] == ["Repetition time 4.8 ms", "Repetition time 5.2 ms"]
