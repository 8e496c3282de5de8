# What can be done here; `make` alone lists it.

PYTHON ?= python3
RUN := .venv/bin/python -m
FAST := not slow and not browser and not faults

.DEFAULT_GOAL := help
.PHONY: help up test slow-test test-all soak lint screens messages bench clean .venv .venv-dev .venv-semgrep

help: ## List what can be done
	@awk -F ':.*## ' '/^[.a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

.venv: ## Make .venv and install what is pinned in requirements.txt
	@$(PYTHON) skincare/launch/bootstrap.py

.venv-dev:
	@$(PYTHON) skincare/launch/bootstrap.py --dev

up: .venv ## Start everything; Ctrl-C stops it (PORT=8001 make up moves it)
	@exec $(RUN) skincare.launch.up

lint: .venv-dev ## Style, types, who may import whom, and what bandit knows
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy
	.venv/bin/lint-imports
	.venv/bin/bandit --quiet --configfile pyproject.toml --recursive skincare diagnosis training manage.py

test: lint ## Lint and the fast tests: at most ten minutes
	$(RUN) pytest -n 2 -m "$(FAST)"

.venv-semgrep:
	@$(PYTHON) skincare/launch/bootstrap.py --semgrep

slow-test: .venv-dev .venv-semgrep
	$(RUN) pytest -n 2 --dist worksteal -m "(slow or browser) and not platform and not faults"
	$(RUN) pytest -n 2 --dist loadscope --no-loadscope-reorder -m "platform and not faults"
	$(RUN) pytest -m faults

test-all: test ## All tests, also browser, faults and fuzzing: at most 45 minutes
	$(MAKE) slow-test

screens: .venv-dev ## Make the pictures of docs/screens anew, by the browser tests
	@mkdir -p docs/screens && rm -f docs/screens/*.png
	SCREENS=docs/screens $(RUN) pytest -q tests/diagnosis/web/capture/test_screens.py tests/diagnosis/web/reading/test_screens.py

messages: .venv-dev ## Gather what is to be translated into Arabic, and compile it (needs gettext)
	.venv/bin/python manage.py makemessages --locale ar --no-location --ignore '.venv*' --ignore var --ignore shared
	.venv/bin/python manage.py compilemessages --locale ar --ignore '.venv*' --ignore var

soak: .venv-dev ## Half an hour of load with random faults, every case accounted for (MINUTES=30 SEED=1)
	MINUTES=$(MINUTES) SEED=$(SEED) $(RUN) pytest -s tests/faults/soak.py

bench: .venv ## Measure everything and write the tables of docs/benchmarks.md (SECTIONS="forward rivals")
	$(RUN) bench $(SECTIONS)

clean: ## Remove caches; what was stored under var/ stays
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -path "./.venv*" -prune -o -path ./var -prune -o -name __pycache__ -type d -print | xargs rm -rf
