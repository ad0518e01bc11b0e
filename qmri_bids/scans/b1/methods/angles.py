"""B1 scans that store flip angles beside an anatomical image: TB1TFL and TB1RFM."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from qmri_bids.bids.images import ImageInfo, check_image, check_same_grid
from qmri_bids.bids.metadata.file_name import parse_name
from qmri_bids.bids.metadata.sidecar import decisions_on, read_sidecar, texts
from qmri_bids.bids.refusal import ValueSource, refuse, relative_name
from qmri_bids.pipeline.sources import B1Method, B1Run
from qmri_bids.scans.b1.methods.values import (
    DECIDED,
    PLAUSIBLE,
    ambiguous,
    angle_source,
    check_varies,
    has_signal,
    is_plausible,
    median_of,
    nominal_flip_angle,
    read_values,
    wrong_axes,
)
from qmri_bids.scans.find_options import FindOptions
from qmri_bids.units import degrees_to_radians, radians_to_degrees

ROLES = ("anat", "famp")
OFFER = (
    "If the stored flip angle is that of the readout, give the one of the preparation with --b1-nominal-fa "
    "(degrees); "
    "if the values have another scale, give relative B1 per stored value with --b1-scale."
)


@dataclass(frozen=True, kw_only=True)
class AngleScale:
    """How a scanner stores flip angles: degrees = (stored value - `zero`) × `degrees`.

    Parameters
    ----------
    degrees, zero
        Degrees per stored value, and the stored value of 0°.
    formula, origin
        The same in messages, and as the source of the scale.
    """

    degrees: float
    zero: float
    formula: str
    origin: str


TFL = AngleScale(
    degrees=0.1,
    zero=0.0,
    formula="stored values / 10",
    origin="TB1TFL: ten times the flip angle in degrees",
)
"""Siemens tfl_b1map; BIDS states no scale."""

RFM = AngleScale(
    degrees=180.0 / 2048.0,
    zero=2048.0,
    formula="(stored values - 2048) × 180/2048",
    origin="TB1RFM: 2048 is 0°, 4096 is 180°",
)
"""Siemens rf_map as it leaves the scanner, 0 to 4095."""

RESCALED_RFM = AngleScale(
    degrees=180.0 / 4096.0,
    zero=0.0,
    formula="stored values × 180/4096",
    origin="TB1RFM rescaled by the converter to -4096 to 4094: 0 is 0°, 4096 is 180°",
)
"""The same where a converter applied the rescale slope 2 and intercept -4096 of the DICOM file."""


def split_role(label: str) -> tuple[str, str]:
    """Split an acquisition label in its own part and the role `anat` or `famp` that ends it."""
    for role in ROLES:
        if label.endswith(role):
            return label.removesuffix(role), role
    return label, ""


@dataclass(frozen=True, kw_only=True)
class _Images:
    anatomical: ImageInfo | None
    famp: ImageInfo
    volumes: tuple[int, int] | None
    warnings: tuple[str, ...] = ()


def _images(paths: Sequence[Path], root: Path) -> _Images:
    """Return both images, checked."""
    by_role: dict[str, list[Path]] = {}
    for path in paths:
        by_role.setdefault(split_role(parse_name(path).entities.get("acq", ""))[1], []).append(path)
    for same in by_role.values():
        if len(same) > 1:
            raise ambiguous(same, root)
    infos = {role: check_image(same[0], root=root) for role, same in by_role.items()}
    both = next((info for info in infos.values() if len(info.shape) == 4 and info.shape[3] == 2), None)
    if both is not None:
        sentence = (
            f"{both.name} holds two volumes: the first is taken as anatomical image, the second as flip "
            f"angles, the "
            "order of the vendor; the scale of the second was checked."
        )
        return _Images(anatomical=both, famp=both, volumes=(0, 1), warnings=(sentence,))
    if "famp" not in infos:
        raise refuse(
            file=relative_name(paths[0], root),
            key="acq",
            expected="acq-anat and acq-famp, or one file with both images",
            found="no acq-famp",
            advice="Add the flip angle image of the B1 scan, or run with --no-b1.",
        )
    anatomical, famp = infos.get("anat"), infos["famp"]
    for info in infos.values():
        if len(info.shape) != 3:
            raise wrong_axes(info, expected="three axes, or two volumes (anatomical image, flip angles)")
    if anatomical is None:
        sentence = (
            f"{famp.name} has no acq-anat image: the B1 map cannot be registered and is placed by scanner coordinates."
        )
        return _Images(anatomical=None, famp=famp, volumes=None, warnings=(sentence,))
    check_same_grid(famp, anatomical)
    return _Images(anatomical=anatomical, famp=famp, volumes=None)


def _read(paths: Sequence[Path], root: Path, options: FindOptions, *, method: B1Method) -> B1Run:
    images = _images(paths, root)
    famp, volumes = images.famp, images.volumes
    sidecar = read_sidecar(famp.path, root=root, added=options.metadata)
    nominal, source = nominal_flip_angle(sidecar, options, of="the preparation pulse")
    scale, median, warnings = _SCALES[method](images)
    sources = [angle_source(nominal, source)]
    if options.b1_scale is None:
        factor, origin = degrees_to_radians(scale.degrees) / nominal, scale.origin
        relative = (median - scale.zero) * factor
        stored = f"median flip angle of {(median - scale.zero) * scale.degrees:.3g}° ({scale.formula})"
    else:
        factor, origin = options.b1_scale, "command line: --b1-scale"
        relative = (median - scale.zero) * factor
        above = f" - {scale.zero:g}" if scale.zero else ""
        stored = f"median relative B1 of {relative:.3g} (stored values{above} × {factor:g})"
    sources.append(ValueSource(key="b1_scale", value=f"{factor:.6g}", unit="per stored value", source=origin))
    if not is_plausible(relative):
        degrees = radians_to_degrees(nominal)
        low, high = PLAUSIBLE
        raise refuse(
            file=famp.name,
            key="flip angles",
            expected=f"a median of {low * degrees:.3g}° to {high * degrees:.3g}° for a nominal {degrees:g}° ({source})",
            found=stored if math.isfinite(median) else "no value above zero",
            advice=OFFER,
        )
    stored_angles = read_values(famp, volumes and volumes[1]) - scale.zero
    check_varies(stored_angles, famp, what="flip angles")
    return B1Run(
        entities=dict(parse_name(famp.path).entities),
        method=method,
        anatomical=None if images.anatomical is None else images.anatomical.path,
        map=famp.path,
        anatomical_volume=volumes and volumes[0],
        map_volume=volumes and volumes[1],
        scale=factor,
        offset=scale.zero,
        nominal_flip_angle=nominal,
        intended_for=texts(sidecar, "IntendedFor"),
        identifiers=texts(sidecar, "B0FieldIdentifier"),
        sources=tuple(sources),
        warnings=images.warnings + warnings + decisions_on([sidecar], DECIDED),
    )


def _tfl_scale(images: _Images) -> tuple[AngleScale, float, tuple[str, ...]]:
    """Return the scale, and the median of what is stored where there is a value."""
    values = read_values(images.famp, images.volumes and images.volumes[1])
    return TFL, median_of(values[values > 0]), ()


def _rfm_scale(images: _Images) -> tuple[AngleScale, float, tuple[str, ...]]:
    """Return the scale, the median of what is stored where the head is, and what was decided."""
    values = read_values(images.famp, images.volumes and images.volumes[1])
    scale = RESCALED_RFM if values.min() < 0.0 else RFM
    shown = f"{images.famp.name}: flip angles were read as {scale.formula} degrees"
    shown += ", since values are negative." if scale is RESCALED_RFM else "."
    if images.anatomical is None:
        inside = values > scale.zero
    else:
        inside = has_signal(read_values(images.anatomical, images.volumes and images.volumes[0]))
    return scale, median_of(values[inside]), (shown,)


_SCALES: dict[str, Callable[[_Images], tuple[AngleScale, float, tuple[str, ...]]]] = {
    "TB1TFL": _tfl_scale,
    "TB1RFM": _rfm_scale,
}

read_tfl = partial(_read, method="TB1TFL")
"""Check the images of a TB1TFL scan."""
read_rfm = partial(_read, method="TB1RFM")
"""Check the images of a TB1RFM scan."""
