# Everything here needs Python 3.11 or newer, GNU make and a package index; nothing else.

# The first Python that is new enough; `make PYTHON=/path/to/python3 …` picks another.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)
BIN := .venv/bin

.DELETE_ON_ERROR:
.PHONY: help demo test test-all test-real chaos record-events pictures reference bench check docs docs-serve format clean

help:
	@echo 'make demo        a whole run on this machine, with a real Kafka and a stand-in for Argo CD'
	@echo 'make check       ruff, mypy, the borders between the packages, and the docs as a site'
	@echo "make test        unit tests, the stand-in's contract, the docs' commands, a sample of faults and chaos: minutes"
	@echo 'make test-all    what make test has left out: every fault in every step, runs that are ended at any moment'
	@echo 'make test-real   the contract and whole runs on a real Argo CD, Kubernetes and Kafka'
	@echo 'make chaos       the chaos of make test-all with hundreds of runs: half an hour'
	@echo 'make record-events  record whole runs again for the tests of the reporters: two minutes; read its diff'
	@echo 'make pictures    draw docs/run.svg and docs/red.svg from real runs: on a real stack, or the demo'
	@echo 'make reference   write docs/reference anew from the code: commands, settings, exit codes, events'
	@echo 'make bench       argorun against a script, side by side on the real stack; writes bench/README.md'
	@echo 'make docs        the docs as a site, in site/'
	@echo 'make docs-serve  the same on http://127.0.0.1:8000, made anew at each change'
	@echo 'make format      let ruff put the code in order'
	@echo 'make clean       remove what these made'

demo: .venv/.sandbox
	@$(BIN)/argorun demo

# Tests mostly wait, so that there are more processes than cores; what takes longest comes first.
# tests/README.md says what is in which target.
AT_ONCE ?= 4
PYTEST = $(BIN)/pytest -n $(AT_ONCE) --dist loadgroup --durations 15
TESTS := $(wildcard tests/readme) tests/faults tests/chaos tests/contract tests/unit

test: AT_ONCE = 5
test: .venv/.dev
	$(PYTEST) -m 'not full' $(TESTS) $(ARGS)

test-all: .venv/.dev
	$(PYTEST) -m full $(TESTS) $(ARGS)

chaos: .venv/.dev
	ARGORUN_CHAOS=$${ARGORUN_CHAOS:-300} $(BIN)/pytest -s -m full tests/chaos $(ARGS)

# Needs the environment of a real stack (ARGOCD_SERVER and so on); fails where it is missing. Several files at a time.
test-real: .venv/.dev
	$(BIN)/pytest --real -n $(AT_ONCE) --dist loadfile tests/contract tests/real $(ARGS)

# On a real Kafka and the stand-in; tests/data has the recordings and what each reporter shows of them.
record-events: .venv/.dev
	$(BIN)/python -m tests.record_events

# The runs are real ones on the Argo CD of ARGOCD_SERVER; without it, the demo's. Look at both in a browser.
pictures: .venv/.dev
	$(BIN)/python -m tests.pictures

# A test says where it is due; what the events promise only grows: see CONTRIBUTING.md.
reference: .venv/.dev
	$(BIN)/python -m tests.reference

# On a real stack as well, or without one only the big Application; nothing else should run beside it.
bench: .venv/.bench
	$(BIN)/python -m bench

check: .venv/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(MKDOCS) build --strict --quiet

# The site needs no network: it has its fonts and scripts itself. Strict: a link that leads nowhere is an error.
MKDOCS := NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs

docs: .venv/.dev
	$(MKDOCS) build --strict

docs-serve: .venv/.dev
	$(MKDOCS) serve --strict

format: .venv/.dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist site
	find . -name __pycache__ -prune -exec rm -rf {} +

# The virtual environment, and what is installed in it: a stamp each, so that the next call is quick.
$(BIN)/python:
	@[ -n "$(PYTHON)" ] || { echo >&2 'argorun needs Python 3.11 or newer with the venv module, and found none on PATH.'; \
		echo >&2 'Install one (Debian, Ubuntu: apt install python3 python3-venv), or say make PYTHON=/path/to/python3.'; exit 1; }
	@echo "Making .venv with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv .venv

# pip shows what it does: from nothing it is busy for half a minute.
PIP = $(BIN)/python -m pip --disable-pip-version-check install

.venv/.sandbox: pyproject.toml | $(BIN)/python
	@echo 'Installing argorun[sandbox] into .venv: its packages and a Java runtime, about 50 MB'
	@$(PIP) --editable '.[sandbox]'
	@touch $@

.venv/.dev: pyproject.toml | $(BIN)/python
	@echo 'Installing argorun[dev] into .venv'
	@$(PIP) --editable '.[dev]'
	@touch $@ .venv/.sandbox

.venv/.bench: pyproject.toml | $(BIN)/python
	@echo 'Installing argorun[bench] into .venv'
	@$(PIP) --editable '.[bench]'
	@touch $@ .venv/.dev .venv/.sandbox
