"""The CEST scans: which protocols are played, and what a session of them yields."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from qmri_bids.phantom.heads.geometry import Pose
from qmri_bids.phantom.heads.tissues import TISSUES, Label, Tissue
from qmri_bids.phantom.scans.semisolid import model_of
from qmri_bids.phantom.scans.series import Contrast, Scanner, SignalsOfTissues, drift
from qmri_bids.phantom.scans.truth import Truth, true_maps
from qmri_bids.phantom.signals.saturation import TissueSignal, tissue_signal
from qmri_bids.physics.saturation import SaturationProtocol
from qmri_bids.physics.saturation_presets import aptw_3t_001, mrf_amide, mrf_mt, multipool_3t_001, wasabi_3t_001
from qmri_bids.units import GYROMAGNETIC_RATIO

SNAPSHOT_FLIP_ANGLE = math.radians(6.0)
"""Flip angle of the readout of spectra, whose images start from full relaxation whatever it does [rad]."""


@dataclass(frozen=True, kw_only=True)
class CestDesign:
    """A CEST scan.

    Parameters
    ----------
    label
        Label of the entity `acq`.
    code
        Number of its stream of randomness; never reused.
    protocol
        What is played.
    pulse_shape
        Shape of the pulse in the words of BIDS.
    every_pool
        Whether amine and NOE are there; a fingerprint sees water, amide and the semisolid pool alone.
    description
        Description of the scan for the sidecar.
    """

    label: str
    code: int
    protocol: SaturationProtocol
    pulse_shape: str
    every_pool: bool
    description: str

    @property
    def readout_flip_angle(self) -> float:
        """Nominal flip angle of the excitations [rad]."""
        readout = self.protocol.readout
        return SNAPSHOT_FLIP_ANGLE if readout is None else readout.flip_angle

    @property
    def reference(self) -> int:
        """The first image that normalises the others."""
        return self.protocol.m0_images[0]


def _played(protocol: SaturationProtocol) -> SaturationProtocol:
    """Return a preset as a scanner plays it and a sidecar can say it: crusher without length, readout pulses that B1 scales."""
    images = tuple(
        image if image.saturation is None else replace(image, saturation=replace(image.saturation, spoiler=0.0))
        for image in protocol.images
    )
    readout = None if protocol.readout is None else replace(protocol.readout, scales_with_b1=True)
    return replace(protocol, images=images, readout=readout)


def _fingerprint(label: str, code: int, protocol: SaturationProtocol, stage: str) -> CestDesign:
    return CestDesign(
        label=label,
        code=code,
        protocol=_played(protocol),
        pulse_shape="HARD",
        every_pool=False,
        description=f"spin-lock saturation fingerprint, {stage} stage; water, amide and semisolid pool",
    )


WASABI = CestDesign(
    label="WASABI",
    code=5,
    protocol=_played(wasabi_3t_001()),
    pulse_shape="HARD",
    every_pool=True,
    description="WASABI: B0 and B1 from the fringes of one short pulse",
)
CEST_SCANS: Mapping[str, tuple[CestDesign, ...]] = {
    "mrf": (
        _fingerprint("MRFMT", 1, mrf_mt(), "semisolid"),
        _fingerprint("MRFamide", 2, mrf_amide(), "amide"),
    ),
    "aptw": (
        CestDesign(
            label="APTw",
            code=3,
            protocol=_played(aptw_3t_001()),
            pulse_shape="SINCGAUSS",
            every_pool=True,
            description="amide proton transfer weighted, APTw_3T_001 of pulseq-CEST",
        ),
    ),
    "zspectrum": (
        CestDesign(
            label="Zspec",
            code=4,
            protocol=_played(multipool_3t_001()),
            pulse_shape="GAUSSHANN",
            every_pool=True,
            description="Z-spectrum at 0.6 µT, MultiPool_3T_001",
        ),
    ),
}
"""What `--cest` may name."""


@dataclass(frozen=True, kw_only=True)
class SaturationScan:
    """What a scan with saturation yields.

    Parameters
    ----------
    images
        Magnitudes with noise, shape (x, y, z, N).
    reference
        Index of the volume in whose space the truth is.
    poses
        Poses of the head in every volume, against that of the reference.
    reference_pose
        Pose of the head in the reference, against the reference cycle of the bSSFP scan.
    truth
        The true maps.
    """

    images: NDArray[np.float32]
    reference: int
    poses: tuple[Pose, ...]
    reference_pose: Pose
    truth: Truth


def series_of(
    scanner: Scanner,
    contrast: Contrast,
    *,
    reference: int,
    motion: float,
    noise: float,
    rng: np.random.Generator,
) -> SaturationScan:
    """Return a series with drift and noise, and the truth in the space of its reference.

    Parameters
    ----------
    scanner
        What is scanned, and where.
    contrast
        What is seen.
    reference
        Index of the volume in whose space the truth is.
    motion
        The head stays within ±`motion` millimetres and degrees of where it was in the bSSFP scan.
    noise
        Standard deviation in real and imaginary part.
    rng
        Source of poses and noise.
    """
    poses = drift(number=contrast.volumes, motion=motion, rng=rng)
    first = poses[reference]
    return SaturationScan(
        images=scanner.series(contrast, poses=poses, noise=noise, rng=rng),
        reference=reference,
        poses=tuple(pose.against(first) for pose in poses),
        reference_pose=first,
        truth=true_maps(
            scanner.head,
            grid=scanner.grid,
            placement=first.matrix @ scanner.placement,
            semisolid=scanner.semisolid,
        ),
    )


def chemical_shift(tissue: Tissue, field_strength: float) -> float:
    """Return the chemical shift of a tissue [Hz]."""
    return tissue.chemical_shift * GYROMAGNETIC_RATIO * field_strength


def scan_cest(
    design: CestDesign, *, scanner: Scanner, motion: float, snr: float, rng: np.random.Generator
) -> SaturationScan:
    """Play a CEST scan.

    Parameters
    ----------
    design
        What is played.
    scanner
        What is scanned, and where.
    motion
        Range of the head [mm and degrees].
    snr
        Signal of relaxed grey matter at nominal B1 over the standard deviation of the noise.
    rng
        Source of poses and noise.
    """
    protocol = design.protocol

    def signal(label: int, tissue: Tissue) -> TissueSignal:
        return tissue_signal(
            model_of(label, tissue, semisolid=scanner.semisolid, every_pool=design.every_pool),
            protocol,
            chemical_shift=chemical_shift(tissue, protocol.field_strength),
            threads=scanner.threads,
        )

    signals = SignalsOfTissues(scanner.head.tissues, signal)
    contrast = Contrast(
        signals=signals,
        readout=design.readout_flip_angle,
        volumes=protocol.number_of_images,
        semisolid=scanner.semisolid,
    )
    noise = TISSUES[Label.GM].m0 * math.sin(design.readout_flip_angle) / snr
    return series_of(scanner, contrast, reference=design.reference, motion=motion, noise=noise, rng=rng)
