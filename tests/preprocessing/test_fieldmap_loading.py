"""Off-resonance from the phase of two echoes: unwrapped, in Hz, with a standard deviation that holds."""

import nibabel as nib
import numpy as np
import pytest

from qmri_bids.preprocessing.loading.fieldmaps import load_field_map, load_phase_map

TIMES = (0.005, 0.0075)
NOISE = 0.02


@pytest.fixture(scope="module")
def head():
    """Field of ±300 Hz, 1.5 turns of the phase difference, and the head."""
    x, y, z = np.meshgrid(*(np.linspace(-1.3, 1.3, 24),) * 3, indexing="ij")
    return (300.0 * x).astype(np.float32), x**2 + y**2 + z**2 < 1.0


def save(path, values):
    nib.save(nib.Nifti1Image(values.astype(np.float32), np.diag([4.0, 4.0, 4.0, 1.0])), path)
    return path


def echoes(field, inside):
    rng = np.random.default_rng(0)
    noise = [rng.standard_normal(field.shape) + 1j * rng.standard_normal(field.shape) for _ in TIMES]
    offset = np.exp(1j * 0.7 * field / 100.0)
    return [
        inside * offset * np.exp(2j * np.pi * field * time) + NOISE * each
        for time, each in zip(TIMES, noise, strict=True)
    ]


@pytest.mark.parametrize("stored", ["two phases", "phase difference"])
def test_phases_become_a_field_in_hertz(tmp_path, head, stored):
    field, inside = head
    first, second = echoes(field, inside)
    magnitude = save(tmp_path / "magnitude1.nii", np.abs(first))
    if stored == "two phases":
        phases = tuple(save(tmp_path / f"phase{n}.nii", np.angle(e)) for n, e in enumerate((first, second), start=1))
        units = "rad"
    else:
        difference = np.angle(second * first.conj())
        difference.flat[:2] = -np.pi, np.pi
        phases = (save(tmp_path / "phasediff.nii", np.rint(difference / np.pi * 4096).clip(-4096, 4095)),)
        units = "arbitrary"
    found = load_phase_map(phases=phases, units=units, echo_times=TIMES, magnitude=magnitude)
    core = inside & np.isfinite(found.maps["off_resonance"])
    error = (found.maps["off_resonance"] - field)[core]
    assert np.median(np.abs(error)) < 2.0
    score = error / found.maps["off_resonance_stdev"][core]
    assert np.mean(np.abs(error) > 200.0) < 0.005  # voxels on another turn
    assert 1.4826 * np.median(np.abs(score)) == pytest.approx(1.0, abs=0.1)
    assert core.sum() > 0.95 * inside.sum()
    assert any("unwrapped in space" in sentence for sentence in found.decisions)


def test_a_map_in_other_units_is_converted_and_an_empty_one_refused(tmp_path):
    path = save(tmp_path / "fieldmap.nii", np.full((4, 4, 4), 2.0 * np.pi))
    found = load_field_map(path, hertz=1.0 / (2.0 * np.pi))
    np.testing.assert_allclose(found.maps["off_resonance"], 1.0, rtol=1e-6)
    assert "converted to Hz" in found.decisions[0]
    assert load_field_map(path, hertz=1.0).decisions == ()
    with pytest.raises(ValueError, match="no value in it"):
        load_field_map(save(tmp_path / "none.nii", np.full((4, 4, 4), np.nan)), hertz=1.0)
