"""Runs of fingerprints without any image, for all tests of their workflow."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from qmri_bids.physics.fingerprint import ExchangeScan
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.physics.published_pools import PUBLISHED_POOLS
from qmri_bids.physics.saturation import SaturationProtocol
from qmri_bids.physics.saturation_presets import mrf_amide, mrf_mt
from qmri_bids.pipeline.sources import B1Run, Take
from qmri_bids.scans.bssfp.run import CycleFiles, PcBssfpRun
from qmri_bids.scans.pools.run import ExchangeRun
from qmri_bids.scans.saturation.run import CestRun

SHAPE = (14, 16, 12)
RELAXATION = "sub-01_acq-pcbssfp_flip-1"


def short(protocol: SaturationProtocol) -> SaturationProtocol:
    return replace(protocol, images=protocol.images[:6])


def stage(acq: str, protocol: SaturationProtocol, *, folder: Path = Path("raw")) -> CestRun:
    number = protocol.number_of_images
    return CestRun(
        entities={"sub": "01", "acq": acq},
        suffix="cest",
        image=folder / "sub-01" / "anat" / f"sub-01_acq-{acq}_cest.nii.gz",
        grid=SHAPE,
        volumes=tuple(range(number)),
        roles=("m0", *("cest",) * (number - 1)),
        protocol=protocol,
        kind="fingerprint",
    )


def from_run(*names: str, run: str = RELAXATION, method: Any = "pcbssfp") -> Take:
    return Take(names=names, method=method, run=run, sentence=f"From {run}.")


def fixed(**values: float) -> Take:
    return Take(names=tuple(values), method="fixed", values=values, sentence="One number.")


def fingerprint(*known: Take, folder: Path = Path("raw")) -> ExchangeRun:
    stages = (stage("MRFMT", short(mrf_mt()), folder=folder), stage("MRFamide", short(mrf_amide()), folder=folder))
    return ExchangeRun(
        entities={"sub": "01", "acq": "MRF"},
        stages=stages,
        scan=ExchangeScan(
            protocols=tuple(each.protocol for each in stages), model=PUBLISHED_POOLS, pools=("MT", "amide")
        ),
        known=known,
    )


def known_sources(folder: Path) -> tuple[Take, ...]:
    b1 = folder / "sub-01" / "fmap" / "sub-01_TB1map.nii.gz"
    return (
        from_run("t1", "t2", "off_resonance"),
        Take(
            names=("b1",),
            method="b1",
            b1_run=B1Run(entities={"sub": "01"}, method="TB1map", anatomical=None, map=b1, scale=1.0),
            sentence="B1 comes from the B1 scan.",
        ),
    )


def relaxation() -> PcBssfpRun:
    return PcBssfpRun(
        entities={"sub": "01", "acq": "pcbssfp", "flip": "1"},
        suffix="VFA",
        layout_kind="mag-phase",
        files=CycleFiles(),
        grid=SHAPE,
        protocol=BssfpProtocol.evenly_spaced(
            number_of_cycles=4, repetition_time=5e-3, echo_time=2.5e-3, flip_angle=0.3, field_strength=3.0
        ),
        b1=None,
        sources=(),
        warnings=(),
    )
