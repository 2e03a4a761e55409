# `make` alone lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# uv from the PATH, or one in a virtual environment of its own: `uv sync` would prune it from the
# project's, which does not name it.
UV := $(or $(shell command -v uv 2>/dev/null),.tools/uv/bin/uv)

# The Python of this machine, 3.11 or newer; none is downloaded.
export UV_PYTHON_DOWNLOADS ?= never
export UV_PYTHON_PREFERENCE ?= only-system
# The certificates of this machine, where it has some, as pip and git use them.
ifneq ($(wildcard /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt),)
export UV_SYSTEM_CERTS ?= true
endif
# A user without a home that he can write to keeps uv's cache here.
ifeq ($(shell test -w "$${XDG_CACHE_HOME:-$${HOME:-}}" && echo writable),)
export UV_CACHE_DIR ?= $(CURDIR)/.tools/cache
endif

WORKERS ?= 3
TESTS := $(wildcard tests/unit tests/integration tests/acceptance)
PYTEST := pytest -n $(WORKERS)
BY_FILE := --dist loadfile --no-loadscope-reorder # what a file's tests share is made once

.PHONY: help demo test check soak bench clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1	/p' $(MAKEFILE_LIST) | expand -t 16

demo: $(UV) ## every documented change, there and back, on a PostgreSQL of its own
	$(UV) run migrator demo

test: $(UV) ## all tests but the long ones; with COVERAGE=1 also what they cover
ifdef COVERAGE
	$(UV) run coverage erase
	$(UV) run coverage run -m $(PYTEST) $(BY_FILE) $(TESTS) $(ARGS)
	$(UV) run coverage combine --quiet
	$(UV) run coverage report
else
	$(UV) run $(PYTEST) $(BY_FILE) $(TESTS) $(ARGS)
endif

check: $(UV) ## format, lint, types and the borders between the rooms
	$(UV) run ruff format --check
	$(UV) run ruff check
	$(UV) run mypy --strict migrator backfills
	$(UV) run lint-imports

soak: $(UV) ## all tests, the long ones too
	$(UV) run $(PYTEST) --soak tests $(ARGS)

bench: $(UV) ## the benchmarks
	$(UV) run python -m benchmarks $(ARGS)

clean: ## remove what the targets above have made
	rm -rf .venv .tools build dist htmlcov .coverage .coverage.* .hypothesis .import_linter_cache
	rm -rf .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.tools/uv/bin/uv:
	@python=; for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	  if "$$name" -c 'import ensurepip, venv' 2>/dev/null; then python=$$name; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo 'No uv on the PATH, and no python3 there can make the virtual environment to fetch it' >&2; \
	  echo 'into: ensurepip is missing. Install uv, or python3-venv (Debian, Ubuntu).' >&2; \
	  exit 1; \
	fi; \
	rm -rf .tools/uv; \
	"$$python" -m venv .tools/uv; \
	.tools/uv/bin/python -m pip install --quiet --disable-pip-version-check uv || \
	  { rm -rf .tools/uv; exit 1; }
