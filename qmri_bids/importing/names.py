"""What names tell: the part of a complex image, an MT pulse, an increment, and what two images of one scan have in common."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

PART_ENDINGS: Mapping[str, str] = {
    "ph": "phase",
    "phase": "phase",
    "pha": "phase",
    "mag": "mag",
    "magnitude": "mag",
    "real": "real",
    "re": "real",
    "imaginary": "imag",
    "imag": "imag",
    "im": "imag",
}
"""Words that tell the part, where they stand by themselves at the end of a name."""

IMAGE_TYPES: Mapping[str, str] = {
    "M": "mag",
    "MAGNITUDE": "mag",
    "M_FFE": "mag",
    "M_SE": "mag",
    "P": "phase",
    "PHASE": "phase",
    "PHASE MAP": "phase",
    "R": "real",
    "REAL": "real",
    "I": "imag",
    "IMAGINARY": "imag",
    "COMPLEX": "complex",
}
"""Values of DICOM's ImageType and ComplexImageComponent that tell the part."""

_ENDING = re.compile(r"[_-]([a-z]+)(?=([_-]?(e\d+|[a-z]|\d+))?$)", re.IGNORECASE)
_PART = re.compile(r"[_-](part-)?(ph|phase|pha|mag|magnitude|real|re|imaginary|imag|im)(?=[_-]|$)", re.IGNORECASE)
_KEYED = re.compile(
    r"(?<![a-z])(?:rf)?(?:pc|phase[ _-]?cycl(?:e|ing)|phase[ _-]?inc(?:r(?:ement)?)?|inc(?:r(?:ement)?)?|dphi|phi|phase)"
    r"[ _=-]*(\d{1,3}(?:[.p]\d+)?)(?![\d.])",
    re.IGNORECASE,
)
_DEGREES = re.compile(r"(?<![\d.])(\d{1,3}(?:\.\d+)?) ?(?:deg|°)(?!\w)", re.IGNORECASE)
_SERIES = re.compile(r"(?<![a-z0-9])e?\d+[a-z]?(?![a-z0-9])", re.IGNORECASE)
_STATE = re.compile(
    r"mt[ _-]?(?:on|off|1|0)(?![a-z0-9])|no[ _-]?mt(?![a-z])|(?<![a-z])(?:with|without)[ _-]?mt|(?<![a-z])(?:mt|pd|"
    r"t1)w?(?![a-z0-9])|"
    r"(?<![a-z])(?:fa|flip)[ _-]?\d+",
    re.IGNORECASE,
)
_ROLE = re.compile(
    r"(?<![a-z])(?:part-)?(?:anat|famp|tr1|tr2|pha?|phase|mag|magnitude|real|imaginary|imag)(?![a-z])", re.IGNORECASE
)
_ON = re.compile(
    r"(?<![a-z])mt[ _-]?(?:on|1)(?![a-z0-9])|(?<![a-z])mtw(?![a-z])|(?<![a-z])with[ _-]?mt(?![a-z])", re.IGNORECASE
)
_OFF = re.compile(
    r"(?<![a-z])mt[ _-]?(?:off|0)(?![a-z0-9])|(?<![a-z])no[ _-]?mt(?![a-z])|(?<![a-z])without[ _-]?mt(?![a-z])|"
    r"(?<![a-z])(?:pdw|t1w|mt0)(?![a-z])",
    re.IGNORECASE,
)


def part_of_image_type(values: Mapping[str, Any]) -> tuple[str, str]:
    """Return the part that a sidecar states and the key that does, empty without one.

    Examples
    --------
    >>> part_of_image_type({"ImageType": ["ORIGINAL", "PRIMARY", "P", "ND"]})
    ('phase', 'ImageType')
    """
    for key in ("ComplexImageComponent", "ImageType", "ImageTypeText"):
        stated = values.get(key)
        codes = stated if isinstance(stated, list) else re.split(r"[\\_]", stated) if isinstance(stated, str) else []
        found = {IMAGE_TYPES[code.upper()] for code in codes if isinstance(code, str) and code.upper() in IMAGE_TYPES}
        # Where a converter adds its own word, that of the scanner may still say magnitude.
        found = found - {"mag"} if len(found) > 1 else found
        if len(found) == 1:
            return found.pop(), key
    return "", ""


def part_of_name(stem: str) -> str:
    """Return the part that the end of a name tells, empty without one.

    Examples
    --------
    >>> part_of_name("20250101_trufi_5_e1_ph"), part_of_name("trufi_phase180_5"), part_of_name("trufi_7_imaginary")
    ('phase', '', 'imag')
    """
    entity = re.search(r"(?<![a-z0-9])part-(mag|phase|real|imag)(?![a-z0-9])", stem)
    if entity:
        return entity.group(1)
    found = [match.group(1).lower() for match in _ENDING.finditer(stem)]
    return next((PART_ENDINGS[word] for word in reversed(found) if word in PART_ENDINGS), "")


def without_part(stem: str) -> str:
    """Return a name without what tells the part: images of one series share it.

    Examples
    --------
    >>> without_part("trufi_7_ph"), without_part("sub-1_part-mag_VFA")
    ('trufi_7', 'sub-1_VFA')
    """
    return _PART.sub("", stem) if part_of_name(stem) else stem


def state_of_name(name: str) -> bool | None:
    """Return whether a name tells of an MT pulse, None where it says nothing or both.

    Examples
    --------
    >>> state_of_name("mtsat_mt_on"), state_of_name("mpm_pdw"), state_of_name("mprage")
    (True, False, None)
    """
    on, off = bool(_ON.search(name)), bool(_OFF.search(name))
    return None if on is off else on


def increment_of_name(name: str) -> float | None:
    """Return the only number of a name that is marked as an increment or as degrees [deg], None without one.

    Examples
    --------
    >>> increment_of_name("trufi_pc045"), increment_of_name("bssfp inc22.5"), increment_of_name("trufi_5")
    (45.0, 22.5, None)
    """
    found = {float(text.replace("p", ".")) for text in _KEYED.findall(name)}
    found = found or {float(text) for text in _DEGREES.findall(name)}
    return found.pop() if len(found) == 1 else None


def family(name: str) -> str:
    """Return what the names of all images of one scan have in common: no increments, parts, numbers of series, MT states.

    Examples
    --------
    >>> family("trufi_pc045"), family("7_trufi_pc135_e1_ph"), family("mtsat_mt_on")
    ('trufi', 'trufi', 'mtsat')
    """
    text = _ROLE.sub(" ", _STATE.sub(" ", _DEGREES.sub(" ", _KEYED.sub(" ", name))))
    return " ".join(re.split(r"[\W_]+", _SERIES.sub(" ", text.replace("_", " ")).lower())).strip()


def label_of(name: str, *, default: str) -> str:
    """Return a label of letters and digits from a name, without date and time of a scan.

    Examples
    --------
    >>> label_of("APTw 3T", default="CEST")
    'APTw3T'
    """
    without_date = re.sub(r"(?<!\d)(19|20)\d{6}(\d{6})?(?!\d)", "", name)
    return re.sub(r"[^0-9A-Za-z]", "", without_date)[:30] or default
