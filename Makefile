.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin

help:  ## List the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

.venv/installed: requirements.lock
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@touch $@

reproduce: .venv/installed  ## Run the default study from data to table
	PATH="$(CURDIR)/$(BIN):$$PATH" snakemake --quiet rules
	@echo; cat results/quick/compare/table.md; echo
	@echo "table    results/quick/compare/table.md"
	@echo "models   results/quick/finetune/*/seed*/model.safetensors"
	@echo "runs     make ui"

ui: .venv/installed  ## Open MLflow on this machine's runs (http://127.0.0.1:5000)
	MLFLOW_DISABLE_TELEMETRY=true DO_NOT_TRACK=true $(BIN)/mlflow ui --backend-store-uri sqlite:///mlflow.db --host 127.0.0.1

lint: .venv/installed  ## Check style, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow/rules
	$(BIN)/mypy

test: .venv/installed lint  ## Set up, lint, and run all tests
	$(BIN)/python -m pytest

clean:  ## Remove the environment and everything that was computed
	rm -rf .venv .snakemake .recipes data results checkpoints logs mlflow.db mlartifacts

.PHONY: help reproduce ui lint test clean
