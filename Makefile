# `make run` and `make test` work on a fresh machine that has Python, make and a package registry.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
DEPENDENCIES := $(VENV)/.dependencies-installed
READY := $(VENV)/.ready
COMPILE := $(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --fork-strategy fewest --generate-hashes \
    --no-emit-index-url --no-emit-find-links --no-config --custom-compile-command "make lock" --quiet
NOTEBOOK := fashion_mnist_cnn.ipynb
PYTEST := $(BIN)/python -m pytest --no-header --durations=10 --durations-min=1

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help run test test-slow engines test-engines torture lint lint-check lint-format lint-types lint-dependencies lint-audit format notebook docs diagnosis-check lock clean distclean python-check

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(READY) ## environment, data, training with the default preset, report (ARGS="--preset reference" to change it)
	@echo "== Data: Fashion-MNIST, fetched and checked once"
	@$(BIN)/fmnist data
	@echo "== Training, evaluation, report: fmnist train $(ARGS)"
	@$(BIN)/fmnist train $(ARGS)

test: $(READY) ## the tests, without the slow ones, a file each for two processes (ARGS="tests/config -x" to choose)
	@$(PYTEST) -n 2 --dist loadfile $(ARGS)

# pytest's status 5 says that no test was selected; that alone is no failure here.
test-slow: $(READY) ## only the slow tests, a file each for two processes; prints how much of the code they and nothing else ran
	@$(PYTEST) -m slow -n 2 --dist loadfile --cov --cov-report=term $(ARGS) || { status=$$?; [ $$status -eq 5 ] && echo "No slow tests."; }

# Not in the environment of `make run`: they are large, and most people need none of them.
engines: $(READY) ## install Ray, JAX, MLflow and psycopg, for `make test-engines`
	@echo "== Engines: packages from requirements-engines.lock"
	@$(BIN)/uv pip install --no-config --require-hashes --python $(BIN)/python -r requirements-engines.lock 2>&1 | sed '/^ + /d; s/^/   /'

test-engines: $(READY) ## tests with Ray, Slurm, JAX, MLflow, nginx, HAProxy and PostgreSQL; those that are missing are skipped
	@$(PYTEST) -m engine -rs $(ARGS)

torture: $(READY) ## kills, full disks, hostile files by the hundred: docs/reliability.md, about 20 minutes (ARGS="kills disk")
	@$(BIN)/python benchmarks/torture.py $(ARGS)

lint: lint-check lint-format lint-types lint-dependencies lint-audit ## ruff check, ruff format --check, mypy, deptry, known holes in the dependencies

lint-check: $(READY)
	@echo "== ruff check"
	@$(BIN)/ruff check .

lint-format: $(READY)
	@echo "== ruff format --check"
	@$(BIN)/ruff format --check .

lint-types: $(READY)
	@echo "== mypy"
	@$(BIN)/mypy

lint-dependencies: $(READY)
	@echo "== deptry"
	@$(BIN)/deptry src 2>&1 | grep -v '^Assuming'

# The database may be out of reach, which says nothing about the packages.
lint-audit: $(READY)
	@echo "== pip-audit"
	@if $(BIN)/python -c 'import socket; socket.create_connection(("api.osv.dev", 443), 5).close()' 2>/dev/null; then \
	    $(BIN)/pip-audit --vulnerability-service osv --require-hashes --disable-pip --progress-spinner off -r requirements.lock; \
	else echo "skipped: its database cannot be reached from here"; fi

format: $(READY) ## mend what ruff can mend
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

notebook: $(READY) ## run the notebook and save its outputs in place
	@echo "== Running $(NOTEBOOK)"
	@$(BIN)/jupyter-execute --inplace --timeout=-1 $(NOTEBOOK)

docs: $(READY) ## the documentation as a site that needs no network: build/site/index.html
	@echo "== Building the documentation"
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet $(ARGS)
	@echo "open build/site/index.html"

diagnosis-check: $(READY) ## diagnose 2,000 fresh synthetic histories and print how often that is right
	@$(BIN)/python benchmarks/diagnosis_check.py $(ARGS)

# Pins that still fit stay; `make lock ARGS=--upgrade` takes the newest releases. Files are only touched if they change.
# The container's part and the engines have the same versions.
lock: python-check ## make the three files requirements*.lock again from pyproject.toml
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet uv
	@cp requirements*.lock $(VENV)/ 2>/dev/null || true
	@$(COMPILE) --extra all --group dev --output-file $(VENV)/requirements.lock $(ARGS)
	@$(COMPILE) --extra serve --constraint $(VENV)/requirements.lock --no-annotate --output-file $(VENV)/requirements-serve.lock $(ARGS)
	@$(COMPILE) --extra cluster --extra distributed --extra track --extra postgresql --constraint $(VENV)/requirements.lock --no-annotate \
	    --output-file $(VENV)/requirements-engines.lock $(ARGS)
	@for file in requirements.lock requirements-serve.lock requirements-engines.lock; do \
	    if grep -nE '://|^-|(^|[ (])/' $(VENV)/$$file; then echo "$$file holds an address or a path" >&2; exit 1; fi; \
	    cmp -s $(VENV)/$$file $$file || cp $(VENV)/$$file $$file; \
	    echo "$$file: $$(grep -cE '^[a-z0-9]' $$file) packages"; done

clean: ## remove caches and build outputs (runs/ stays)
	@rm -rf build dist .mypy_cache .pytest_cache .ruff_cache
	@find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## clean, and remove the environment
	@rm -rf $(VENV)

# A marker is written last, so an interrupted installation is started over. uv fetches and unpacks several packages at a
# time; it knows no settings of pip, such as another index. Modules are compiled when they are imported, not beforehand.
$(DEPENDENCIES): requirements.lock
	@$(MAKE) --no-print-directory python-check
	@echo "== Environment: $(VENV), from $$($(PYTHON) --version)"
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV)
	@echo "== Dependencies: $$(grep -cE '^[a-z0-9]' requirements.lock) packages from requirements.lock, about 0.5 GB, 1 to 2 minutes"
	@awk '/^[a-z]/ { uv = /^uv==/ } uv' requirements.lock | $(BIN)/python -m pip install --quiet --require-hashes -r /dev/stdin
	@$(BIN)/uv pip install --no-config --require-hashes --python $(BIN)/python -r requirements.lock \
	    2>&1 | sed '/^ + /d; s/^/   /' || \
	    { echo "   uv could not fetch them; pip tries, which takes a few minutes"; \
	      $(BIN)/python -m pip install --quiet --no-compile --no-deps --require-hashes -r requirements.lock; }
	@touch $@

$(READY): pyproject.toml $(DEPENDENCIES)
	@echo "== Installing fmnist itself into $(VENV)"
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

python-check:
	@command -v $(PYTHON) >/dev/null || { echo "Error: '$(PYTHON)' was not found; install Python 3.11, 3.12 or 3.13, or name it: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	    { echo "Error: $(PYTHON) is $$($(PYTHON) --version 2>&1); TensorFlow needs Python 3.11, 3.12 or 3.13; name one: make PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	    { echo "Error: $(PYTHON) cannot make virtual environments, its module 'ensurepip' is missing;" \
	      "on Debian and Ubuntu: apt-get install $$($(PYTHON) -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')" >&2; exit 1; }
