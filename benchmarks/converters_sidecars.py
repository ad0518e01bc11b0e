"""Sidecars as dcm2niix documents them for scanners of five vendors, none of which holds all that a scan needs.

What is missing, and whether the repetition time is that of excitations, was written down from what the fields mean, before any of
them was tried.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SIEMENS_VE = {
    "Modality": "MR",
    "MagneticFieldStrength": 3,
    "ImagingFrequency": 123.25,
    "Manufacturer": "Siemens",
    "ManufacturersModelName": "Prisma",
    "SoftwareVersions": "syngo MR E11",
    "ConversionSoftware": "dcm2niix",
}
SIEMENS_XA = SIEMENS_VE | {"ManufacturersModelName": "MAGNETOM Vida", "SoftwareVersions": "syngo MR XA50"}
GE = SIEMENS_VE | {
    "Manufacturer": "GE",
    "ManufacturersModelName": "SIGNA Premier",
    "SoftwareVersions": "29\\LX\\SIGNA_LX1",
}
PHILIPS = SIEMENS_VE | {
    "Manufacturer": "Philips",
    "ManufacturersModelName": "Ingenia Elition X",
    "SoftwareVersions": "5.7.1",
    "PhilipsRescaleSlope": 1.53455,
    "PhilipsRescaleIntercept": 0,
}
CANON = SIEMENS_VE | {"Manufacturer": "Canon", "ManufacturersModelName": "Galan", "SoftwareVersions": "V6.0"}
BRUKER = SIEMENS_VE | {
    "Manufacturer": "Bruker",
    "ManufacturersModelName": "BioSpec 94/20",
    "SoftwareVersions": "PV-360",
}

VOLUME_3D = {"MRAcquisitionType": "3D"}
SLICES_2D = {"MRAcquisitionType": "2D", "SpacingBetweenSlices": 10}
STATED = {"FlipAngle": 15, "EchoTime": 0.0024, "RepetitionTime": 0.0048}
INCREMENTS = {"RFPhaseIncrement": [30, 90, 150, 210, 270, 330]}
EXCITATION = {"RepetitionTimeExcitation": 0.0048}
BALANCED = {"PulseSequenceType": "bSSFP"}
TIME = "RepetitionTimeExcitation"


@dataclass(frozen=True, kw_only=True)
class Case:
    """A scan whose sidecars lack something.

    Parameters
    ----------
    name
        Vendor, software and sequence.
    kind
        `pcbssfp`, `mts`, `tfl`, `dam`, `afi` or `cest`.
    content
        Of the sidecar, or of each of several by their place in the scan.
    missing
        Keys that a message must name.
    metadata
        What completes it.
    takes_time
        Whether `RepetitionTime` is the time between two excitations.
    arguments
        Further ones of the command line, where metadata cannot say it.
    """

    name: str
    kind: str
    content: Mapping[str, Any] | tuple[Mapping[str, Any], ...]
    missing: tuple[str, ...]
    metadata: Mapping[str, Mapping[str, Any]]
    takes_time: bool = False
    arguments: tuple[str, ...] = ()


def _trufi(name: str, *, add: Mapping[str, Any], missing: tuple[str, ...], takes_time: bool, **completes: Any) -> Case:
    return Case(
        name=name,
        kind="pcbssfp",
        content=STATED | dict(add),
        missing=missing,
        metadata={"pcbssfp": INCREMENTS | completes},
        takes_time=takes_time,
    )


RF = "RFPhaseIncrement"
BSSFP = (
    _trufi(
        "Siemens VE trufi 3D",
        add=SIEMENS_VE
        | VOLUME_3D
        | {
            "ScanningSequence": "GR",
            "SequenceVariant": "SK\\SS",
            "PulseSequenceDetails": "%SiemensSeq%\\trufi",
            "SequenceName": "*tfi3d1",
        },
        missing=(RF,),
        takes_time=True,
    ),
    _trufi(
        "Siemens VE own sequence, name of the product",
        add=SIEMENS_VE
        | VOLUME_3D
        | {
            "ScanningSequence": "GR",
            "SequenceVariant": "SS",
            "PulseSequenceDetails": "%CustomerSeq%\\pc_lab",
            "SequenceName": "tfi3d1",
        },
        missing=(RF,),
        takes_time=True,
    ),
    _trufi(
        "Siemens VE own sequence, no name",
        add=SIEMENS_VE
        | VOLUME_3D
        | {"ScanningSequence": "GR", "SequenceVariant": "SS", "PulseSequenceDetails": "%CustomerSeq%\\lab_v3"},
        missing=("PulseSequenceType", RF),
        takes_time=True,
        **BALANCED,
    ),
    _trufi(
        "Siemens VE trufi 2D multi-slice",
        add=SIEMENS_VE
        | SLICES_2D
        | {
            "ScanningSequence": "GR",
            "SequenceVariant": "SK\\SS",
            "PulseSequenceDetails": "%SiemensSeq%\\trufi",
            "RepetitionTime": 0.0482,
        },
        missing=(TIME, RF),
        takes_time=False,
        **EXCITATION,
    ),
    _trufi(
        "Siemens XA trufi 3D",
        add=SIEMENS_XA | VOLUME_3D | {"PulseSequenceName": "*tfi3d1"},
        missing=(RF,),
        takes_time=True,
    ),
    _trufi(
        "Siemens XA trufi without MRAcquisitionType",
        add=SIEMENS_XA | {"PulseSequenceName": "*tfi3d1"},
        missing=(TIME, RF),
        takes_time=False,
        **EXCITATION,
    ),
    _trufi(
        "Siemens XA flip angle lost",
        add=SIEMENS_XA | VOLUME_3D | {"PulseSequenceName": "*tfi3d1", "FlipAngle": None},
        missing=("FlipAngle", RF),
        takes_time=True,
        FlipAngle=15,
    ),
    _trufi(
        "GE FIESTA 3D",
        add=GE
        | VOLUME_3D
        | {
            "ScanningSequence": "GR",
            "SequenceVariant": "SS\\SK",
            "PulseSequenceName": "FIESTA",
            "ScanOptions": "FAST_GEMS\\EDR_GEMS",
        },
        missing=(RF,),
        takes_time=True,
    ),
    _trufi(
        "GE efgre3d",
        add=GE
        | VOLUME_3D
        | {"ScanningSequence": "GR", "SequenceVariant": "SS\\SK", "InternalPulseSequenceName": "EFGRE3D"},
        missing=("PulseSequenceType", RF),
        takes_time=True,
        **BALANCED,
    ),
    _trufi(
        "GE FIESTA 2D",
        add=GE
        | SLICES_2D
        | {
            "ScanningSequence": "GR",
            "SequenceVariant": "SS",
            "PulseSequenceName": "2DFIESTA",
            "RepetitionTime": 0.0075,
        },
        missing=(TIME, RF),
        takes_time=False,
        **EXCITATION,
    ),
    _trufi(
        "Philips B-FFE 3D",
        add=PHILIPS | VOLUME_3D | {"ScanningSequence": "GR", "SequenceVariant": "SS", "PulseSequenceName": "B-FFE"},
        missing=(RF,),
        takes_time=True,
    ),
    _trufi(
        "Philips FFE, contrast not said",
        add=PHILIPS | VOLUME_3D | {"ScanningSequence": "RM", "SequenceVariant": "SS"},
        missing=("PulseSequenceType", TIME, RF),
        takes_time=False,
        **BALANCED,
        **EXCITATION,
    ),
    _trufi(
        "Canon True SSFP 3D",
        add=CANON | VOLUME_3D | {"ScanningSequence": "GR", "SequenceVariant": "SS", "SequenceName": "TrueSSFP3D"},
        missing=(RF,),
        takes_time=True,
    ),
    _trufi(
        "Bruker FISP 3D",
        add=BRUKER | VOLUME_3D | {"ScanningSequence": "RM", "SequenceName": "Bruker:FISP"},
        missing=("PulseSequenceType", TIME, RF),
        takes_time=False,
        **BALANCED,
        **EXCITATION,
    ),
    _trufi(
        "no converter: a sidecar of two keys",
        add={"EchoTime": None, "RepetitionTime": None},
        missing=("PulseSequenceType", TIME, RF),
        takes_time=False,
        **BALANCED,
        **EXCITATION,
    ),
)

ANGLES = (6, 6, 20)
"""Of the images of MT saturation: PD weighted, with MT pulse, T1 weighted."""

GRE = {"ScanningSequence": "GR", "SequenceVariant": "SP"}


def _mts(name: str, *, add: Mapping[str, Any], missing: tuple[str, ...], takes_time: bool, **completes: Any) -> Case:
    base = {"EchoTime": 0.0025, "RepetitionTime": 0.028}
    return Case(
        name=name,
        kind="mts",
        content=tuple(base | {"FlipAngle": angle} | dict(add) for angle in ANGLES),
        missing=missing,
        metadata={"mt": completes},
        takes_time=takes_time,
    )


MTS = (
    _mts(
        "Siemens VE gre 3D", add=SIEMENS_VE | VOLUME_3D | GRE | {"SequenceName": "*fl3d1"}, missing=(), takes_time=True
    ),
    _mts("GE SPGR 3D", add=GE | VOLUME_3D | GRE | {"PulseSequenceName": "SPGR"}, missing=(), takes_time=True),
    _mts(
        "Philips T1-FFE 3D", add=PHILIPS | VOLUME_3D | GRE | {"PulseSequenceName": "T1FFE"}, missing=(), takes_time=True
    ),
    _mts(
        "Siemens VE gre 2D",
        add=SIEMENS_VE | SLICES_2D | GRE | {"SequenceName": "*fl2d1"},
        missing=(TIME,),
        takes_time=False,
        RepetitionTimeExcitation=0.028,
    ),
    _mts(
        "Canon FE 3D-EPI",
        add=CANON | VOLUME_3D | {"ScanningSequence": "EP\\GR"},
        missing=(TIME,),
        takes_time=False,
        RepetitionTimeExcitation=0.028,
    ),
    _mts(
        "Siemens VE tfl 3D, prepared",
        add=SIEMENS_VE | VOLUME_3D | {"ScanningSequence": "GR", "SequenceVariant": "SK\\SP\\MP"},
        missing=(TIME,),
        takes_time=False,
        RepetitionTimeExcitation=0.028,
    ),
)

B1 = (
    Case(
        name="Siemens VE tfl_b1map, angle of the readout",
        kind="tfl",
        content=SIEMENS_VE
        | {"MRAcquisitionType": "2D", "FlipAngle": 8, "SequenceName": "*tfl2d1_64", "RepetitionTime": 10},
        missing=("flip angles",),
        metadata={},
        arguments=("--b1-nominal-fa", "80"),
    ),
    Case(
        name="Siemens XA tfl_b1map without flip angle",
        kind="tfl",
        content=SIEMENS_XA | {"PulseSequenceName": "*tfl2d1_64"},
        missing=("FlipAngle",),
        metadata={"TB1TFL": {"FlipAngle": 80}},
    ),
    Case(
        name="GE double angle without flip angles",
        kind="dam",
        content=(GE | {"RepetitionTime": 10}, GE | {"RepetitionTime": 10}),
        missing=("FlipAngle",),
        metadata={"*_flip-1_TB1DAM": {"FlipAngle": 60}, "*_flip-2_TB1DAM": {"FlipAngle": 120}},
    ),
    Case(
        name="Philips AFI, one TR in both",
        kind="afi",
        content=(PHILIPS | {"FlipAngle": 60, "RepetitionTime": 0.02},) * 2,
        missing=("RepetitionTime",),
        metadata={},
        arguments=("--b1-afi-tr", "0.02", "0.1"),
    ),
)

CEST = (
    Case(
        name="Siemens VE CEST, nothing but the table of offsets",
        kind="cest",
        content=SIEMENS_VE | VOLUME_3D | {"FlipAngle": 6, "RepetitionTime": 3.4},
        missing=("SaturationB1RMS", "SaturationDuration"),
        metadata={
            "cest": {
                "SaturationB1RMS": 0.5235,
                "MTPulseDuration": 0.02048,
                "SaturationInterpulseDelay": 0.02,
                "MTNumberOfPulses": 80,
                "MTPulseShape": "gausshann",
            }
        },
    ),
    Case(
        name="Philips CEST without field, power and duration",
        kind="cest",
        content={
            key: value for key, value in PHILIPS.items() if key not in ("MagneticFieldStrength", "ImagingFrequency")
        },
        missing=("MagneticFieldStrength", "SaturationB1RMS", "SaturationDuration"),
        metadata={
            "cest": {
                "MagneticFieldStrength": 3,
                "SaturationB1RMS": 0.5235,
                "SaturationDuration": 3.2,
            }
        },
    ),
)

CASES = (*BSSFP, *MTS, *B1, *CEST)
