"""B1+ of every method from its files to the grid of a bSSFP scan, inside the brain, beside what was done before and nothing."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rows import Row
from scipy import ndimage

from qmri_bids.phantom.files.b1 import write_b1
from qmri_bids.phantom.heads.template import build_head
from qmri_bids.phantom.scans.b1 import coarse_grid, scan_b1
from qmri_bids.phantom.scans.session import Session, simulate_session, simulated_protocol
from qmri_bids.pipeline.sources import B1Run
from qmri_bids.preprocessing.b1 import register_b1
from qmri_bids.preprocessing.b1_smoothing import smooth_b1
from qmri_bids.preprocessing.loading.b1 import LoadedB1
from qmri_bids.preprocessing.masks import head_mask
from qmri_bids.preprocessing.registration.ants_bridge import voxel_sizes
from qmri_bids.preprocessing.registration.resampling import resample
from qmri_bids.scans.b1.find import read_b1
from qmri_bids.scans.b1.workflow import load_scan
from qmri_bids.scans.find_options import FindOptions

SUBJECTS = (1, 2)
METHODS = ("TB1TFL", "TB1RFM", "TB1DAM", "TB1AFI", "TB1map")
MEASURED = ("TB1TFL", "TB1DAM", "TB1AFI")
"""Those whose noise can be told."""
MATRIX, VOXEL = (64, 76, 64), 3.0
SNR = 37.0
"""60 in grey matter of the first image of the B1 scan."""
MOTION = 1.5
"""The head moves by up to so many mm and degrees between both scans."""
MEDIAN_SIZE = 13.0
"""Edge of the median filter of before [mm]."""
EDGE = 8.0
"""What lies nearer to the surface of the brain [mm] is its edge."""
COVERED = 0.6
"""Share of the slices of a scan that covers a part."""
BAR = 1.0


@dataclass(frozen=True, kw_only=True)
class Arrived:
    """Relative B1 on the target grid by the way of processing, the truth, and where both count."""

    maps: dict[str, NDArray[np.floating]]
    stdev: NDArray[np.floating] | None
    truth: NDArray[np.floating]
    brain: NDArray[np.bool_]
    edge: NDArray[np.bool_]

    def error(self, way: str, region: NDArray[np.bool_]) -> NDArray[np.floating]:
        """Return relative errors in percent."""
        return 100.0 * (self.maps[way] / self.truth - 1.0)[region]


@lru_cache(maxsize=2)
def session_of(subject: int) -> Session:
    """Return a bSSFP scan, whose magnitude is the target."""
    return simulate_session(
        build_head(subject=subject, seed=0),
        matrix=MATRIX,
        voxel_size=VOXEL,
        protocol=simulated_protocol(phase_cycles=6),
        snr=SNR,
        motion=MOTION,
        with_b1=False,
        rng=np.random.default_rng([subject, 5]),
    )


@lru_cache(maxsize=16)
def scanned(subject: int, method: str) -> tuple[B1Run, LoadedB1]:
    """Return a B1 scan as it was read from its files."""
    session, head = session_of(subject), build_head(subject=subject, seed=0)
    skin = session.placement[:3, :3] @ head.surface_points() + session.placement[:3, 3:]
    scan = scan_b1(
        head,
        grid=coarse_grid(head=skin, voxel_size=VOXEL, motion=MOTION),
        placement=session.b1_pose.matrix @ session.placement,
        receiver=session.receiver,
        snr=SNR,
        rng=np.random.default_rng([subject, METHODS.index(method)]),
        kind=method,
    )
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_b1(root / "sub-01", "sub-01_", scan=scan, kind=method)
        paths = sorted((root / "sub-01" / "fmap").glob("*.nii.gz"))
        run = read_b1(paths, root=root, options=FindOptions())
        return run, load_scan(run)


def _filled(b1: NDArray[np.floating], valid: NDArray[np.bool_]) -> NDArray[np.floating]:
    nearest = ndimage.distance_transform_edt(~valid, return_distances=False, return_indices=True)
    return b1[tuple(nearest)]


def _median(b1: NDArray[np.floating], valid: NDArray[np.bool_], sizes: NDArray[np.floating]) -> NDArray[np.floating]:
    """Nearest value, then a median filter: what was done before."""
    window = tuple(max(1, 2 * round((MEDIAN_SIZE / size - 1.0) / 2.0) + 1) for size in sizes)
    return ndimage.median_filter(_filled(b1, valid), size=window, mode="nearest")


def _convolved(b1: NDArray[np.floating], valid: NDArray[np.bool_], sizes: NDArray[np.floating]) -> NDArray[np.floating]:
    """Normalised convolution with a Gaussian of 8 mm standard deviation."""
    width = 8.0 / sizes
    share = ndimage.gaussian_filter(valid.astype(float), width)
    mean = ndimage.gaussian_filter(np.where(valid, b1, 0.0), width) / np.maximum(share, 1e-9)
    return _filled(mean, share > 1e-3)


def _polynomial(
    b1: NDArray[np.floating], valid: NDArray[np.bool_], sizes: NDArray[np.floating]
) -> NDArray[np.floating]:
    """Polynomial of sixth order in all directions."""
    x, y, z = np.meshgrid(*(np.linspace(-1.0, 1.0, number) for number in b1.shape), indexing="ij")
    orders = [(i, j, k) for i in range(7) for j in range(7 - i) for k in range(7 - i - j)]
    terms = [x**i * y**j * z**k for i, j, k in orders]
    matrix = np.stack([term[valid] for term in terms], axis=1)
    coefficients = np.linalg.lstsq(matrix, b1[valid], rcond=None)[0]
    return sum((each * term for each, term in zip(coefficients, terms, strict=True)), np.zeros(b1.shape))


Way = Callable[[NDArray[np.floating], NDArray[np.bool_], NDArray[np.floating]], NDArray[np.floating]]
WAYS: dict[str, Way] = {
    "nearest and median, as before": _median,
    "nearest alone": lambda b1, valid, sizes: _filled(b1, valid),
    "normalised convolution": _convolved,
    "polynomial": _polynomial,
}


@lru_cache(maxsize=16)
def arrived(subject: int, method: str) -> Arrived:
    """Return B1 on the grid of the bSSFP scan, by every way."""
    session, (run, loaded) = session_of(subject), scanned(subject, method)
    magnitude = np.abs(session.cycles).mean(axis=3).astype(np.float32)
    brain = session.truth.brain
    result = register_b1(
        loaded.ratio,
        b1_affine=loaded.affine,
        anatomical=loaded.anatomical,
        target_magnitude=magnitude,
        target_affine=session.grid.affine,
        target_mask=brain,
        stdev=loaded.stdev,
        method_error=run.method_error,
        ready_made=run.is_ready_made,
    )
    sizes = voxel_sizes(loaded.affine)
    valid = loaded.ratio > 0.0
    if loaded.anatomical is not None:
        valid &= head_mask(loaded.anatomical)
    maps: dict[str, NDArray[np.floating]] = {"now": result.map}
    for name, way in WAYS.items():
        maps[name] = resample(
            way(loaded.ratio, valid, sizes).astype(np.float32),
            affine=loaded.affine,
            target_shape=magnitude.shape,
            target_affine=session.grid.affine,
            transform=result.transform,
            order=1,
            outside="nearest",
        )
    edge = brain & (ndimage.distance_transform_edt(brain) * VOXEL < EDGE)
    return Arrived(maps=maps, stdev=result.stdev, truth=session.truth.b1, brain=brain, edge=edge)


def _median_error(cases: list[Arrived], way: str, *, edge: bool = False) -> float:
    errors = [case.error(way, case.edge if edge else case.brain) for case in cases]
    return float(np.median(np.abs(np.concatenate(errors))))


def _others(cases: list[Arrived], *, edge: bool = False) -> str:
    return ", ".join(f"{name} {_median_error(cases, name, edge=edge):.2f}" for name in WAYS)


def methods() -> list[Row]:
    """Return the error of every method."""
    rows = []
    for method in METHODS:
        cases = [arrived(subject, method) for subject in SUBJECTS]
        bias = float(np.median(np.concatenate([case.error("now", case.brain) for case in cases])))
        figure = f"B1 {method}: median error in the brain"
        rows.append(
            Row(
                figure=figure,
                unit="%",
                bar=BAR,
                value=_median_error(cases, "now"),
                baseline=f"bias {bias:+.2f}; {_others(cases)}",
            )
        )
        rows.append(
            Row(
                figure=f"{figure}, outermost {EDGE:g} mm",
                unit="%",
                bar=None,
                value=_median_error(cases, "now", edge=True),
                baseline=_others(cases, edge=True),
            )
        )
    return rows


def coverage() -> list[Row]:
    """Return what the stated standard deviation of B1 holds in the brain, by method."""
    rows = []
    for method in MEASURED:
        cases = [arrived(subject, method) for subject in SUBJECTS]
        errors, spreads = (
            np.concatenate([values[case.brain] for case, values in pairs])
            for pairs in (
                [(case, case.maps["now"] - case.truth) for case in cases],
                [(case, case.stdev) for case in cases],
            )
        )
        scores = np.abs(errors / spreads)
        beside = (
            f"bias {100.0 * np.mean(errors):+.2f} %, error {100.0 * np.sqrt(np.mean(errors**2)):.2f} % (root mean square), stated "
            f"{100.0 * np.median(spreads):.2f} %"
        )
        rows += [
            Row(
                figure=f"B1 {method}: errors within {limit:g} standard deviations in the brain",
                unit="%",
                bar=None,
                value=100.0 * float(np.mean(scores <= limit)),
                baseline=f"{right} is right; {beside}",
            )
            for limit, right in ((1.0, "68"), (1.96, "95"))
        ]
    return rows


def partial_coverage() -> list[Row]:
    """Return the error where a B1 scan of the upper part of the head does not reach."""
    errors: dict[str, list[NDArray[np.floating]]] = {}
    for subject in SUBJECTS:
        session, (_, loaded) = session_of(subject), scanned(subject, "TB1TFL")
        sizes = voxel_sizes(loaded.affine)
        valid = (loaded.ratio > 0.0) & head_mask(loaded.anatomical)
        whole = valid.copy()
        valid[:, :, : round((1.0 - COVERED) * valid.shape[2])] = False
        ways = {"now": smooth_b1(loaded.ratio, valid=valid, voxel_sizes=sizes).map}
        ways |= {name: way(loaded.ratio, valid, sizes) for name, way in WAYS.items()}

        def on_target(image: NDArray[np.floating], session: Session = session, loaded: LoadedB1 = loaded) -> NDArray:
            return resample(
                image.astype(np.float32),
                affine=loaded.affine,
                target_shape=session.truth.b1.shape,
                target_affine=session.grid.affine,
                transform=session.b1_pose.matrix,
                order=1,
                outside="nearest",
            )

        beyond = session.truth.brain & (on_target(valid) < 0.1) & (on_target(whole) > 0.9)
        for name, image in ways.items():
            errors.setdefault(name, []).append(100.0 * np.abs(on_target(image) / session.truth.b1 - 1.0)[beyond])
    found = {name: float(np.median(np.concatenate(each))) for name, each in errors.items()}
    others = ", ".join(f"{name} {value:.2f}" for name, value in found.items() if name != "now")
    figure = f"B1 of {100 * COVERED:.0f} % of the slices: median error beyond them"
    return [Row(figure=figure, unit="%", bar=None, value=found["now"], baseline=others)]


def wasabi() -> list[Row]:
    """Return the error of B1 that a bSSFP run takes from a WASABI run, by the program as a user calls it."""
    import nibabel as nib

    from qmri_bids.cli.run import main
    from qmri_bids.phantom.dataset import simulate_dataset

    with tempfile.TemporaryDirectory() as folder:
        raw, out = Path(folder) / "raw", Path(folder) / "out"
        simulate_dataset(
            raw, matrix=(40, 46, 40), voxel_size=5.0, phase_cycles=4, snr=SNR, motion=0.0, b1="none", wasabi=True
        )
        steps = ["--ignore", "motion", "gibbs", "calibration", "--bssfp-estimator", "linear"]
        code = main([str(raw), str(out), "participant", *steps, "-w", str(Path(folder) / "work"), "--nprocs", "1"])
        if code != 0:
            raise RuntimeError(f"the program ended with {code}")

        def values(root: Path, name: str, acq: str = "pcbssfp") -> NDArray[np.floating]:
            image = nib.load(root / "sub-01" / f"{name.replace('ACQ', f'sub-01_acq-{acq}')}.nii.gz")
            return np.asarray(image.get_fdata(), dtype=np.float64)

        truth_root = raw / "derivatives" / "truth"
        truth = values(truth_root, "fmap/ACQ_TB1map")
        # The mask of the run may hold voxels of skull, where there is no signal and no truth.
        mask = (values(out, "anat/ACQ_desc-brain_mask") > 0) & np.isfinite(truth)
        error = 100.0 * (values(out, "fmap/ACQ_TB1map") / truth - 1.0)[mask]
        own = values(out, "fmap/ACQ_TB1map", "WASABI") / values(truth_root, "fmap/ACQ_TB1map", "WASABI")
        before = 100.0 * np.abs(own - 1.0)
    return [
        Row(
            figure="B1 WASABI: median error in the brain",
            unit="%",
            bar=BAR,
            value=float(np.median(np.abs(error))),
            baseline=f"bias {float(np.median(error)):+.2f}; the WASABI map itself {float(np.nanmedian(before)):.2f}",
        )
    ]


def b1() -> list[Row]:
    """B1 of every method."""
    return [*methods(), *coverage(), *wasabi(), *partial_coverage()]
