.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
RUN := PATH="$(abspath $(BIN)):$$PATH"
SEED ?= 0

help:  ## List the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

.venv/installed: requirements.lock
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@touch $@

reproduce: .venv/installed  ## Run the default study from data to table and report
	$(RUN) snakemake --quiet rules
	@$(RUN) python -m workflow.commands.outcome

why: .venv/installed  ## Say why each job would run that snakemake would run now
	@$(RUN) python -m workflow.why

export: .venv/installed  ## Export a model for use elsewhere: make export [ARM=NAME SEED=0], else the best on validation subjects
	@set -e; export PATH="$(abspath $(BIN)):$$PATH"; \
		sealed=$$(python -m workflow.commands.best_model $(if $(ARM),--arm $(ARM) --seed $(SEED))); \
		snakemake $$sealed --quiet rules; echo "model    $$(dirname $$sealed)/"

page: .venv/installed  ## Show head poses on a local page: make page MODEL=results/.../model.onnx
	@$(RUN) python -m pipeline_steps.page $(MODEL)

ui: .venv/installed  ## Open MLflow on this machine's runs, on a free port
	$(RUN) python -m pipeline_steps.tracking ui

watch: .venv/installed  ## Show what every job of a running study last said: epoch, losses, images/s, time left
	@$(RUN) python -m workflow.commands.watch

compare: .venv/installed  ## Show what differs between two recorded revisions: make compare A=REVISION [B=REVISION]
	@[ -n "$(A)" ] || { echo "error: A is missing; give a git revision, as in: make compare A=HEAD~1 B=HEAD" >&2; exit 1; }
	@$(RUN) dvc params diff $(A) $(B)
	@$(RUN) dvc metrics diff $(A) $(B)

results: .venv/installed  ## Write docs/results.md, docs/findings.md and README.md's table from the studies run here
	$(RUN) python -m workflow.commands.results_page

record: .venv/installed  ## Version data and results with DVC, once nothing is left to run
	@$(RUN) snakemake --dry-run --quiet rules 2>&1 | grep -q "Nothing to be done" \
		|| { echo "error: some jobs are left to run; run snakemake (or make reproduce) first" >&2; exit 1; }
	$(RUN) dvc commit --force

bench: .venv/installed  ## Measure speed side by side with what it can be compared with, and write docs/speed.md
	$(RUN) python -m benchmarks

drill: .venv/installed  ## Kill a study at random moments, and compare what comes out with the same study left alone
	$(RUN) python -m drills.kills

audit: .venv/installed  ## Ask PyPI for known vulnerabilities of the locked packages
	$(BIN)/pip-audit --requirement requirements.lock --require-hashes --disable-pip --strict --progress-spinner off

lint: .venv/installed  ## Check style, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow/rules
	$(BIN)/mypy

test: .venv/installed lint  ## Set up, lint, and run all tests
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile

clean:  ## Remove the environment and everything that was computed
	rm -rf .venv .snakemake .recipes data results checkpoints logs mlflow.db mlartifacts

.PHONY: help reproduce why export page ui watch compare results record bench drill audit lint test clean
