"""What the page on the import shows is read by the program, by the validator, or by the tool that it is for."""

from __future__ import annotations

import json
import re
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import yaml
from converted_series import SHAPE, values, write_series

from qmri_bids.bids.layout import open_layout
from qmri_bids.importing.arrays import OWN_KEYS
from qmri_bids.importing.kinds import KINDS
from qmri_bids.importing.table import COLUMNS
from qmri_bids.scans.find import find_runs
from qmri_bids.scans.find_options import FindOptions

PAGE = (Path(__file__).parents[2] / "docs" / "importing.md").read_text(encoding="utf-8")
NAMED = {
    Path(name): json.loads(text)
    for name, text in re.findall(
        r"^`((?:anat|fmap)/sub-01_\S+\.json)`[^\n]*\n\n```json\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE
    )
}
"""Sidecars of the page by the name that stands above them."""


def code(language: str, *, holding: str) -> str:
    (found,) = (text for text in re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL) if holding in text)
    return found


def head(*shape: int, low: int, high: int) -> np.ndarray:
    """Return values as smooth as those of a head, without air."""
    return np.linspace(low, high, int(np.prod(shape or SHAPE))).reshape(shape or SHAPE).astype(np.float32)


@pytest.fixture
def dataset(bids: Path) -> Path:
    """Write an image for every sidecar of the page, and the other images that belong to it."""
    (bids / "sub-01").mkdir(parents=True)
    (bids / "dataset_description.json").write_text(
        json.dumps({"Name": "page", "BIDSVersion": "1.10.0", "DatasetType": "raw"})
    )
    (bids / ".bidsignore").write_text("*_cest.*\n*_cestcontext.*\n")

    def put(name: str, array: np.ndarray, sidecar: dict[str, object]) -> None:
        path = bids / "sub-01" / name
        write_series(path.parent, path.name, array, sidecar)

    sidecars = {path.name: sidecar for path, sidecar in NAMED.items()}

    def of(end: str) -> dict[str, object]:
        (found,) = (sidecar for name, sidecar in sidecars.items() if name.endswith(f"{end}.json"))
        return found

    for part, low in (("mag", 1), ("phase", -4096)):
        put(f"anat/sub-01_acq-pcbssfp_flip-1_part-{part}_VFA", values(1, *SHAPE, 4, low=low), of(f"part-{part}_VFA"))
    for kind in ("TB1TFL", "TB1RFM"):
        famp = head(low=640, high=960) if kind == "TB1TFL" else head(low=2776, high=3140)
        put(f"fmap/sub-01_acq-anat_{kind}", head(low=100, high=200), of("acq-anat_TB1TFL"))
        put(f"fmap/sub-01_acq-famp_{kind}", famp, of("acq-anat_TB1TFL"))
    ratio = head(low=850, high=1150) / 1000
    first = head(low=900, high=1000)
    put("fmap/sub-01_flip-1_TB1DAM", first * np.sin(np.radians(60 * ratio)), of("flip-1_TB1DAM"))
    put("fmap/sub-01_flip-2_TB1DAM", first * np.sin(np.radians(120 * ratio)), of("flip-1_TB1DAM") | {"FlipAngle": 120})
    cosine = np.cos(np.radians(60 * ratio))
    put("fmap/sub-01_acq-tr1_TB1AFI", first, of("acq-tr1_TB1AFI"))
    put(
        "fmap/sub-01_acq-tr2_TB1AFI",
        first * (1 + 5 * cosine) / (5 + cosine),
        of("acq-tr1_TB1AFI") | {"RepetitionTimeExcitation": 0.1},
    )
    put("fmap/sub-01_TB1map", 100 * ratio, of("TB1map"))
    for state in ("on", "off"):
        put(f"anat/sub-01_mt-{state}_MTR", head(low=100, high=200), of("mt-on_MTR") | {"MTState": state == "on"})
    for flip, state, angle in ((1, "on", 6), (1, "off", 6), (2, "off", 20)):
        put(
            f"anat/sub-01_flip-{flip}_mt-{state}_MTS",
            head(low=100, high=200),
            of("flip-1_mt-on_MTS") | {"MTState": state == "on", "FlipAngle": angle},
        )
    (table,) = re.findall(r"```\n(volume_type\t.*?)```", PAGE, re.DOTALL)
    (bids / "sub-01/anat/sub-01_acq-APTw_cestcontext.tsv").write_text(table)
    for label in ("APTw", "MRFMT", "WASABI"):
        sidecar = of(f"acq-{label}_cest")
        number = len(sidecar["SaturationOffset"]) if "SaturationOffset" in sidecar else len(table.splitlines()) - 1
        put(f"anat/sub-01_acq-{label}_cest", head(*SHAPE, number, low=100, high=200), sidecar)
    for run, kinds in (
        ("1", ("phasediff", "magnitude1")),
        ("2", ("phase1", "phase2", "magnitude1")),
        ("3", ("fieldmap", "magnitude")),
    ):
        for kind in kinds:
            sidecar = of(f"01_{kind}") if kind in ("phasediff", "phase1", "fieldmap") else {}
            sidecar = of("01_phase1") | {"EchoTime": 0.00738} if kind == "phase2" else sidecar
            put(f"fmap/sub-01_run-{run}_{kind}", values(3), sidecar)
    return bids


