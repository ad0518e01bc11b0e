"""A simulated dataset, taken apart into what a converter leaves, becomes a dataset whose runs are found again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from converted_series import meaning, stated

from qmri_bids.cli.run import main
from qmri_bids.importing.run import import_folder
from qmri_bids.phantom.dataset import simulate_dataset

OF_BIDS = (
    "PulseSequenceType",
    "PulseSequenceDetails",
    "RepetitionTimeExcitation",
    "RFPhaseIncrement",
    "RFPhaseIncrementReference",
)
OF_BIDS += ("NumberOfDummyTRs", "MTState", "Units", "Description", "InstitutionName")
"""Keys that no converter writes of such a scan."""


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("simulated") / "bids"
    simulate_dataset(root, matrix=(24, 28, 24), voxel_size=8.0, phase_cycles=6, t1w=True)
    return root


def as_converted(source: Path, **more: object) -> dict[str, object]:
    sidecar = stated(source)
    time = sidecar.get("RepetitionTimeExcitation", sidecar.get("RepetitionTimePreparation"))
    return {key: value for key, value in sidecar.items() if key not in OF_BIDS} | {"RepetitionTime": time} | more


@pytest.fixture
def converted(simulated: Path, tmp_path: Path) -> Path:
    """Write each cycle as a magnitude and a phase series, and B1 and T1w, under flat names."""
    folder = tmp_path / "converted"
    folder.mkdir()
    anat, fmap = simulated / "sub-01/anat", simulated / "sub-01/fmap"

    def keep(image: nib.Nifti1Image | Path, stem: str, sidecar: dict[str, object]) -> None:
        if isinstance(image, Path):
            shutil.copy(image, folder / f"{stem}.nii.gz")
        else:
            nib.save(image, folder / f"{stem}.nii.gz")
        (folder / f"{stem}.json").write_text(json.dumps(sidecar))

    for part, code, end in (("mag", "M", ""), ("phase", "P", "_ph")):
        path = anat / f"sub-01_acq-pcbssfp_flip-1_part-{part}_VFA.nii.gz"
        series = nib.load(path)
        stored = np.asarray(series.dataobj.get_unscaled())
        for place, degrees in enumerate(stated(path)["RFPhaseIncrement"]):
            header = series.header.copy()
            header.set_data_shape(stored.shape[:3])
            volume = nib.Nifti1Image(stored[..., place], series.affine, header)
            volume.header.set_slope_inter(series.dataobj.slope, series.dataobj.inter)
            # The scanner does not number the series in the order of the increments.
            number = 40 - 2 * place + (code == "P")
            more = {"SequenceName": "tfi3d1", "SeriesDescription": f"pcbssfp_pc{degrees:03.0f}", "SeriesNumber": number}
            keep(
                volume,
                f"20250101_pcbssfp_pc{degrees:03.0f}_{number}{end}",
                as_converted(path, **more, ImageType=["ORIGINAL", "PRIMARY", code]),
            )
    for role, number in (("anat", 3), ("famp", 4)):
        path = fmap / f"sub-01_acq-{role}_TB1TFL.nii.gz"
        kind = ["DERIVED", "PRIMARY", "FLIP ANGLE MAP"] if role == "famp" else ["ORIGINAL", "PRIMARY", "M"]
        more = {"PulseSequenceDetails": "%SiemensSeq%\\tfl_b1map", "SeriesDescription": "B1", "SeriesNumber": number}
        keep(path, f"20250101_B1_{number}", as_converted(path, **more, ImageType=kind))
    keep(
        anat / "sub-01_T1w.nii.gz",
        "20250101_head_2",
        as_converted(anat / "sub-01_T1w.nii.gz", SeriesDescription="head"),
    )
    return folder


def test_runs_are_found_again(
    simulated: Path, converted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bids = tmp_path / "bids"
    done = import_folder(converted, bids)
    assert done.exit_code == 0, [row.note for row in done.rows]
    names = {path.relative_to(simulated).as_posix() for path in simulated.glob("sub-01/*/*.nii.gz")}
    assert {path.relative_to(bids).as_posix() for path in bids.rglob("*.nii.gz")} == names
    for name in names:
        np.testing.assert_array_equal(meaning(bids / name), meaning(simulated / name))
        np.testing.assert_allclose(nib.load(bids / name).affine, nib.load(simulated / name).affine, atol=1e-6)
    for part in ("mag", "phase"):
        name = f"sub-01/anat/sub-01_acq-pcbssfp_flip-1_part-{part}_VFA.nii.gz"
        before, after = stated(simulated / name), stated(bids / name)
        for key in ("RFPhaseIncrement", "FlipAngle", "RepetitionTimeExcitation", "EchoTime"):
            assert after[key] == before[key], key
    arguments = [str(bids), str(tmp_path / "out"), "participant", "--dry-run", "-w", str(tmp_path / "work")]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert "acq-pcbssfp" in said
    assert "TB1TFL" in said
