"""What README and docs show of the interface for arrays is what it returns."""

import doctest
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("page", ["README.md", "docs/library.md"])
def test_examples_are_what_they_return(page):
    found = doctest.testfile(str(ROOT / page), module_relative=False)
    assert found.attempted >= 6
    assert found.failed == 0
