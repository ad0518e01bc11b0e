"""Profiles that fit: fluid next door, noise in space, scans that the model does not describe, cycles that drift.

    python benchmarks/profiles.py [--only fluid bound noise misfit drift odd speed planet]

The judge is the phantom's simulator of the Bloch equations (`phantom.signals.bloch`), which shares no code with the estimators.
Constants were chosen on scenes of the seeds 1 to 3; those reported are others. Baseline is the fit of one pool with one level of
noise for all, as it is without the places of the voxels. Rows of whole heads are those of `profiles_app.py`, the ellipse that of
`profiles_planet.py`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from profiles_planet import planet_against_peer
from profiles_scene import TIMES, Scene, make_scene
from rows import AtLeast, AtMost, Row, Within, run_parts
from scipy import ndimage

from qmri_bids.estimation.base import Estimate, KnownMaps
from qmri_bids.estimation.bssfp.maximum_likelihood import MaximumLikelihood
from qmri_bids.estimation.bssfp.misfit import model_misfit
from qmri_bids.phantom.scans.session import simulated_protocol
from qmri_bids.phantom.signals.bloch.sequence import Approach, Line, PulseSequence, RfPulse
from qmri_bids.phantom.signals.bloch.simulate import simulate_cycles
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.preprocessing.calibration.cycles import calibrate_cycles
from qmri_bids.preprocessing.content.cycles import check_cycles
from qmri_bids.preprocessing.content.images import ContentError
from qmri_bids.reports.content import Level
from qmri_bids.scans.bssfp.outputs import misfit_light

SEEDS = (21, 22, 23, 24)
FIELDS = (-70.0, -20.0, 30.0, 80.0)
"""Off-resonance of the scenes [Hz]: over the whole band of 208 Hz."""

NOISE = 0.074 / (math.sqrt(2.0) * 25.0)
"""At SNR 25."""

GREY_SHARES = ((0.0, 0.03), (0.03, 0.10), (0.10, 0.50))

Maps = Mapping[str, NDArray[np.floating]]


def sequence_of(
    protocol: BssfpProtocol, *, pulse: RfPulse | None = None, approach: Approach | None = None
) -> PulseSequence:
    return PulseSequence(
        repetition_time=protocol.repetition_time,
        echo_time=protocol.echo_time,
        flip_angle=protocol.flip_angle,
        increments=protocol.rf_phase_increment,
        pulse=pulse or RfPulse.hard(),
        approach=approach,
    )


def scenes(number: int, **options: float) -> list[Scene]:
    protocol = simulated_protocol(phase_cycles=number)
    signal = partial(simulate_cycles, sequence=sequence_of(protocol))
    return [make_scene(signal, seed=seed, field=field, **options) for seed, field in zip(SEEDS, FIELDS, strict=True)]


def estimates(scene: Scene, number: int) -> tuple[Estimate, Estimate]:
    """Return what is estimated of the inner voxels without and with their places."""
    protocol = simulated_protocol(phase_cycles=number)
    cycles, b1 = scene.cycles[scene.inner], scene.b1[scene.inner].astype(np.float32)
    estimator = MaximumLikelihood(threads=2)
    plain = estimator.estimate(cycles, protocol=protocol, known=KnownMaps(b1=b1))
    return plain, estimator.estimate(cycles, protocol=protocol, known=KnownMaps(b1=b1, inside=scene.inner))


def errors(
    found: Estimate, scene: Scene, where: NDArray[np.bool_], name: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return relative errors, and errors over the standard deviation, of the voxels of a class that have a value."""
    chosen = where[scene.inner]
    truth = {"T1": scene.t1, "T2": scene.t2}[name][scene.inner][chosen]
    values, stdev = found.values[name][chosen].astype(float), found.stdev[name][chosen].astype(float)
    valued = np.isfinite(values)
    return (values / truth - 1.0)[valued], ((values - truth) / stdev)[valued]


def coverage(scores: NDArray[np.float64]) -> tuple[float, float]:
    return 100.0 * float(np.mean(np.abs(scores) < 1.0)), 100.0 * float(np.mean(np.abs(scores) < 1.96))


