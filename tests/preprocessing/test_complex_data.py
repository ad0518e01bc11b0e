import nibabel
import numpy as np
import pytest

from qmri_bids.preprocessing.complex_data import load_cycles, phase_to_radians

AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])


@pytest.fixture
def truth():
    rng = np.random.default_rng(0)
    return (rng.standard_normal((5, 6, 7, 4)) + 1j * rng.standard_normal((5, 6, 7, 4))).astype(np.complex64)


def write(path, data, *, slope=None, inter=None, affine=AFFINE):
    image = nibabel.Nifti1Image(data, affine)
    if slope is not None:
        image.header.set_slope_inter(slope, inter)
    nibabel.save(image, path)
    return path


@pytest.mark.parametrize(
    ("units", "stored", "name"),
    [
        ("rad", lambda angle: angle, "radians"),
        ("rad", lambda angle: angle % (2 * np.pi), "radians"),
        ("arbitrary", lambda angle: angle, "radians"),
        ("arbitrary", lambda angle: np.round(2048 + angle * 2048 / np.pi).clip(0, 4095), "Siemens 0..4095"),
        ("arbitrary", lambda angle: np.round(angle * 4096 / np.pi).clip(-4096, 4095), "Siemens -4096..4095"),
        ("arbitrary", lambda angle: np.round(1000 * angle), "milliradians"),
        ("arbitrary", lambda angle: 500 * angle, "Philips"),
        ("arbitrary", lambda angle: np.degrees(angle), "degrees -180"),
        ("arbitrary", lambda angle: np.degrees(angle) % 360.0, "degrees 0"),
        ("arbitrary", lambda angle: np.round(angle / np.pi * 32768).clip(-32768, 32767), "all of 16 bits"),
    ],
)
def test_every_vendor_scale_gives_the_same_angle(units, stored, name):
    angle = np.linspace(-np.pi, np.pi, 10001)[:-1]
    radians, decision = phase_to_radians(stored(angle), units=units)
    assert np.abs(np.angle(np.exp(1j * (radians - angle)))).max() < 2e-3
    assert np.abs(radians).max() <= np.pi + 2e-3
    assert name in decision


@pytest.mark.parametrize(
    ("values", "units", "message"),
    [
        ([-250.0, 250.0], "arbitrary", "values from -250 to 250; expected one of: radians, Siemens"),
        ([-4096.0, 4094.0], "rad", "Units: rad.*values from -4096 to 4094; expected one of: radians;"),
        ([0.0, 0.0], "rad", "constant"),
        ([0.0, np.nan], "rad", "not finite"),
        ([0.0, 1.0], "degrees", "'rad' or 'arbitrary', found 'degrees'"),
    ],
)
def test_a_phase_of_no_known_scale_is_refused(values, units, message):
    with pytest.raises(ValueError, match=message):
        phase_to_radians(np.array(values), units=units)


def test_magnitude_and_rescaled_phase_make_the_complex_cycles(tmp_path, truth):
    magnitude = write(tmp_path / "mag.nii.gz", np.abs(truth))
    # As converted from Siemens: 0..4095 stored, slope 2, intercept -4096.
    stored = np.round((np.angle(truth) / np.pi * 4096 + 4096) / 2).clip(0, 4095).astype(np.int16)
    stored.flat[:2] = (0, 4095)
    phase = write(tmp_path / "phase.nii.gz", stored, slope=2.0, inter=-4096.0)
    series = load_cycles(magnitude=(magnitude,), phase=(phase,), phase_units="arbitrary")
    assert series.cycles.dtype == np.complex64
    assert series.has_phase
    assert np.abs(series.cycles - truth).ravel()[2:].max() < 2e-3 * np.abs(truth).max()
    assert "Siemens -4096..4095" in series.decisions[0]
    np.testing.assert_allclose(series.affine, AFFINE)


def test_one_file_for_each_cycle_equals_one_file(tmp_path, truth):
    real = tuple(write(tmp_path / f"re{j}.nii", truth[..., j].real.copy()) for j in range(4))
    imaginary = (write(tmp_path / "im.nii", truth.imag.copy()),)
    series = load_cycles(real=real, imaginary=imaginary)
    np.testing.assert_array_equal(series.cycles, truth)


def test_complex_files_and_magnitude_alone(tmp_path, truth):
    series = load_cycles(complex_=(write(tmp_path / "c.nii.gz", truth),))
    np.testing.assert_array_equal(series.cycles, truth)
    alone = load_cycles(magnitude=(write(tmp_path / "m.nii.gz", np.abs(truth)),))
    np.testing.assert_array_equal(alone.cycles, np.abs(truth))
    assert not alone.has_phase
    assert "phase is not known" in alone.decisions[0]


def test_refusals_name_the_file(tmp_path, truth):
    magnitude = write(tmp_path / "mag.nii", np.abs(truth))
    phase = write(tmp_path / "phase.nii", np.angle(truth))
    with pytest.raises(ValueError, match=r"phase\.nii: the sidecar has no key Units"):
        load_cycles(magnitude=(magnitude,), phase=(phase,))
    with pytest.raises(ValueError, match="found phase"):
        load_cycles(phase=(phase,), phase_units="rad")
    short = write(tmp_path / "short.nii", np.angle(truth[..., :3]))
    with pytest.raises(
        ValueError, match=r"short\.nii: expected the grid of .*mag\.nii, found the shape .* not \(5, 6, 7, 4\)"
    ):
        load_cycles(magnitude=(magnitude,), phase=(short,), phase_units="rad")
    moved = write(tmp_path / "moved.nii", np.angle(truth), affine=2 * AFFINE)
    with pytest.raises(ValueError, match=r"moved\.nii: expected the grid of .*mag\.nii, found another"):
        load_cycles(magnitude=(magnitude,), phase=(moved,), phase_units="rad")
    single = write(tmp_path / "single.nii", np.abs(truth[..., 0]))
    with pytest.raises(ValueError, match=r"single\.nii: expected 4 dimensions"):
        load_cycles(magnitude=(single,))
    (tmp_path / "empty.nii").touch()
    with pytest.raises(ValueError, match=r"empty\.nii: cannot be read"):
        load_cycles(magnitude=(tmp_path / "empty.nii",))
    with pytest.raises(ValueError, match=r"mag\.nii: expected values of type complex64, found real"):
        load_cycles(complex_=(magnitude,))
