"""Templates as TemplateFlow keeps them on disk: found by their names, never fetched, and said how to get where they are missing."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from qmri_bids.bids.anatomy.spaces import Atlas, available_spaces, check_spaces, check_templates, find_templates
from qmri_bids.bids.anatomy.templates import (
    available_templates,
    find_template,
    how_to_get,
    parse_label,
    templates_home,
)
from qmri_bids.bids.layout import BidsInputError

NAME = "MNI152NLin2009cAsym"


def add(home: Path, name: str, *, cohort: str = "", empty: bool = False) -> Path:
    folder = home / name.split("_")[0] / (f"cohort-{cohort}" if cohort else "")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.nii.gz"
    if empty:
        path.touch()
    else:
        nib.save(nib.Nifti1Image(np.ones((2, 2, 2), dtype=np.uint8), np.eye(4)), path)
    return path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "templateflow"
    for res in ("01", "02"):
        for what in ("T1w", "desc-brain_mask", "desc-brain_T1w", "label-GM_probseg"):
            add(folder, f"tpl-{NAME}_res-{res}_{what}")
    (folder / f"tpl-{NAME}" / "template_description.json").write_text(json.dumps({"Name": "ICBM 152 2009c"}))
    for what in ("T1w", "desc-brain_mask"):
        add(folder, f"tpl-MNIPediatricAsym_cohort-3_res-1_{what}", cohort="3")
        add(folder, f"tpl-UNCInfant_cohort-1_{what}", cohort="1")
    add(folder, "tpl-OASIS30ANTs_res-01_T1w", empty=True)
    add(folder, "tpl-OASIS30ANTs_res-01_desc-brain_mask", empty=True)
    add(folder, "tpl-MNI305_T1w")
    (folder / "README.md").touch()
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(folder))
    monkeypatch.setattr(socket, "socket", None)  # nothing is asked of a network
    return folder


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("T1w", "T1w"),
        (NAME, NAME),
        (f"{NAME}:res-02", f"{NAME}:res-2"),
        ("MNIPediatricAsym:cohort-3:res-1", "MNIPediatricAsym+3:res-1"),
        ("MNIPediatricAsym:res-1:cohort-3", "MNIPediatricAsym+3:res-1"),
        ("MNIInfant+2", "MNIInfant+2"),
    ],
)
def test_labels_have_one_spelling(text: str, found: str) -> None:
    assert parse_label(text).text == found


@pytest.mark.parametrize(
    "text", ["", "MNI 152", "X:res", "X:res-", "X:den-32k", "X:res-1:res-2", "X+1:cohort-2", "a_b"]
)
def test_a_label_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected the name of a space"):
        parse_label(text)


def test_grids_are_found_by_their_names(home: Path) -> None:
    template = find_template(NAME, home=home)
    assert template.resolutions == ("1", "2")
    assert template.labels == (NAME, f"{NAME}:res-1", f"{NAME}:res-2")
    assert [path.name for path in template.registered] == [
        f"tpl-{NAME}_res-01_T1w.nii.gz",
        f"tpl-{NAME}_res-01_desc-brain_mask.nii.gz",
    ]
    assert template.grid("2") == home / f"tpl-{NAME}" / f"tpl-{NAME}_res-02_T1w.nii.gz"
    assert template.grid("3") is None
    assert template.title == "ICBM 152 2009c"


def test_templates_there_are_those_that_can_be_used(home: Path) -> None:
    assert [each.space for each in available_templates(home)] == [NAME, "MNIPediatricAsym+3", "UNCInfant+1"]
    assert find_template("UNCInfant+1", home=home).labels == ("UNCInfant+1",)
    assert available_templates(home / "nowhere") == ()


def test_home_is_that_of_the_variable_or_of_the_package(home: Path) -> None:
    assert templates_home() == home
    assert templates_home({}) == Path.home() / ".cache" / "templateflow"


@pytest.mark.parametrize(
    ("label", "said"),
    [
        ("OASIS30ANTs", r"names of its files without their content \(such as tpl-OASIS30ANTs_res-01_T1w.nii.gz\)"),
        ("MNI305", "a T1w image of MNI305 without a desc-brain_mask on its grid"),
        (
            "MNI152NLin6Asym:res-2",
            r"(?s)does not hold it.*get\('MNI152NLin6Asym', resolution=2, desc=None, suffix='T1w'\)",
        ),
        ("MNIInfant:cohort-4", r"get\('MNIInfant', cohort='4', resolution=1, desc='brain', suffix='mask'\)"),
        (f"{NAME}:res-4", f"holds {NAME}, {NAME}:res-1, {NAME}:res-2, not {NAME}:res-4"),
    ],
)
def test_what_is_missing_is_said_with_the_way_to_get_it(home: Path, label: str, said: str) -> None:
    asked = parse_label(label)
    with pytest.raises(BidsInputError, match=said) as refusal:
        check_spaces([label], atlas=None, anatomies={"sub-01": None}, templates=find_templates([label]))
    text = str(refusal.value)
    assert text.startswith(f"--output-spaces {asked.text}: sub-01 has native, MNI152NLin2009aSym")
    assert f"templates there: {NAME}, MNIPediatricAsym+3, UNCInfant+1.\nNothing is downloaded here" in text
    assert how_to_get(asked, home=home, template=find_template(asked.space, home=home)) in text


@pytest.mark.parametrize(
    ("label", "said"),
    [
        ("MNI152NLin2009cAsm:res-2", "TemplateFlow has no MNI152NLin2009cAsm: did you mean MNI152NLin2009cAsym"),
        ("mni152nlin6asym", "did you mean MNI152NLin6Asym"),
        ("Paris", "TemplateFlow has no Paris."),
    ],
)
def test_a_name_that_nobody_has_is_refused_at_once_without_a_recipe(home: Path, label: str, said: str) -> None:
    with pytest.raises(BidsInputError) as refusal:
        check_templates([label])
    text = str(refusal.value)
    assert said in text
    assert "pip install" not in text
    assert max(map(len, text.splitlines())) < 260


def test_a_template_that_is_not_on_disk_is_refused_before_images_are_read(home: Path) -> None:
    with pytest.raises(BidsInputError, match="MNI152NLin6Asym needs the template on disk") as refusal:
        check_templates(["T1w", "MNI152NLin6Asym:res-2"])
    assert "\n  pip install templateflow\n" in str(refusal.value)
    check_templates(["native", "T1w", "MNI152NLin2009aSym:res-2", NAME, f"{NAME}:res-2", "MNIPediatricAsym:cohort-3"])


def test_spaces_on_disk_can_be_had_without_any_anatomy(home: Path) -> None:
    wanted = [f"{NAME}:res-02", "MNIPediatricAsym:cohort-3", "native", f"{NAME}:res-2"]
    templates = find_templates(wanted)
    spaces = check_spaces(wanted, atlas=None, anatomies={"sub-01": None}, templates=templates)
    assert spaces == (f"{NAME}:res-2", "MNIPediatricAsym+3")
    assert f"{NAME}:res-1" in available_spaces(None, templates=templates)


def test_an_atlas_may_lie_in_a_template_on_disk(home: Path) -> None:
    atlas = Atlas(path=home / "atlas.nii.gz", name="Mine", space=NAME)
    templates = find_templates(["native"], atlas=atlas)
    assert check_spaces(["native"], atlas=atlas, anatomies={"sub-01": None}, templates=templates) == ()
    with pytest.raises(BidsInputError, match=r"(?s)--atlas atlas\.nii\.gz lies in .*Nothing is downloaded"):
        check_spaces(["native"], atlas=atlas, anatomies={"sub-01": None})


@pytest.mark.parametrize(
    ("head", "mask", "said"),
    [
        (b"no image", None, r"_T1w\.nii\.gz: expected a NIfTI image"),
        (np.ones((4, 4, 4, 2)), None, "expected one volume, found 4 × 4 × 4 × 2"),
        (np.full((4, 4, 4), np.nan), None, "found no value but NaN and 0 in the brain"),
        (None, np.zeros((4, 4, 4)), r"brain_mask\.nii\.gz: expected a mask of the brain"),
        (None, np.ones((2, 2, 2)), r"expected the grid of \S+_T1w\.nii\.gz \(4 × 4 × 4 voxels\), found another"),
        (None, 16, "expected a NIfTI image that can be read to its end"),
    ],
)
def test_a_damaged_template_is_refused_in_words(home: Path, head: object, mask: object, said: str) -> None:
    rng = np.random.default_rng(0)
    for what, content in (("T1w", head), ("desc-brain_mask", mask)):
        path = add(home, f"tpl-Mine_res-01_{what}")
        if isinstance(content, bytes):
            path.write_bytes(content)
            continue
        length = content if isinstance(content, int) else 4
        values = content if isinstance(content, np.ndarray) else rng.random((length,) * 3) + 1.0
        nib.save(nib.Nifti1Image(np.asarray(values, dtype=np.float32), np.eye(4)), path)
        if isinstance(content, int):  # a file that ends too early
            path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(BidsInputError, match=said) as refusal:
        find_templates(["Mine"])
    assert str(refusal.value).startswith("TEMPLATEFLOW_HOME: ")


@pytest.mark.parametrize(
    ("label", "said"),
    [
        ("T1w:res-2", "has the grid of its image"),
        ("native:res-1", "has the grid of its image"),
        ("MNI152NLin2009aSym:res-3", "has the resolutions 1 and 2"),
    ],
)
def test_a_grid_that_a_space_has_not_is_refused(home: Path, label: str, said: str) -> None:
    with pytest.raises(BidsInputError, match=said):
        check_spaces([label], atlas=None, anatomies={"sub-01": None})
