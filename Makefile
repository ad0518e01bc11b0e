# Every target sets up what it needs: `make demo` and `make test` work on a fresh machine with Python 3.11 or later.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test lint types layers check benchmark weights browser clean

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

test: $(STAMP) browser
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

layers: $(STAMP)
	$(BIN)/lint-imports

check: lint types layers test

benchmark: $(STAMP)
	$(BIN)/python benchmarks/main_job.py
	$(BIN)/python benchmarks/relaxometry.py
	$(BIN)/python benchmarks/cest_physics.py
	$(BIN)/python benchmarks/cest_quantification.py
	$(BIN)/python benchmarks/preprocessing.py

weights: $(STAMP)  ## train the shipped networks again
	$(BIN)/qmri-tools train-natural --output qmri_bids/data/weights
	$(BIN)/qmri-tools train --shipped --output qmri_bids/data/weights
	$(BIN)/qmri-tools train-exchange --output qmri_bids/data/weights

clean:
	rm -rf demo build dist *.egg-info
