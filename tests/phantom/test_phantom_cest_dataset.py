"""CEST and MT scans of the simulated dataset: files, poses, truth, and what a reader makes of them."""

import json
import math
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import nibabel
import numpy as np
import pandas
import pytest

from qmri_bids.bids.metadata.sidecar import read_sidecar
from qmri_bids.phantom.dataset import simulate_dataset
from qmri_bids.phantom.files.cest import write_cest
from qmri_bids.phantom.heads.geometry import Pose
from qmri_bids.phantom.heads.head import BRAIN_REGIONS
from qmri_bids.phantom.heads.pools import pool_model
from qmri_bids.phantom.heads.tissues import TISSUES, Label
from qmri_bids.phantom.scans.cest import CEST_SCANS, WASABI, SaturationScan
from qmri_bids.phantom.scans.cest_truth import pool_maps
from qmri_bids.phantom.scans.series import drift
from qmri_bids.physics.bloch_mcconnell.compiled import signal_and_jacobian
from qmri_bids.physics.bloch_mcconnell.reference import VoxelParameters
from qmri_bids.physics.wasabi import WasabiProtocol, wasabi_signal
from qmri_bids.scans.cest.find import read_cest_protocol
from qmri_bids.units import ppm_to_hertz

SMALL = {"matrix": (32, 36, 32), "voxel_size": 6.0, "phase_cycles": 4}
ALL = {"mt": ("mtr", "mts"), "wasabi": True}
DESIGNS = (WASABI, *(design for designs in CEST_SCANS.values() for design in designs))


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("phantom") / "scans"
    simulate_dataset(folder, **SMALL, **ALL)
    return folder


def _values(path: Path) -> np.ndarray:
    return np.asanyarray(nibabel.load(path).dataobj)


def _truth(root: Path, name: str) -> np.ndarray:
    return _values(root / "derivatives/truth/sub-01" / name)


def _pure(root: Path, label: str, tissue: str) -> np.ndarray:
    return _truth(root, f"anat/sub-01_acq-{label}_label-{tissue}_probseg.nii.gz") == 1.0


