.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin

help:  ## List the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

.venv/installed: requirements.lock
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@touch $@

lint: .venv/installed  ## Check style, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: .venv/installed lint  ## Set up, lint, and run all tests
	$(BIN)/python -m pytest

clean:  ## Remove the environment and everything that was computed
	rm -rf .venv .snakemake .recipes data results checkpoints logs mlflow.db mlartifacts

.PHONY: help lint test clean
