"""QUESP on simulated tubes: L-arginine, creatine, iohexol and an amide in water under continuous saturation, 3 to 9.4 T.

    python benchmarks/quesp.py [--only slow fast coverage speed]

Signals are those of bmctool, which shares no code with the package; noise is 0.5 % of M0. T1, T2 and B1 of water are known up to 2,
5 and 1 %, off-resonance up to 2 Hz, with an error of its own in every voxel. Beside each figure stands that of the omega plot, the
straight line of the steady state, on the same voxels. Errors are those of the mean over the voxels of a tube.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from rows import AtLeast, AtMost, Row, Within, run_parts

from qmri_bids.estimation.base import Status
from qmri_bids.estimation.pools.estimate import ExchangeEstimate
from qmri_bids.estimation.pools.quesp import Quesp, omega_plot
from qmri_bids.physics.fingerprint import ExchangeScan, KnownVoxels
from qmri_bids.physics.saturation_bound import exchange_bound

TESTS = Path(__file__).parents[1] / "tests"
sys.path.insert(0, str(TESTS / "support"))
from tube_series import known_tubes, tube_scan  # noqa: E402

SEED = 2
VOXELS = 400
NOISE = 0.005
ERRORS = (0.02, 0.05, 0.01, 2.0)
POWERS = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0)
WATER_PROTONS = 111e3
"""Concentration of the protons of water [mM]."""
TOLD = 20.0
"""Cramér-Rao bound [%] of a voxel up to which fraction and rate are told."""
FRACTION_BAR, RATE_BAR = 5.0, 10.0
"""Bars of the error of concentration and rate [%]."""


@dataclass(frozen=True, kw_only=True)
class Tube:
    """A solute in water: shift [ppm], protons, concentration [mM], exchange rate [1/s] and field strength [T]."""

    name: str
    shift: float
    protons: int
    concentration: float
    rate: float
    field_strength: float

    @property
    def fraction(self) -> float:
        return self.concentration * self.protons / WATER_PROTONS

    def __str__(self) -> str:
        return f"{self.name} at {self.rate:g} 1/s and {self.field_strength:g} T"


SOLUTES = (
    ("L-arginine", 3.0, 3, 50.0),
    ("creatine", 1.9, 4, 50.0),
    ("iohexol", 4.3, 2, 50.0),
    ("amide", 3.5, 1, 100.0),
)
SLOW_RATES = {
    "L-arginine": (250.0, 700.0),
    "creatine": (300.0, 800.0),
    "iohexol": (400.0, 1200.0),
    "amide": (60.0, 250.0),
}
FAST_RATES = {"L-arginine": (4000.0, 12000.0), "creatine": (3000.0, 8000.0), "iohexol": (5000.0, 15000.0)}
FIELDS = (3.0, 7.0, 9.4)


def tubes(rates: dict[str, tuple[float, ...]]) -> tuple[Tube, ...]:
    return tuple(
        Tube(name=name, shift=shift, protons=protons, concentration=concentration, rate=rate, field_strength=field)
        for name, shift, protons, concentration in SOLUTES
        for rate in rates.get(name, ())
        for field in FIELDS
    )


@lru_cache(maxsize=1)
def _engine():
    """Return the function of the conformance tests that plays a protocol by bmctool."""
    spec = importlib.util.spec_from_file_location("conformance_engines", TESTS / "conformance" / "conftest.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.bmctool_signal


def seen(tube: Tube, *, draw: int = 0) -> tuple[ExchangeScan, np.ndarray, KnownVoxels]:
    """Return the scan of a tube, its images and its known maps; `draw` tells one tube's noise from another's."""
    scan = tube_scan(shift=tube.shift, powers=POWERS, field_strength=tube.field_strength)
    (protocol,), (pool,) = scan.protocols, scan.model.cest
    model = replace(scan.model, cest=(replace(pool, fraction=tube.fraction, rate=tube.rate, t1=scan.model.water.t1),))
    saturated = [number for number, image in enumerate(protocol.images) if image.saturation is not None]
    clean = np.ones(protocol.number_of_images)
    clean[saturated] = _engine()(model, replace(protocol, images=tuple(protocol.images[each] for each in saturated)))
    rng = np.random.default_rng([SEED, draw, 0])
    signal = clean + NOISE * rng.standard_normal((VOXELS, len(clean)))
    return scan, signal, known_tubes(VOXELS, errors=ERRORS, seed=[SEED, draw, 1])


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Errors [%] of a tube: of the mean over the voxels with a value, and of the omega plot; what was estimated."""

    tube: Tube
    found: ExchangeEstimate
    fraction: float
    rate: float
    line: tuple[float, float]
    released: float
    told: float


@lru_cache(maxsize=2)
def measured(fast: bool = False) -> tuple[Measured, ...]:
    return tuple(_measured(FAST_RATES if fast else SLOW_RATES))


