"""Tables of pulseq files, against pypulseq and against files written by hand."""

from __future__ import annotations

import time
import warnings
from pathlib import Path

import bmctool
import numpy as np
import pypulseq
import pytest
from pypulseq.compress_shape import compress_shape

from qmri_bids.bids.refusal import RefusedError
from qmri_bids.pulseq.file import read_seq_file
from qmri_bids.pulseq.protocol import read_seq_protocol
from qmri_bids.pulseq.shapes import Shape

EXAMPLE = Path(bmctool.__file__).parent / "library" / "seq-library" / "WASABI.seq"

HAND = """# Pulseq sequence file
[VERSION]
major 1
minor 3
revision 1post1

[DEFINITIONS]
B0 3
author Jürgen

# Format of blocks:
[BLOCKS]
1 1 0 0 0 0 0 0
2 0 1 0 0 0 0 0
3 0 0 1 1 1 0 0
4 0 0 0 0 0 1 0

[RF]
1 85.1528 1 2 100 -38318.8 0.5

[TRAP]
1 1.36244e+06 1000 4500 1000 0

[ADC]
1 1 1000000 0 0 0

[DELAYS]
1 3500000

[SHAPES]

shape_id 1
num_samples 5030
1
0
0
4997
-1
0
0
27

shape_id 2
num_samples 5030
0
0
5028

"""


def written(tmp_path, text=HAND):
    path = tmp_path / "hand.seq"
    path.write_text(text, encoding="utf-8")
    return path


def test_hand_written_file(tmp_path):
    seq = read_seq_file(written(tmp_path))
    assert seq.version == (1, 3)
    assert seq.definitions == {"B0": (3.0,), "author": "Jürgen"}
    assert [block.duration for block in seq.blocks] == pytest.approx([3.5, 0.00513, 0.0065, 1e-3])
    assert [block.gradient for block in seq.blocks] == [False, False, True, False]
    assert [block.samples for block in seq.blocks] == [0, 0, 0, 1]
    rf = seq.blocks[1].rf
    assert (rf.frequency, rf.phase) == (-38318.8, 0.5)
    assert rf.lead == pytest.approx(100e-6)
    # Constant RF is one step, and the silence after it is left out.
    np.testing.assert_allclose(rf.envelope.amplitude, [85.1528])
    np.testing.assert_allclose(rf.envelope.durations, [5e-3])
    # Printed with six digits.
    assert rf.frequency_precision == pytest.approx(0.05)


def test_version_1_2_has_no_column_for_extensions(tmp_path):
    text = HAND.replace("minor 3", "minor 2")
    for number in range(1, 5):
        line = next(each for each in text.split("\n") if each.startswith(f"{number} ") and each.endswith(" 0"))
        text = text.replace(line, line.removesuffix(" 0"))
    seq = read_seq_file(written(tmp_path, text))
    assert (seq.version, len(seq.blocks), seq.blocks[3].samples) == ((1, 2), 4, 1)


def test_line_ends_of_windows(tmp_path):
    path = tmp_path / "a.seq"
    path.write_bytes(HAND.replace("\n", "\r\n").encode())
    assert read_seq_file(path).blocks[0].duration == 3.5


@pytest.mark.parametrize(
    "samples",
    [
        np.ones(500),
        np.r_[np.zeros(30), np.ones(400), np.zeros(70)],
        np.linspace(0, 1, 300),
        np.hanning(257),
        np.repeat(np.hanning(40), 25),
        np.array([0.3]),
        np.array([0.5, 0.5]),
        np.random.default_rng(3).uniform(0, 1, 60),
        np.r_[np.zeros(2), 0.25, 0.5, 0.75, 1.0, np.ones(5)],
    ],
    ids=["block", "silent ends", "ramp", "hanning", "steps", "one", "two", "noise", "stairs"],
)
def test_shapes_are_unpacked_as_pypulseq_packs_them(samples):
    packed = compress_shape(samples, force_compression=True)
    shape = Shape.unpack(packed.data.tolist(), len(samples), may_be_plain=False)
    np.testing.assert_allclose(shape.samples(), samples, atol=2e-6)
    plain = compress_shape(samples)
    shape = Shape.unpack(plain.data.tolist(), len(samples), may_be_plain=True)
    np.testing.assert_allclose(shape.samples(), samples, atol=2e-6)


def test_constant_shape_is_one_run_however_long():
    shape = Shape.unpack([1.0, 0.0, 0.0, 15_000_000 - 3.0], 15_000_000, may_be_plain=False)
    assert (shape.values.tolist(), shape.counts.tolist()) == ([1.0], [15_000_000])


