# Everything runs in a virtual environment of its own, made when it is first needed and again when the packages change.

VENV    ?= .venv
# Interpreters to make it with, the first that is good enough.
PYTHON  ?= python3 python3.13 python3.12 python3.11
# Overrides for train and evaluate: make train ARGS="model=resnet18 data=folder data.root=photos"
ARGS    ?=
# Processes that run tests: a number, or auto = one per processor, at most 8.
WORKERS ?= auto

PY      := $(VENV)/bin/python
READY   := $(VENV)/.ready
IS_GOOD := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))

# One thread in each test process: more of them would wait for each other. Compiled modules are kept, also where the
# environment says not to: tests start many processes, and each would compile them anew.
TESTS   := OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(PY) -m pytest -n $(WORKERS) --maxprocesses 8 --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help train evaluate test test-quick test-slow check format wheel clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

train: $(READY)  ## train a classifier on the built-in digits, or as ARGS says, and evaluate it
	@$(PY) train.py $(ARGS)

evaluate: $(READY)  ## evaluate a classifier: make evaluate ARGS=checkpoint=outputs/.../best.ckpt
	@$(PY) evaluate.py $(ARGS)

test: check  ## check, then run all tests but the slow guards
	@$(TESTS) -m "not guard"

test-quick: $(READY)  ## run the tests that take no longer than a few seconds each
	@$(TESTS) -m "not slow and not guard"

test-slow: $(READY)  ## run the slow guards: stress, kills, whole programs, real data sets
	@$(TESTS) -m guard

check: $(READY)  ## formatting, lint, types and import contracts
	@$(PY) -m ruff format --check .
	@$(PY) -m ruff check .
	@$(PY) -m mypy
	@$(VENV)/bin/lint-imports --no-logo

format: $(READY)  ## put all files into the project's format
	@$(PY) -m ruff format .
	@$(PY) -m ruff check --fix .

wheel: $(READY)  ## build the wheel and the source distribution into dist/
	@$(PY) -m build --no-isolation

clean:  ## remove caches and builds; keeps outputs/ and the environment
	@rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +

$(READY): pyproject.toml constraints.txt
	@if ! $(PY) -m pip --version >/dev/null 2>&1; then \
	    for candidate in $(PYTHON); do \
	        if "$$candidate" -c '$(IS_GOOD)' >/dev/null 2>&1; then found=$$candidate; break; fi; \
	    done; \
	    if [ -z "$$found" ]; then \
	        echo "No Python 3.11 or newer with the module venv among: $(PYTHON)." >&2; \
	        echo "Here python3 is $$(python3 --version 2>&1 | head -n 1)." >&2; \
	        echo "Install one (Debian, Ubuntu: apt install python3 python3-venv), or name it: make PYTHON=/path/to/python" >&2; \
	        exit 1; \
	    fi; \
	    echo "Making the environment $(VENV) with $$("$$found" --version)."; \
	    "$$found" -m venv "$(VENV)"; \
	fi
	@echo "Installing packages into $(VENV); the first time this takes minutes and several GB."
	@PIP_DISABLE_PIP_VERSION_CHECK=1 $(PY) -m pip install -q -c constraints.txt -e '.[dev]'
	@touch "$@"
