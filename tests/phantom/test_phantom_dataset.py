"""The simulated dataset as a user and the validator see it."""

import shutil
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pandas
import pytest

from qmri_bids.phantom.dataset import OutputFolderNotEmpty, simulate_dataset
from qmri_bids.phantom.heads.geometry import FieldOfViewTooSmall

SMALL = {"matrix": (32, 36, 32), "voxel_size": 6.0, "phase_cycles": 4}


@pytest.fixture(scope="module")
def datasets(tmp_path_factory) -> dict[str, Path]:
    """Every layout once, the same head and noise in all but the sessions."""
    root = tmp_path_factory.mktemp("phantom")
    settings = {
        "mag-phase": {},
        "real-imag": {"sessions": 2},
        "complex": {"b1": "TB1map"},
        "split": {"b1": "none"},
    }
    for layout, others in settings.items():
        simulate_dataset(root / layout, layout=layout, **SMALL, **others)
    return {layout: root / layout for layout in settings}


def _validator() -> str:
    found = shutil.which("bids-validator-deno", path=str(Path(sys.executable).parent)) or shutil.which(
        "bids-validator-deno"
    )
    assert found, "bids-validator-deno comes with the extra dev"
    return found


@pytest.mark.parametrize("layout", ["mag-phase", "real-imag", "complex", "split"])
@pytest.mark.parametrize("part", [".", "derivatives/truth"])
def test_datasets_are_valid_bids(datasets, layout, part):
    done = subprocess.run(
        [_validator(), "--ignoreWarnings", str(datasets[layout] / part)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _values(path: Path) -> np.ndarray:
    return np.asanyarray(nibabel.load(path).dataobj)


def _mag_phase(folder: Path, stem: str) -> np.ndarray:
    magnitude = _values(folder / f"{stem}_flip-1_part-mag_VFA.nii.gz")
    return magnitude * np.exp(1j * np.pi / 4096.0 * _values(folder / f"{stem}_flip-1_part-phase_VFA.nii.gz"))


def test_layouts_hold_the_same_scan(datasets):
    whole = _values(datasets["complex"] / "sub-01/anat/sub-01_acq-pcbssfp_flip-1_VFA.nii.gz")
    assert whole.dtype == np.complex64
    parts = _mag_phase(datasets["mag-phase"] / "sub-01/anat", "sub-01_acq-pcbssfp")
    split = [
        _mag_phase(datasets["split"] / "sub-01/anat", f"sub-01_acq-pcbssfpPC{label}")
        for label in ("045", "135", "225", "315")
    ]
    np.testing.assert_allclose(parts, whole, atol=2e-3 * np.abs(whole).max())
    np.testing.assert_allclose(np.stack(split, axis=-1), whole, atol=2e-3 * np.abs(whole).max())


def test_files_have_the_types_of_a_scanner(datasets):
    folder = datasets["mag-phase"] / "sub-01"
    magnitude = nibabel.load(folder / "anat/sub-01_acq-pcbssfp_flip-1_part-mag_VFA.nii.gz")
    phase = nibabel.load(folder / "anat/sub-01_acq-pcbssfp_flip-1_part-phase_VFA.nii.gz")
    assert magnitude.shape == (32, 36, 32, 4)
    assert magnitude.get_data_dtype() == phase.get_data_dtype() == np.int16
    assert (phase.dataobj.slope, phase.dataobj.inter) == (2.0, -4096.0)
    stored = phase.dataobj.get_unscaled()
    assert (stored.min(), stored.max()) == (0, 4095)
    assert magnitude.dataobj.get_unscaled().max() == 32767
    for image in (magnitude, phase):
        assert image.header["sform_code"] == image.header["qform_code"] == 1
        assert nibabel.aff2axcodes(image.affine) == ("R", "A", "S")
    famp = nibabel.load(folder / "fmap/sub-01_acq-famp_TB1TFL.nii.gz")
    assert famp.get_data_dtype() == np.int16
    values = _values(folder / "fmap/sub-01_acq-famp_TB1TFL.nii.gz")
    assert 700 < np.median(values[values > 0]) < 900
    assert np.all(np.sqrt((famp.affine[:3, :3] ** 2).sum(axis=0)) > 6.0)
    percent = _values(datasets["complex"] / "sub-01/fmap/sub-01_TB1map.nii.gz")
    assert 80.0 < np.median(percent[percent > 0]) < 120.0


def test_truth_lies_on_the_grid_of_the_scan_and_agrees_with_itself(datasets):
    root = datasets["mag-phase"]
    raw = nibabel.load(root / "sub-01/anat/sub-01_acq-pcbssfp_flip-1_part-mag_VFA.nii.gz")
    stem = root / "derivatives/truth/sub-01/anat/sub-01_acq-pcbssfp"
    brain = _values(Path(f"{stem}_desc-brain_mask.nii.gz")) > 0
    shares = [_values(Path(f"{stem}_label-{name}_probseg.nii.gz")) for name in ("GM", "WM", "CSF")]
    segmentation = _values(Path(f"{stem}_dseg.nii.gz"))
    t1 = _values(Path(f"{stem}_T1map.nii.gz"))
    np.testing.assert_allclose(nibabel.load(f"{stem}_T1map.nii.gz").affine, raw.affine)
    assert t1.shape == raw.shape[:3]
    np.testing.assert_array_equal(brain, sum(shares) >= 0.5)
    np.testing.assert_array_equal(segmentation[brain], np.argmax(shares, axis=0)[brain] + 1)
    np.testing.assert_array_equal(np.isfinite(t1), sum(shares) > 0.0)
    assert 0.85 < np.median(t1[shares[1] == 1.0]) < 1.05
    table = pandas.read_csv(f"{stem}_dseg.tsv", sep="\t")
    assert list(table["abbreviation"]) == ["GM", "WM", "CSF"]
    # Between 1.1 and 1.6 litres of brain and fluid.
    assert 1.1e6 < np.count_nonzero(brain) * 6.0**3 < 1.6e6


def test_the_reference_cycle_is_in_the_space_of_the_truth(tmp_path):
    simulate_dataset(tmp_path / "moved", **{**SMALL, "matrix": (40, 44, 40)}, motion=6.0, snr=200.0)
    stem = tmp_path / "moved/derivatives/truth/sub-01/anat/sub-01_acq-pcbssfp"
    poses = pandas.read_csv(f"{stem}_desc-poses_timeseries.tsv", sep="\t")
    assert list(poses["rf_phase_increment"]) == [45, 135, 225, 315]
    assert np.all(poses.iloc[2, :6] == 0.0)
    assert np.all(np.abs(poses.iloc[[0, 1, 3], :6]).max(axis=1) > 1.0)
    magnitude = _values(tmp_path / "moved/sub-01/anat/sub-01_acq-pcbssfp_flip-1_part-mag_VFA.nii.gz")
    head = np.isfinite(_values(Path(f"{stem}_T1map.nii.gz").parents[1] / "fmap/sub-01_acq-pcbssfp_fieldmap.nii.gz"))

    def overlap(cycle: int) -> float:
        bright = magnitude[..., cycle] > 0.02
        return 2.0 * np.count_nonzero(bright & head) / (np.count_nonzero(bright) + np.count_nonzero(head))

    overlaps = [overlap(cycle) for cycle in range(4)]
    assert int(np.argmax(overlaps)) == 2


def test_sessions_share_the_head_but_not_the_noise(datasets):
    truth = datasets["real-imag"] / "derivatives/truth/sub-01"
    values = [_values(truth / f"ses-{n}/anat/sub-01_ses-{n}_acq-pcbssfp_label-WM_probseg.nii.gz").sum() for n in (1, 2)]
    assert values[0] == pytest.approx(values[1], rel=0.02)
    scans = [
        _values(datasets["real-imag"] / f"sub-01/ses-{n}/anat/sub-01_ses-{n}_acq-pcbssfp_flip-1_part-real_VFA.nii.gz")
        for n in (1, 2)
    ]
    assert not np.allclose(*scans)


def test_runs_share_the_head_and_the_voxels_but_not_pose_and_noise(datasets, tmp_path):
    simulate_dataset(tmp_path / "bids", **SMALL, runs=2, threads=1)
    anat = tmp_path / "bids" / "sub-01" / "anat"
    first, second = (anat / f"sub-01_acq-pcbssfp_run-{n}_flip-1_part-mag_VFA.nii.gz" for n in (1, 2))
    alone = datasets["mag-phase"] / "sub-01/anat/sub-01_acq-pcbssfp_flip-1_part-mag_VFA.nii.gz"
    assert first.read_bytes() == alone.read_bytes()
    assert not np.allclose(_values(first), _values(second))
    np.testing.assert_array_equal(nibabel.load(first).affine, nibabel.load(second).affine)
    truth = tmp_path / "bids" / "derivatives" / "truth" / "sub-01" / "anat"
    white = [_values(truth / f"sub-01_acq-pcbssfp_run-{n}_label-WM_probseg.nii.gz") for n in (1, 2)]
    assert white[0].sum() == pytest.approx(white[1].sum(), rel=0.02)
    assert not np.allclose(*white)
    assert len(list((tmp_path / "bids" / "sub-01" / "fmap").glob("*acq-famp*.nii.gz"))) == 1


def test_a_seed_repeats_every_byte(datasets, tmp_path):
    simulate_dataset(tmp_path / "again", **SMALL, threads=1)
    first, second = datasets["mag-phase"], tmp_path / "again"
    names = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
    assert names == sorted(path.relative_to(second) for path in second.rglob("*") if path.is_file())
    assert [name for name in names if (first / name).read_bytes() != (second / name).read_bytes()] == []


def test_a_folder_with_files_is_refused_and_kept(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OutputFolderNotEmpty, match=r"expected a folder that is absent or empty, found one with files"):
        simulate_dataset(tmp_path, **SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_an_existing_empty_folder_is_filled(tmp_path):
    (tmp_path / "mount").mkdir()
    simulate_dataset(tmp_path / "mount", **SMALL, b1="none")
    assert sorted(path.name for path in (tmp_path / "mount").iterdir()) == [
        "README.md",
        "dataset_description.json",
        "derivatives",
        "participants.json",
        "participants.tsv",
        "sub-01",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["mount"]


@pytest.mark.parametrize("exists", [True, False])
def test_a_failure_leaves_nothing_behind(tmp_path, exists):
    target = tmp_path / "out"
    if exists:
        target.mkdir()
    with pytest.raises(FieldOfViewTooSmall):
        simulate_dataset(target, matrix=(16, 16, 16), voxel_size=6.0)
    assert target.exists() is exists
    assert list(tmp_path.rglob("*")) == ([target] if exists else [])


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"subjects": 0}, "subjects must be 1 or more, found 0"),
        ({"layout": "polar"}, "layout must be one of mag-phase, real-imag, complex, split, found 'polar'"),
        ({"b1": "AFI"}, "b1 must be one of TB1TFL, TB1RFM, TB1DAM, TB1AFI, TB1map, none, found 'AFI'"),
        ({"snr": 0.0}, "snr must be above 0"),
        ({"motion": -1.0}, "motion must lie in"),
        ({"voxel_size": 0.002}, "voxel_size must lie in .* mm, found 0.002"),
        ({"phase_cycles": 2}, "at least 3 cycles"),
    ],
)
def test_settings_without_meaning_are_refused_before_anything_is_written(tmp_path, setting, message):
    with pytest.raises(ValueError, match=message):
        simulate_dataset(tmp_path / "out", **setting)
    assert list(tmp_path.iterdir()) == []