def fluid() -> list[Row]:
    """Tissue beside fluid and with fluid in it."""
    rows = []
    for number in (12, 6, 4):
        pairs = [(scene, *estimates(scene, number)) for scene in scenes(number)]

        def pooled(
            choose: str, which: int, name: str = "T2", pairs: Sequence = pairs, **share: float
        ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
            parts = []
            for scene, *found in pairs:
                one_tissue = np.minimum(np.abs(scene.share[0]), np.abs(scene.share[1])) < 0.02
                where = scene.grey_with_fluid(**share) if share else getattr(scene, choose)
                parts.append(errors(found[which], scene, where & one_tissue, name))
            relative, scores = (np.concatenate(each) for each in zip(*parts, strict=True))
            return relative, scores

        limits = Within(62, 74), Within(90, 98)
        of_grey = (Within(60, 76), Within(90, 98)) if number == 12 else (Within(60, 80), Within(90, 99))
        classes = [("pure tissue beside fluid", "beside_fluid", {}, limits if number == 12 else of_grey)]
        for low, high in GREY_SHARES:
            title = f"grey matter with {100 * low:.0f}-{100 * high:.0f} % fluid"
            classes.append((title, "", {"low": low, "high": high}, of_grey))
        bias_bars = {(0.0, 0.03): 3.0, (0.03, 0.10): 3.0, (0.10, 0.50): 6.0}
        for title, choose, share, bars in classes:
            before, old = pooled(choose, 0, **share)
            after, scores = pooled(choose, 1, **share)
            was = coverage(old)
            for bar, value, old_value, percent in zip(bars, coverage(scores), was, (68, 95), strict=True):
                figure = f"{title}, N={number}: T2 within the {percent} % interval"
                rows.append(Row(figure=figure, unit="%", bar=bar, value=value, baseline=f"one pool {old_value:.0f}"))
            bar = bias_bars.get((share.get("low", -1.0), share.get("high", -1.0))) if number == 12 else None
            rows.append(
                Row(
                    figure=f"{title}, N={number}: median error of T2, size",
                    unit="%",
                    bar=bar,
                    value=abs(100.0 * float(np.median(after))),
                    baseline=f"one pool {100.0 * float(np.median(before)):+.0f}, {len(after)} voxels",
                )
            )
        for name in ("T1", "T2"):
            before, old = pooled("deep", 0, name)
            after, scores = pooled("deep", 1, name)
            rms = [100.0 * float(np.sqrt(np.mean(each**2))) for each in (before, after)]
            bar = AtMost(round(1.01 * rms[0], 2))
            figure = f"deep tissue, N={number}: RMSE of {name}"
            rows.append(Row(figure=figure, unit="%", bar=bar, value=rms[1], baseline=f"one pool {rms[0]:.2f}"))
            was, now = coverage(old), coverage(scores)
            for index, (percent, bar) in enumerate(((68, Within(65, 74)), (95, Within(93, 97)))):
                figure = f"deep tissue, N={number}: {name} within the {percent} % interval"
                baseline = f"one pool {was[index]:.0f}"
                rows.append(Row(figure=figure, unit="%", bar=bar, value=now[index], baseline=baseline))
        if number == 12:
            wrong = []
            for scene, _, found in pairs:
                mixed = scene.grey_with_fluid(0.03, 0.50)[scene.inner]
                wrong.append((found.values["fluid_fraction"] - scene.fluid[scene.inner])[mixed])
            error = np.concatenate(wrong)
            rows.append(
                Row(
                    figure="fraction of fluid in mixed voxels, N=12: mean size of the error",
                    unit="",
                    bar=0.03,
                    value=float(np.nanmean(np.abs(error))),
                    baseline=f"without a value {100 * float(np.mean(~np.isfinite(error))):.1f} %",
                )
            )
    return rows


def bound() -> list[Row]:
    """Errors against the Cramér-Rao bound of tissue and fluid in one voxel, whose slopes are those of the judge."""
    protocol = simulated_protocol(phase_cycles=12)
    sequence = sequence_of(protocol)
    grey, fluid_times = TIMES[1], TIMES[2]
    side = 24
    off_resonance = np.linspace(-104.0, 104.0, 12, endpoint=False)

    def signal(t1: float, t2: float, fraction: float, off: NDArray[np.float64]) -> NDArray[np.complex128]:
        parts = [
            weight * simulate_cycles(times[0], times[1], 1.0, off, 1.0, sequence=sequence)
            for weight, times in ((1.0 - fraction, (t1, t2)), (fraction, fluid_times))
        ]
        return np.asarray(0.85 * (parts[0] + parts[1]))

    rows = []
    for fraction in (0.05, 0.10, 0.30):
        point = np.array([grey[0], grey[1], fraction])
        steps = np.array([1e-4, 1e-5, 1e-4])
        bounds = []
        for off in off_resonance:
            here = np.array([off])
            model = signal(*point, here)[0]
            slopes = [model, 1j * model]
            for index in range(3):
                up, down = point.copy(), point.copy()
                up[index] += steps[index]
                down[index] -= steps[index]
                slopes.append((signal(*up, here)[0] - signal(*down, here)[0]) / (2.0 * steps[index]))
            slopes.append((signal(*point, here + 1e-2)[0] - signal(*point, here - 1e-2)[0]) / 2e-2)
            # The amplitude is free: the phase of the echo is no information on the frequency.
            matrix = np.stack(slopes, axis=-1)
            matrix = np.concatenate([matrix.real, matrix.imag])
            covariance = np.linalg.inv(matrix.T @ matrix) * NOISE**2
            bounds.append(np.sqrt(np.diag(covariance))[2:5])
        limit = np.sqrt(np.mean(np.square(bounds), axis=0))
        # Mixed voxels in the middle of an image whose one side is fluid, as they lie in a head.
        shape = (side, 12 * 24, 6)
        share = np.zeros(shape)
        share[:8], share[8:10] = 1.0, fraction
        off = np.broadcast_to(np.repeat(off_resonance, 24)[None, :, None], shape)
        cycles = np.empty((*shape, 12), dtype=np.complex128)
        for each in (0.0, fraction, 1.0):
            where = share == each
            cycles[where] = signal(grey[0], grey[1], each, off[where])
        drawn = np.random.default_rng(31).standard_normal((2, *cycles.shape))
        cycles += NOISE * (drawn[0] + 1j * drawn[1])
        found = MaximumLikelihood(threads=2).estimate(
            cycles.reshape(-1, 12).astype(np.complex64),
            protocol=protocol,
            known=KnownMaps(b1=np.ones(share.size, dtype=np.float32), inside=np.ones(shape, dtype=bool)),
        )
        mixed = (share == fraction).ravel()
        for index, name in enumerate(("T1", "T2", "fluid_fraction")):
            values = found.values[name][mixed].astype(float)
            rms = float(np.sqrt(np.nanmean((values - point[index]) ** 2)))
            rows.append(
                Row(
                    figure=f"grey matter with {100 * fraction:.0f} % fluid, N=12: RMSE of {name} over the bound",
                    unit="",
                    bar=1.15,
                    value=rms / float(limit[index]),
                    baseline=f"bound {limit[index]:.4f}, fluid's own times from the scan",
                )
            )
    return rows


def noise() -> list[Row]:
    """Noise three times as high at one end of the image as at the other, SNR 25 in between."""
    rows = []
    for number in (12, 6, 4):
        parts: dict[str, list] = {"low": [], "high": []}
        for scene in scenes(number, noise_range=3.0, snr=25.0 * math.sqrt(3.0)):
            found = estimates(scene, number)
            third = scene.noise.shape[0] // 3
            place = np.indices(scene.noise.shape)[0]
            for part, where in (("low", place < third), ("high", place >= 2 * third)):
                parts[part].append([errors(each, scene, scene.deep & where, "T2")[1] for each in found])
        for part, collected in parts.items():
            old, new = (coverage(np.concatenate(each)) for each in zip(*collected, strict=True))
            for index, (percent, bar) in enumerate(((68, Within(65, 71)), (95, Within(93, 97)))):
                figure = f"noise that varies by 3, where it is {part}, N={number}: T2 within the {percent} % interval"
                rows.append(
                    Row(figure=figure, unit="%", bar=bar, value=new[index], baseline=f"one level {old[index]:.0f}")
                )
    return rows


class Block:
    """White and grey matter in cubes, off-resonance over the whole band: what the mismatches are tried on."""

    shape = (36, 30, 16)

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        x, y, z = np.indices(self.shape)
        self.off_resonance = (140.0 * x / 36 + 90.0 * y / 30 + 5.0 * np.sin(z / 3.0)).ravel() - 115.0
        self.white = ((x // 9 + y // 9) % 2 == 0).ravel()
        self.t1, self.t2, self.m0 = (np.where(self.white, TIMES[0][row], TIMES[1][row]) for row in range(3))

    def signal(self, sequence: PulseSequence, **options: object) -> NDArray[np.complex128]:
        return simulate_cycles(self.t1, self.t2, 1.0, self.off_resonance, self.m0, sequence=sequence, **options)

    def noisy(self, cycles: NDArray[np.complex128]) -> NDArray[np.complex64]:
        drawn = self.rng.standard_normal((2, *cycles.shape))
        return (cycles + NOISE * (drawn[0] + 1j * drawn[1])).astype(np.complex64)

    def estimate(self, cycles: NDArray[np.complex64], protocol: BssfpProtocol) -> Estimate:
        known = KnownMaps(b1=np.ones(len(cycles), dtype=np.float32), inside=np.ones(self.shape, dtype=bool))
        return MaximumLikelihood(threads=2).estimate(cycles, protocol=protocol, known=known)


def misfit() -> list[Row]:
    """What passes with a green light though its residual exceeds the noise by a half; what is found by calibration is not asked."""
    passed, tried, said = 0, 0, []
    for number in (12, 6, 4):
        protocol = simulated_protocol(phase_cycles=number)
        block = Block(seed=41 + number)
        spoiled = block.signal(sequence_of(protocol))
        decay = np.exp(-protocol.repetition_time / block.t1)
        spoiled[:, 0] = (
            block.m0 * math.sin(protocol.flip_angle) * (1.0 - decay) / (1.0 - math.cos(protocol.flip_angle) * decay)
        )
        weak = np.ones(number)
        weak[0] = 0.9
        moved = block.signal(sequence_of(protocol)).reshape(*block.shape, number)
        moved[..., 2] = ndimage.shift(moved[..., 2].real, (2.5, 0, 0), order=1, mode="nearest") + 1j * ndimage.shift(
            moved[..., 2].imag, (2.5, 0, 0), order=1, mode="nearest"
        )
        drift = np.linspace(-0.5, 0.5, number)
        centric = Approach(dummies=256, repetitions=2000, continued=True)
        myelin = 0.9 * block.signal(sequence_of(protocol))
        myelin += 0.1 * simulate_cycles(
            block.t1, 0.012, 1.0, block.off_resonance + 15.0, block.m0, sequence=sequence_of(protocol)
        )
        scans = {
            "nothing": block.signal(sequence_of(protocol)),
            "rect 1 ms": block.signal(sequence_of(protocol, pulse=RfPulse.rect(1e-3))),
            "line of 2 Hz": block.signal(sequence_of(protocol), line=Line(half_width=2.0)),
            "myelin water": myelin,
            "centric, 256 dummies": block.signal(sequence_of(protocol, approach=centric)),
            "drift 10 Hz": block.signal(sequence_of(protocol), drift=10.0 * drift),
            "drift 20 Hz": block.signal(sequence_of(protocol), drift=20.0 * drift),
            "first cycle spoiled": spoiled,
            "first cycle 10 % low": block.signal(sequence_of(protocol), gain=weak),
            "a cycle moved by 2.5 voxels": moved.reshape(-1, number),
        }
        for name, cycles in scans.items():
            data = block.noisy(cycles)
            found = block.estimate(data, protocol)
            ones = np.ones(len(data), dtype=np.float32)
            left = model_misfit(data, found, b1=ones, protocol=protocol, inside=np.ones(block.shape, dtype=bool))
            beyond = float(np.nanmedian(found.noise)) / NOISE
            level = Level.BAD
            if left is not None:
                arrays = {
                    "misfit_shared": np.array(left.shared),
                    "misfit_by_cycle": left.by_cycle,
                    "status": found.status,
                }
                light = misfit_light(arrays, increments=protocol.rf_phase_increment)
                level = Level.BAD if light is None else light.level
            said.append(
                f"{name} N={number}: {beyond:.2f}, {'-' if left is None else f'{left.shared:.2f}'}, {level.value}"
            )
            if beyond > 1.5:
                tried += 1
                passed += level is Level.GOOD
            if name == "nothing" and level is not Level.GOOD:
                raise SystemExit(f"a scan without a mismatch is {level.value} at N={number}")
    print("\n".join(said))
    return [
        Row(
            figure="mismatches whose residual exceeds the noise by a half: passed with a green light",
            unit="",
            bar=0.0,
            value=float(passed),
            baseline=f"of {tried}; all passed before",
        )
    ]


def drift() -> list[Row]:
    """Frequency that drifts, gains that scatter, a first cycle that is low."""
    rows = []
    for number in (12, 6, 4):
        protocol = simulated_protocol(phase_cycles=number)
        sequence = sequence_of(protocol)
        for span in (0.0, 2.0, 10.0, 20.0):
            block = Block(seed=51 + number)
            rng = np.random.default_rng(int(61 + span))
            frequency = span * np.linspace(-0.5, 0.5, number) + (0.5 * rng.standard_normal(number) if span else 0.0)
            gain = np.exp(0.01 * rng.standard_normal(number)) if span else np.ones(number)
            gain[0] *= 0.95 if span else 1.0
            drawn = block.noisy(np.zeros((len(block.t1), number), dtype=complex))
            clean = (block.signal(sequence) + drawn).astype(np.complex64)
            data = (block.signal(sequence, drift=frequency, gain=gain) + drawn).astype(np.complex64)
            begin = time.perf_counter()
            done = calibrate_cycles(
                data.reshape(*block.shape, number),
                mask=np.ones(block.shape, dtype=bool),
                protocol=protocol,
                threads=2,
            )
            took = time.perf_counter() - begin
            fits = {
                "without": block.estimate(clean, protocol),
                "before": block.estimate(data, protocol),
                "after": block.estimate(done.cycles.reshape(-1, number).astype(np.complex64), protocol),
            }
            worst = {name: _stripes(each, fits["without"], block, protocol) for name, each in fits.items()}
            bar = 4.0 if number == 4 else 2.0
            for name in ("T1", "T2"):
                low, high = worst["before"][name]
                value = max(abs(each) for each in worst["after"][name])
                figure = (
                    f"drift of {span:g} Hz with gains, N={number}: medians of {name} against the scan without, twelve θ"
                )
                if span == 0.0:
                    figure = f"no drift, N={number}: medians of {name} against the scan as it was, twelve θ"
                baseline = f"{low:+.1f}…{high:+.1f} before; {took:.1f} s"
                rows.append(Row(figure=figure, unit="%", bar=bar if span else 0.2, value=value, baseline=baseline))
            if span:
                offset = done.frequency - frequency
                amplitude = np.log(done.gain) - np.log(gain)
                figures = (
                    ("frequency", "Hz", 0.2, np.abs(offset - np.nanmean(offset)).max()),
                    ("gain", "", 0.002, np.abs(amplitude - np.nanmean(amplitude)).max()),
                )
                for title, unit, limit, value in figures:
                    figure = f"drift of {span:g} Hz with gains, N={number}: {title} of the worst cycle"
                    bar_here = limit if number > 4 else None
                    rows.append(
                        Row(figure=figure, unit=unit, bar=bar_here, value=float(value), baseline="not looked for")
                    )
    return rows


def _stripes(
    found: Estimate, reference: Estimate, block: Block, protocol: BssfpProtocol
) -> dict[str, tuple[float, float]]:
    """Return the range over twelve classes of θ of the median in white matter, against that of a reference [%]."""
    place = np.digitize((block.off_resonance * protocol.repetition_time) % 1.0, np.linspace(0.0, 1.0, 13))
    ranges = {}
    for name in ("T1", "T2"):
        ratios = []
        for each in range(1, 13):
            chosen = block.white & (place == each)
            if np.count_nonzero(chosen) > 100:
                medians = [float(np.nanmedian(maps.values[name][chosen])) for maps in (found, reference)]
                ratios.append(100.0 * (medians[0] / medians[1] - 1.0))
        ranges[name] = (min(ratios), max(ratios))
    return ranges


def odd() -> list[Row]:
    """A cycle that is spoiled, low, empty, or moved by 5 mm and not corrected: whether it is noticed, and what is left.

    In cubes whose field is linear a moved cycle has another frequency, but for the faces of the cubes; in heads it is left out.
    """
    rows = []
    for number in (12, 6):
        protocol = simulated_protocol(phase_cycles=number)
        sequence = sequence_of(protocol)
        noticed, worst = dict.fromkeys(("spoiled", "10 % low", "moved by 5 mm", "empty"), 0), {}
        seeds = (71, 72, 73, 74)
        for seed in seeds:
            block = Block(seed=seed + number)
            drawn = block.noisy(np.zeros((len(block.t1), number), dtype=complex))
            signal = block.signal(sequence)
            clean = block.estimate((signal + drawn).astype(np.complex64), protocol)
            decay = np.exp(-protocol.repetition_time / block.t1)
            spoiled = signal.copy()
            spoiled[:, 0] = block.m0 * math.sin(protocol.flip_angle) * (1.0 - decay)
            spoiled[:, 0] /= 1.0 - math.cos(protocol.flip_angle) * decay
            low = signal.copy()
            low[:, 0] *= 0.9
            moved = signal.reshape(*block.shape, number).copy()
            place = seed % number
            moved[..., place] = np.roll(moved[..., place], 2, axis=0)
            empty = (signal + drawn).astype(np.complex64).reshape(*block.shape, number)
            empty[..., -1] = 0.0
            try:
                check_cycles(empty, rf_phase_increment=protocol.rf_phase_increment)
            except ContentError:
                noticed["empty"] += 1
            scans = {"spoiled": spoiled, "10 % low": low, "moved by 5 mm": moved.reshape(-1, number)}
            for name, cycles in scans.items():
                data = (cycles + drawn).astype(np.complex64)
                done = calibrate_cycles(
                    data.reshape(*block.shape, number),
                    mask=np.ones(block.shape, dtype=bool),
                    protocol=protocol,
                    threads=2,
                )
                noticed[name] += bool(done.left_out.any() or {"gain", "frequency"} & set(done.corrected))
                after = block.estimate(done.cycles.reshape(len(data), -1), done.protocol)
                before = block.estimate(data, protocol)
                for which, found in (("after", after), ("before", before)):
                    for tissue in (block.white, ~block.white):
                        for quantity in ("T1", "T2"):
                            medians = [float(np.nanmedian(maps.values[quantity][tissue])) for maps in (found, clean)]
                            error = abs(100.0 * (medians[0] / medians[1] - 1.0))
                            worst[name, which] = max(worst.get((name, which), 0.0), error)
        for name, count in noticed.items():
            share = 100.0 * count / len(seeds)
            said = (
                "refused when it is read"
                if name == "empty"
                else "left out, or its gain or frequency corrected and said"
            )
            rows.append(
                Row(
                    figure=f"a cycle {name}, N={number}: noticed",
                    unit="%",
                    bar=AtLeast(100.0),
                    value=share,
                    baseline=said,
                )
            )
            if (name, "after") in worst:
                rows.append(
                    Row(
                        figure=f"a cycle {name}, N={number}: worst median error of T1, T2 in WM, GM",
                        unit="%",
                        bar=2.0,
                        value=worst[name, "after"],
                        baseline=f"{worst[name, 'before']:.0f} before; {len(seeds)} seeds",
                    )
                )
    return rows


def speed() -> list[Row]:
    """A whole brain of 700,000 voxels with all of this, on two cores."""
    protocol = simulated_protocol(phase_cycles=12)
    scene = scenes(12)[0]
    repeat = (3, 3, 2)
    cycles = np.tile(scene.cycles, (*repeat, 1))
    b1 = np.tile(scene.b1, repeat).astype(np.float32)
    inside = np.zeros(b1.shape, dtype=bool)
    inside.ravel()[:] = np.tile(scene.inner, repeat).ravel()
    signal, known = cycles[inside][:700_000], b1[inside][:700_000]
    places = np.flatnonzero(inside.ravel())
    inside.ravel()[places[700_000:]] = False
    estimator = MaximumLikelihood(threads=2)
    seconds = {}
    for name, maps in (("one pool", KnownMaps(b1=known)), ("all", KnownMaps(b1=known, inside=inside))):
        estimator.estimate(signal[:50_000], protocol=protocol, known=KnownMaps(b1=known[:50_000]))
        best = math.inf
        for _ in range(2):
            begin = time.perf_counter()
            estimator.estimate(signal, protocol=protocol, known=maps)
            best = min(best, time.perf_counter() - begin)
        seconds[name] = best
    return [
        Row(
            figure=f"{len(signal):,} voxels, N=12, two cores: estimation with fluid and noise in space",
            unit="s",
            bar=6.0,
            value=seconds["all"],
            baseline=f"one pool {seconds['one pool']:.1f} s",
        )
    ]


PARTS = {
    "fluid": fluid,
    "bound": bound,
    "noise": noise,
    "misfit": misfit,
    "drift": drift,
    "odd": odd,
    "speed": speed,
    "planet": planet_against_peer,
}

if __name__ == "__main__":
    run_parts("profiles", PARTS, description=__doc__ or "")
