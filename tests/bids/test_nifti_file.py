"""Sound images of every type and form are taken; a file that expands beyond its header takes neither memory nor time."""

from __future__ import annotations

import gzip
import time
import tracemalloc
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from qmri_bids.bids.images import check_image
from qmri_bids.bids.refusal import RefusedError

TYPES = ["u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8", "c8", "c16"]


def saved(path: Path, kind: type[nib.Nifti1Image] = nib.Nifti1Image, data_type: str = "f4", order: str = "<") -> Path:
    header = kind.header_class(endianness=order)
    header.set_data_dtype(np.dtype(data_type).newbyteorder(order))
    nib.save(kind(np.ones((3, 4, 5), dtype=data_type), np.eye(4), header), path)
    return path


@pytest.mark.parametrize("data_type", TYPES)
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_all_types_of_numbers(tmp_path: Path, data_type: str, name: str) -> None:
    info = check_image(saved(tmp_path / name, data_type=data_type), root=tmp_path)
    assert (info.shape, info.is_complex) == ((3, 4, 5), data_type.startswith("c"))


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("order", ["<", ">"])
def test_both_versions_in_both_orders_of_bytes(tmp_path: Path, kind: type[nib.Nifti1Image], order: str) -> None:
    assert check_image(saved(tmp_path / "a.nii.gz", kind, order=order), root=tmp_path).shape == (3, 4, 5)


def test_files_compressed_in_parts_and_padded(tmp_path: Path) -> None:
    plain = saved(tmp_path / "a.nii").read_bytes()
    path = tmp_path / "b.nii.gz"
    path.write_bytes(gzip.compress(plain[:300]) + gzip.compress(plain[300:]) + bytes(512))
    assert check_image(path, root=tmp_path).shape == (3, 4, 5)
    path.write_bytes(gzip.compress(plain + bytes(100)))
    assert check_image(path, root=tmp_path).shape == (3, 4, 5)


def test_a_bomb_is_refused_in_bounded_memory_and_time(tmp_path: Path) -> None:
    path = tmp_path / "bomb.nii.gz"
    plain = saved(tmp_path / "a.nii").read_bytes()
    path.write_bytes(gzip.compress(plain) + gzip.compress(bytes(2**24)) * 200)  # 3 GiB
    tracemalloc.start()
    begun = time.monotonic()
    with pytest.raises(RefusedError, match="bytes and more of data under a header that states 592"):
        check_image(path, root=tmp_path)
    assert time.monotonic() - begun < 2.0
    assert tracemalloc.get_traced_memory()[1] < 2**25
    tracemalloc.stop()


def test_what_was_checked_is_checked_again_once_it_has_changed(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.nii.gz")
    check_image(path, root=tmp_path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(RefusedError, match=r"a\.nii\.gz"):
        check_image(path, root=tmp_path)
