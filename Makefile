# `make demo` and `make test` set everything up by themselves on a fresh machine.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest
WORKERS ?= 2

.PHONY: help
help: ## Show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

.PHONY: system
system: ## Check the machine: git, Python with venv (root on Debian: installed), Go
	@command -v go >/dev/null || { echo "Go 1.26 or later must be on PATH" >&2; exit 1; }; \
	missing=""; \
	command -v git >/dev/null || missing="$$missing git"; \
	$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || missing="$$missing python3-venv"; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y $$missing; \
	else \
	  echo "missing (names of Debian packages):$$missing" >&2; exit 1; \
	fi

$(VENV)/.installed: requirements/dev.txt pyproject.toml | system
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/dev.txt
	touch $@

.PHONY: lint
lint: $(VENV)/.installed ## Formatting, lint, types and layers
	$(BIN)/ruff format --check driftd tests
	$(BIN)/ruff check driftd tests
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

.PHONY: testbed
testbed: $(VENV)/.installed ## Build the control plane that tests start (minutes, once per source)
	$(BIN)/python -m tests.testbed.binaries

.PHONY: worker
worker: ## Build the sandbox worker if its source has changed (minutes the first time)
	@$(PYTHON) -m driftd.sandbox.build

.PHONY: demo
demo: $(VENV)/.installed worker ## Show drift on three simulated clusters, as `driftd check` tells it
	@$(BIN)/python -m driftd.cli.main demo

.PHONY: test-fast
test-fast: worker $(VENV)/.installed ## Unit tests alone, within a minute
	$(PYTEST) tests/unit -q -n $(WORKERS)

# One file's tests share their clusters, so a file stays on one worker.
.PHONY: test
test: lint worker testbed ## Lint, build what is missing, run all tests but the measurements
	$(PYTEST) tests --ignore=tests/perf -q -n $(WORKERS) --dist loadfile

.PHONY: prove
prove: worker testbed ## Long runs: random changes, then speed and memory beside kubectl
	PROPERTY_MUTATIONS=2400 $(PYTEST) tests/property -q -s -p no:xdist
	$(BIN)/python -m tests.perf.cli_start
	$(BIN)/python -m tests.perf.compare
	$(BIN)/python -m tests.perf.scale
