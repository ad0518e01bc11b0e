"""Files of options, plugins, filters, atlases and masks that cannot be read end the call with one message, at once."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from qmri_bids.bids.anatomy.spaces import read_atlas
from qmri_bids.bids.layout import BidsInputError
from qmri_bids.cli.plugin_file import PluginFileError, load_plugin

DEEP = "[" * 100_000


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a = " + DEEP.encode(), "TOML nested too deeply to be read"),
        (b"nprocs = " + b"1" * 10_000, "a number of thousands of digits"),
        ("a = 'µ'".encode("latin-1"), "another encoding"),
        (b"\x00\xff", "another encoding"),
        (None, "a pipe of this name"),
    ],
)
def test_files_of_options(tmp_path: Path, usage_error: Callable[..., str], content: bytes | None, words: str) -> None:
    path = tmp_path / "options.toml"
    if content is None:
        os.mkfifo(path)
    else:
        path.write_bytes(content)
    told = usage_error("--config-file", path)
    assert f"--config-file {path}: expected a TOML file of options, found: " in told
    assert words in told


def test_a_file_of_options_may_have_a_mark(tmp_path: Path, parsed: Callable[..., object]) -> None:
    path = tmp_path / "options.toml"
    path.write_text("nprocs = 1\n", encoding="utf-8-sig")
    assert parsed("--config-file", path).nprocs == 1


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.yml", "a: &a [1]\nb: *a\n", "an alias"),
        ("a.yaml", DEEP, "YAML nested too deeply"),
        ("a.json", DEEP, "JSON nested too deeply"),
        ("a.toml", "a = " + DEEP, "TOML nested too deeply"),
        ("b.yml", "plugin: !!python/name:os.system\n", "no YAML: could not determine a constructor"),
    ],
)
def test_plugin_files(tmp_path: Path, name: str, content: str, words: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(PluginFileError, match=words):
        load_plugin(tmp_path / name)


def test_atlases(tmp_path: Path) -> None:
    path = tmp_path / "tpl-MNI152NLin2009aSym_atlas-a_dseg.nii.gz"
    nib.save(nib.Nifti1Image(np.ones((3, 3, 3), dtype=np.uint8), np.eye(4)), path)
    table = tmp_path / "tpl-MNI152NLin2009aSym_atlas-a_dseg.tsv"
    table.write_text("index\tname\n1\tone\n", encoding="utf-8-sig")
    assert read_atlas(path).regions == {1: "one"}
    for content, words in (
        ("index\tname\n1\tµ\n".encode("latin-1"), "another encoding"),
        (b"index\n1\n", "found: the columns index"),
        (b"index\tname\none\t1\n", "index, row 1: expected a whole number"),
    ):
        table.write_bytes(content)
        with pytest.raises(BidsInputError, match=words):
            read_atlas(path)
    plain = bytearray(gzip.decompress(path.read_bytes()))
    plain[70:72] = (128).to_bytes(2, "little")
    path.write_bytes(gzip.compress(bytes(plain)))
    with pytest.raises(
        BidsInputError, match=r"datatype: code 128 \(colours \(RGB\)\) instead of real or complex numbers"
    ):
        read_atlas(path)