@pytest.mark.parametrize("part", [".", "derivatives/truth"])
def test_the_dataset_is_valid_bids(root, part):
    found = shutil.which("bids-validator-deno", path=str(Path(sys.executable).parent)) or shutil.which(
        "bids-validator-deno"
    )
    assert found, "bids-validator-deno comes with the extra dev"
    done = subprocess.run([found, "--ignoreWarnings", str(root / part)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_other_scans_are_what_they_are_without_these(root, tmp_path):
    simulate_dataset(tmp_path / "plain", **SMALL)
    simulate_dataset(tmp_path / "some", **SMALL, mt=("mtr",))
    for less, differ in (("plain", {"README.md"}), ("some", {"README.md"})):
        files = [path.relative_to(tmp_path / less) for path in (tmp_path / less).rglob("*") if path.is_file()]
        changed = {str(name) for name in files if (tmp_path / less / name).read_bytes() != (root / name).read_bytes()}
        assert changed - {"derivatives/truth/.bidsignore"} == differ
    assert not (tmp_path / "plain/.bidsignore").exists()
    assert (root / ".bidsignore").read_text() == "*_cest.*\n*_cestcontext.*\n"


@pytest.mark.parametrize("design", DESIGNS, ids=lambda design: design.label)
def test_a_reader_rebuilds_the_protocol_from_the_files(tmp_path, design):
    number = design.protocol.number_of_images
    scan = SaturationScan(
        images=np.ones((4, 4, 4, number), dtype=np.float32),
        reference=0,
        poses=(Pose(),) * number,
        reference_pose=Pose(),
        truth=None,
    )
    (image,) = write_cest(tmp_path / "sub-01", "sub-01_", design=design, scan=scan, affine=np.eye(4))
    path = tmp_path / "sub-01" / image
    reading = read_cest_protocol(
        read_sidecar(path, root=tmp_path), path=path, root=tmp_path, number_of_volumes=number, suffix="cest"
    )
    assert reading.warnings == ()
    rebuilt, played = reading.protocol, design.protocol
    assert (rebuilt.start, rebuilt.m0_images) == (played.start, played.m0_images)
    assert [each is None for each in rebuilt.offsets] == [each is None for each in played.offsets]
    assert [each.recovery for each in rebuilt.images] == [each.recovery for each in played.images]
    assert (rebuilt.readout is None) == (played.readout is None)
    # All that is left open is the phase of the carrier in the gaps of locked trains.
    model = pool_model(Label.GM, every_pool=False)
    voxels = VoxelParameters(b1=np.array([0.8, 1.15]), off_resonance=np.array([-20.0, 50.0]))
    theirs, ours = (signal_and_jacobian(model, each, voxels).signal for each in (rebuilt, played))
    np.testing.assert_allclose(theirs, ours, atol=2e-4)


def test_files_of_a_series_fit_each_other(root):
    stem = root / "sub-01/anat/sub-01_acq-WASABI"
    image = nibabel.load(f"{stem}_cest.nii.gz")
    assert image.shape == (32, 36, 32, 32)
    assert image.get_data_dtype() == np.int16
    table = pandas.read_csv(f"{stem}_cestcontext.tsv", sep="\t")
    assert list(table.columns) == ["volume_type", "offset_ppm", "b1_rms", "saturation_duration"]
    assert list(table["volume_type"]) == ["m0scan"] + ["cest"] * 31
    assert table["offset_ppm"][0] == -300.0
    assert set(table["b1_rms"]) == {3.7}
    assert json.loads(Path(f"{stem}_cest.json").read_text())["SaturationDuration"] == 0.005
    on, off = (json.loads((root / f"sub-01/anat/sub-01_acq-MT_mt-{s}_MTR.json").read_text()) for s in ("on", "off"))
    assert (on["MTState"], off["MTState"]) == (True, False)
    assert on["MTOffsetFrequency"] == 2000.0
    assert "MTPulseDuration" not in off


def test_the_head_drifts_within_its_range():
    poses = drift(number=300, motion=0.5, rng=np.random.default_rng(0))
    shifts = np.array([pose.translation for pose in poses])
    turns = np.rad2deg([pose.rotation for pose in poses])
    assert max(np.abs(shifts).max(), np.abs(turns).max()) <= 0.5
    assert np.abs(shifts).max() > 0.4
    assert 0.02 < np.abs(np.diff(shifts, axis=0)).max() <= 0.125
    assert set(drift(number=4, motion=0.0, rng=np.random.default_rng(0))) == {Pose()}
    moved = poses[200].against(poses[0])
    np.testing.assert_allclose(moved.matrix @ poses[0].matrix, poses[200].matrix, atol=1e-12)
    assert poses[3].against(poses[3]) == Pose()


def test_poses_count_from_the_first_image_that_normalises(root):
    stem = root / "derivatives/truth/sub-01/anat/sub-01_acq-WASABI"
    poses = pandas.read_csv(f"{stem}_desc-poses_timeseries.tsv", sep="\t").to_numpy()
    assert poses.shape == (32, 6)
    assert np.all(poses[0] == 0.0)
    assert np.all(np.abs(poses[1:]).max(axis=1) > 0.0)
    session = pandas.read_csv(f"{stem}_desc-session_timeseries.tsv", sep="\t").to_numpy()
    assert session.shape == (1, 6)
    assert 0.1 < np.abs(session).max() <= 0.5


def test_wasabi_images_show_the_true_fields(root):
    # Both fields are steep near the sinuses: the middle half of pure voxels counts.
    images = _values(root / "sub-01/anat/sub-01_acq-WASABI_cest.nii.gz").astype(float)
    white = _pure(root, "WASABI", "WM")
    offsets = [ppm_to_hertz(offset, 3.0) for offset in WASABI.protocol.offsets[1:]]
    field = _truth(root, "fmap/sub-01_acq-WASABI_fieldmap.nii.gz")[white]
    b1 = _truth(root, "fmap/sub-01_acq-WASABI_TB1map.nii.gz")[white] / 100.0
    expected = wasabi_signal(field, b1, c=0.95, d=1.85, protocol=WasabiProtocol(offsets=tuple(offsets)))
    found = images[white, 1:] / images[white, :1]
    correlation = [np.corrcoef(one, other)[0, 1] for one, other in zip(found, expected, strict=True)]
    assert np.median(correlation) > 0.99


def test_noise_and_level_are_those_asked_for(root):
    images = _values(root / "sub-01/anat/sub-01_acq-WASABI_cest.nii.gz").astype(float)
    level = TISSUES[Label.GM].m0 * math.sin(math.radians(6.0))
    corner = images[:5, :5, :5]
    # Magnitudes of noise alone follow Rayleigh's distribution.
    assert corner.mean() == pytest.approx(level / 100.0 * math.sqrt(math.pi / 2.0), rel=0.1)
    b1 = _truth(root, "fmap/sub-01_acq-WASABI_TB1map.nii.gz") / 100.0
    grey = _pure(root, "WASABI", "GM")
    assert np.median(images[grey, 0] / np.sin(math.radians(6.0) * b1[grey])) == pytest.approx(0.80, rel=0.05)


def test_truth_holds_the_pools(root):
    for pool, unit in (("MT", 0.112), ("amide", 0.0019)):
        stem = f"anat/sub-01_acq-WASABI_desc-{pool}"
        fraction, rate = (_truth(root, f"{stem}_{kind}.nii.gz") for kind in ("fractionmap", "exchangemap"))
        white, fluid = _pure(root, "WASABI", "WM"), _pure(root, "WASABI", "CSF")
        np.testing.assert_allclose(fraction[white], unit, rtol=1e-6)
        np.testing.assert_allclose(rate[white], {"MT": 29.0, "amide": 162.0}[pool], rtol=1e-6)
        np.testing.assert_array_equal(fraction[fluid], 0.0)
        assert np.all(np.isnan(rate[fluid]))
        assert np.all(np.isnan(fraction[0, 0]))


def test_mixed_voxels_weight_pools_by_m0():
    shares = {Label.GM: 0.0, Label.WM: 0.5, Label.CSF: 0.5}
    half = SimpleNamespace(
        regions=BRAIN_REGIONS,
        brain=np.ones((1, 1, 1), dtype=bool),
        fractions={label: np.full((1, 1, 1), share) for label, share in shares.items()},
    )
    fraction, rate = pool_maps(half, pool="MT")
    assert fraction.item() == pytest.approx(0.112 * 0.7 / 1.7)
    assert rate.item() == pytest.approx(29.0)


def test_mt_maps_without_noise_are_those_of_the_head(root):
    ratio = _truth(root, "anat/sub-01_acq-MT_desc-noisefree_MTRmap.nii.gz")
    white, grey = (np.median(ratio[_pure(root, "MT", tissue)]) for tissue in ("WM", "GM"))
    assert 40.0 < grey < white < 60.0
    on, off = (_values(root / f"sub-01/anat/sub-01_acq-MT_mt-{s}_MTR.nii.gz") for s in ("on", "off"))
    pure = _pure(root, "MT", "WM")
    assert np.median(100.0 * (1.0 - on[pure] / off[pure])) == pytest.approx(white, abs=1.5)
    saturation = _truth(root, "anat/sub-01_acq-MTS_desc-noisefree_MTsat.nii.gz")
    white, grey = (np.median(saturation[_pure(root, "MTS", tissue)]) for tissue in ("WM", "GM"))
    assert 1.5 < grey < white < 6.0
    assert np.all(np.isnan(saturation[0]))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"cest": ("apt",)}, r"cest must name each of mrf, aptw, zspectrum at most once, found \['apt'\]"),
        ({"mt": ("mtr", "mtr")}, r"mt must name each of mtr, mts at most once, found \['mtr', 'mtr'\]"),
        ({"cest_snr": 0.0}, "cest_snr must be above 0, found 0.0"),
    ],
)
def test_scans_that_are_not_known_are_refused_before_anything_is_written(tmp_path, setting, message):
    with pytest.raises(ValueError, match=message):
        simulate_dataset(tmp_path / "out", **SMALL, **setting)
    assert list(tmp_path.iterdir()) == []