def test_every_kind_has_a_sidecar_that_is_valid(dataset, validate):
    validate()


def test_runs_of_these_sidecars_are_found(dataset):
    layout = open_layout(dataset, subjects=["01"])
    # One B1 scan after the other, as a session with several must choose.
    for kind in ("TB1TFL", "TB1RFM", "TB1DAM", "TB1AFI", "TB1map"):
        options = FindOptions(filters={"b1": {"suffix": kind}})
        plan = find_runs(layout, subject="01", options=options)
        refused = [str(refusal) for refusal in plan.refusals]
        assert len(plan.pcbssfp) == len(plan.mts) == len(plan.mtr) == 1, refused
        assert plan.pcbssfp[0].b1.method == kind
        assert {run.kind for run in plan.cest} == {"z-spectrum", "wasabi", "fingerprint"}, refused
        assert refused == []


def test_the_page_names_every_kind_and_column():
    for word in (*KINDS, *COLUMNS, *OWN_KEYS, "--table", "--overwrite", "--subject", "--session"):
        assert f"`{word}" in PAGE or f"{word}`" in PAGE or f'"{word}"' in PAGE, word


def test_the_array_of_the_page_is_imported(folder, imported):
    text = code("json", holding="VoxelSize")
    (folder / "a.json").write_text(text)
    np.savez(folder / "a.npz", image=np.ones((*SHAPE, 4), complex) * np.arange(1, 5), other=np.ones((2, 2)))
    assert imported().exit_code == 0


def test_rules_of_dcm2bids_are_json():
    rules = json.loads(code("json", holding="descriptions"))["descriptions"]
    assert [rule["suffix"] for rule in rules] == ["VFA", "VFA", "TB1TFL", "TB1TFL"]
    assert all(set(rule) <= {"datatype", "suffix", "custom_entities", "criteria", "sidecar_changes"} for rule in rules)


def test_the_heuristic_of_heudiconv_runs():
    names: dict[str, object] = {}
    exec(code("python", holding="infotodict"), names)
    series = [
        Namespace(series_id="1", series_description="sag_pcbssfp", image_type=("ORIGINAL", "PRIMARY", "M", "ND")),
        Namespace(series_id="2", series_description="sag_pcbssfp", image_type=("ORIGINAL", "PRIMARY", "P", "ND")),
        Namespace(series_id="3", series_description="B1map", image_type=("ORIGINAL", "PRIMARY", "M", "ND")),
        Namespace(series_id="4", series_description="B1map", image_type=("DERIVED", "PRIMARY", "FLIP ANGLE MAP", "ND")),
    ]
    found = names["infotodict"](series)  # type: ignore[operator]
    assert {key[0].rpartition("_acq-")[2]: ids for key, ids in found.items()} == {
        "pcbssfp_flip-1_part-mag_VFA": ["1"],
        "pcbssfp_flip-1_part-phase_VFA": ["2"],
        "anat_TB1TFL": ["3"],
        "famp_TB1TFL": ["4"],
    }


def test_items_of_bidscoin_match_their_series_alone():
    items = yaml.safe_load(code("yaml", holding="pcbssfp"))
    series = {
        ("sag_pcbssfp", "['ORIGINAL', 'PRIMARY', 'M', 'ND']"): ("anat", "mag", "VFA"),
        ("sag_pcbssfp", "['ORIGINAL', 'PRIMARY', 'P', 'ND']"): ("anat", "phase", "VFA"),
        ("tra_B1map", "['ORIGINAL', 'PRIMARY', 'M', 'ND']"): ("fmap", "anat", "TB1TFL"),
        ("tra_B1map", "['DERIVED', 'PRIMARY', 'FLIP ANGLE MAP', 'ND']"): ("fmap", "famp", "TB1TFL"),
    }
    for (description, image_type), expected in series.items():
        matching = [
            (datatype, item["bids"].get("part", item["bids"]["acq"]), item["bids"]["suffix"])
            for datatype, entries in items.items()
            for item in entries
            if re.fullmatch(item["attributes"]["SeriesDescription"], description)
            and re.fullmatch(item["attributes"]["ImageType"], image_type)
        ]
        assert matching == [expected]
