# `make demo` and `make test` set everything up by themselves on a fresh machine.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help
help: ## Show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(VENV)/.installed: requirements/dev.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/dev.txt
	touch $@

.PHONY: lint
lint: $(VENV)/.installed ## Formatting, lint, types and layers
	$(BIN)/ruff format --check driftd tests
	$(BIN)/ruff check driftd tests
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
