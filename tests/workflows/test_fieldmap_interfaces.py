"""Field maps between nodes: read in Hz, and that of a bSSFP scan made continuous."""

from pathlib import Path

import nibabel as nib
import numpy as np

from qmri_bids.pipeline.maps.nodes import UnwrapOffResonance
from qmri_bids.pipeline.sources import Fieldmap
from qmri_bids.scans.fieldmap.nodes import LoadFieldmap

PERIOD = 200.0


def test_the_field_of_a_bssfp_scan_becomes_continuous(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    ramp = np.linspace(-150.0, 150.0, 31).reshape(31, 1, 1) * np.ones((31, 4, 4))
    wrapped = ((ramp + 100.0) % PERIOD - 100.0).astype(np.float32)
    wrapped[0, 0, 0] = np.nan
    np.savez(tmp_path / "estimate.npz", off_resonance=wrapped, off_resonance_period=PERIOD)
    found = UnwrapOffResonance(maps=str(tmp_path / "estimate.npz")).run(cwd=str(tmp_path))
    field = np.load(found.outputs.maps)["off_resonance"]
    np.testing.assert_allclose(field[1:], ramp[1:], atol=1e-3)
    assert np.isnan(field[0, 0, 0])
    assert "unwrapped in space" in found.outputs.decisions[0]
    np.savez(tmp_path / "estimate.npz", off_resonance=np.full((4, 4, 4), np.nan), off_resonance_period=PERIOD)
    empty = UnwrapOffResonance(maps=str(tmp_path / "estimate.npz")).run(cwd=str(tmp_path))
    assert np.isnan(np.load(empty.outputs.maps)["off_resonance"]).all()
    assert "was not unwrapped" in empty.outputs.decisions[0]


def test_a_field_map_is_loaded_with_its_image(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in (("fieldmap", 2.0 * np.pi), ("magnitude", 3.0)):
        nib.save(nib.Nifti1Image(np.full((4, 5, 6), value, dtype=np.float32), np.eye(4)), tmp_path / f"{name}.nii")
    (tmp_path / "node").mkdir()
    scan = Fieldmap(path=tmp_path / "fieldmap.nii", magnitude=tmp_path / "magnitude.nii", hertz=0.5 / np.pi)
    found = LoadFieldmap(fieldmap=scan).run(cwd=str(tmp_path / "node"))
    np.testing.assert_allclose(np.load(found.outputs.maps)["off_resonance"], 1.0, rtol=1e-6)
    np.testing.assert_allclose(nib.load(found.outputs.magnitude).get_fdata(), 3.0)
    alone = LoadFieldmap(fieldmap=Fieldmap(path=tmp_path / "fieldmap.nii")).run(cwd=str(tmp_path / "node"))
    assert any("placed by the coordinates of the scanner" in sentence for sentence in alone.outputs.decisions)