def _measured(rates: dict[str, tuple[float, ...]]) -> Iterator[Measured]:
    for draw, tube in enumerate(tubes(rates)):
        scan, signal, known = seen(tube, draw=draw)
        found = Quesp().estimate(signal, scan=scan, known=known)
        line = omega_plot(signal, scan=scan, known=known)
        good = found.status["solute"] == Status.CONVERGED
        truth = np.array([[tube.fraction, tube.rate]])
        bound = exchange_bound(scan, truth, known[:1], noise_stdev=NOISE) / truth
        means = [
            float(np.mean(found.values[f"solute.{each}"][good])) if good.any() else np.nan
            for each in ("fraction", "rate")
        ]
        yield Measured(
            tube=tube,
            found=found,
            fraction=100.0 * (means[0] / tube.fraction - 1.0),
            rate=100.0 * (means[1] / tube.rate - 1.0),
            line=(
                100.0 * (float(np.nanmedian(line.fraction)) / tube.fraction - 1.0),
                100.0 * (float(np.nanmedian(line.rate)) / tube.rate - 1.0),
            ),
            released=100.0 * float(good.mean()),
            told=100.0 * float(bound.max()),
        )


def slow() -> list[Row]:
    """Tubes whose exchange is slow against their shift."""
    everything = measured()
    told = [each for each in everything if each.told < TOLD]
    others = [each for each in everything if each.told >= TOLD]
    rows = []
    for name, *_ in SOLUTES:
        own = [each for each in told if each.tube.name == name]
        worst = max(own, key=lambda each: abs(each.fraction))
        line = max(own, key=lambda each: abs(each.line[0]))
        rows.append(
            Row(
                figure=f"{name}: concentration, worst of {len(own)} tubes",
                unit="%",
                bar=AtMost(FRACTION_BAR),
                value=abs(worst.fraction),
                baseline=f"omega plot {line.line[0]:+.0f} %",
            )
        )
        worst, line = max(own, key=lambda each: abs(each.rate)), max(own, key=lambda each: abs(each.line[1]))
        rows.append(
            Row(
                figure=f"{name}: rate, worst of {len(own)} tubes",
                unit="%",
                bar=AtMost(RATE_BAR),
                value=abs(worst.rate),
                baseline=f"omega plot {line.line[1]:+.0f} %",
            )
        )
    rows.append(
        Row(
            figure=f"voxels flagged, worst tube whose bound is below {TOLD:.0f} %",
            unit="%",
            bar=AtMost(5.0),
            value=max(100.0 - each.released for each in told),
            baseline=f"{len(told)} of {len(everything)} tubes",
        )
    )
    rows.append(
        Row(
            figure="voxels flagged, tubes whose bound is above",
            unit="%",
            bar=None,
            value=min(100.0 - each.released for each in others),
            baseline="; ".join(str(each.tube) for each in others),
        )
    )
    return rows


def fast() -> list[Row]:
    """Tubes whose exchange is no longer slow against their shift: right, or flagged."""
    everything = measured(fast=True)
    kept = [each for each in everything if each.released > 50.0]
    shares = {str(each.tube): _beyond(each) for each in everything}
    worst = max(shares, key=lambda tube: shares[tube])
    return [
        Row(
            figure="fast exchange: tubes with most voxels released",
            unit="",
            bar=None,
            value=len(kept),
            baseline=f"of {len(everything)}: "
            + "; ".join(f"{each.tube}: {each.fraction:+.0f} %, {each.rate:+.0f} %" for each in kept),
        ),
        Row(
            figure="fast exchange: voxels released that are off by more than a bar and two sd, worst tube",
            unit="%",
            bar=AtMost(10.0),
            value=shares[worst],
            baseline=worst,
        ),
    ]


def _beyond(one: Measured) -> float:
    """Return the share of all voxels of a tube that were released beyond a bar and beyond two standard deviations [%]."""
    wrong = np.zeros(VOXELS, dtype=bool)
    for name, bar in (("fraction", FRACTION_BAR), ("rate", RATE_BAR)):
        values, stdev = one.found.values[f"solute.{name}"], one.found.stdev[f"solute.{name}"]
        truth = getattr(one.tube, name)
        with np.errstate(invalid="ignore"):
            far = np.abs(np.log(values / truth)) * values > 2.0 * stdev
            wrong |= far & (np.abs(values / truth - 1.0) > 0.01 * bar)
    return 100.0 * float(wrong.mean())


def coverage() -> list[Row]:
    """Share of the voxels of the slow tubes within one and two standard deviations of the truth, on the logarithm."""
    rows = []
    for name in ("fraction", "rate"):
        scores = []
        for each in measured():
            values, stdev = each.found.values[f"solute.{name}"], each.found.stdev[f"solute.{name}"]
            good = np.isfinite(values)
            scores.append(np.abs(np.log(values[good] / getattr(each.tube, name))) * values[good] / stdev[good])
        joined = np.concatenate(scores)
        for limit, share, bar in ((1.0, 68, Within(62, 76)), (1.96, 95, Within(92, 98))):
            rows.append(
                Row(
                    figure=f"coverage of {share} %, {name}",
                    unit="%",
                    bar=bar,
                    value=100.0 * float(np.mean(joined < limit)),
                )
            )
    return rows


def speed() -> list[Row]:
    """Voxels a second on one thread."""
    import time

    tube = tubes(SLOW_RATES)[0]
    scan, signal, known = seen(tube)
    many, maps = np.tile(signal, (20, 1)), known[np.tile(np.arange(VOXELS), 20)]
    began = time.perf_counter()
    Quesp().estimate(many, scan=scan, known=maps)
    return [
        Row(figure="speed, one thread", unit="1/s", bar=AtLeast(1000), value=len(many) / (time.perf_counter() - began))
    ]


if __name__ == "__main__":
    run_parts("quesp", {"slow": slow, "fast": fast, "coverage": coverage, "speed": speed}, description=__doc__ or "")
