"""A simulated BIDS dataset of phase-cycled bSSFP and B1 scans, with its truth."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from qmri_bids import __version__
from qmri_bids.phantom.files import cest as cest_files
from qmri_bids.phantom.files.b1 import B1_KINDS, write_b1
from qmri_bids.phantom.files.raw import LAYOUTS, increments_in_degrees, run_entity, write_bssfp
from qmri_bids.phantom.files.readme import readme, said_of, what
from qmri_bids.phantom.files.saturation import SaturationScans, add_saturation_scans
from qmri_bids.phantom.files.truth import write_truth
from qmri_bids.phantom.files.writing import write_json, write_table
from qmri_bids.phantom.scans import cest_truth
from qmri_bids.phantom.scans.physics import PhysicsSettings
from qmri_bids.phantom.scans.session import repeat_bssfp, simulate_session, simulated_protocol
from qmri_bids.phantom.scans.t1w import scan_t1w, write_t1w
from qmri_bids.phantom.subjects import HEAD, Scanned, Voxels

DEFAULT_VOXEL_SIZE = 2.0
"""Edge of a voxel of the bSSFP scan where none is asked for [mm]."""

_RUNS = 60
"""Number of the streams of randomness of runs after the first, apart from those of all other scans."""

_BIDS_VERSION = "1.10.0"


class OutputFolderNotEmpty(FileExistsError):
    """The output folder holds something already: nothing is written."""


def simulate_dataset(
    output_dir: Path,
    *,
    subjects: int = 1,
    sessions: int = 0,
    runs: int = 1,
    matrix: tuple[int, int, int] | None = None,
    voxel_size: float = DEFAULT_VOXEL_SIZE,
    phase_cycles: int = 12,
    snr: float = 25.0,
    motion: float = 0.5,
    seed: int = 0,
    layout: str = "mag-phase",
    b1: str = "TB1TFL",
    cest: tuple[str, ...] = (),
    mt: tuple[str, ...] = (),
    wasabi: bool = False,
    cest_snr: float = 100.0,
    t1w: bool = False,
    phantom: str = HEAD,
    anatomy: Path | None = None,
    brain: Path | None = None,
    scale: float = 1.0,
    face_motion: float = 0.0,
    slices: int | None = None,
    slice_thickness: float | None = None,
    cut: bool = False,
    physics: PhysicsSettings | None = None,
    threads: int = 2,
) -> None:
    """Write a valid BIDS dataset of a digital head, and its truth under `derivatives/truth`.

    The dataset is built beside `output_dir` (inside it, if it is there and empty) and moved when it is
    complete.

    Parameters
    ----------
    output_dir
        Folder to write: absent or empty.
    subjects
        Number of subjects.
    sessions
        Number of sessions of each; 0 for a dataset without session folders.
    runs
        Number of pc-bSSFP runs of each session, between which the head moves as between cycles; names hold the run where there is
        more than one. All other scans are made once a session, about the first run.
    matrix
        Number of voxels along the axes of the files; by default `subjects.DEFAULT_MATRIX`, or what holds a head from an image or
        an object.
    voxel_size
        Edge of a voxel in MILLIMETRES, the unit of NIfTI geometry.
    phase_cycles
        Number of phase cycles N, evenly spaced: (2j - 1)·180°/N.
    snr
        Signal to noise ratio: noise of 0.074/(√2·snr) in real and imaginary part where M0 = 1 (Birk et al.
        2025).
    motion
        The head moves between cycles by up to so many MILLIMETRES along and DEGREES about every axis.
    seed
        Seed of all that is drawn at random: the same seed and settings give the same files.
    layout
        `mag-phase`, `real-imag`, `complex` or `split` (one file a cycle).
    b1
        One of `files.b1.B1_KINDS`.
    cest
        CEST scans to add: `mrf` (two fingerprints), `aptw`, `zspectrum`.
    mt
        Scans of magnetisation transfer to add: `mtr`, `mts`.
    wasabi
        Whether to add a WASABI scan.
    cest_snr
        Signal of grey matter in the M0 image, or in the echo without MT pulse, over the noise of these scans.
    t1w
        Whether to add a T1-weighted anatomical scan.
    phantom
        `head` or an object: a key of `objects.PHANTOMS`.
    anatomy, brain
        NIfTI file of a T1-weighted whole head, from which the digital head is made, and of its brain on the same voxels.
    scale
        Factor on the size of this head.
    face_motion
        Share of the skull's motion that face and neck of this head do not follow.
    slices
        Number of slices of their own; None for a volume that is encoded in three dimensions.
    slice_thickness
        Edge of a voxel along the last axis in MILLIMETRES; None for `voxel_size`.
    cut
        Whether what is scanned may be larger than the field of view, which then lies around the middle of the brain.
    physics
        Physics of the bSSFP signal, drift and gain of its cycles, and the semisolid pools that it shares with the scans with
        saturation; by default the closed form without any of these.
    threads
        Processor threads to use; the files do not depend on it.

    Raises
    ------
    OutputFolderNotEmpty
        If `output_dir` holds anything.
    FieldOfViewTooSmall
        If the head does not fit into matrix × voxel size.
    ValueError
        If a setting has no meaning.
    """
    for name, number, least in (
        ("subjects", subjects, 1),
        ("sessions", sessions, 0),
        ("runs", runs, 1),
        ("seed", seed, 0),
    ):
        if number < least:
            raise ValueError(f"{name} must be {least} or more, found {number}")
    for name, value, allowed in (("layout", layout, LAYOUTS), ("b1", b1, B1_KINDS)):
        if value not in allowed:
            raise ValueError(f"{name} must be one of {', '.join(allowed)}, found {value!r}")
    if not snr > 0.0:
        raise ValueError(f"snr must be above 0, found {snr}")
    if not 0.0 <= motion <= 20.0:
        raise ValueError(f"motion must lie in [0, 20] mm and degrees, found {motion}")
    voxels = Voxels(matrix=matrix, voxel_size=voxel_size, slices=slices, slice_thickness=slice_thickness, cut=cut)
    scanned = Scanned(phantom=phantom, anatomy=anatomy, brain=brain, scale=scale, face_motion=face_motion)
    added = SaturationScans(cest=cest, mt=mt, wasabi=wasabi, snr=cest_snr)
    physics = PhysicsSettings() if physics is None else physics
    protocol = simulated_protocol(phase_cycles=phase_cycles)
    increments = increments_in_degrees(protocol)

    with _complete_or_absent(output_dir) as root:
        truth_root = root / "derivatives" / "truth"
        for subject in range(1, subjects + 1):
            head = scanned.of(subject=subject, seed=seed)
            numbers = voxels.of(head, motion=motion, is_template=scanned.is_template)
            for number in range(1, sessions + 1) if sessions else (0,):
                session = simulate_session(
                    head,
                    matrix=numbers,
                    voxel_size=voxel_size,
                    slice_thickness=slice_thickness,
                    planar=slices is not None,
                    cut=cut,
                    protocol=protocol,
                    snr=snr,
                    motion=motion,
                    with_b1=b1 != "none",
                    b1_kind=b1 if b1 != "none" else "TB1TFL",
                    rng=np.random.default_rng([seed, subject, 1 + number]),
                    physics=physics.of((seed, subject, 1 + number), cycles=phase_cycles),
                    threads=threads,
                )
                parts = [f"sub-{subject:02d}"] + ([f"ses-{number}"] if number else [])
                place, prefix = Path(*parts), "_".join(parts) + "_"
                if session.b1_scan is not None:
                    write_b1(root / place, prefix, scan=session.b1_scan, kind=b1)
                if t1w:
                    scan = scan_t1w(
                        head, session=session, motion=motion, entropy=(seed, subject, 1 + number), threads=threads
                    )
                    write_t1w(root / place, truth_root / place, prefix, scan=scan)
                for run in range(1, runs + 1):
                    scan_of_run = session
                    if run > 1:
                        scan_of_run = repeat_bssfp(
                            session,
                            head=head,
                            protocol=protocol,
                            snr=snr,
                            motion=motion,
                            rng=np.random.default_rng([seed, subject, 1 + number, _RUNS, run]),
                            physics=physics.of((seed, subject, 1 + number, _RUNS, run), cycles=phase_cycles),
                            threads=threads,
                        )
                    in_name = run if runs > 1 else 0
                    images = write_bssfp(
                        root / place, prefix, session=scan_of_run, protocol=protocol, layout=layout, run=in_name
                    )
                    sources = [f"bids:raw:{place.as_posix()}/{image}" for image in images]
                    write_truth(
                        truth_root / place,
                        prefix,
                        session=scan_of_run,
                        sources=sources,
                        increments=increments,
                        run=in_name,
                    )
                    if physics.pools is not None:
                        cest_truth.write_pools(
                            truth_root / place,
                            f"{prefix}acq-pcbssfp{run_entity(in_name)}",
                            pools=("MT",),
                            truth=scan_of_run.truth,
                            affine=scan_of_run.grid.affine,
                            sources=sources,
                            seen=cest_truth.SEEN_BY_BSSFP,
                        )
                add_saturation_scans(
                    added,
                    head=head,
                    session=session,
                    raw_root=root,
                    truth_root=truth_root,
                    place=place,
                    prefix=prefix,
                    motion=motion,
                    entropy=(seed, subject, 1 + number),
                    threads=threads,
                )
        settings: dict[str, object] = {
            "subjects": subjects,
            "sessions": sessions,
            **({"runs of pc-bSSFP": runs} if runs > 1 else {}),
            **said_of(scanned),
            "matrix": " × ".join(str(number) for number in numbers),
            "voxel size": f"{voxel_size:g} mm"
            + ("" if slice_thickness is None else f", along the last axis {slice_thickness:g} mm"),
            **({} if slices is None else {"acquisition": "slices of their own (2D)"}),
            "orientation": session.decision,
            "phase cycles": phase_cycles,
            "signal to noise ratio": f"{snr:g}",
            "motion": f"±{motion:g} mm and ±{motion:g}°",
            "layout": layout,
            "B1 scan": b1,
            **physics.said,
            **({"T1-weighted scan": "MPRAGE"} if t1w else {}),
            "seed": seed,
        }
        _write_descriptions(root, truth_root=truth_root, subjects=subjects, name=what(scanned))
        (root / "README.md").write_text(
            readme(
                {**settings, **added.settings},
                with_saturation=added.any,
                scanned=scanned,
                decisions=head.decisions,
                planar=slices is not None,
                physics=physics,
            ),
            encoding="utf-8",
        )
        pools_written = added.designs or physics.pools is not None
        _ignore(truth_root, cest_truth.IGNORED if pools_written else ("*_timeseries.*",))
        _ignore(root, cest_files.IGNORED if added.designs else ())


@contextmanager
def _complete_or_absent(output_dir: Path) -> Iterator[Path]:
    """Yield a folder to build in; its content appears in `output_dir` only if the block succeeds."""
    output_dir = output_dir.absolute()
    present = output_dir.exists()
    if present and (not output_dir.is_dir() or any(output_dir.iterdir())):
        raise OutputFolderNotEmpty(
            f"{output_dir}: expected a folder that is absent or empty, found "
            f"{'one with files' if output_dir.is_dir() else 'a file'}; choose another folder or remove it"
        )
    # An existing folder may be the mount point of a container: it cannot be replaced, and its parent not be
    # written.
    parent = output_dir if present else output_dir.parent
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".simulating-", dir=parent, ignore_cleanup_errors=True) as temporary:
        build = Path(temporary) / "dataset"
        build.mkdir()
        yield build
        if present:
            for entry in sorted(build.iterdir()):
                shutil.move(entry, output_dir / entry.name)
        else:
            build.rename(output_dir)


def _ignore(root: Path, patterns: tuple[str, ...]) -> None:
    """Tell the validator what to leave alone, besides what it was told before."""
    file = root / ".bidsignore"
    known = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    lines = [*known, *(pattern for pattern in patterns if pattern not in known)]
    if lines:
        file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _write_descriptions(root: Path, *, truth_root: Path, subjects: int, name: str) -> None:
    """Write what describes the dataset as a whole."""
    generated = [{"Name": "qmri_bids", "Version": __version__, "Description": "qmri-tools simulate"}]
    write_json(
        root / "dataset_description.json",
        {
            "Name": f"{name}: phase-cycled bSSFP, simulated",
            "BIDSVersion": _BIDS_VERSION,
            "DatasetType": "raw",
            "License": "CC0",
            "Authors": ["The qmri_bids developers"],
            "GeneratedBy": generated,
        },
    )
    write_json(
        truth_root / "dataset_description.json",
        {
            "Name": f"{name}: the truth",
            "BIDSVersion": _BIDS_VERSION,
            "DatasetType": "derivative",
            "GeneratedBy": generated,
            "DatasetLinks": {"raw": "../.."},
        },
    )
    write_table(
        root / "participants.tsv",
        columns=("participant_id", "species"),
        rows=[(f"sub-{subject:02d}", "phantom") for subject in range(1, subjects + 1)],
    )
    write_json(
        root / "participants.json",
        {
            "participant_id": {"Description": "Unique participant identifier"},
            "species": {
                "Description": "What was scanned",
                "Levels": {"phantom": f"a {name.lower()}, no person"},
            },
        },
    )
