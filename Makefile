# `make demo` and `make test` set everything up by themselves on a fresh machine.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest
WORKERS ?= 2
# Tests start hundreds of Python processes: compiling every module anew in each takes minutes.
unexport PYTHONDONTWRITEBYTECODE

# Ends a recipe: installs the Debian packages in the shell's $missing, or names them.
define install_missing
if [ -z "$$missing" ]; then exit 0; fi; \
if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y $$missing; \
else \
  echo "missing (names of Debian packages):$$missing" >&2; exit 1; \
fi
endef

.PHONY: help
help: ## Show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

.PHONY: system
system: ## Check the machine: git, gpg, ssh, Python with venv (root on Debian: installed), Go
	@command -v go >/dev/null || { echo "Go 1.26 or later must be on PATH" >&2; exit 1; }; \
	missing=""; \
	command -v git >/dev/null || missing="$$missing git"; \
	command -v gpg >/dev/null && command -v gpgv >/dev/null || missing="$$missing gnupg gpgv"; \
	command -v ssh-keygen >/dev/null || missing="$$missing openssh-client"; \
	$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || missing="$$missing python3-venv"; \
	$(install_missing)

.PHONY: test-system
test-system: system ## Check what tests need besides: sshd, Git LFS, OpenSSL (root on Debian: installed)
	@missing=""; export PATH="$$PATH:/usr/sbin"; \
	command -v sshd >/dev/null || missing="$$missing openssh-server"; \
	command -v git-lfs >/dev/null || missing="$$missing git-lfs"; \
	command -v openssl >/dev/null || missing="$$missing openssl"; \
	$(install_missing)

$(VENV)/.installed: requirements/dev.txt pyproject.toml | system
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/dev.txt
	touch $@

# What driftd runs with, without the tools of the tests.
$(VENV)/.runtime: requirements/runtime.txt | system
	@if [ ! $(VENV)/.installed -nt $< ]; then \
	  $(PYTHON) -m venv $(VENV) && \
	  $(BIN)/python -m pip install --quiet --require-hashes -r $<; \
	fi
	@touch $@

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
demo: system ## Replay changes of three recorded clusters while driftd looks
	@$(MAKE) --no-print-directory -j2 $(VENV)/.runtime worker
	@$(BIN)/python -m driftd.cli.main demo

.PHONY: record-demo
record-demo: $(VENV)/.installed worker ## Write what the demonstration prints to README.md and docs/demo.md
	@$(BIN)/python -m tests.testbed.demo_text

.PHONY: test-fast
test-fast: worker test-system $(VENV)/.installed ## Unit tests that start nothing slow, within a minute
	$(PYTEST) tests/unit -q -n $(WORKERS) -m "not slow" --hypothesis-profile=fast

# One file's tests share their clusters, so a file stays on one worker.
.PHONY: test
test: lint worker test-system testbed ## Lint, build what is missing, run all tests but the measurements
	$(PYTEST) tests --ignore=tests/perf -q -n $(WORKERS) --dist loadfile --no-loadscope-reorder

.PHONY: wheels
wheels: export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 1580601600)
wheels: $(VENV)/.installed ## Build the wheels of all platforms and the source archive into dist/
	@for target in linux-x86_64 linux-arm64 macos-x86_64 macos-arm64; do \
	  DRIFTD_WHEEL_TARGET=$$target $(BIN)/python -m hatchling build -t wheel -d dist || exit; \
	done
	@$(BIN)/python -m hatchling build -t sdist -d dist

SBOM := build/sbom
.PHONY: sbom
sbom: worker $(VENV)/.runtime ## List the Python packages and Go modules of driftd into dist/ (CycloneDX)
	@$(PYTHON) -m venv $(SBOM)
	@$(SBOM)/bin/python -m pip install --quiet --require-hashes -r requirements/sbom.txt
	@GOBIN=$(CURDIR)/$(SBOM)/bin go install github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0
	@PATH=$(CURDIR)/$(SBOM)/bin:$$PATH deploy/sbom.sh $(BIN)/python dist

