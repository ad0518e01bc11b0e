"""Reading of pulseq files of version 1.3, beside pypulseq, which puts their blocks on a raster of 1 µs."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from rows import Row, print_rows

from qmri_bids.physics.saturation import Pulse, Saturation
from qmri_bids.physics.saturation_presets import SPOILER, mrf_mt, z_spectrum
from qmri_bids.pulseq.protocol import read_seq_protocol

LONG = 15.0
"""Of one block [s]."""
OFFSETS = 30
PATIENCE = 60.0
"""After which pypulseq is stopped [s]."""

MEMORY = 6 * 2**30
"""What it may take for that."""

PYPULSEQ = """
import resource, sys, time, warnings
import pypulseq
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]),) * 2)
warnings.simplefilter("ignore")
start = time.perf_counter()
pypulseq.Sequence().read(sys.argv[1])
print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
"""


def _writer():
    path = Path(__file__).parents[1] / "tests" / "bids" / "test_seq_protocol.py"
    spec = importlib.util.spec_from_file_location("seq_writer", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _block(duration: float, offsets: int):
    train = Saturation(pulse=Pulse.block(amplitude=2e-6, duration=duration), spoiler=SPOILER)
    return z_spectrum(train, [4.0 * index / offsets - 2.0 for index in range(offsets)], recovery=3.5)


def _pypulseq(path: Path) -> str:
    """Return how long pypulseq reads, in a process that can be ended."""
    try:
        run = subprocess.run(
            [sys.executable, "-c", PYPULSEQ, str(path), str(MEMORY)],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"more than {PATIENCE:g} s"
    if run.returncode != 0:
        words = run.stderr.split()
        return "out of memory" if "MemoryError" in run.stderr else f"failed: {words[-1] if words else run.returncode}"
    seconds, memory = map(float, run.stdout.split())
    return f"{seconds:.1f} s and {memory:.1f} GiB"


def _best(path: Path) -> float:
    times = []
    for _ in range(3):
        start = time.perf_counter()
        read_seq_protocol(path)
        times.append(time.perf_counter() - start)
    return min(times)


def seq_reading() -> list[Row]:
    """Time to a protocol of a file with blocks of seconds, and of the published fingerprint with its readout."""
    writer = _writer()
    fingerprint = writer.as_held(mrf_mt())
    silent = replace(fingerprint, readout=None)
    with tempfile.TemporaryDirectory() as folder:
        long, short, trains, bare = (Path(folder) / f"{name}.seq" for name in ("long", "short", "trains", "bare"))
        writer.write_v13(long, _block(LONG, OFFSETS))
        writer.write_v13(short, _block(1.0, OFFSETS))
        writer.write_v13(trains, fingerprint)
        writer.write_v13(bare, silent)
        return [
            Row(
                figure=f"pulseq 1.3, {OFFSETS + 1} images of one block of {LONG:g} s: read to a protocol",
                unit="s",
                bar=10.0,
                value=_best(long),
                baseline=f"pypulseq, tables and samples: {_pypulseq(short)} with blocks of 1 s, {_pypulseq(long)} with {LONG:g} s",
            ),
            Row(
                figure="pulseq 1.3, fingerprint of 31 images, 13 locked blocks and 45 excitations each: read to a protocol",
                unit="s",
                bar=10.0,
                value=_best(trains),
                baseline=f"pypulseq: {_pypulseq(trains)}, {_pypulseq(bare)} without excitations",
            ),
        ]


if __name__ == "__main__":
    print_rows(seq_reading())