def reference(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sequence = pypulseq.Sequence(pypulseq.Opts(rf_dead_time=0.0, rf_ringdown_time=0.0, adc_dead_time=0.0))
        sequence.read(str(path), remove_duplicates=False)
    return sequence


def compare(path):
    seq, theirs = read_seq_file(path), reference(path)
    assert len(seq.blocks) == len(theirs.block_events)
    raster = theirs.rf_raster_time
    sounding = 0
    for mine in seq.blocks:
        other = theirs.get_block(mine.number)
        assert mine.duration == pytest.approx(theirs.block_durations[mine.number], abs=1e-9)
        assert mine.samples == (0 if other.adc is None else other.adc.num_samples)
        assert mine.gradient == any(getattr(other, axis) is not None for axis in ("gx", "gy", "gz"))
        assert (mine.rf is None) == (other.rf is None)
        if mine.rf is None:
            continue
        sounding += 1
        rf = other.rf
        assert (mine.rf.frequency, mine.rf.phase) == (rf.freq_offset, rf.phase_offset)
        if len(rf.signal) == 2:
            area, power = rf.signal.mean() * np.ptp(rf.t), np.abs(rf.signal[0]) ** 2 * np.ptp(rf.t)
        else:
            area, power = rf.signal.sum() * raster, (np.abs(rf.signal) ** 2).sum() * raster
        assert mine.rf.envelope.area == pytest.approx(area, rel=1e-5, abs=1e-9)
        assert mine.rf.envelope.power == pytest.approx(power, rel=1e-5)
        assert mine.rf.lead - mine.rf.envelope.lead == pytest.approx(rf.delay, abs=1e-9)
    return sounding


def test_version_1_3_agrees_with_pypulseq(tmp_path):
    assert compare(written(tmp_path)) == 1


def test_published_file_agrees_with_pypulseq():
    assert compare(EXAMPLE) == 32
    # Its header was added after it was signed, which is no fault of its own.
    assert read_seq_file(EXAMPLE).warnings == ()


@pytest.mark.parametrize("compatible", [True, False], ids=["1.4", "1.5"])
def test_what_pypulseq_writes_agrees(compatible, tmp_path):
    limits = pypulseq.Opts(
        rf_dead_time=100e-6,
        rf_ringdown_time=30e-6,
        adc_dead_time=0.0,
        rf_raster_time=1e-6,
        max_slew=170,
        slew_unit="T/m/s",
    )
    sequence = pypulseq.Sequence(limits)
    shaped = pypulseq.make_gauss_pulse(
        1.0, duration=4e-3, freq_offset=321.5, phase_offset=0.4, delay=100e-6, use="saturation", system=limits
    )
    turned = np.hanning(500) * np.exp(2j * np.pi * np.linspace(0, 1, 500) ** 2)
    chirp = pypulseq.make_arbitrary_rf(turned, 1.0, delay=100e-6, freq_offset=-20.0, use="saturation", system=limits)
    sequence.add_block(pypulseq.make_delay(2.0))
    sequence.add_block(shaped)
    sequence.add_block(chirp)
    block = pypulseq.make_block_pulse(3.0, duration=10e-3, delay=100e-6, use="saturation", system=limits)
    sequence.add_block(block)
    sequence.add_block(pypulseq.make_trapezoid("z", area=1000, duration=4e-3, system=limits))
    wave = 1e4 * np.hanning(100)
    sequence.add_block(pypulseq.make_arbitrary_grad("x", wave, first=0, last=0, system=limits))
    sequence.add_block(pypulseq.make_adc(num_samples=64, duration=1.28e-3, system=limits))
    path = tmp_path / "a.seq"
    sequence.write(str(path), v141_compat=compatible)
    assert compare(path) == 3
    seq = read_seq_file(path)
    assert seq.version == ((1, 4) if compatible else (1, 5))
    assert seq.warnings == ()
    path.write_text(path.read_text().replace("2.0", "2.5", 1).replace("major 1", "major  1"))
    assert any("changed after it was written" in each for each in read_seq_file(path).warnings)


def test_offset_in_ppm_of_version_1_5(tmp_path):
    limits = pypulseq.Opts(rf_dead_time=0.0, rf_ringdown_time=0.0, adc_dead_time=0.0, B0=3.0)
    sequence = pypulseq.Sequence(limits)
    sequence.add_block(pypulseq.make_block_pulse(3.0, duration=10e-3, freq_ppm=3.5, freq_offset=0.0, system=limits))
    sequence.add_block(pypulseq.make_adc(num_samples=1, duration=1e-3, system=limits))
    sequence.set_definition("B0", 3.0)
    sequence.write(str(tmp_path / "a.seq"))
    assert read_seq_protocol(tmp_path / "a.seq").protocol.offsets == pytest.approx((3.5,))


def test_long_blocks_at_a_fine_raster_read_at_once(tmp_path):
    """31 images of 15 s at 1 µs: 465 million samples, of which the file holds a dozen numbers."""
    head, tail = HAND.split("[RF]\n")
    blocks = [f"{n} {'0 1 0 0 0 0 0' if n % 2 else '0 0 0 0 0 1 0'}" for n in range(1, 63)]
    head = head[: head.index("[BLOCKS]\n")] + "[BLOCKS]\n" + "\n".join(blocks) + "\n\n"
    tail = (
        tail.replace("5030", "15000000").replace("\n4997\n-1\n0\n0\n27\n", "\n14999997\n").replace("5028", "14999998")
    )
    path = written(tmp_path, head + "[RF]\n" + tail)
    start = time.perf_counter()
    protocol = read_seq_protocol(path).protocol
    assert time.perf_counter() - start < 1.0
    assert protocol.number_of_images == 31
    assert protocol.images[0].saturation.pulse.duration == pytest.approx(15.0)
    assert len(protocol.images[0].saturation.pulse.segments) == 1


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "minor 3",
            "minor 6",
            r"\[VERSION\]: expected version 1.2 to 1.5 of the pulseq format, found version 1.6.1post1",
        ),
        ("major 1\n", "", r"\[VERSION\]: .* found version \?.3.1post1"),
        ("[VERSION]\n", "", r"\[VERSION\]: expected a pulseq file that states its version, found no such section"),
        ("[BLOCKS]", "[BLOKS]", r"\[BLOCKS\]: expected a table of blocks, found no such section"),
        (
            "[RF]\n1 85.1528 1 2 100 -38318.8 0.5",
            "",
            r"\[RF\]: expected event 1, which block 2 refers to, found no such",
        ),
        ("[DELAYS]\n1 3500000", "", r"\[DELAYS\]: expected event 1, which block 1 refers to"),
        ("[TRAP]\n1", "[TRAP]\n2", r"\[TRAP or GRADIENTS\]: expected event 1, which block 3 refers to"),
        ("[ADC]\n1", "[ADC]\n2", r"\[ADC\]: expected event 1, which block 4 refers to"),
        ("-38318.8 0.5", "-38318.8", r"\[RF\]: expected rows of at least 7 numbers, found the row '1 85.1528"),
        ("85.1528", "nan", r"\[RF\]: expected rows of at least 7 numbers"),
        ("85.1528", "lots", r"\[RF\]: expected rows of at least 7 numbers"),
        ("shape_id 2", "shape_id 7", r"\[SHAPES\]: expected shape 2, which \[RF\] refers to, found no such shape"),
        ("5028\n", "", r"\[SHAPES\]: expected 5030 samples in shape 2, found 2 packed values that give others"),
        ("\n27\n", "\n20\n", r"\[SHAPES\]: expected 5030 samples in shape 1"),
        ("B0 3", "RadiofrequencyRasterTime x", r"definition RadiofrequencyRasterTime: expected a time in seconds"),
    ],
)
def test_damaged_tables_are_refused(old, new, message, tmp_path):
    assert old in HAND
    with pytest.raises(RefusedError, match=message):
        read_seq_file(written(tmp_path, HAND.replace(old, new, 1)))


def test_file_cut_off_anywhere_is_refused_or_whole(tmp_path):
    """No cut gives another protocol in silence."""
    whole = read_seq_file(written(tmp_path)).blocks[1].rf.envelope.area
    for end in range(0, len(HAND) - 2, 7):
        path = written(tmp_path, HAND[:end])
        try:
            found = read_seq_protocol(path)
        except RefusedError:
            continue
        area = found.protocol.images[0].saturation.pulse.segments[0].amplitude * 5e-3 * 42.5764e6
        assert area == pytest.approx(whole.real)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(RefusedError, match="expected a readable pulseq file"):
        read_seq_file(tmp_path / "none.seq")
    path = tmp_path / "a.seq"
    path.write_bytes(b"\x01pulseq\x02" + bytes(100))
    with pytest.raises(RefusedError, match="expected the text form of a pulseq file, found binary content"):
        read_seq_file(path)
    path.write_text('{"a": 1}')
    with pytest.raises(RefusedError, match="found no such section"):
        read_seq_file(path)
    with pytest.raises(RefusedError) as caught:
        read_seq_file(tmp_path / "sub" / "none.seq", root=tmp_path)
    assert caught.value.refusal.file == "sub/none.seq"
