# Every target sets up .venv by itself. A stamp says that the pinned versions are in it, so that only the first run,
# or one after a change of the pins, needs a network.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --no-input
RUN    := $(VENV)/.installed-run
TEST   := $(VENV)/.installed-test
PYTEST_ARGS ?=
# Two processes, whole files at a time, the longest ones not last. With PYTEST_ARGS="-n 0" it is one.
SHARED_OUT := -n 2 --dist loadgroup --no-loadscope-reorder

# One thread for the linear algebra: 7x7 matrices gain nothing from more, and repeatable logs need it.
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1

.PHONY: help demo test coverage lint bench accept campaign lock clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## */  make \1\t/' | expand -t 16

demo: $(RUN)  ## run the mocked polishing cell from end to end and write runs/<time>/report.html
	@$(BIN)/hil demo

test: lint  ## lint, then every deterministic test
	@$(BIN)/python -m pytest $(SHARED_OUT) $(PYTEST_ARGS); \
	status=$$?; echo $$status > $(VENV)/.pytest-status; exit $$status

coverage: $(TEST)  ## the same tests with line and branch coverage (half as long again)
	@$(BIN)/python -m pytest $(SHARED_OUT) --cov --cov-report=term $(PYTEST_ARGS)
	@$(BIN)/python -m coverage report --include='safety/*' --fail-under=100

lint: $(TEST)  ## ruff, mypy and the rule of floors
	@rm -f $(VENV)/.pytest-status
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: $(RUN)  ## read-to-write time of the cycle: quantiles, histogram, one verdict
	@$(BIN)/python -m hil.bench
	@$(BIN)/python -m hil.bench --can
	@$(BIN)/python -m hil.bench --dynamics
	@$(BIN)/python -m hil.bench --observers

accept: $(TEST)  ## wall-clock kills and long campaigns (up to an hour)
	@$(BIN)/python -m pytest -m accept $(PYTEST_ARGS)

campaign: $(RUN)  ## every suspension and kill, about an hour; interrupted, it goes on where it was
	@$(BIN)/python -m hil.campaigns.processes

lock:  ## rewrite requirements/*.lock with the newest versions that setup.cfg allows (needs a network)
	@PYTHON="$(PYTHON)" sh requirements/lock.sh

clean:  ## remove .venv, caches and build leftovers (runs/ stays)
	@rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage htmlcov

$(BIN)/python:
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null || { \
	  echo "This toolkit is pinned to Python 3.11, but '$(PYTHON)' is: $$("$(PYTHON)" --version 2>&1)"; \
	  echo "Install Python 3.11, or name it: make PYTHON=/path/to/python3.11"; exit 1; }
	@"$(PYTHON)" -m venv $(VENV) || { \
	  echo "No virtual environment could be made; on Debian and Ubuntu: sudo apt install python3.11-venv"; \
	  rm -rf $(VENV); exit 1; }

# --no-deps: the lock files are complete, so nothing is resolved and nothing unpinned can slip in.
# --no-build-isolation: our own metadata is built with the pinned setuptools, without a download.
$(RUN): requirements/build.lock requirements/run.lock setup.cfg pyproject.toml | $(BIN)/python
	@echo "Installing the pinned packages into $(VENV) (once; a minute or two) ..."
	@$(PIP) install --quiet --no-deps -r requirements/build.lock -r requirements/run.lock
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(TEST): requirements/test.lock $(RUN)
	@echo "Installing the pinned test tools into $(VENV) (once) ..."
	@$(PIP) install --quiet --no-deps -r requirements/test.lock
	@touch $@
