# `make` prints what there is. Everything runs from .venv, which `make setup` makes.
.DEFAULT_GOAL := help
.PHONY: help setup run demo test check fix docs lock bench clean
SHELL := /bin/sh

PY := .venv/bin/python
READY := .venv/.ready
COMPILE := .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" pyproject.toml

help: ## this list
	@awk -F ':.*## ' '/^[a-z<>%-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@printf '  make %-14s %s\n' 'bench-<name>' 'one measurement'

setup: $(READY) ## make .venv from the lock (needs Python 3.11 or later)
	@:

$(READY): locks/dev.txt pyproject.toml bootstrap/setup.sh
	@PYTHON='$(PYTHON)' sh bootstrap/setup.sh
	@touch $@

run: setup ## everything on this machine, in the foreground, until Ctrl-C
	@$(PY) -m bootstrap run

demo: setup ## everything up, one script on six hosts, everything down; exit status 0 if all six succeeded
	@$(PY) -m bootstrap demo

test: setup ## all tests, on the real servers
	@$(PY) -m pytest -q

check: setup ## what can be said without running: format, lint, types, rooms, references
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports
	@$(PY) docs/generate.py --check
	@$(PY) -m pytest -q tests/architecture

fix: setup ## format, and repair what the linter can
	@.venv/bin/ruff format .
	@.venv/bin/ruff check --fix .

docs: setup ## write docs/reference/ from the code
	@$(PY) docs/generate.py

lock: setup ## resolve the dependencies anew into locks/
	@$(COMPILE) --upgrade -o locks/agent.txt
	@$(COMPILE) --upgrade --all-extras -o locks/dev.txt

bench: setup ## all measurements, one after the other
	@$(PY) -m bench

bench-%: setup
	@$(PY) -m bench $*

clean: ## remove .venv and what tools left behind; ./state stays
	rm -rf .venv .venv-agent build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
