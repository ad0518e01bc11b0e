"""What the sidecar of a map says about where it came from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import singledispatch
from pathlib import Path
from typing import Any

from qmri_bids.bids.names import outputs
from qmri_bids.bids.refusal import relative_name
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.physics.saturation import SaturationProtocol, SpinLock
from qmri_bids.units import radians_to_degrees, tesla_to_microtesla

RAW_NAME = "raw"
"""Name of the raw dataset in BIDS URIs; DatasetLinks says where it is."""


def bids_uri(path: Path, *, root: Path, dataset: str = "") -> str:
    """Return the BIDS URI of a file.

    Parameters
    ----------
    path
        The file.
    root
        The dataset it lies in.
    dataset
        Name of that dataset in DatasetLinks, empty for the derivatives themselves.

    Examples
    --------
    >>> bids_uri(Path("/data/sub-01/anat/sub-01_VFA.nii.gz"), root=Path("/data"), dataset="raw")
    'bids:raw:sub-01/anat/sub-01_VFA.nii.gz'
    """
    name = relative_name(path, root)
    if Path(name).is_absolute():
        raise ValueError(f"{path}: expected a file inside {root}")
    return f"bids:{dataset}:{name}"


@singledispatch
def protocol_metadata(protocol: Any) -> dict[str, Any]:
    """Return the acquisition parameters in the keys and units of BIDS.

    Raises
    ------
    TypeError
        If a protocol of this kind has no keys.
    """
    raise TypeError(f"a protocol of the kind {type(protocol).__name__} has no keys in a sidecar")


@protocol_metadata.register
def _(protocol: BssfpProtocol) -> dict[str, Any]:
    content: dict[str, Any] = {
        "RepetitionTimeExcitation": round(protocol.repetition_time, 9),
        "EchoTime": round(protocol.echo_time, 9),
        "FlipAngle": round(radians_to_degrees(protocol.flip_angle), 6),
        "RFPhaseIncrement": [round(radians_to_degrees(value), 6) for value in protocol.rf_phase_increment],
        "RFPhaseIncrementReference": "absolute",
        "PulseSequenceType": "bSSFP",
    }
    if protocol.field_strength is not None:
        content["MagneticFieldStrength"] = protocol.field_strength
    return content


@protocol_metadata.register
def _(protocol: SaturationProtocol) -> dict[str, Any]:
    trains = [image.saturation for image in protocol.images]
    played = [train for train in trains if train is not None]
    content: dict[str, Any] = {
        "MagneticFieldStrength": protocol.field_strength,
        "SaturationOffset": [None if offset is None else round(offset, 6) for offset in protocol.offsets],
        "SaturationB1RMS": [0.0 if train is None else round(tesla_to_microtesla(train.b1_rms), 6) for train in trains],
        "RecoveryTime": [round(image.recovery, 6) for image in protocol.images],
        "PulseSequenceType": "CEST",
    }
    if played and all(train == played[0] for train in played):
        first = played[0]
        content |= {
            "SaturationDuration": round(first.duration, 9),
            "MTNumberOfPulses": first.number,
            "MTPulseDuration": round(first.pulse.duration, 9),
            "SaturationInterpulseDelay": round(first.gap, 9),
            "SaturationDutyCycle": round(first.duty_cycle, 6),
            "SpinLock": first.spin_lock is not SpinLock.NONE,
        }
    return content


def raw_uris(paths: Iterable[Path], *, bids_dir: Path) -> list[str]:
    """Return the BIDS URIs of files of the raw dataset, as sidecars of derivatives name them."""
    return [bids_uri(path, root=bids_dir, dataset=RAW_NAME) for path in paths]


def file_uris(paths: Iterable[Path], *, bids_dir: Path, output_dir: Path) -> list[str]:
    """Return the BIDS URIs of files of the raw dataset or the derivatives, and the paths of others as URIs."""
    roots = ((output_dir, ""), (bids_dir, RAW_NAME))
    found = []
    for path in dict.fromkeys(paths):
        places = [place for place in roots if not Path(relative_name(path, place[0])).is_absolute()]
        found += [bids_uri(path, root=root, dataset=name) for root, name in places[:1]] or [path.absolute().as_uri()]
    return found


def map_metadata(
    output: str,
    *,
    sources: Sequence[str],
    protocol: BssfpProtocol | SaturationProtocol | None = None,
    algorithm: str | None = None,
    reference: str | None = None,
    model: Mapping[str, Any] | None = None,
    skull_stripped: bool | None = None,
    spatial_reference: str | None = None,
    description: str | None = None,
    extra: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the sidecar of an output.

    Parameters
    ----------
    output
        Key of `names.outputs`: gives Description, Units and SkullStripped.
    sources
        BIDS URIs of the files it was made from, from `bids_uri`.
    protocol
        Acquisition, written with the keys of BIDS.
    algorithm, reference
        EstimationAlgorithm and EstimationReference.
    model
        What estimated: name, version, and hash of its weights if it has any.
    skull_stripped
        Other than the usual value of the output, e.g. False without a brain mask.
    spatial_reference
        SpatialReference, for outputs with a `space` that is no standard template.
    description
        Other than the usual one of the output, e.g. of a map that belongs to one of many pools.
    extra
        Further keys.
    """
    row = outputs()[output]
    content: dict[str, Any] = {"Description": row.description if description is None else description}
    if row.kind == "mask":
        content["Type"] = "Brain" if output == "brain_mask" else "ROI"
    if row.levels is not None:
        content["Levels"] = dict(row.levels)
    if row.units is not None:
        content["Units"] = row.units
    if row.skull_stripped is not None:
        content["SkullStripped"] = row.skull_stripped if skull_stripped is None else skull_stripped
    content["Sources"] = list(sources)
    if algorithm is not None:
        content["EstimationAlgorithm"] = algorithm
    if reference is not None:
        content["EstimationReference"] = reference
    if model is not None:
        content["EstimationModel"] = dict(model)
    if spatial_reference is not None:
        content["SpatialReference"] = spatial_reference
    if protocol is not None:
        content |= protocol_metadata(protocol)
    return content | dict(extra or {})
