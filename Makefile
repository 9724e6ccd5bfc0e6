# Needs: make and Python 3.11 or newer. Everything else is installed into .venv.
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RUN_STAMP := $(VENV)/.requirements
DEV_STAMP := $(VENV)/.requirements-dev
COMPILE := CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe \
	--strip-extras --no-emit-options --no-emit-index-url --no-emit-trusted-host --no-emit-find-links
.DEFAULT_GOAL := help
.PHONY: help demo run test check verify screenshots bench format lock clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(RUN_STAMP)  ## Run it with a simulated network, logins, keys and a line to paste
	@ALLOW_PRIVATE_ADDRESSES=1 ALLOW_HTTP_HOSTERS=1 exec $(BIN)/python manage.py demo

run: $(RUN_STAMP)  ## Run everything on this machine
	@exec $(BIN)/python manage.py serve

test: $(DEV_STAMP)  ## The quick tests, on a real PostgreSQL (3 to 4 minutes on 2 cores)
	$(BIN)/python -m pytest -n 3 --ignore tests/browser tests

check: $(DEV_STAMP)  ## Format, lint, types, import contracts, deployment, migrations
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	PUBLIC_URL=https://example.org $(BIN)/python manage.py check --deploy --fail-level WARNING
	DATA_DIR=data/tests $(BIN)/python manage.py makemigrations --check --dry-run

verify: $(DEV_STAMP)  ## The slow tests: campaigns, crashes, pages in a real browser
	$(BIN)/python -m pytest -m slow tests

screenshots: $(DEV_STAMP)  ## A picture of every page, light and dark, phone and desk, to look at
	$(BIN)/python -m pytest -m slow -rs tests/browser/take_pictures.py

bench: $(DEV_STAMP)  ## Measure what the gateway adds to a request, and what pages cost with 1,000,000 requests
	$(BIN)/python -m tests.bench
	$(BIN)/python -m tests.bench.pages

format: $(DEV_STAMP)  ## Format the code and repair what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: $(DEV_STAMP)  ## Pin the versions of pyproject.toml into requirements*.txt
	$(COMPILE) --output-file requirements.txt pyproject.toml
	$(COMPILE) --extra dev --constraint requirements.txt --output-file requirements-dev.txt pyproject.toml

clean:  ## Remove caches and the environment; data/ stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "Python is missing: install Python 3.11 or newer." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "NeuralGate needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V 2>&1)." \
			"Try: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { \
		echo "The venv module is missing (Debian, Ubuntu: apt-get install python3-venv)." >&2; \
		rm -rf $(VENV); exit 1; }

$(RUN_STAMP): requirements.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@touch $@

$(DEV_STAMP): requirements-dev.txt $(RUN_STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@
