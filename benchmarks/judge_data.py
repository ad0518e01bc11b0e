"""The datasets of the judge: small coarse heads with every scan, and copies of them that lack or break something.

All are made by `qmri-tools simulate` of one tree and changed here with nibabel and numpy alone, so that no module of the package
that moves can change them.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from judge_programs import call, check_tree, write_programs

MAIN = ("--matrix", 32, 36, 32, "--voxel-size", 6, "--phase-cycles", 6, "--snr", 60)
COARSE = ("--matrix", 24, 28, 24, "--voxel-size", 8, "--phase-cycles", 6, "--snr", 60, "--motion", 0.5)
SIMULATED: Mapping[str, tuple[object, ...]] = {
    "head": (*MAIN, "--motion", 1, "--t1w", "--seed", 3),
    "coarse": (*COARSE, "--seed", 1),
    "TB1RFM": (*COARSE, "--b1", "TB1RFM", "--layout", "real-imag", "--seed", 2),
    "TB1DAM": (*COARSE, "--b1", "TB1DAM", "--layout", "complex", "--seed", 3),
    "TB1AFI": (*COARSE, "--b1", "TB1AFI", "--layout", "split", "--seed", 4),
    "TB1map": (*COARSE, "--b1", "TB1map", "--seed", 5),
    "none": (*COARSE, "--b1", "none", "--seed", 6),
    "spheres": ("--phantom", "spheres", "--voxel-size", 8, "--phase-cycles", 6, "--motion", 0, "--seed", 7),
    "whole": (*COARSE, "--t1w", "--cest", "mrf", "aptw", "zspectrum", "--mt", "mtr", "mts", "--wasabi", "--seed", 8),
    "sessions": (*COARSE, "--sessions", 2, "--mt", "mtr", "--seed", 9),
}
"""Datasets as they are simulated, and the options of each."""

FILTERS: Mapping[str, Mapping[str, object]] = {
    "saturation": {"cest": {"acquisition": ["APTw", "WASABI"]}},
    "tissues": {"cest": {"acquisition": ["Zspec", "MRFMT", "MRFamide"]}, "mt": {"acquisition": "none"}},
}
"""Files of `--bids-filter-file`: parts of a session with every scan."""

TEMPLATE = "MNI152NLin6Asym"
TEMPLATE_SHAPE = (24, 28, 24)
TEMPLATE_AFFINE = np.array([[8.0, 0, 0, -92.0], [0, 8.0, 0, -124.0], [0, 0, 8.0, -80.0], [0, 0, 0, 1.0]])
SHIFT = (2.0, -3.0, 4.0)
"""From a position in the T1w image to that in the template [RAS mm]."""
ECHO_TIMES = (4.0e-3, 6.46e-3)
"""Of the phase difference [s]."""

STEM = "sub-{}/anat/sub-{}_acq-pcbssfp_flip-1_part-"


def make_data(tree: Path, data: Path) -> None:
    """Make the datasets with the programs of a tree, whole or not at all; those that are there already stay."""
    if data.is_dir():
        return
    check_tree(tree)
    data.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".judge-data-", dir=data.parent) as temporary:
        new = Path(temporary) / "data"
        new.mkdir()
        programs = Path(temporary) / "programs"
        write_programs(tree, programs)
        for name, options in SIMULATED.items():
            print(f"simulate {name}", flush=True)
            done = call(tree, programs / "qmri-tools", "simulate", new / name, *options, cwd=new)
            if done.returncode:
                raise SystemExit(f"simulate {name}: {done.stderr}")
        gather_subjects(new / "b1", [new / name for name in ("TB1RFM", "TB1DAM", "TB1AFI", "TB1map")])
        make_b0(new)
        make_pools(new)
        make_refused(new)
        write_fmriprep(new / "fmriprep", bids=new / "whole")
        write_atlases(new)
        for name, chosen in FILTERS.items():
            (new / f"{name}.json").write_text(json.dumps(chosen))
        (new / "SOURCE.txt").write_text(f"made by {tree}\n")
        try:
            new.rename(data)
        except OSError:
            if not data.is_dir():  # else another call was faster
                raise


def read(path: Path) -> tuple[np.ndarray, Any]:
    image: Any = nib.load(path)
    return np.asarray(image.dataobj, dtype=np.float32), image


def save(path: Path, voxels: np.ndarray, affine: np.ndarray, **sidecar: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(voxels, affine), path)
    if sidecar:
        path.with_name(path.name.replace(".nii.gz", ".json")).write_text(json.dumps(sidecar))


def copy_root(source: Path, target: Path) -> None:
    """Copy what describes a dataset, and no subject."""
    target.mkdir()
    for path in sorted(source.iterdir()):
        if path.is_file():
            shutil.copy(path, target / path.name)


def copy_subject(source: Path, target: Path, label: str, keep: Callable[[str], bool] = lambda name: True) -> Path:
    """Copy sub-01 of a dataset under another label into another dataset; `keep` chooses by file name."""
    for path in sorted((source / "sub-01").rglob("*")):
        if path.is_file() and keep(path.name):
            name = path.relative_to(source).as_posix().replace("sub-01", f"sub-{label}")
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            if path.suffix in (".json", ".tsv"):
                (target / name).write_text(path.read_text().replace("sub-01", f"sub-{label}"))
            else:
                shutil.copy(path, target / name)
    return target / f"sub-{label}"


def list_participants(root: Path) -> None:
    labels = sorted(path.name for path in root.glob("sub-*"))
    (root / "participants.tsv").write_text(
        "participant_id\tspecies\n" + "".join(f"{each}\tphantom\n" for each in labels)
    )


def gather_subjects(target: Path, sources: list[Path]) -> None:
    """Make one dataset of several, a subject each."""
    copy_root(sources[0], target)
    for number, source in enumerate(sources, start=1):
        copy_subject(source, target, f"{number:02d}")
    list_participants(target)


def make_b0(data: Path) -> None:
    """Z-spectra whose B0 comes from a field map [Hz], from a phase difference and from the spectrum itself."""
    root, whole = data / "b0", data / "whole"
    copy_root(whole, root)
    truth = whole / "derivatives" / "truth" / "sub-01" / "fmap"
    field, image = read(truth / "sub-01_acq-pcbssfp_fieldmap.nii.gz")
    magnitude, _ = read(truth / "sub-01_acq-pcbssfp_magnitude.nii.gz")
    field = np.nan_to_num(field)
    phase = np.angle(np.exp(2j * np.pi * field * (ECHO_TIMES[1] - ECHO_TIMES[0]))).astype(np.float32)
    for label in ("01", "02", "03"):
        copy_subject(whole, root, label, lambda name: "acq-Zspec_" in name)
    folder = root / "sub-01" / "fmap"
    save(folder / "sub-01_fieldmap.nii.gz", field, image.affine, Units="Hz")
    save(folder / "sub-01_magnitude.nii.gz", magnitude, image.affine)
    folder = root / "sub-02" / "fmap"
    times = {"EchoTime1": ECHO_TIMES[0], "EchoTime2": ECHO_TIMES[1]}
    save(folder / "sub-02_phasediff.nii.gz", phase, image.affine, Units="rad", **times)
    save(folder / "sub-02_magnitude1.nii.gz", magnitude, image.affine)
    list_participants(root)


def make_pools(data: Path) -> None:
    """Fingerprints without any other scan, one stage and both, whose known maps come from derivatives or are numbers."""
    root, whole = data / "pools", data / "whole"
    copy_root(whole, root)
    copy_subject(whole, root, "01", lambda name: "acq-MRF" in name)
    copy_subject(whole, root, "02", lambda name: "acq-MRFMT" in name)
    copy_subject(whole, root, "03", lambda name: "acq-MRFamide" in name)
    list_participants(root)


def edit(folder: Path, pattern: str, **changes: object) -> None:
    """Change keys of sidecars; None takes a key away."""
    paths = sorted(folder.rglob(pattern))
    if not paths:
        raise SystemExit(f"{folder}: expected files {pattern}, found none")
    for path in paths:
        content = json.loads(path.read_text()) | changes
        path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


def far_away(subject: Path) -> None:
    for path in sorted(subject.rglob("*TB1TFL.nii.gz")):
        voxels, image = read(path)
        affine = image.affine.copy()
        affine[:3, 3] += 500.0
        nib.save(nib.Nifti1Image(voxels, affine), path)


def one_volume_less(subject: Path) -> None:
    (path,) = subject.rglob("*part-phase_VFA.nii.gz")
    voxels, image = read(path)
    nib.save(nib.Nifti1Image(voxels[..., :-1], image.affine), path)


def no_relaxometry(subject: Path) -> None:
    for path in sorted(subject.rglob("*pcbssfp*")):
        path.unlink()


DAMAGES: Mapping[str, Callable[[Path], object]] = {
    "01": lambda subject: edit(subject, "*_VFA.json", RFPhaseIncrement=None),
    "02": lambda subject: edit(subject, "*_VFA.json", RFPhaseIncrement=[0, 90, 180, 270]),
    "03": lambda subject: next(subject.rglob("*part-mag_VFA.nii.gz")).write_bytes(b""),
    "04": lambda subject: next(subject.rglob("*part-phase_VFA.nii.gz")).write_bytes(b"not an image"),
    "05": lambda subject: edit(subject, "*part-phase_VFA.json", Units=None),
    "06": lambda subject: shutil.rmtree(subject / "fmap"),
    "07": lambda subject: edit(subject, "*acq-famp_TB1TFL.json", FlipAngle=8),
    "08": lambda subject: edit(subject, "*_VFA.json", RepetitionTimeExcitation=4.8),
    "09": lambda subject: edit(subject, "*_VFA.json", FlipAngle=None),
    "10": one_volume_less,
    "11": lambda subject: edit(subject, "*_VFA.json", FlipAngle=40),
    "12": lambda subject: edit(subject, "*_VFA.json", EchoTime=None),
    "13": far_away,
}
"""What is wrong with each subject of the dataset of refusals. 11 and 12 are unusual, 13 fails while it is processed."""

SATURATION_DAMAGES: Mapping[str, Callable[[Path], object]] = {
    "21": lambda subject: edit(subject, "*acq-Zspec_cest.json", MagneticFieldStrength=None, ImagingFrequency=None),
    "22": lambda subject: edit(subject, "*acq-MTS_*mt-on_MTS.json", FlipAngle=None),
    "23": lambda subject: shutil.rmtree(subject / "fmap"),
    "24": lambda subject: edit(subject, "*acq-MT_*mt-off_MTR.json", FlipAngle=77),
    "25": no_relaxometry,
}
"""The same for subjects with every scan."""


def make_refused(data: Path) -> None:
    root = data / "refused"
    copy_root(data / "coarse", root)
    for label, damage in DAMAGES.items():
        damage(copy_subject(data / "coarse", root, label))
    for label, damage in SATURATION_DAMAGES.items():
        damage(copy_subject(data / "whole", root, label))
    list_participants(root)


def translation(*, back: bool) -> Any:
    """Return the transform of the template for ITK, which counts in LPS and takes positions back."""
    import ants  # which takes seconds to import: here, since most calls of the judge do not need it

    shift = [-SHIFT[0], -SHIFT[1], SHIFT[2]]
    return ants.create_ants_transform(
        transform_type="AffineTransform",
        matrix=np.eye(3),
        translation=[value if back else -value for value in shift],
    )


def on_grid(path: Path, shape: tuple[int, ...], affine: np.ndarray) -> np.ndarray:
    """Return an image on another grid by its nearest voxels; the head is taken not to have moved."""
    voxels, image = read(path)
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    matrix = np.linalg.inv(image.affine) @ affine
    place = np.rint(index @ matrix[:3, :3].T + matrix[:3, 3]).astype(int)
    inside = np.all((place >= 0) & (place < voxels.shape), axis=-1)
    place[~inside] = 0
    return np.where(inside, voxels[tuple(np.moveaxis(place, -1, 0))], 0.0).astype(np.float32)


def write_fmriprep(root: Path, *, bids: Path) -> None:
    """Write what fMRIPrep would leave of a simulated head: T1w image, brain mask, tissues, a template and its transforms."""
    truth, folder = bids / "derivatives" / "truth" / "sub-01" / "anat", root / "sub-01" / "anat"
    voxels, image = read(bids / "sub-01" / "anat" / "sub-01_T1w.nii.gz")
    folder.mkdir(parents=True)
    described = {
        "Name": "fMRIPrep",
        "BIDSVersion": "1.4.0",
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "fMRIPrep", "Version": "24.1.1"}],
    }
    (root / "dataset_description.json").write_text(json.dumps(described))
    shares = {
        tissue: on_grid(truth / f"sub-01_acq-pcbssfp_label-{tissue}_probseg.nii.gz", voxels.shape, image.affine)
        for tissue in ("GM", "WM", "CSF")
    }
    brain = np.sum(list(shares.values()), axis=0) > 0.5
    save(folder / "sub-01_desc-preproc_T1w.nii.gz", voxels, image.affine)
    save(folder / "sub-01_desc-brain_mask.nii.gz", brain.astype(np.uint8), image.affine)
    labels = np.where(brain, 1 + np.argmax(np.stack(list(shares.values())), axis=0), 0)
    save(folder / "sub-01_dseg.nii.gz", labels.astype(np.uint8), image.affine)
    for tissue, share in shares.items():
        save(folder / f"sub-01_label-{tissue}_probseg.nii.gz", share, image.affine)
    shifted = TEMPLATE_AFFINE.copy()
    shifted[:3, 3] -= SHIFT
    in_template = on_grid(folder / "sub-01_desc-preproc_T1w.nii.gz", TEMPLATE_SHAPE, shifted)
    save(folder / f"sub-01_space-{TEMPLATE}_res-8_desc-preproc_T1w.nii.gz", in_template, TEMPLATE_AFFINE)
    import ants

    for name, back in ((f"from-T1w_to-{TEMPLATE}", False), (f"from-{TEMPLATE}_to-T1w", True)):
        ants.write_transform(translation(back=back), str(folder / f"sub-01_{name}_mode-image_xfm.h5"))


def write_atlases(data: Path) -> None:
    """Write an atlas of quarters of the head in the T1w image of each dataset that has one, and of halves in the template."""
    for name in ("head", "whole"):
        _, image = read(data / name / "sub-01" / "anat" / "sub-01_T1w.nii.gz")
        index = np.indices(image.shape)
        labels = 1 + (index[0] > image.shape[0] // 2) + 2 * (index[1] > image.shape[1] // 2)
        path = data / f"space-T1w_atlas-Quarters{name.capitalize()}_dseg.nii.gz"
        save(path, labels.astype(np.uint8), image.affine)
        path.with_name(path.name.replace(".nii.gz", ".tsv")).write_text("index\tname\n1\ta\n2\tb\n3\tc\n4\td\n")
    halves = np.ones(TEMPLATE_SHAPE, dtype=np.uint8)
    halves[TEMPLATE_SHAPE[0] // 2 :] = 2
    save(data / f"tpl-{TEMPLATE}_atlas-Halves_dseg.nii.gz", halves, TEMPLATE_AFFINE)
    (data / f"tpl-{TEMPLATE}_atlas-Halves_dseg.tsv").write_text("index\tname\n1\tleft\n2\tright\n")
