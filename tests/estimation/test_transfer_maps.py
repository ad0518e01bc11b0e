"""T1 and M0 freed of magnetisation transfer: limits, contradictions, and whether the standard deviations hold what they state."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from qmri_bids.estimation.base import KnownMaps
from qmri_bids.estimation.bssfp.maximum_likelihood import MaximumLikelihood
from qmri_bids.estimation.one_model.transfer import ApparentMaps, SemisolidPool, TransferMaps, freed_of_transfer
from qmri_bids.physics.bssfp import signal
from qmri_bids.physics.excitation.pulse import ExcitationPulse
from qmri_bids.physics.excitation.transfer import apparent_rate, recovery_rate, saturation_rate, share_of_m0
from qmri_bids.physics.protocol import BssfpProtocol

PROTOCOL = BssfpProtocol.evenly_spaced(
    number_of_cycles=12, repetition_time=4.8e-3, echo_time=2.4e-3, flip_angle=math.radians(15.0)
)
PULSE = ExcitationPulse.of("sinc", 1e-3)
LINE, M0 = 14e-6, 0.8
WHITE, GREY = (0.95, 0.062, 0.12, 29.0), (1.45, 0.085, 0.063, 40.0)
"""T1 of free water and T2 [s], fraction and rate [1/s] of the semisolid pool."""

DRAWS = 6000
CORRELATION = -0.9


def whole(value: float, number: int = DRAWS) -> NDArray[np.float64]:
    return np.full(number, value)


@dataclass(frozen=True)
class Stated:
    """Standard deviations by which the truth is drawn: of noise over the largest signal, of B1, else relative (R1m: 1/s)."""

    noise: float = 0.0
    b1: float = 0.0
    pools: float = 0.0
    line: float = 0.0
    duration: float = 0.0
    r1: float = 0.0


CAUSES = {
    "noise": Stated(noise=0.01),
    "B1": Stated(b1=0.03),
    "pools": Stated(pools=1.0),
    "line": Stated(line=0.2),
    "duration": Stated(duration=0.1),
    "R1": Stated(r1=0.2),
    "all": Stated(noise=0.01, b1=0.03, pools=1.0, line=0.2, duration=0.1, r1=0.2),
}


def freed(tissue: tuple[float, ...], stated: Stated, r1m: float | None) -> tuple[TransferMaps, dict[str, NDArray]]:
    """Return maps of drawn voxels, and what is true of them."""
    t1, t2, fraction, rate = tissue
    z = np.random.default_rng(1).standard_normal((6, DRAWS))
    field = np.linspace(-100.0, 100.0, DRAWS)
    noise = np.random.default_rng(2).standard_normal((DRAWS, PROTOCOL.number_of_cycles, 2)).view(complex)[..., 0]
    b1 = np.random.default_rng(3).uniform(0.85, 1.15, DRAWS)
    power = (
        saturation_rate(PULSE, PROTOCOL, b1=b1, line=LINE) * (1.0 + stated.line * z[0]) / (1.0 + stated.duration * z[1])
    )
    r1 = whole(1.0 / t1)
    own = (r1 if r1m is None else r1m) + stated.r1 * z[2]
    pool = {"fraction": whole(fraction), "rate": whole(rate), "r1m": own}
    seen = apparent_rate(r1, saturation=power, **pool)
    m0 = M0 * share_of_m0(r1, saturation=power, **pool)
    cycles = m0[:, None] * signal(1.0 / seen, whole(t2), b1=b1, off_resonance=field, protocol=PROTOCOL)
    cycles += stated.noise * np.abs(cycles).max() * noise
    known = b1 + stated.b1 * z[3]
    b1_stdev = whole(stated.b1) if stated.b1 else None
    fitted = MaximumLikelihood().estimate(cycles, protocol=PROTOCOL, known=KnownMaps(b1=known, b1_stdev=b1_stdev))
    values, stdev = (
        {name: each.astype(np.float64) for name, each in maps.items()} for maps in (fitted.values, fitted.stdev)
    )
    fraction_stdev, rate_stdev = 0.08 * fraction * stated.pools, 0.15 * rate * stated.pools
    along = CORRELATION * z[4] + math.sqrt(1.0 - CORRELATION**2) * z[5]
    found = freed_of_transfer(
        ApparentMaps(
            t1=values["T1"],
            t1_stdev=stdev["T1"],
            t2=values["T2"],
            m0=values["M0"],
            m0_stdev=stdev["M0"],
            b1=known,
            b1_stdev=b1_stdev,
        ),
        pool=SemisolidPool(
            fraction=fraction + fraction_stdev * z[4],
            fraction_stdev=whole(fraction_stdev),
            rate=rate + rate_stdev * along,
            rate_stdev=whole(rate_stdev),
            correlation=whole(CORRELATION),
            line=LINE,
            line_stdev=stated.line,
            r1=r1m,
            r1_stdev=stated.r1,
        ),
        pulse=replace(PULSE, duration_stdev=stated.duration * PULSE.duration),
        protocol=PROTOCOL,
    )
    return found, {"recovery_t1": 1.0 / recovery_rate(r1, **pool), "free_t1": whole(t1), "free_m0": whole(M0)}


@pytest.mark.parametrize("r1m", [1.0, None], ids=["1", "water"])
@pytest.mark.parametrize("cause", CAUSES)
def test_standard_deviations_hold_what_they_state(cause: str, r1m: float | None) -> None:
    found, true = freed(WHITE, CAUSES[cause], r1m)
    for name, truth in true.items():
        if (cause, name, r1m) == ("R1", "recovery_t1", 1.0):
            continue  # next to no effect: the next test
        error = (getattr(found, name) - truth) / getattr(found, f"{name}_stdev")
        assert np.isfinite(error).all()
        inside = [float(np.mean(np.abs(error) < limit)) for limit in (0.9945, 1.96)]
        assert inside == pytest.approx([0.68, 0.95], abs=0.025), (name, inside)
        assert inside[1] == pytest.approx(0.95, abs=0.015), (name, inside)


def test_grey_matter_is_held_too() -> None:
    found, true = freed(GREY, replace(CAUSES["all"], noise=0.005), 1.0)
    for name, truth in true.items():
        error = (getattr(found, name) - truth) / getattr(found, f"{name}_stdev")
        inside = [float(np.mean(np.abs(error) < limit)) for limit in (0.9945, 1.96)]
        assert inside == pytest.approx([0.68, 0.95], abs=0.025), (name, inside)


def test_what_is_not_told_of_the_semisolid_pool_moves_free_water_most() -> None:
    """R1 of the semisolid pool hardly moves T1 of an inversion recovery: that is why both are given."""
    found, _ = freed(WHITE, CAUSES["R1"], 1.0)
    recovery = np.median(found.recovery_t1_stdev / found.recovery_t1)
    free = np.median(found.free_t1_stdev / found.free_t1)
    assert recovery < 0.005 < 0.015 < free


def one(value: float) -> NDArray[np.float64]:
    return np.array([value])


SEEN = ApparentMaps(
    t1=one(0.76), t1_stdev=one(0.03), t2=one(0.062), m0=one(0.7), m0_stdev=one(0.01), b1=one(1.0), b1_stdev=one(0.005)
)
POOL = SemisolidPool(
    fraction=one(0.12), fraction_stdev=one(0.01), rate=one(29.0), rate_stdev=one(4.0), correlation=one(-0.9), line=LINE
)


def maps(seen: ApparentMaps = SEEN, pool: SemisolidPool = POOL) -> dict[str, float]:
    return {
        name: float(each[0])
        for name, each in vars(freed_of_transfer(seen, pool=pool, pulse=PULSE, protocol=PROTOCOL)).items()
        if name != "correlation"
    }


@pytest.mark.parametrize("r1", [1.0, None], ids=["1", "water"])
def test_without_a_semisolid_pool_t1_is_the_apparent_one(r1: float | None) -> None:
    found = maps(pool=replace(POOL, fraction=one(0.0), fraction_stdev=one(0.0), r1=r1))
    assert found["free_t1"] == pytest.approx(0.76, rel=1e-9)
    assert found["recovery_t1"] == pytest.approx(0.76, rel=1e-9)
    assert found["free_m0"] == pytest.approx(0.7, rel=1e-9)
    assert found["free_t1_stdev"] == pytest.approx(0.03, rel=0.01)
    assert found["recovery_t1_stdev"] == pytest.approx(0.03, rel=0.01)


@pytest.mark.parametrize("r1", [1.0, None], ids=["1", "water"])
def test_a_pool_that_contradicts_the_apparent_t1_gives_no_value(r1: float | None) -> None:
    """More would go to the semisolid pool than recovers."""
    found = maps(seen=replace(SEEN, t1=one(2.5)), pool=replace(POOL, fraction=one(0.4), r1=r1))
    assert all(math.isnan(value) for value in found.values()), found


@pytest.mark.parametrize("name", ["t1", "m0", "b1", "t1_stdev"])
def test_what_is_not_seen_gives_no_value(name: str) -> None:
    assert math.isnan(maps(seen=replace(SEEN, **{name: one(np.nan)}))["free_t1"])


@pytest.mark.parametrize("name", ["fraction", "rate", "fraction_stdev", "rate_stdev", "correlation"])
def test_a_pool_without_a_value_gives_no_value(name: str) -> None:
    assert math.isnan(maps(pool=replace(POOL, **{name: one(np.nan)}))["recovery_t1"])


def test_b1_moves_apparent_t1_and_saturation_against_each_other() -> None:
    """A higher B1 makes the apparent T1 shorter, and what the pulses saturate more."""
    exact = maps(seen=replace(SEEN, b1_stdev=None))
    vague = maps(seen=replace(SEEN, t1_stdev=one(0.05), b1_stdev=one(0.02)))
    assert vague["recovery_t1"] == exact["recovery_t1"]
    assert vague["free_m0_stdev"] > exact["free_m0_stdev"]


def test_errors_of_fraction_and_rate_that_offset_each_other_count_less() -> None:
    apart = maps(pool=replace(POOL, correlation=one(0.0)))
    assert maps()["recovery_t1_stdev"] < apart["recovery_t1_stdev"]
