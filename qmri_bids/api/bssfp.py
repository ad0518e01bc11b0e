"""Phase-cycled bSSFP from arrays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qmri_bids.api.arrays import (
    Given,
    Selection,
    check_time,
    count,
    deviation,
    flip_angle_in_radians,
    generator,
    given,
    increments_in_radians,
    not_negative,
    one_of,
    ratio_of_b1,
    relaxation,
    seconds,
    series,
    spread_over,
    together,
)
from qmri_bids.api.result import Result
from qmri_bids.api.words import advice_in_python, all_in_python
from qmri_bids.estimation.base import Estimate, EstimatorOptions, KnownMaps, Status, has_value
from qmri_bids.estimation.bssfp.convention import precession_sense
from qmri_bids.estimation.estimators import ESTIMATORS
from qmri_bids.estimation.images.banding import geometric_solution, root_of_squares
from qmri_bids.physics import bssfp
from qmri_bids.physics.protocol import BssfpProtocol

LONGEST_TR = 0.1
"""Repetition time of bSSFP [s]; milliseconds are larger numbers."""

LEAST_CYCLES = 3
"""Different RF phase increments that T1, T2 and off-resonance need."""

SAMPLE, TRIED = 20_000, 400
"""Voxels in which the sense of precession is looked at, and in which it is tried where the increments do not tell it."""

CLEARLY = 1.5
"""Voxels with a value in one sense over those in the other from which the sense is told."""

UNITS = {"T1": "s", "T2": "s", "M0": "arbitrary", "off_resonance": "Hz", "fluid_fraction": ""}

Senses = Literal["found", "as given", "opposite"]


def fit_bssfp(
    cycles: Any,
    *,
    tr: float,
    te: float,
    flip_angle: float,
    rf_phase_increment: ArrayLike,
    b1: Any = 1.0,
    b1_stdev: Any = None,
    estimator: str = "pinn",
    mask: Any = None,
    sense: Senses = "found",
    threads: int = 1,
    device: str = "cpu",
) -> Result:
    """Estimate T1, T2, M0 and off-resonance of phase-cycled bSSFP.

    Parameters
    ----------
    cycles
        Complex signal, shape (..., N), one phase cycle after the other along the last axis: NumPy, torch or NIfTI.
    tr, te
        Repetition and echo time [s].
    flip_angle
        Nominal flip angle [degrees].
    rf_phase_increment
        RF phase increment of every cycle [degrees], in the order of the cycles.
    b1
        Actual over nominal flip angle: one number or a map (...).
    b1_stdev
        Its standard deviation; without it B1 counts as exact.
    estimator
        Row of the table of estimators (`pinn`, `ml`, `linear`, `planet`, `miracle` …).
    mask
        Where to estimate, shape (...); everywhere without.
    sense
        Sense of precession of the data: `found` from the data (they are conjugated where it is opposite to e^{+iθ}), `as given`, or
        `opposite`, which conjugates. Where data that count as given turn out to be of the opposite sense, every voxel has the
        code 12 (WRONG_UNITS).
    threads
        Threads of compiled kernels; the result does not depend on it.
    device
        Device of networks.

    Returns
    -------
    Result
        `T1` and `T2` [s], `M0`, `off_resonance` [Hz] and, near fluid, `fluid_fraction`.

    Raises
    ------
    ValueError
        If arrays do not belong together, a number has another unit, the cycles are not complex, or there is no such estimator.

    Examples
    --------
    >>> import numpy as np, qmri_bids as q
    >>> scan = dict(tr=4.8e-3, te=2.4e-3, flip_angle=15, rf_phase_increment=np.arange(12) * 30.0)
    >>> cycles = q.simulate_bssfp(t1=[0.94, 1.4], t2=[0.062, 0.085], **scan, noise=1e-4, seed=0)
    >>> found = q.fit_bssfp(cycles, **scan)
    >>> found.maps["T1"].round(1), found.stdev["T1"] < 0.02
    (array([0.9, 1.4], dtype=float32), array([ True,  True]))
    """
    found, chosen, estimate, decisions = _estimated(
        cycles,
        protocol=protocol_of(tr=tr, te=te, flip_angle=flip_angle, rf_phase_increment=rf_phase_increment),
        b1=b1,
        b1_stdev=b1_stdev,
        estimator=estimator,
        mask=mask,
        sense=sense,
        threads=threads,
        device=device,
    )
    return _result(estimate, chosen=chosen, like=found, decisions=decisions)


def _estimated(
    cycles: Any,
    *,
    protocol: BssfpProtocol,
    b1: Any,
    mask: Any,
    threads: int,
    b1_stdev: Any = None,
    estimator: str = "pinn",
    sense: Senses = "found",
    device: str = "cpu",
) -> tuple[Given, Selection, Estimate, tuple[str, ...]]:
    """Return the images, their voxels, what was estimated of these as rows, and what was decided."""
    one_of(estimator, ESTIMATORS, name="estimator")
    one_of(sense, ("found", "as given", "opposite"), name="sense")
    if not isinstance(device, str):
        raise ValueError(f"device: expected the name of one, as 'cpu' or 'cuda', found {device!r}")
    found = series(cycles, name="cycles", number=protocol.number_of_cycles, what="phase cycles")
    if not np.iscomplexobj(found.values):
        raise ValueError(
            "cycles: expected complex numbers, found real ones: the magnitude alone does not tell T1 and T2; give "
            "magnitude * np.exp(1j * phase), phase in radians"
        )
    shape = found.values.shape[:-1]
    chosen = Selection.of(mask, shape=shape, affine=found.affine)
    known = KnownMaps(
        b1=chosen.rows(ratio_of_b1(b1, shape=shape, affine=found.affine)),
        b1_stdev=chosen.spread(b1_stdev, name="b1_stdev"),
        inside=chosen.image,
    )
    created = ESTIMATORS[estimator].create(EstimatorOptions(threads=count(threads, name="threads"), device=device))
    with advice_in_python():
        created.check(protocol)
    signal = chosen.rows(found.values)
    sign, said = _sense(signal, protocol=protocol, b1=known.b1, estimator=created)
    if sense == "as given" and sign < 0:
        codes = np.full(len(signal), Status.WRONG_UNITS, dtype=np.uint8)
        nothing = np.full(len(signal), math.nan, dtype=np.float32)
        names = ("T1", "T2", "M0", "off_resonance")
        estimate = Estimate(
            values=dict.fromkeys(names, nothing), stdev=dict.fromkeys(names, nothing), residual=nothing, status=codes
        )
        said = "The cycles have the opposite sense of precession, as a conjugated image: give sense='found', or np.conj(cycles)."
    else:
        turned = sense == "opposite" or (sense == "found" and sign < 0)
        if sense != "found":
            said = "Sense of precession as stated."
        estimate = created.estimate(signal.conj() if turned else signal, protocol=protocol, known=known)
    return found, chosen, estimate, all_in_python((said, *estimate.decisions, *created.remarks(protocol)))


def protocol_of(*, tr: float, te: float, flip_angle: float, rf_phase_increment: ArrayLike) -> BssfpProtocol:
    """Return a protocol from times in seconds and angles in degrees.

    Raises
    ------
    ValueError
        If a number has no physical meaning, or one in its unit.
    """
    increments = increments_in_radians(rf_phase_increment)
    different = {round(math.degrees(each) % 360.0, 3) % 360.0 for each in increments}
    if len(different) < LEAST_CYCLES:
        raise ValueError(
            f"rf_phase_increment: expected at least {LEAST_CYCLES} different increments, found {sorted(different)} in degrees: add "
            "others"
        )
    repetition = seconds(tr, name="tr", longest=LONGEST_TR)
    echo = not_negative(te, name="te", unit="seconds")
    if echo:
        seconds(echo, name="te", longest=LONGEST_TR)
    if echo >= repetition:
        raise ValueError(
            f"te: expected an echo before the end of the repetition time of {repetition:g} s, found {echo:g} s"
        )
    return BssfpProtocol(
        repetition_time=repetition,
        echo_time=echo,
        flip_angle=flip_angle_in_radians(flip_angle),
        rf_phase_increment=increments,
    )


def _sense(
    signal: NDArray[np.complexfloating], *, protocol: BssfpProtocol, b1: NDArray[np.floating], estimator: Any
) -> tuple[int, str]:
    """Return +1, or -1 where the data are of the opposite sense, and a sentence."""
    step = max(1, len(signal) // SAMPLE)
    told = precession_sense(signal[::step], protocol=protocol)
    if told.sign:
        return told.sign, told.sentence
    power = np.where(np.isfinite(signal).all(axis=1), np.abs(signal).sum(axis=1), 0.0)
    brightest = np.argsort(power)[::-1][:TRIED]
    tried = KnownMaps(b1=np.asarray(b1[brightest], dtype=np.float64))
    counts = [
        int(np.count_nonzero(has_value(estimator.estimate(each, protocol=protocol, known=tried).status)))
        for each in (signal[brightest], signal[brightest].conj())
    ]
    if counts[1] > CLEARLY * counts[0]:
        return -1, (
            f"Sense of precession opposite to the model: of {len(brightest)} voxels {counts[1]} have a value when conjugated, "
            f"{counts[0]} as given; the data were conjugated."
        )
    how = "as in the model" if counts[0] > CLEARLY * counts[1] else "undecided, taken as in the model"
    return (
        1,
        f"Sense of precession {how}: of {len(brightest)} voxels {counts[0]} have a value as given, {counts[1]} conjugated.",
    )


def _result(estimate: Estimate, *, chosen: Selection, like: Given, decisions: Sequence[str]) -> Result:
    """Return an estimate of rows as maps in the kind that was given."""
    maps = {name: like.as_given(chosen.whole(np.asarray(values))) for name, values in estimate.values.items()}
    stdev = {name: like.as_given(chosen.whole(np.asarray(values))) for name, values in estimate.stdev.items()}
    return Result(
        maps=maps,
        stdev=stdev,
        status=like.as_given(chosen.whole(estimate.status, fill=Status.OUTSIDE)),
        units={name: UNITS.get(name, "") for name in maps},
        decisions=tuple(decisions),
        like=like,
    )


def simulate_bssfp(
    *,
    t1: Any,
    t2: Any,
    tr: float,
    te: float,
    flip_angle: float,
    rf_phase_increment: ArrayLike,
    m0: Any = 1.0,
    off_resonance: Any = 0.0,
    b1: Any = 1.0,
    noise: float = 0.0,
    seed: int | None = None,
) -> Any:
    """Return the complex steady-state signal of phase-cycled bSSFP.

    Parameters
    ----------
    t1, t2
        Relaxation times [s], numbers or maps of one shape.
    tr, te, flip_angle, rf_phase_increment
        As in `fit_bssfp` [s, degrees].
    m0, off_resonance, b1
        Equilibrium signal (complex with the phase of the receiver), ΔB0 [Hz] and actual over nominal flip angle.
    noise
        Standard deviation of Gaussian noise in real and imaginary part.
    seed
        Of the noise.

    Returns
    -------
    array
        Shape (..., N); NaN where a map of T1 or T2 is not positive.

    Raises
    ------
    ValueError
        If a number has no physical meaning or another unit, or maps do not fit together.
    """
    level = float(deviation(noise, name="noise", zero=True))
    protocol = protocol_of(tr=tr, te=te, flip_angle=flip_angle, rf_phase_increment=rf_phase_increment)
    for name, time in (("t1", t1), ("t2", t2)):
        check_time(time, name=name)
    first = given(t1, name="t1")
    maps = together(t1=t1, t2=t2, m0=m0, off_resonance=off_resonance, b1=b1)
    with np.errstate(invalid="ignore"):
        clean = bssfp.signal(
            *(
                relaxation(spread_over(maps[name], shape=maps[name].shape, name=name), name=name)
                for name in ("t1", "t2")
            ),
            b1=ratio_of_b1(maps["b1"], shape=maps["b1"].shape),
            off_resonance=spread_over(maps["off_resonance"], shape=maps["b1"].shape, name="off_resonance"),
            protocol=protocol,
            m0=maps["m0"],
        )
    drawn = generator(seed).standard_normal((2, *clean.shape)) if level else np.zeros((2, 1))
    return first.as_given(clean + level * (drawn[0] + 1j * drawn[1]))


BAND_FREE = "bSSFP"
"""Name of the image without bands in a result."""


def banding_free(
    cycles: Any,
    *,
    tr: float,
    te: float,
    flip_angle: float,
    rf_phase_increment: ArrayLike,
    b1: Any = 1.0,
    method: Literal["model", "geometric", "rss"] = "model",
    noise: Any = None,
    mask: Any = None,
    threads: int = 1,
) -> Result:
    """Return the image of bSSFP without bands, with its standard deviation.

    Parameters
    ----------
    cycles, tr, te, flip_angle, rf_phase_increment, b1, mask, threads
        As in `fit_bssfp`.
    method
        `model`: the amplitude of the fitted profile, the point on which all spokes of the ellipse meet, from all cycles.
        `geometric`: the same point as that nearest to all lines through cycles half a turn apart, of four cycles the one on which
        both lines meet (Xiang and Hoff, MRM 71:927, 2014). `rss`: root of the mean square, which keeps weak bands.
    noise
        Standard deviation of the noise in real and imaginary part of a cycle, a number or a map (...), for `geometric` and `rss`;
        without it that which the fit of the profile leaves. `model` always takes the latter.

    Returns
    -------
    Result
        `bSSFP` in the unit of the cycles; NaN outside of the mask, and where there is none.

    Raises
    ------
    ValueError
        As `fit_bssfp`, or if the increments have no two pairs half a turn apart, one 20 degrees or more from the other, for
        `geometric`.

    Examples
    --------
    >>> import numpy as np, qmri_bids as q
    >>> scan = dict(tr=4.8e-3, te=2.4e-3, flip_angle=15, rf_phase_increment=np.arange(12) * 30.0)
    >>> cycles = q.simulate_bssfp(t1=0.94, t2=0.062, off_resonance=[0.0, 80.0], **scan, noise=1e-4, seed=0)
    >>> image = q.banding_free(cycles, **scan)
    >>> image.maps["bSSFP"].round(3), image.stdev["bSSFP"] < 1e-4
    (array([0.09, 0.09], dtype=float32), array([ True,  True]))
    """
    protocol = protocol_of(tr=tr, te=te, flip_angle=flip_angle, rf_phase_increment=rf_phase_increment)
    found = series(cycles, name="cycles", number=protocol.number_of_cycles, what="phase cycles")
    one_of(method, ("model", "geometric", "rss"), name="method")
    chosen = Selection.of(mask, shape=found.values.shape[:-1], affine=found.affine)
    signal = chosen.rows(found.values)
    if method == "geometric":  # refused before the noise is asked of a fit
        geometric_solution(signal[:1], rf_phase_increment=protocol.rf_phase_increment)
    decisions: list[str] = []
    level: NDArray[np.floating] | None = None if noise is None else deviation(noise, name="noise", chosen=chosen)
    if method == "model" or (level is None and np.iscomplexobj(signal)):
        _, _, estimate, said = _estimated(found, protocol=protocol, b1=b1, mask=mask, threads=threads)
        if method == "model":
            assert estimate.joint is not None
            image, spread, status = estimate.joint.amplitude, estimate.joint.amplitude_stdev, estimate.status
            decisions += ["bSSFP without bands is the amplitude of the fitted profile of every voxel.", *said]
        else:
            level = estimate.noise
            decisions.append("The noise of a cycle is what the fit of the profile leaves of it.")
    elif level is None:
        decisions.append(
            "There is no standard deviation: magnitudes have no fit that tells the noise; give noise, or complex cycles."
        )
    if method != "model":
        image, spread = (
            geometric_solution(signal, rf_phase_increment=protocol.rf_phase_increment, noise=level)
            if method == "geometric"
            else root_of_squares(signal, noise=level)
        )
        status = np.where(np.isfinite(image), Status.CONVERGED, Status.INVALID_INPUT).astype(np.uint8)
    return Result(
        maps={BAND_FREE: found.as_given(chosen.whole(np.asarray(image, dtype=np.float32)))},
        stdev={BAND_FREE: found.as_given(chosen.whole(np.asarray(spread, dtype=np.float32)))},
        status=found.as_given(chosen.whole(status, fill=Status.OUTSIDE)),
        units={BAND_FREE: "arbitrary"},
        decisions=tuple(decisions),
        like=found,
    )