.PHONY: lock
lock: ## Lock the versions in requirements/ anew (needs uv), by hash and without addresses
	@compile="uv pip compile --quiet --python-version 3.11 --no-header --generate-hashes"; set -e; \
	: pip wants an extra that a package asks for pinned as such, but takes none in constraints; \
	$$compile --no-strip-extras --extra apprise --extra postgres --extra tracing --group dev --group build \
	  -o requirements/dev.txt pyproject.toml; \
	pins=$$(mktemp); trap 'rm -f '$$pins EXIT; \
	sed 's/^\([^ ]*\)\[[^]]*\]==/\1==/' requirements/dev.txt > $$pins; \
	$$compile --extra postgres -c $$pins -o requirements/runtime.txt pyproject.toml; \
	for group in build go sbom; do \
	  $$compile --group $$group -c $$pins -o requirements/$$group.txt; \
	done; \
	sed -i "s|-c $$pins|-c requirements/dev.txt|" requirements/*.txt

# Control planes of these minors are built for the proof alone (half an hour each, once).
OLDER_MINORS := 1.34 1.35
MINOR_TESTS := $(addprefix tests/property/test_,default_table.py untouched.py random_mutations.py)
.PHONY: prove
prove: worker testbed ## Long runs: random changes, then speed and memory beside kubectl
	EVASIONS=all EMPTIES=all $(PYTEST) tests/property -q -s -p no:xdist
	$(BIN)/python -m tests.property.score --trials 4000 --peers
	$(BIN)/python -m tests.property.score --trials 1000 --audit
	$(BIN)/python -m tests.testbed.binaries $(OLDER_MINORS)
	for minor in $(OLDER_MINORS); do \
	  DRIFTD_TESTBED_KUBERNETES=$$minor PROPERTY_MUTATIONS=300 $(PYTEST) $(MINOR_TESTS) -q -s -p no:xdist \
	  || exit; \
	done
	BULKHEAD_PAIRS=40 $(PYTEST) tests/e2e/test_bulkhead.py -q -s
	GUARD_PLANS=10000 $(PYTEST) tests/unit/sync/test_guards_random.py -q
	POISONED=100000 $(PYTEST) tests/property/test_poison.py -q
	WATCH_CUTS=all $(PYTEST) tests/unit/cluster/test_watch.py tests/integration/test_watch_cuts.py -q
	STREAM_FAULTS=all $(PYTEST) tests/e2e/test_stream_faults.py -q -s
	LIVED_IN_WAYS=all $(PYTEST) tests/e2e/test_lived_in.py -q
	EXAMPLE_ENVIRONMENTS=all $(PYTEST) tests/integration/test_example_repository.py -q
	AUDIT_LEVELS=all $(PYTEST) tests/e2e/test_audit_log.py -q
	WEBHOOK_POSTS=150000 $(PYTEST) tests/property/test_githooks.py -q
	AUDIT_FLOOD=10000 $(PYTEST) tests/e2e/test_audit_webhook.py -q -s
	DETECTION_WAYS=all $(PYTEST) tests/e2e/test_detection.py -q
	DAEMON_KILLS=100 DAEMON_STOPPED=60 $(PYTEST) tests/e2e/test_killed.py -q -p no:xdist
	HEALED_DRIFTS=740 $(PYTEST) tests/property/test_healing.py -q -s -p no:xdist
	HEAL_KILLS=108 $(PYTEST) tests/e2e/test_killed_heal.py -q -s -p no:xdist
	STORE_KILLS=100 $(PYTEST) tests/unit/store/test_killed.py -q -p no:xdist
	DELIVERY_KILLS=200 $(PYTEST) tests/unit/notify/test_killed.py -q -s -p no:xdist
	STORE_RESTARTS=50 $(PYTEST) tests/unit/store/test_postgresql.py -q -p no:xdist
	$(BIN)/python -m tests.perf.telling
	$(BIN)/python -m tests.perf.githooks
	$(BIN)/python -m tests.perf.soak
	$(BIN)/python -m tests.perf.cli_start
	$(BIN)/python -m tests.perf.compare
	$(BIN)/python -m tests.perf.rendering
	$(BIN)/python -m tests.perf.verdicts
	$(BIN)/python -m tests.perf.scale
	$(BIN)/python -m tests.perf.detection
	$(BIN)/python -m tests.perf.healing
	$(BIN)/python -m tests.perf.fleet
