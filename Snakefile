# Self-supervised learning for head pose estimation: from data to the table of results.
# Parameters: params.yaml, checked before anything runs. Other studies: --configfile studies/NAME.yaml, one on top of another
import os
import shlex
import sys

from snakemake.utils import min_version

min_version("9.27")
sys.path.insert(0, workflow.basedir)
os.environ["PYTHONPATH"] = workflow.basedir

# Clusters signal all of a job's processes: shell and tee ignore it, so that they still take the step's last words.
shell.prefix("set -euo pipefail; trap '' TERM; ")

from pipeline_steps.job.errors import UserError


configfile: f"{workflow.basedir}/params.yaml"


try:
    from workflow.params import parse_params
    from workflow.plan import Plan
    from workflow.freshness.dates import Upkeep

    plan = Plan(parse_params(config, "params.yaml (with overlays)"))
    upkeep = Upkeep(plan)
    upkeep.write_recipes()
except UserError as error:
    raise WorkflowError(str(error))

params = plan.params
os.environ.setdefault("MLFLOW_TRACKING_URI", params.tracking.uri)
if not params.tracking.enabled:
    os.environ["HEADPOSE_TRACKING"] = "off"


def recipe_of(folder):
    """The recipe by which the results in a folder, which may hold wildcards, are to be made."""
    return lambda wildcards: plan.recipe_file(folder.format(**wildcards))


def dated(file, of):
    """Another job's result as input of the results in a folder: its date counts where both jobs have to run again.

    What another study has replaced since, in a folder that studies share, is made once more as it was, and what was
    made from it stays.
    """
    current = upkeep.is_current(os.path.dirname(file)) or upkeep.is_current(of)
    return ancient(file) if current else file


def result(file, of):
    """As `dated`, where both hold wildcards."""
    return lambda wildcards: dated(file.format(**wildcards), of.format(**wildcards))


include: "workflow/rules/data.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/evaluation.smk"


rule all:
    default_target: True
    input:
        f"{plan.comparison}/recipe.json",
        f"{plan.report}/recipe.json",


rule all_data:
    input:
        *(f"{plan.crops(name)}/recipe.json" for name in plan.datasets()),
        *(f"{plan.split(name)}/recipe.json" for name in plan.datasets()),
        *(f"{folder}/recipe.json" for folder in plan.cards()),


rule all_pretrained:
    input:
        *(f"{folder}/recipe.json" for folder in plan.pretrainings()),


rule all_finetuned:
    input:
        *(f"{folder}/recipe.json" for folder in plan.finetunings()),
