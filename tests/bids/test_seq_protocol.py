"""Protocols written as pulseq files, by pypulseq (1.4) and by a small writer (1.3), and read back."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace

import numpy as np
import pypulseq
import pytest
from protocol_presets import PROTOCOL_PRESETS

from qmri_bids.bids.refusal import RefusedError
from qmri_bids.physics.bloch_mcconnell.compiled import signal_and_jacobian
from qmri_bids.physics.bloch_mcconnell.reference import VoxelParameters
from qmri_bids.physics.pools import CestPool, MtForm, MtPool, PoolModel, Water
from qmri_bids.physics.saturation import (
    Carrier,
    Pulse,
    RfSegment,
    SaturatedImage,
    Saturation,
    SaturationProtocol,
    SpinLock,
    Start,
)
from qmri_bids.physics.saturation_presets import SPOILER, z_spectrum
from qmri_bids.pulseq.protocol import read_seq_protocol

GAMMA = 42.5764e6
TIP, PAUSE = 1e-3, 250e-6
CRUSHER = 6.5e-3
AMIDE = PoolModel(
    water=Water(t1=1.0, t2=0.07),
    cest=(CestPool(name="amide", fraction=2.4e-3, rate=162.0, shift=3.5, t2=0.04),),
)
LOCK_TIME = TIP + PAUSE


def events(protocol):
    """Yield what a file has to play: (kind, duration [s], segments, frequency [Hz], phase [rad])."""
    hertz = GAMMA * protocol.field_strength * 1e-6
    readout = protocol.readout
    for image in protocol.images:
        train = image.saturation
        early = LOCK_TIME if train and train.spin_lock is not SpinLock.NONE else 0.0
        if image.recovery > early:
            yield "delay", image.recovery - early, None, 0.0, 0.0
        if train is not None:
            frequency = image.offset * hertz
            length = train.pulse.duration
            turn = 2 * math.pi * frequency
            period = length + (train.gap if train.carrier is Carrier.RUNS else 0.0)
            strength = train.pulse.segments[0].amplitude * GAMMA
            angle = math.atan(strength / frequency) if frequency else math.pi / 2
            tip = (RfSegment(amplitude=abs(angle) / (2 * math.pi * TIP) / GAMMA, duration=TIP),)
            sign = 0.0 if angle > 0 else math.pi
            for number in range(train.number):
                phase = math.remainder(number * turn * period, 2 * math.pi)
                if early:
                    yield "rf", TIP, tip, 0.0, phase + sign - math.pi / 2
                    yield "delay", PAUSE, None, 0.0, 0.0
                yield "rf", length, train.pulse.segments, frequency, phase
                if early:
                    yield "delay", PAUSE, None, 0.0, 0.0
                    yield "rf", TIP, tip, 0.0, math.remainder(phase + turn * length, 2 * math.pi) + sign + math.pi / 2
                if number < train.number - 1:
                    yield "delay", train.gap - 2 * early, None, 0.0, 0.0
            if train.spoiler > early:
                yield "crusher", train.spoiler - early, None, 0.0, 0.0
        if readout is None:
            yield "adc", 1e-3, None, 0.0, 0.0
            continue
        flip = (RfSegment(amplitude=readout.flip_angle / (2 * math.pi * 2e-3) / GAMMA, duration=2e-3),)
        for number in range(readout.number):
            yield "rf", 2e-3, flip, 0.0, 0.0
            yield "delay", readout.spacing - 2e-3, None, 0.0, 0.0
            if number == 0:
                yield "adc", 1e-3, None, 0.0, 0.0


def definitions_of(protocol):
    larmor = GAMMA * protocol.field_strength * 1e-6
    stated = {"B0": [protocol.field_strength], "FREQ": [larmor], "M0_offset": [-300.0]}
    stated["offsets_ppm"] = [offset for offset in protocol.offsets if offset is not None]
    return stated


def packed(values, counts):
    """Return the run-length encoded derivative of runs."""
    pairs = []
    level = 0.0
    for value, count in zip(values, counts, strict=True):
        for slope, times in ((value - level, 1), (0.0, count - 1)):
            if times and pairs and pairs[-1][0] == slope:
                pairs[-1][1] += times
            elif times:
                pairs.append([slope, times])
        level = value
    numbers = []
    for slope, times in pairs:
        numbers += [slope] if times == 1 else [slope, slope, times - 2]
    return numbers


def write_v13(path, protocol, *, definitions=None, dead=0, ring=0):
    """Write a file of version 1.3.1: delays by number, RF on a raster of 1 µs with silence at its ends [µs]."""
    delays, pulses, shapes, crushers, blocks = {}, {}, {}, {}, []
    for kind, duration, segments, frequency, phase in events(protocol):
        micro = round(duration * 1e6)
        row = [0] * 7
        if kind == "delay":
            row[0] = delays.setdefault(micro, len(delays) + 1)
        elif kind == "crusher":
            row[2:5] = [crushers.setdefault(micro, len(crushers) + 1)] * 3
        elif kind == "adc":
            row[5] = 1
        else:
            peak = max(each.amplitude for each in segments)
            runs = tuple(round(each.duration * 1e6) for each in segments)
            magnitude = tuple(round(each.amplitude / peak, 12) for each in segments)
            turns = tuple(round((-each.phase / (2 * math.pi)) % 1.0, 9) for each in segments)
            if ring:
                runs, magnitude, turns = (*runs, ring), (*magnitude, 0.0), (*turns, 0.0)
            ids = [shapes.setdefault((each, runs), len(shapes) + 1) for each in (magnitude, turns)]
            event = f"{peak * GAMMA:.12g} {ids[0]} {ids[1]} {dead} {frequency:.12g} {phase:.12g}"
            row[1] = pulses.setdefault(event, len(pulses) + 1)
        blocks.append(row)
    lines = ["# Pulseq sequence file", "", "[VERSION]", "major 1", "minor 3", "revision 1", "", "[DEFINITIONS]"]
    stated = definitions_of(protocol) if definitions is None else definitions
    lines += [f"{key} {' '.join(f'{each:.9g}' for each in values)} " for key, values in stated.items()]
    lines += ["", "[BLOCKS]", *(f"{n} {' '.join(map(str, row))}" for n, row in enumerate(blocks, start=1))]
    lines += ["", "[RF]", *(f"{key} {event}" for event, key in pulses.items())]
    lines += ["", "[TRAP]", *(f"{key} 1e6 1000 {micro - 2000} 1000 0" for micro, key in crushers.items())]
    lines += ["", "[ADC]", "1 1 1000000 0 0 0", "", "[DELAYS]", *(f"{key} {micro}" for micro, key in delays.items())]
    lines += ["", "[SHAPES]"]
    for (values, counts), key in shapes.items():
        lines += [
            "",
            f"shape_id {key}",
            f"num_samples {sum(counts)}",
            *(f"{each:.12g}" for each in packed(values, counts)),
        ]
    # pypulseq reads on for ever where no empty line ends the last table.
    path.write_text("\n".join(lines) + "\n\n", encoding="utf-8")
    return path


def write_v14(path, protocol, *, compatible=True):
    """Write by pypulseq, version 1.4.1 or its own 1.5."""
    limits = pypulseq.Opts(
        rf_dead_time=0.0, rf_ringdown_time=0.0, adc_dead_time=0.0, rf_raster_time=1e-6, B0=3.0, gamma=GAMMA,
        max_grad=80, grad_unit="mT/m", max_slew=200, slew_unit="T/m/s",
    )  # fmt: skip
    sequence = pypulseq.Sequence(limits)
    for kind, duration, segments, frequency, phase in events(protocol):
        rest = {"freq_offset": frequency, "phase_offset": phase, "system": limits}
        if kind == "delay":
            block = [pypulseq.make_delay(round(duration, 6))]
        elif kind == "crusher":
            block = [
                pypulseq.make_trapezoid(
                    axis, amplitude=1e5, rise_time=1e-3, flat_time=round(duration - 2e-3, 6), system=limits
                )
                for axis in "xyz"
            ]
        elif kind == "adc":
            block = [pypulseq.make_adc(num_samples=1, duration=1e-3, system=limits)]
        elif len(segments) == 1:
            flip = 2 * math.pi * GAMMA * segments[0].amplitude * duration
            block = [pypulseq.make_block_pulse(flip, duration=duration, **rest)]
        else:
            signal = np.array([GAMMA * each.amplitude * np.exp(-1j * each.phase) for each in segments])
            dwell = round(segments[0].duration, 9)
            block = [pypulseq.make_arbitrary_rf(signal, 1.0, dwell=dwell, no_signal_scaling=True, **rest)]
        sequence.add_block(*block)
    for key, values in definitions_of(protocol).items():
        sequence.set_definition(key, [float(value) for value in values])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sequence.write(str(path), v141_compat=compatible)
    return path


def as_held(protocol, *, printed=False):
    """Return what a file can hold of a protocol: liquid tips, a crusher of some length, amplitudes of six digits."""
    images = []
    for image in protocol.images:
        train = image.saturation
        if train is not None:
            spin_lock = SpinLock.NONE if train.spin_lock is SpinLock.NONE else SpinLock.LIQUID_POOLS
            segments = train.pulse.segments
            peak = max(each.amplitude for each in segments) * GAMMA
            scale = float(f"{peak:.6g}") / peak if printed else 1.0
            pulse = Pulse(segments=tuple(replace(each, amplitude=each.amplitude * scale) for each in segments))
            train = replace(train, pulse=pulse, spin_lock=spin_lock, spoiler=train.spoiler or CRUSHER)
        images.append(replace(image, saturation=train))
    readout = protocol.readout and replace(protocol.readout, scales_with_b1=True)
    return replace(protocol, images=tuple(images), readout=readout)


def few(protocol):
    count = len(protocol.images)
    return replace(protocol, images=tuple(protocol.images[i] for i in (0, 1, 2, count // 2, count - 1)))


def check(found, expected, *, tolerance):
    assert found.field_strength == pytest.approx(expected.field_strength, rel=1e-9)
    assert found.start is expected.start
    assert found.m0_images == expected.m0_images
    assert len(found.images) == len(expected.images)
    if expected.readout is None:
        assert found.readout is None
    else:
        assert found.readout.number == expected.readout.number
        assert found.readout.flip_angle == pytest.approx(expected.readout.flip_angle, rel=1e-5)
        assert found.readout.spacing == pytest.approx(expected.readout.spacing, abs=1e-9)
    for one, other in zip(found.images, expected.images, strict=True):
        assert one.recovery == pytest.approx(other.recovery, abs=1e-9)
        assert (one.saturation is None) == (other.saturation is None)
        if one.saturation is None:
            continue
        assert one.offset == pytest.approx(other.offset, abs=1e-8)
        mine, theirs = one.saturation, other.saturation
        assert (mine.number, mine.spin_lock, mine.carrier) == (theirs.number, theirs.spin_lock, theirs.carrier)
        # Equal steps in the middle of a shape become one.
        assert len(mine.pulse.segments) in (len(theirs.pulse.segments), len(theirs.pulse.segments) - 1)
        assert (mine.gap, mine.spoiler) == pytest.approx((theirs.gap, theirs.spoiler), abs=1e-9)
        assert mine.pulse.duration == pytest.approx(theirs.pulse.duration, abs=1e-9)
        assert mine.b1_rms == pytest.approx(theirs.b1_rms, rel=2e-6)
        areas = [sum(each.amplitude * each.duration for each in train.pulse.segments) for train in (mine, theirs)]
        assert areas[0] == pytest.approx(areas[1], rel=2e-6)
    signals = [signal_and_jacobian(AMIDE, each, VoxelParameters(b1=0.9)).signal for each in (found, expected)]
    np.testing.assert_allclose(*signals, atol=tolerance, rtol=0)


@pytest.mark.parametrize("name", PROTOCOL_PRESETS)
def test_preset_comes_back_from_version_1_3(name, tmp_path):
    expected = as_held(PROTOCOL_PRESETS[name]())
    reading = read_seq_protocol(write_v13(tmp_path / "a.seq", expected))
    check(reading.protocol, expected, tolerance=1e-6)
    assert not any("states" in each for each in reading.warnings), reading.warnings


@pytest.mark.parametrize("compatible", [True, False])
@pytest.mark.parametrize("name", PROTOCOL_PRESETS)
def test_preset_comes_back_from_pypulseq(name, compatible, tmp_path):
    protocol = few(PROTOCOL_PRESETS[name]())
    expected = as_held(protocol, printed=True)
    path = write_v14(tmp_path / "a.seq", as_held(protocol), compatible=compatible)
    reading = read_seq_protocol(path, start=protocol.start)
    check(reading.protocol, expected, tolerance=1e-6)
    assert not any("signature" in each or "states" in each for each in reading.warnings), reading.warnings


def test_the_state_of_liquids_tells_no_tip_of_all_pools():
    """What is lost where a file cannot say that tips are meant for all pools."""
    protocol = PROTOCOL_PRESETS["MRF_MT_3T"]()
    signals = [signal_and_jacobian(AMIDE, each, VoxelParameters()).signal for each in (protocol, as_held(protocol))]
    assert np.abs(signals[0] - signals[1]).max() < 5e-3


def train_protocol(saturation, offsets=(-3.5, 3.5)):
    return z_spectrum(saturation, offsets, recovery=2.0)


TRAIN = Saturation(pulse=Pulse.block(amplitude=2e-6, duration=0.05), number=4, gap=0.01, spoiler=SPOILER)


def rewritten(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    return path


def edit_rf(path, change):
    """Rewrite the rows of the RF table."""
    head, table = path.read_text(encoding="utf-8").split("[RF]\n")
    rows, tail = table.split("\n\n", 1)
    changed = [" ".join(change(row.split())) for row in rows.split("\n")]
    path.write_text(head + "[RF]\n" + "\n".join(changed) + "\n\n" + tail, encoding="utf-8")
    return path


def test_both_rules_of_the_phase_are_told_apart(tmp_path):
    for carrier in Carrier:
        expected = train_protocol(replace(TRAIN, carrier=carrier))
        found = read_seq_protocol(write_v13(tmp_path / "a.seq", expected)).protocol
        check(found, expected, tolerance=1e-9)


def test_a_train_as_one_pulse_has_the_same_signal(tmp_path):
    """A gap of the file that differs by what changes nothing makes the reader keep every pulse: phases must turn the right way."""
    offset = 3.5 + 0.3
    expected = train_protocol(TRAIN, offsets=(offset, -offset))
    path = write_v13(tmp_path / "a.seq", expected)
    before = read_seq_protocol(path)
    # One delay of every train grows by a hundredth of a microsecond times ten.
    text = path.read_text(encoding="utf-8")
    blocks = text.split("[BLOCKS]\n")[1].split("\n\n")[0].split("\n")
    gap = next(line.split()[1] for line in blocks[2:] if line.split()[1] != "0")
    row = next(line for line in blocks[2:] if line.split()[1] == gap)
    longer = row.split()
    longer[1] = "99"
    changed = text.replace("\n" + row + "\n", "\n" + " ".join(longer) + "\n").replace(
        "[DELAYS]\n", "[DELAYS]\n99 10000.1\n"
    )
    path.write_text(changed, encoding="utf-8")
    after = read_seq_protocol(path)
    assert before.protocol.images[0].saturation.number == 4
    assert after.protocol.images[0].saturation.number == 1
    assert len(after.protocol.images[0].saturation.pulse.segments) == 7
    assert any("image 1: its pulses or gaps differ" in each for each in after.warnings)
    signals = [signal_and_jacobian(AMIDE, each.protocol, VoxelParameters()).signal for each in (before, after)]
    np.testing.assert_allclose(*signals, atol=1e-5, rtol=0)


def test_phases_that_start_anew_are_kept_as_played(tmp_path):
    expected = train_protocol(TRAIN, offsets=(2.3, -3.1))
    path = edit_rf(write_v13(tmp_path / "a.seq", expected), lambda row: [*row[:-1], "0"])
    reading = read_seq_protocol(path)
    image = reading.protocol.images[1]
    assert any("its phases differ from pulse to pulse" in each for each in reading.warnings)
    # In the frame of the carrier each pulse starts where pulse and gap have taken it.
    larmor = 2 * math.pi * image.offset * 1e-6 * GAMMA * 3.0
    phases = [each.phase for each in image.saturation.pulse.segments if each.amplitude > 0]
    for number, phase in enumerate(phases):
        assert math.remainder(phase - number * larmor * 0.06, 2 * math.pi) == pytest.approx(0.0, abs=1e-6)


def test_phase_modulation_is_detuning_in_the_right_direction(tmp_path):
    """A block whose phase turns through its shape is a block at another frequency."""
    duration, steps, extra = 0.02, 1000, 200.0
    plain = train_protocol(
        Saturation(pulse=Pulse.block(amplitude=2e-6, duration=duration), spoiler=SPOILER), (1.5, 0.7)
    )
    times = (np.arange(steps) + 0.5) * duration / steps
    turned = tuple(
        RfSegment(amplitude=2e-6, duration=duration / steps, phase=-2 * math.pi * extra * float(t)) for t in times
    )
    moved = tuple(
        replace(
            image,
            offset=image.offset - extra / (3.0 * GAMMA * 1e-6),
            saturation=replace(image.saturation, pulse=Pulse(segments=turned)),
        )
        for image in plain.images
    )
    found = read_seq_protocol(
        write_v13(tmp_path / "a.seq", replace(plain, images=moved), definitions={"B0": [3.0]})
    ).protocol
    signals = [signal_and_jacobian(AMIDE, each, VoxelParameters()).signal for each in (found, plain)]
    np.testing.assert_allclose(signals[0][1:], signals[1][1:], atol=1e-4, rtol=0)


def test_fine_shape_is_averaged_and_keeps_area_and_power(tmp_path):
    pulse = Pulse.sinc_gauss(mean_amplitude=1.78e-6, duration=50e-3, steps=50_000)
    expected = train_protocol(Saturation(pulse=pulse, spoiler=SPOILER))
    reading = read_seq_protocol(write_v13(tmp_path / "a.seq", expected))
    found = reading.protocol.images[1].saturation
    assert len(found.pulse.segments) == 200
    assert found.b1_rms == pytest.approx(expected.images[1].saturation.b1_rms, rel=1e-3)
    assert sum(each.amplitude * each.duration for each in found.pulse.segments) == pytest.approx(
        1.78e-6 * 50e-3, rel=1e-6
    )
    assert any("image 1-3: its RF shape of 49999 steps is averaged to 200" in each for each in reading.warnings)


def test_dead_and_ringdown_times_lengthen_the_pauses(tmp_path):
    path = write_v13(tmp_path / "a.seq", train_protocol(TRAIN), dead=100, ring=30)
    image = read_seq_protocol(path).protocol.images[1]
    assert image.saturation.gap == pytest.approx(0.01013)
    assert image.saturation.pulse.duration == pytest.approx(0.05)
    assert image.saturation.spoiler == pytest.approx(SPOILER + 30e-6)
    assert image.recovery == pytest.approx(2.0001)


def test_stale_definitions_are_named_and_the_rf_counts(tmp_path):
    protocol = PROTOCOL_PRESETS["WASABI_3T_001"]()
    stated = definitions_of(protocol) | {
        "B1pa": [1.78], "B1rms": [3.7], "td": [0.05], "tp": [0.005], "n_pulses": [1], "DCsat": [0.5],
        "Trec": [3.0], "Trec_M0": [3.0], "num_meas": [31], "Tsat": [0.005],
    }  # fmt: skip
    reading = read_seq_protocol(write_v13(tmp_path / "WASABI.seq", protocol, definitions=stated))
    assert reading.protocol.images[1].saturation.b1_rms == pytest.approx(3.7e-6)
    sentences = [each.partition(": ")[2] for each in reading.warnings]
    assert sentences == [
        "definition B1pa states 1.78 µT, its events play 3.7 µT; what is played counts.",
        "definition DCsat states 0.5, its events play 1; what is played counts.",
        "definition td states 0.05 s, its events play no gap; what is played counts.",
        "definition Trec_M0 states 3 s, its events play 12 s; what is played counts.",
        "definition num_meas states 31, its events play 32 images; what is played counts.",
    ]


def test_offsets_of_the_definitions_do_not_win(tmp_path):
    protocol = train_protocol(TRAIN)
    stated = definitions_of(protocol) | {"offsets_ppm": [-300.0, -4.0, 4.0], "M0_offset": [-1560.0]}
    reading = read_seq_protocol(write_v13(tmp_path / "a.seq", protocol, definitions=stated))
    assert reading.protocol.offsets == pytest.approx((-300.0, -3.5, 3.5))
    assert reading.protocol.m0_images == (0,)
    assert any(
        "definition offsets_ppm states -4 ppm, its events play -3.5 ppm in 2 of 3 images" in w for w in reading.warnings
    )
    assert any("definition M0_offset states -1560 ppm, no event plays it" in each for each in reading.warnings)
    assert any("1 image(s) at the largest offset, 300 ppm" in each for each in reading.warnings)


def test_lists_of_definitions_are_compared_image_by_image(tmp_path):
    protocol = as_held(PROTOCOL_PRESETS["MRF_MT_3T"]())
    b1 = [1e6 * image.saturation.pulse.segments[0].amplitude for image in protocol.images if image.saturation]
    stated = definitions_of(protocol) | {
        "B1pa": [*b1[:-1], 9.9],
        "n_pulses": [13],
        "Tsat": [2.5],
        "DCsat": [0.5],
        "td": [0.1],
    }
    reading = read_seq_protocol(write_v13(tmp_path / "a.seq", protocol, definitions=stated))
    stale = [each for each in reading.warnings if "states" in each]
    assert len(stale) == 1
    assert "B1pa states 9.9 µT, its events play 0.5 µT in 1 of 30 images" in stale[0]


def test_field_comes_from_the_argument_before_the_file(tmp_path):
    path = write_v13(tmp_path / "a.seq", train_protocol(TRAIN))
    reading = read_seq_protocol(path, field_strength=7.0)
    assert reading.protocol.field_strength == 7.0
    assert reading.protocol.images[1].offset == pytest.approx(-3.5 * 3 / 7)
    assert any("FREQ states a field of 3 T, the argument 7 T" in each for each in reading.warnings)
    bare = write_v13(tmp_path / "b.seq", train_protocol(TRAIN), definitions={})
    with pytest.raises(RefusedError, match="definition B0: expected the field in tesla"):
        read_seq_protocol(bare)
    assert read_seq_protocol(bare, field_strength=3.0).protocol.offsets == pytest.approx((-300.0, -3.5, 3.5))


def test_fingerprint_without_readout_says_so(tmp_path):
    protocol = replace(as_held(PROTOCOL_PRESETS["MRF_MT_3T"]()), readout=None)
    path = write_v13(tmp_path / "a.seq", protocol)
    reading = read_seq_protocol(path)
    assert reading.protocol.start is Start.PREVIOUS
    assert any("read as a fingerprint" in each and "left to the scanner" in each for each in reading.warnings)
    known = PROTOCOL_PRESETS["MRF_MT_3T"]().readout
    assert read_seq_protocol(path, readout=known).protocol.readout == known
    assert read_seq_protocol(path, start=Start.RELAXED).protocol.start is Start.RELAXED


def locked_path(tmp_path):
    return write_v13(tmp_path / "a.seq", few(PROTOCOL_PRESETS["APTw_3T_004"]()))


def test_tip_of_a_wrong_angle_is_refused(tmp_path):
    def weaker(row):
        return [row[0], str(0.7 * float(row[1])), *row[2:]] if row[5] == "0" and float(row[1]) < 84.0 else row

    with pytest.raises(RefusedError, match=r"block \d+: expected a tip (down|up) of .*effective field of block"):
        read_seq_protocol(edit_rf(locked_path(tmp_path), weaker))


def test_tip_of_a_wrong_direction_is_refused(tmp_path):
    def turned(row):
        return [*row[:-1], str(float(row[-1]) + 1.0)] if row[5] == "0" and float(row[1]) < 84.0 else row

    with pytest.raises(RefusedError, match="from its direction"):
        read_seq_protocol(edit_rf(locked_path(tmp_path), turned))


def insert_in_block(path, number, row):
    lines = path.read_text(encoding="utf-8").split("\n")
    place = lines.index("[BLOCKS]") + number
    lines[place] = f"{number} {row}"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


REFUSED_EVENTS = {
    "gradient with RF": ("0 1 1 1 1 0 0", r"block 2: expected RF of a saturation without a gradient"),
    "gradient in a gap": ("0 0 1 1 1 0 0", r"block 3: expected free evolution between the pulses of a train"),
    "two frequencies": (
        "0 12 0 0 0 0 0",
        r"block 4: expected one frequency .* -38318.8 Hz as in block 2, found 447.052 Hz",
    ),
}


@pytest.mark.parametrize("case", REFUSED_EVENTS)
def test_image_that_cannot_be_represented_is_refused(case, tmp_path):
    row, message = REFUSED_EVENTS[case]
    number = int(message[6])
    path = insert_in_block(write_v13(tmp_path / "a.seq", train_protocol(TRAIN)), number, row)
    with pytest.raises(RefusedError, match=message):
        read_seq_protocol(path)


def test_nothing_acquired_or_transmitted_is_refused(tmp_path):
    path = write_v13(tmp_path / "a.seq", train_protocol(TRAIN))
    text = path.read_text(encoding="utf-8")
    head, tail = text.split("[BLOCKS]\n")
    rows, rest = tail.split("\n\n", 1)
    for column, kind in ((6, "ADC"), (2, "RF")):
        split = [line.split() for line in rows.split("\n")]
        silenced = "\n".join(
            " ".join("0" if place == column else word for place, word in enumerate(row)) for row in split
        )
        path.write_text(f"{head}[BLOCKS]\n{silenced}\n\n{rest}", encoding="utf-8")
        with pytest.raises(RefusedError, match=rf"\[{kind}\]: expected an {kind} event"):
            read_seq_protocol(path)


def test_image_without_rf_is_m0(tmp_path):
    protocol = train_protocol(TRAIN)
    bare = SaturatedImage(saturation=None, offset=None, recovery=9.0, is_m0=True)
    protocol = SaturationProtocol(field_strength=3.0, images=(bare, *protocol.images[1:]))
    found = read_seq_protocol(write_v13(tmp_path / "a.seq", protocol)).protocol
    check(found, protocol, tolerance=1e-9)


def test_semisolid_pool_is_where_the_two_kinds_of_tip_differ():
    """The size of what `LIQUID_POOLS` in place of `ALL_POOLS` means, which a file cannot tell."""
    model = replace(AMIDE, mt=MtPool(name="mt", fraction=0.112, rate=29.0, shift=0.0, t2=4e-5, form=MtForm.FULL))
    protocol = as_held(PROTOCOL_PRESETS["MRF_MT_3T"]())
    ideal = replace(
        protocol,
        images=tuple(
            replace(each, saturation=each.saturation and replace(each.saturation, spin_lock=SpinLock.ALL_POOLS))
            for each in protocol.images
        ),
    )
    signals = [signal_and_jacobian(model, each, VoxelParameters()).signal for each in (protocol, ideal)]
    assert 1e-4 < np.abs(signals[0] - signals[1]).max() < 2e-2
