"""Which maps of other scans a fingerprint takes: T1 and T2, B1, and off-resonance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from qmri_bids.bids.refusal import RefusedError, refuse
from qmri_bids.physics.fingerprint import KNOWN
from qmri_bids.quantities import KNOWN_QUANTITIES
from qmri_bids.scans.pools.offers import (
    Offer,
    Request,
    Way,
    assumed,
    from_b1_scan,
    from_dataset,
    from_derivatives,
    from_fieldmap,
    from_number,
    from_relaxometry,
    from_wasabi,
    from_wassr,
)
from qmri_bids.scans.pools.run import KnownSource

RELAXATION = ("t1", "t2")

WAYS: Mapping[str, tuple[Way, ...]] = {
    "t1": (from_relaxometry, from_dataset, from_derivatives, from_number),
    "t2": (from_relaxometry, from_dataset, from_derivatives, from_number),
    "b1": (from_b1_scan, from_wasabi, from_derivatives, assumed),
}
"""Ways to each map, the best first."""

B0_WAYS: Mapping[str, tuple[Way, ...]] = {
    "wasabi": (from_wasabi,),
    "wassr": (from_wassr,),
    "pcbssfp": (from_relaxometry,),
    "fieldmap": (from_fieldmap, from_derivatives),
}
"""Ways to off-resonance by the name that `--cest-b0` takes, the best first. Both pc-bSSFP and a field map serve: pc-bSSFP comes
first, since its T1 and T2 are registered to the fingerprint in the same call."""

_FOUR_WAYS = (
    "Scan pc-bSSFP in the session, put T1map and T2map files into anat/, name a folder that holds them with --derivatives, or give "
    "one value for every voxel with --cest-t1 and --cest-t2 (seconds)."
)


@dataclass(frozen=True, kw_only=True)
class KnownMaps:
    """Sources that together give every known map once, and sentences for the run."""

    sources: tuple[KnownSource, ...]
    warnings: tuple[str, ...]


def choose_known(request: Request) -> KnownMaps:
    """Choose where the known maps of a fingerprint come from.

    Parameters
    ----------
    request
        The fingerprint and its surroundings.

    Raises
    ------
    RefusedError
        If a map is missing, several could be meant, or one is unusable.
    """
    offers: dict[str, Offer] = {}
    closed: dict[str, list[str]] = {}
    for name in RELAXATION:
        offers[name], closed[name] = _first(name, WAYS[name], request)
    missing = [name for name in RELAXATION if offers[name].source is None]
    if missing:
        raise _no_relaxation(missing, closed[missing[0]], request)
    offers["b1"], closed["b1"] = _first("b1", WAYS["b1"], request)
    if offers["b1"].source is None:
        raise _no_b1(closed["b1"], request)
    offers["off_resonance"] = _off_resonance(request)
    chosen = [offers[name] for name in KNOWN]
    warnings = [sentence for offer in chosen for sentence in offer.warnings]
    return KnownMaps(
        sources=_joined(chosen), warnings=tuple(dict.fromkeys([*warnings, *_unused_numbers(offers, request)]))
    )


def _first(name: str, ways: Sequence[Way], request: Request) -> tuple[Offer, list[str]]:
    """Return the first way that is open, or a closed one, and why those before it are closed."""
    reasons: list[str] = []
    for way in ways:
        offer = way(name, request)
        if offer.source is not None:
            return offer, reasons
        reasons.append(offer.reason)
    return Offer(), reasons


def _off_resonance(request: Request) -> Offer:
    """Return the source of off-resonance.

    Raises
    ------
    RefusedError
        If there is none of the kind that was asked for.
    """
    name = "off_resonance"
    asked = request.findings.options.cest_b0
    ways = [way for key, own in B0_WAYS.items() if asked in ("auto", key) for way in own]
    offer, reasons = _first(name, (*ways, from_number), request)
    if offer.source is None:
        kinds = ", ".join(B0_WAYS)
        raise refuse(
            file=request.label,
            key="--cest-b0" if asked != "auto" else "B0",
            expected=f"off-resonance for this fingerprint ({kinds if asked == 'auto' or not ways else asked})",
            found=f"none: {'; '.join(reasons)}"
            if ways
            else f"{asked}: several powers at few offsets have no dip to read it from",
            advice="Add one, or give one value for every voxel with --cest-off-resonance (Hz)."
            if asked == "auto"
            else "Add one, or run with --cest-b0 auto.",
        )
    if asked != "auto" and offer.source.method != "fixed":
        return replace(offer, remarks=(f"off-resonance as asked (--cest-b0 {asked})", *offer.remarks))
    return offer


def _joined(offers: Sequence[Offer]) -> tuple[KnownSource, ...]:
    """Return the sources, those of one scan as one, each with a whole sentence."""
    scans: dict[object, list[Offer]] = {}
    for place, offer in enumerate(offers):
        scans.setdefault(offer.scan or place, []).append(offer)
    return tuple(_one(same) for same in scans.values())


def _one(same: Sequence[Offer]) -> KnownSource:
    sources = [offer.source for offer in same if offer.source is not None]
    names = tuple(name for source in sources for name in source.names)
    shown = [KNOWN_QUANTITIES[name].bare_phrase for name in names]
    listed = " and ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else shown[0]
    origins = " and ".join(dict.fromkeys(source.sentence for source in sources))
    first = sources[0]
    if first.method == "maps":
        origins += ", placed by scanner coordinates" if first.image is None else f", registered by {first.image.name}"
    remarks = "".join(f"; {remark}" for offer in same for remark in offer.remarks)
    return replace(
        first,
        names=names,
        files={name: path for source in sources for name, path in source.files.items()},
        stdev_files={name: path for source in sources for name, path in source.stdev_files.items()},
        sentence=f"{listed[0].upper()}{listed[1:]} {'come' if len(shown) > 1 else 'comes'} from {origins}{remarks}.",
    )


def _unused_numbers(offers: Mapping[str, Offer], request: Request) -> list[str]:
    """Return a sentence for every number that was given and is not needed."""
    return [
        f"{quantity.taken.option} is not used: there is a map of {quantity.bare_phrase}."
        for name, quantity in KNOWN_QUANTITIES.items()
        if quantity.taken.option is not None
        and getattr(request.findings.options, f"cest_{name}") is not None
        and (source := offers[name].source) is not None
        and source.method != "fixed"
    ]


def _no_relaxation(missing: Sequence[str], reasons: Sequence[str], request: Request) -> RefusedError:
    shown = " and ".join(KNOWN_QUANTITIES[name].bare_phrase for name in missing)
    return refuse(
        file=request.label,
        key=f"{shown} map{'s' if len(missing) > 1 else ''}",
        expected=f"{shown} of the same subject and session",
        found=f"none: {'; '.join(reasons)}",
        advice=_FOUR_WAYS,
    )


def _no_b1(reasons: Sequence[str], request: Request) -> RefusedError:
    return refuse(
        file=request.label,
        key="B1 map",
        expected="a B1 scan of the session (TB1TFL or TB1map), a WASABI run, or a TB1map in a folder of --derivatives",
        found=f"none: {'; '.join(reasons)}",
        advice="Add one, or run with --no-b1 to assume B1 = 1: fractions and rates then carry the error of B1.",
    )
