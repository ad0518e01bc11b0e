"""The scans of magnetisation transfer: ratio from a pair of echoes, saturation from three."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from qmri_bids.phantom.heads.tissues import TISSUES, Label, Tissue
from qmri_bids.phantom.scans.cest import SaturationScan, chemical_shift, series_of
from qmri_bids.phantom.scans.semisolid import model_of
from qmri_bids.phantom.scans.series import Contrast, Scanner, SignalsOfTissues
from qmri_bids.phantom.scans.truth import Truth
from qmri_bids.phantom.signals.mt import MtPulse, SpoiledEcho, echo_signal, steady_state
from qmri_bids.phantom.signals.saturation import TissueSignal
from qmri_bids.physics.zspectrum import dual_angle_relaxation, magnetization_transfer_ratio, mt_saturation

FIELD_STRENGTH = 3.0
"""B0 [T]."""

_PD = SpoiledEcho(flip_angle=math.radians(6.0), repetition_time=28e-3)
_T1 = SpoiledEcho(flip_angle=math.radians(20.0), repetition_time=18e-3)
_MT = replace(_PD, mt_pulse=MtPulse())


@dataclass(frozen=True, kw_only=True)
class MtDesign:
    """A set of spoiled gradient echoes.

    Parameters
    ----------
    label, suffix
        Label of the entity `acq`, and suffix of the files.
    code
        Number of its stream of randomness; never reused.
    echoes
        Echoes by further entities of the file name, in order of acquisition; the first, without MT pulse, is the reference.
    """

    label: str
    suffix: str
    code: int
    echoes: Mapping[str, SpoiledEcho]


MT_SCANS: Mapping[str, MtDesign] = {
    "mtr": MtDesign(label="MT", suffix="MTR", code=6, echoes={"mt-off": _PD, "mt-on": _MT}),
    "mts": MtDesign(
        label="MTS", suffix="MTS", code=7, echoes={"flip-1_mt-off": _PD, "flip-1_mt-on": _MT, "flip-2_mt-off": _T1}
    ),
}
"""What `--mt` may name."""


@dataclass(frozen=True, kw_only=True)
class MtScan:
    """What such a scan yields.

    Parameters
    ----------
    scan
        Images, poses and truth.
    noise_free
        Magnitudes without noise in the pose of the reference, by the entities of their files, shape (x, y, z).
    """

    scan: SaturationScan
    noise_free: Mapping[str, NDArray[np.float32]]


def scan_mt(design: MtDesign, *, scanner: Scanner, motion: float, snr: float, rng: np.random.Generator) -> MtScan:
    """Play the echoes of an MT scan.

    Parameters
    ----------
    design
        What is played.
    scanner
        What is scanned, and where.
    motion
        Range of the head [mm and degrees].
    snr
        Signal of grey matter in the reference at nominal B1 over the standard deviation of the noise.
    rng
        Source of poses and noise.
    """
    echoes = tuple(design.echoes.values())

    def signal(label: int, tissue: Tissue) -> TissueSignal:
        return echo_signal(
            model_of(label, tissue, semisolid=scanner.semisolid, every_pool=False),
            echoes,
            chemical_shift=chemical_shift(tissue, FIELD_STRENGTH),
            field_strength=FIELD_STRENGTH,
        )

    signals = SignalsOfTissues(scanner.head.tissues, signal)
    contrast = Contrast(signals=signals, readout=None, volumes=len(echoes), semisolid=scanner.semisolid)
    grey = replace(
        model_of(Label.GM, TISSUES[Label.GM], semisolid=scanner.semisolid, every_pool=False),
        cest=(),
    )
    one = np.ones(1)
    (level,) = steady_state(
        grey,
        echoes[0],
        t1=grey.water.t1 * one,
        t2=grey.water.t2 * one,
        b1=one,
        off_resonance=0.0 * one,
        field_strength=FIELD_STRENGTH,
    )
    noise = TISSUES[Label.GM].m0 * float(level) / snr
    scan = series_of(scanner, contrast, reference=0, motion=motion, noise=noise, rng=rng)
    still = np.abs(scanner.images(contrast, pose=scan.reference_pose, volumes=tuple(range(len(echoes)))))
    return MtScan(scan=scan, noise_free={name: still[..., volume] for volume, name in enumerate(design.echoes)})


def true_ratio(noise_free: Mapping[str, NDArray[np.float32]], truth: Truth) -> NDArray[np.float32]:
    """Return MTR of the images without noise as a fraction, NaN outside the brain mask."""
    found = magnetization_transfer_ratio(noise_free["mt-on"], noise_free["mt-off"])
    return np.where(truth.brain, found, np.nan).astype(np.float32)


def true_saturation(noise_free: Mapping[str, NDArray[np.float32]], truth: Truth) -> NDArray[np.float32]:
    """Return MTsat of the images without noise as a fraction, NaN outside the brain mask.

    With the true B1 in the flip angles and no correction of the MT pulse for B1: the saturation as it was.
    """
    pd, mt, t1 = (noise_free[name].astype(np.float64) for name in ("flip-1_mt-off", "flip-1_mt-on", "flip-2_mt-off"))
    b1 = truth.b1.astype(np.float64)
    with np.errstate(all="ignore"):
        rate, amplitude = dual_angle_relaxation(
            pd,
            t1,
            flip_angles=(b1 * _PD.flip_angle, b1 * _T1.flip_angle),
            repetition_times=(_PD.repetition_time, _T1.repetition_time),
        )
        found = mt_saturation(
            mt,
            relaxation_rate=rate,
            amplitude=amplitude,
            flip_angle=b1 * _MT.flip_angle,
            repetition_time=_MT.repetition_time,
        )
    return np.where(truth.brain, found, np.nan).astype(np.float32)
