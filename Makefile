# Every word that builds, checks or runs Interlock. `make help` lists them.

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
# pip and uv get what the lock files name, whatever the caller's shell has set for other projects.
export PIP_DISABLE_PIP_VERSION_CHECK = 1
export PYTHONDONTWRITEBYTECODE =
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
# Targets share one environment and one set of extensions: never build them side by side.
.NOTPARALLEL:

PYTEST := $(BIN)/python -m pytest
# Rooms whose code is pure: measured for coverage by branch, and tested in both forms.
PURE_ROOMS := core wire analysis policy protocols
PURE_TESTS = $(wildcard $(addprefix tests/,$(PURE_ROOMS)))
# The last two are for one test with a driver that shares nothing with libpq: PostgreSQL's own for Java.
DEBIAN_PACKAGES := postgresql postgresql-client pgbouncer default-jre-headless libpostgresql-jdbc-java

.PHONY: help setup compile lint fmt types arch check test test-fast coverage fuzz fuzz-short bench bench-profile demo lock clean servers

help: ## list the words
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

# ---------------------------------------------------------------------------------------------------- environment

$(VENV)/.bootstrapped: requirements-bootstrap.lock
	@test -n "$(PYTHON)" || { echo "Interlock needs Python 3.11 or newer; none found on PATH (or set PYTHON=...)" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "python3 -m venv failed; on Debian: apt-get install python3-venv" >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements-bootstrap.lock
	@touch $@

$(VENV)/.installed: $(VENV)/.bootstrapped requirements-dev.lock pyproject.toml setup.py
	$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements-dev.lock
	@# The editable build is cached: it stays pure, and `make compile` builds the extensions where they are seen.
	INTERLOCK_PURE=1 $(UV) pip install --quiet --python $(BIN)/python --no-build-isolation --no-deps -e .
	@touch $@

setup: $(VENV)/.installed compile ## make .venv with everything in it, compiled where a C compiler exists

# A stale extension wins over an edited source file, so the old ones go first whenever a listed source changed.
COMPILED_SOURCES := $(wildcard $(shell sed -n '/^compiled = \[/,/^\]/s/^ *"\(.*\)",$$/\1/p' pyproject.toml))

$(VENV)/.compiled: $(VENV)/.installed $(COMPILED_SOURCES) $(wildcard src/interlock/core/*.py)
	@find src -name '*.so' -delete; rm -rf build
	$(BIN)/python setup.py --quiet build_ext --inplace > $(VENV)/compile.log 2>&1 || { cat $(VENV)/compile.log >&2; exit 1; }
	@touch $@

compile: $(VENV)/.compiled ## compile the hot loops (interpreted form where there is no C compiler)

lock: $(VENV)/.bootstrapped ## resolve the dependencies anew into the hashed lock files
	$(UV) pip compile --quiet --python-version 3.11 --universal --upgrade --generate-hashes --no-emit-index-url --no-header \
		pyproject.toml -o requirements.lock
	$(UV) pip compile --quiet --python-version 3.11 --universal --upgrade --generate-hashes --no-emit-index-url --no-header \
		-c requirements.lock pyproject.toml --group dev --group bootstrap -o requirements-dev.lock
	$(UV) pip compile --quiet --python-version 3.11 --universal --upgrade --generate-hashes --no-emit-index-url --no-header \
		-c requirements-dev.lock --group bootstrap -o requirements-bootstrap.lock

# --------------------------------------------------------------------------------------------------------- checks

lint: $(VENV)/.installed ## ruff: rules and form
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

fmt: $(VENV)/.installed ## bring the code into form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

types: $(VENV)/.installed ## mypy --strict
	$(BIN)/mypy

arch: $(VENV)/.installed ## who may import whom
	$(BIN)/lint-imports

check: lint types arch ## everything that needs no test to run

# ---------------------------------------------------------------------------------------------------------- tests

servers:
	@tests/servers/install.sh $(DEBIAN_PACKAGES)

# Where there is a C compiler with Python's headers, the main run must be on the compiled form.
CAN_COMPILE = $(shell command -v cc >/dev/null && test -f "$$($(BIN)/python -c 'import sysconfig; \
	print(sysconfig.get_path("include"))')/Python.h" && echo 1)
# Tests of what refuses, once more without asserts: no security check may be one.
REFUSING_TESTS = $(wildcard tests/core tests/gate tests/policy tests/identity)

test: setup servers check fuzz-short ## everything: checks, fuzzing for seconds, unit and integration tests, in both forms
	INTERLOCK_PURE=1 $(PYTEST) -n auto -q -m "not integration" --cov --cov-report=term tests/architecture/test_form.py $(PURE_TESTS)
	PYTHONOPTIMIZE=1 $(PYTEST) -W ignore::pytest.PytestConfigWarning -n auto -q \
		-m "not integration" $(REFUSING_TESTS)
	INTERLOCK_REQUIRE_COMPILED=$(CAN_COMPILE) $(PYTEST) -n auto

test-fast: setup ## unit tests only
	$(PYTEST) -n auto -q -m "not integration and not slow"

coverage: setup ## the pure rooms by branch, interpreted, with the missing lines
	INTERLOCK_PURE=1 $(PYTEST) -n auto -q -m "not integration" --cov --cov-report=term-missing $(PURE_TESTS)

fuzz-short: setup
	@for target in $(sort $(wildcard tests/fuzz/fuzz_*.py)); do \
		$(BIN)/python $$target -max_total_time=3 -verbosity=0 -print_final_stats=0 || exit 1; done

fuzz: setup ## every fuzz target for FUZZ_SECONDS each (default 600)
	@for target in $(sort $(wildcard tests/fuzz/fuzz_*.py)); do \
		$(BIN)/python $$target -max_total_time=$${FUZZ_SECONDS:-600} || exit 1; done

# ------------------------------------------------------------------------------------------------- bench and demo

bench: setup servers ## measure direct, PgBouncer and Interlock side by side (BENCH_QUICK=1: under two minutes)
	$(BIN)/python -m bench

bench-profile: setup servers ## where a worker's time goes
	$(BIN)/python -m bench profile

demo: setup ## play the founding story from nothing
	$(BIN)/interlock demo --once

clean: ## remove everything that was built
	find src -name '*.so' -delete
	rm -rf $(VENV) build dist bench/results .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
