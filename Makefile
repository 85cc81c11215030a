# Everything a contributor runs. Needs Python 3.11 or newer with its venv module, and make.
# Versions come from one lock file; a target installs what it needs, once, until the lock or pyproject changes.

PYTHON ?= python3
VENV ?= .venv
# PyTorch is gigabytes on many machines: what needs it has an environment of its own.
TORCH_VENV ?= .venv-torch
LOCK := requirements.lock
CHECKED := graphgrad tests examples benchmarks

BIN := $(VENV)/bin
TORCH_BIN := $(TORCH_VENV)/bin

# pyright comes whole from its wheel; this keeps it from asking the network for a newer one.
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo test test-all lint format mutants bench accuracy parity package cover lock env clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(VENV)/.installed-viz,train  ## the main job: drawn graph, digits learnt
	$(BIN)/python examples/demo.py

test: $(VENV)/.installed-test  ## the tests, but for those that take long
	$(if $(NUMPY),$(BIN)/python -m pip install --quiet 'numpy==$(NUMPY)')
	$(BIN)/python -m pytest -n 2 --dist worksteal -m 'not whole' $(ARGS)

test-all: $(VENV)/.installed-test,browser  ## every test that needs no PyTorch, in Chromium too
	$(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

lint: $(VENV)/.installed-dev  ## formatting, ruff, mypy --strict, pyright
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy $(CHECKED)
	$(BIN)/pyright --pythonpath $(BIN)/python

format: $(VENV)/.installed-dev  ## rewrite the code as lint wants it, where that is safe
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

cover: $(VENV)/.installed-dev  ## tests with line and branch coverage
	# its functions come from a file with half a character in its name, which coverage cannot note
	$(BIN)/coverage run -m pytest --ignore tests/engine/test_broken_graphs.py $(ARGS)
	$(BIN)/coverage report

mutants: $(VENV)/.installed-dev  ## whether tests notice 300 faults planted in the rules (20 minutes)
	$(BIN)/python -m tests.mutants $(ARGS)

bench: $(TORCH_VENV)/.installed-bench  ## ratios to PyTorch, JAX, HIPS autograd and MyGrad (installs them)
	$(TORCH_BIN)/python -m benchmarks $(ARGS)

accuracy: $(TORCH_VENV)/.installed-parity  ## errors in ULP of every op, beside PyTorch and JAX (installs them)
	$(TORCH_BIN)/python -m benchmarks.accuracy $(ARGS)

parity: $(TORCH_VENV)/.installed-parity  ## the comparisons with PyTorch (installs it)
	$(TORCH_BIN)/python -m pytest tests/parity $(ARGS)

package: $(VENV)/.installed-dev  ## sdist, wheel from it, and a look at it from a clean environment
	.ci/package $(abspath $(BIN))/python $(LOCK)

env: $(VENV)/.installed-dev  ## only make the environment

lock:  ## pin the newest versions anew
	test -x .venv-lock/bin/pip || $(PYTHON) -m venv .venv-lock
	.venv-lock/bin/python -m pip install --quiet uv
	.venv-lock/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --all-extras \
		--no-annotate --custom-compile-command 'make lock' --output-file $(LOCK) pyproject.toml

clean:  ## remove environments, caches and what was built
	rm -rf .venv .venv-torch .venv-lock $(VENV) $(TORCH_VENV) build dist demo_output ./*.egg-info
	rm -rf .coverage .coverage-mutants-* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# $(call install,environment,extras): setuptools comes from the lock too, hence no build isolation.
define install
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "graphgrad needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	test -x $(1)/bin/pip || $(PYTHON) -m venv $(1)
	$(1)/bin/python -m pip install --quiet --constraint $(LOCK) setuptools
	$(1)/bin/python -m pip install --quiet --constraint $(LOCK) --no-build-isolation --editable '.[$(2)]'
	touch $@
endef

$(VENV)/.installed-%: pyproject.toml $(LOCK)
	$(call install,$(VENV),$*)

$(TORCH_VENV)/.installed-%: pyproject.toml $(LOCK)
	$(call install,$(TORCH_VENV),$*)
