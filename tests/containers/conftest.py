"""The image, and a head of few voxels that was processed outside of it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from container_image import USER, Image, build_image, missing_programs, remove_image

from qmri_bids.phantom.dataset import simulate_dataset

OPTIONS = ("participant", "--nprocs", "1", "--omp-nthreads", "1")


@pytest.fixture(scope="session")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Layers are kept in QMRI_BIDS_CONTAINER_FOLDER, if it is set, and taken up by the next call."""
    kept = os.environ.get("QMRI_BIDS_CONTAINER_FOLDER")
    return Path(kept) if kept else tmp_path_factory.mktemp("image")


@pytest.fixture(scope="session")
def image(storage: Path) -> Iterator[Image]:
    missing = missing_programs()
    if missing:
        pytest.fail(f"not installed: {', '.join(missing)}; as root: apt-get install {' '.join(missing)}")
    yield build_image(storage)
    if "QMRI_BIDS_CONTAINER_FOLDER" not in os.environ:
        remove_image(storage)


@dataclass(frozen=True, kw_only=True)
class Head:
    """A dataset and its derivatives, in a folder that any user can enter."""

    folder: Path
    bids: Path
    outside: Path

    def writable(self, name: str) -> Path:
        """Return a new folder of user `USER`."""
        folder = self.folder / name
        folder.mkdir()
        os.chown(folder, USER, USER)
        return folder


@pytest.fixture(scope="session")
def head(tmp_path_factory: pytest.TempPathFactory) -> Head:
    folder = tmp_path_factory.mktemp("head")
    for above in (folder, *folder.parents[:2]):
        above.chmod(0o755)
    bids, outside = folder / "bids", folder / "outside"
    simulate_dataset(bids, subjects=1, matrix=(32, 36, 32), voxel_size=6.0, motion=0.0, seed=1)
    program = Path(sys.executable).with_name("qmri_bids")
    command = [program, bids, outside, *OPTIONS, "--work-dir", folder / "own", "--skip-bids-validation"]
    subprocess.run(command, check=True, capture_output=True)
    return Head(folder=folder, bids=bids, outside=outside)


@pytest.fixture(scope="session")
def assert_same_results() -> Callable[[Path, Path], None]:
    """Files of a participant are the same, and every voxel of every map."""

    def compare(inside: Path, outside: Path) -> None:
        found, expected = (
            {path.relative_to(folder).as_posix() for path in folder.rglob("sub-*") if path.is_file()}
            for folder in (inside, outside)
        )
        assert found == expected
        maps = sorted(name for name in expected if name.endswith(".nii.gz"))
        assert len(maps) > 10
        for name in maps:
            first, second = (nib.load(folder / name) for folder in (inside, outside))
            np.testing.assert_array_equal(first.affine, second.affine)
            np.testing.assert_array_equal(np.asarray(first.dataobj), np.asarray(second.dataobj), err_msg=name)
        page, other = ((folder / "sub-01.html").read_text(encoding="utf-8") for folder in (inside, outside))
        assert page.count("<img") == other.count("<img") > 3
        assert page.count("<section") == other.count("<section")
        assert page.rstrip().endswith("</html>")

    return compare
