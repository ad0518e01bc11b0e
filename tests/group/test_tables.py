"""The tables of the group level: tidy, and explained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qmri_bids.group.collect import collect_group
from qmri_bids.group.findings import Findings, findings_of
from qmri_bids.group.tables import CODE, write_tables
from qmri_bids.reports.measures import MEASURES

LABELS = ("01", "02", "03", "04", "05", "06", "07", "08", "09")


def _findings(output_dir: Path, labels: tuple[str, ...] = LABELS, *, only: bool = False) -> Findings:
    return findings_of(collect_group(output_dir, participants=labels, only=only), output_dir=output_dir)


@pytest.fixture
def tables(mixed: Path) -> dict[str, list[dict[str, str]]]:
    """Return the rows of every table by its name."""
    read = {}
    for path in write_tables(_findings(mixed), output_dir=mixed):
        header, *lines = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
        read[path.stem] = [dict(zip(header, line, strict=True)) for line in lines]
    return read


def test_rows_hold_one_number_each(tables: dict[str, list[dict[str, str]]]) -> None:
    assert tables["group_tissues"][0] == {
        "participant_id": "sub-01",
        "session_id": "n/a",
        "run": "acq-pcbssfp_run-1",
        "kind": "pc-bSSFP relaxometry",
        "map": "T1",
        "tissue": "white matter",
        "unit": "ms",
        "median": "900",
        "lower_quartile": "810",
        "upper_quartile": "990",
        "mean": "909",
        "sd": "90",
        "voxels": "1000",
    }
    assert len(tables["group_tissues"]) == 7 * 3
    quality = [tuple(row.values())[4:] for row in tables["group_quality"][:5]]
    assert quality == [
        ("displacement_max", "n/a", "n/a", "0.3", "mm", "check"),
        ("displacement_mean", "n/a", "n/a", "0.1", "mm", "check"),
        ("valid_voxels", "n/a", "n/a", "99", "%", "good"),
        ("mirror_ratio", "the B1 scan", "n/a", "0.5", "n/a", "n/a"),
        ("quality_mask", "converged", "n/a", "99", "%", "n/a"),
    ]


def test_every_run_has_a_row(tables: dict[str, list[dict[str, str]]]) -> None:
    rows = tables["group_runs"]
    assert [row["state"] for row in rows] == [
        *["done"] * 7,
        "failed",
        "refused",
        "unreadable record",
        "not processed",
    ]
    assert rows[7]["report"] == "sub-07.html"
    assert rows[-1] | {"message": ""} == {
        "participant_id": "sub-09",
        "session_id": "n/a",
        "run": "n/a",
        "kind": "n/a",
        "state": "not processed",
        "level": "n/a",
        "message": "",
        "protocol": "n/a",
        "report": "n/a",
        "version": "n/a",
        "created": "n/a",
    }


def test_every_column_and_level_is_explained(tables: dict[str, list[dict[str, str]]], mixed: Path) -> None:
    for name, rows in tables.items():
        explained = json.loads((mixed / f"{name}.json").read_text(encoding="utf-8"))
        header = (mixed / f"{name}.tsv").read_text(encoding="utf-8").splitlines()[0]
        assert list(explained) == header.split("\t")
        for column, description in explained.items():
            assert description["Description"]
            if "Levels" in description:
                assert {row[column] for row in rows} <= {*description["Levels"], "n/a"}


def test_the_same_records_give_the_same_tables(mixed: Path) -> None:
    first = [path.read_bytes() for path in write_tables(_findings(mixed), output_dir=mixed)]
    again = _findings(mixed, tuple(reversed(LABELS)))
    assert [path.read_bytes() for path in write_tables(again, output_dir=mixed)] == first


def test_nothing_processed_gives_tables_without_rows(mixed: Path) -> None:
    paths = write_tables(_findings(mixed, ("08", "09"), only=True), output_dir=mixed)
    assert [len(path.read_text(encoding="utf-8").splitlines()) for path in paths] == [1, 1, 1, 1, 1, 3]


def test_the_example_of_the_docs(good: Path) -> None:
    import pandas as pd

    write_tables(_findings(good, LABELS[:6]), output_dir=good)
    tissues = pd.read_csv(good / "group_tissues.tsv", sep="\t", na_values="n/a")
    t1 = tissues.query("map == 'T1'").pivot(index="participant_id", columns="tissue", values="median")
    assert t1.loc["sub-06", "white matter"] == 1500.0
    assert t1.shape == (6, 2)


def test_the_docs_explain_every_measure() -> None:
    docs = (Path(__file__).parents[2] / "docs" / "group.md").read_text(encoding="utf-8")
    assert [key for key in (*MEASURES, CODE) if f"`{key}`" not in docs] == []
