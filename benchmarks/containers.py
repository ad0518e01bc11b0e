"""What the containers must show: the build from scratch, the demo inside against the same outside, and a locked-down run.

    python benchmarks/containers.py [--only build demo locked]      as root, with buildah, debootstrap and bubblewrap

Every part prints its rows and saves them in `results/containers.json`.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
from rows import AtLeast, Row, save

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))
from container_image import USER, Image, build_image, make_base, remove_image

BIN = Path(sys.executable).parent
OPTIONS = ("participant", "--nprocs", "1", "--omp-nthreads", "1", "--skip-bids-validation")


def build(folder: Path) -> list[Row]:
    """Time and size of the image, built from scratch."""
    make_base(folder / "image")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    image = build_image(folder / "image", cached=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    packages = image.root / "opt" / "qmri_bids"
    parts = {
        "Debian and Python": image.size - size_of(packages),
        "torch": size_of(*packages.glob("lib/python3*/site-packages/torch")),
        "other packages": size_of(packages) - size_of(*packages.glob("lib/python3*/site-packages/torch")),
    }
    shown = ", ".join(f"{name} {value / 1e9:.2f}" for name, value in parts.items())
    return [
        Row(
            figure="image built from scratch, two cores",
            unit="min",
            bar=10.0,
            value=image.seconds / 60,
            baseline=f"of which {busy / 60:.1f} min of one core, load of the machine {os.getloadavg()[2]:.0f}; without the base, "
            "which is downloaded elsewhere",
        ),
        Row(figure="size of the image for the CPU", unit="GB", bar=3.0, value=image.size / 1e9, baseline=shown),
    ]


def demo(folder: Path) -> list[Row]:
    """The demo inside and outside, one process each, in turn: times and maps."""
    image = build_image(folder / "image")
    bids = simulated(folder / "demo")
    outside, inside = [], []
    for number in range(2):
        out, own = folder / f"outside{number}", folder / f"own{number}"
        outside.append(seconds_of([BIN / "qmri_bids", bids, out, *OPTIONS, "--work-dir", own]))
        inside.append(seconds_of(contained(image, bids, folder, f"inside{number}")))
    kinds = [differing(folder / "outside0", folder / "inside0"), differing(folder / "outside0", folder / "outside1")]
    return [
        Row(
            figure="demo: time inside over time outside",
            unit="",
            bar=1.1,
            value=min(inside) / min(outside),
            baseline=f"outside {', '.join(f'{each:.0f}' for each in outside)} s, "
            f"inside {', '.join(f'{each:.0f}' for each in inside)} s",
        ),
        Row(
            figure="demo: maps that differ in any voxel from those made outside",
            unit="",
            bar=0.0,
            value=kinds[0][0],
            baseline=f"of {kinds[0][1]}; {kinds[1][0]} differ between two runs outside",
        ),
    ]


def locked(folder: Path) -> list[Row]:
    """User 12345, read-only root and /tmp, no network, HOME=/nonexistent."""
    image = build_image(folder / "image")
    bids = simulated(folder / "small", "--matrix", "32", "36", "32", "--voxel-size", "6", "--motion", "0")
    command = contained(image, bids, folder, "locked", temporary=False)
    status = subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode
    subprocess.run([BIN / "qmri_bids", bids, folder / "free", *OPTIONS, "--work-dir", folder / "own"], check=True)
    pages = [(folder / name / "sub-01.html").read_text(encoding="utf-8") for name in ("free", "locked")]
    shown = [page.count("<img") + page.count("<section") for page in pages]
    return [
        Row(
            figure="any user, read-only root, no network, HOME=/nonexistent: exit code",
            unit="",
            bar=0.0,
            value=status,
            baseline="user 12345, /tmp read-only, too",
        ),
        Row(
            figure="the same: share of the sections and images of a report made outside",
            unit="",
            bar=AtLeast(1.0),
            value=shown[1] / shown[0],
            baseline=f"{shown[0]} sections and images",
        ),
    ]


def simulated(folder: Path, *arguments: str) -> Path:
    if not folder.exists():
        subprocess.run([BIN / "qmri-tools", "simulate", folder, *arguments], check=True, stdout=subprocess.DEVNULL)
    return folder


def contained(image: Image, bids: Path, folder: Path, name: str, *, temporary: bool = True) -> list[str]:
    out, work = folder / name, folder / f"{name}_work"
    for each in (out, work):
        each.mkdir()
        os.chown(each, USER, USER)
    arguments = [bids, out, *OPTIONS, "--work-dir", work]
    return image.command(arguments, read=[bids], write=[out, work], temporary=temporary)


def seconds_of(command: list) -> float:
    started = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.monotonic() - started


def differing(first: Path, second: Path) -> tuple[int, int]:
    """Return how many maps differ anywhere, and how many there are."""
    names = sorted(path.relative_to(first) for path in first.rglob("sub-*/**/*.nii.gz"))
    pairs = [[np.asarray(nib.load(folder / name).dataobj) for folder in (first, second)] for name in names]
    return sum(not np.array_equal(*pair, equal_nan=True) for pair in pairs), len(names)


def size_of(*folders: Path) -> int:
    done = subprocess.run(["du", "-scb", *folders], capture_output=True, text=True, check=True)
    return int(done.stdout.splitlines()[-1].split()[0])


PARTS: dict[str, Callable[[Path], list[Row]]] = {"build": build, "demo": demo, "locked": locked}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=tuple(PARTS), default=tuple(PARTS))
    parser.add_argument("--keep", type=Path, default=None, help="folder of layers and datasets, kept and used again")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
        try:
            for name in options.only:
                save("containers", PARTS[name](folder))
        finally:
            if options.keep is None:
                remove_image(folder / "image")


if __name__ == "__main__":
    main()
