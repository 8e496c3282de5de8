# What can be done here; `make` alone lists it.

PYTHON ?= python3
RUN := .venv/bin/python -m
FAST := not slow and not browser and not faults

.DEFAULT_GOAL := help
.PHONY: help up test slow-test test-all lint bench clean .venv .venv-dev

help: ## List what can be done
	@awk -F ':.*## ' '/^[.a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

.venv: ## Make .venv and install what is pinned in requirements.txt
	@$(PYTHON) skincare/launch/bootstrap.py

.venv-dev:
	@$(PYTHON) skincare/launch/bootstrap.py --dev

up: .venv ## Start everything; Ctrl-C stops it (PORT=8001 make up moves it)
	@exec $(RUN) skincare.launch.up

lint: .venv-dev ## Style, types, and who may import whom
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy
	.venv/bin/lint-imports

test: lint ## Lint and the fast tests: at most ten minutes
	$(RUN) pytest -n 2 -m "$(FAST)"

slow-test: .venv-dev
	$(RUN) pytest -m "slow or browser or faults"

test-all: test ## All tests, also browser, faults and fuzzing: at most 45 minutes
	$(MAKE) slow-test

bench: .venv ## Measure the worker, the API and the network
	$(RUN) bench.serving

clean: ## Remove caches; what was stored under var/ stays
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -path ./.venv -prune -o -path ./var -prune -o -name __pycache__ -type d -print | xargs rm -rf
