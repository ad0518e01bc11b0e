"""Examples in docstrings are what they return."""

import doctest
import importlib
import pkgutil

import pytest

import qmri_bids

PARTS = sorted(module.name for module in pkgutil.iter_modules(qmri_bids.__path__, "qmri_bids."))


def modules_of(part):
    module = importlib.import_module(part)
    yield module
    for found in pkgutil.walk_packages(getattr(module, "__path__", []), f"{part}."):
        if not found.name.endswith("__main__"):
            yield importlib.import_module(found.name)


@pytest.mark.parametrize("part", PARTS)
def test_examples_of_docstrings(part):
    for module in modules_of(part):
        found = doctest.testmod(module, verbose=False)
        assert found.failed == 0, f"{module.__name__}: {found.failed} of {found.attempted} examples fail"
