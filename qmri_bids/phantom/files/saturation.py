"""The CEST and MT scans of a session, simulated and written one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qmri_bids.phantom.files.b1 import scanner_of
from qmri_bids.phantom.files.cest import write_cest, write_mt
from qmri_bids.phantom.heads.head import Head
from qmri_bids.phantom.scans.cest import CEST_SCANS, WASABI, CestDesign, scan_cest
from qmri_bids.phantom.scans.cest_truth import write_cest_truth, write_mt_truth
from qmri_bids.phantom.scans.mt import FIELD_STRENGTH, MT_SCANS, scan_mt
from qmri_bids.phantom.scans.series import Scanner
from qmri_bids.phantom.scans.session import Session


@dataclass(frozen=True, kw_only=True)
class SaturationScans:
    """Which scans are added to a session.

    Parameters
    ----------
    cest
        Keys of `scans.cest.CEST_SCANS`.
    mt
        Keys of `scans.mt.MT_SCANS`.
    wasabi
        Whether B0 and B1 are measured by WASABI.
    snr
        Signal of relaxed grey matter over the standard deviation of the noise.

    Raises
    ------
    ValueError
        If a scan is not known or named twice, or the ratio is not positive.
    """

    cest: tuple[str, ...] = ()
    mt: tuple[str, ...] = ()
    wasabi: bool = False
    snr: float = 100.0

    def __post_init__(self) -> None:
        for name, chosen, known in (("cest", self.cest, CEST_SCANS), ("mt", self.mt, MT_SCANS)):
            if not set(chosen) <= set(known) or len(set(chosen)) < len(chosen):
                raise ValueError(f"{name} must name each of {', '.join(known)} at most once, found {list(chosen)}")
        if not self.snr > 0.0:
            raise ValueError(f"cest_snr must be above 0, found {self.snr}")

    @property
    def designs(self) -> tuple[CestDesign, ...]:
        """The CEST scans in order of acquisition, WASABI first."""
        named = tuple(design for name in self.cest for design in CEST_SCANS[name])
        return (WASABI, *named) if self.wasabi else named

    @property
    def settings(self) -> dict[str, object]:
        """What the README says of them; nothing without any."""
        if not self.any:
            return {}
        labels = [*(design.label for design in self.designs), *(MT_SCANS[name].label for name in self.mt)]
        return {"CEST and MT scans": ", ".join(labels), "their signal to noise ratio": f"{self.snr:g}"}

    @property
    def any(self) -> bool:
        """Whether there is any."""
        return bool(self.designs or self.mt)


def add_saturation_scans(
    scans: SaturationScans,
    *,
    head: Head,
    session: Session,
    raw_root: Path,
    truth_root: Path,
    place: Path,
    prefix: str,
    motion: float,
    entropy: Sequence[int],
    threads: int,
) -> None:
    """Simulate the scans of a session and write them with their truth.

    Parameters
    ----------
    scans
        Which.
    head, session
        What is scanned, and where it lay in the bSSFP scan.
    raw_root, truth_root
        The raw dataset and the derivative.
    place
        Folder of the subject or session in both.
    prefix
        Start of every file name, such as `sub-01_ses-1_`.
    motion
        The head stays within ±`motion` millimetres and degrees of where it was in the bSSFP scan.
    entropy
        Seed, subject and session; every scan has a stream of randomness of its own, so that one does not change another.
    threads
        Processor threads to use; the files do not depend on it.
    """
    scanner = Scanner(
        head=head,
        grid=session.grid,
        placement=session.placement,
        receiver=session.receiver,
        threads=threads,
        semisolid=session.physics.semisolid,
    )
    affine, said = session.grid.affine, scanner_of(session.grid)
    folder, truth_folder = raw_root / place, truth_root / place

    def sources(images: Sequence[str]) -> list[str]:
        return [f"bids:raw:{place.as_posix()}/{image}" for image in images]

    for design in scans.designs:
        rng = np.random.default_rng([*entropy, design.code])
        scan = scan_cest(design, scanner=scanner, motion=motion, snr=scans.snr, rng=rng)
        images = write_cest(folder, prefix, design=design, scan=scan, affine=affine, scanner=said)
        write_cest_truth(truth_folder, prefix, design=design, scan=scan, affine=affine, sources=sources(images))
    for name in scans.mt:
        echoes = MT_SCANS[name]
        rng = np.random.default_rng([*entropy, echoes.code])
        found = scan_mt(echoes, scanner=scanner, motion=motion, snr=scans.snr, rng=rng)
        images = write_mt(
            folder, prefix, design=echoes, scan=found.scan, affine=affine, field_strength=FIELD_STRENGTH, scanner=said
        )
        write_mt_truth(truth_folder, prefix, design=echoes, scan=found, affine=affine, sources=sources(images))
