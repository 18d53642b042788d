.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
RUN := PATH="$(abspath $(BIN)):$$PATH"
SEED ?= 0

help:  ## List the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

# An environment holds absolute paths: in a folder that was moved or copied it is made again.
ifneq ($(shell cat .venv/installed 2>/dev/null),$(realpath .))
.PHONY: .venv/installed
endif

.venv/installed: requirements.lock
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" 2>/dev/null || { \
		echo "error: $(PYTHON): $$($(PYTHON) --version 2>/dev/null || echo not found); Python 3.11 or newer is needed, as in: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "setting up .venv with $$($(PYTHON) --version): 8 GB of disk, up to 4 GB of download, 2 to 10 minutes"
	$(PYTHON) -m venv --clear .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@echo "$(realpath .)" > "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/headpose.pth"
	@echo "$(realpath .)" > $@

reproduce: .venv/installed  ## Run the default study from data to table and report
	@[ -d results ] || echo "the default study: about 10 minutes on 2 CPU cores, 3 GB of memory, 1 GB of disk"
	$(RUN) snakemake --quiet rules
	@$(RUN) python -m workflow.commands.outcome

unlock: .venv/installed  ## Remove the lock of a Snakemake that was killed, where that does not happen by itself
	$(RUN) snakemake --unlock

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

record: .venv/installed  ## Version data and results with DVC, once nothing is left to run; then commit dvc.lock
	@$(RUN) python -m workflow.commands.record

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

clean:  ## Remove the environment and everything that was computed, but no downloaded archive and nothing of MLflow
	rm -rf .venv .snakemake .recipes .replaced data/raw data/crops data/splits data/cards results checkpoints logs

distclean: clean  ## Remove these as well
	rm -rf data mlflow.db* mlartifacts .mlflow.lock

.PHONY: help reproduce unlock why export page ui watch compare results record bench drill audit lint test clean distclean
