"""Folders that this user may not enter."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest


def test_a_folder_that_may_not_be_entered_is_one_message(
    usage_error: Callable[..., str], bids: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(self: Path) -> bool:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))

    monkeypatch.setattr(Path, "is_dir", closed)
    assert f"{bids} cannot be read: Permission denied; change permissions, or give other folders" in usage_error()
