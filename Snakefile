# Self-supervised learning for head pose estimation: from data to the table of results.
# Parameters: params.yaml, checked before anything runs. Another study: --configfile studies/NAME.yaml
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
from pipeline_steps.tracking.reach import warn_before_start

try:
    from workflow import layout
    from workflow.freshness.profile import require_profile
    from workflow.freshness.state import State
    from workflow.params import load_params
    from workflow.plan import Plan
    from workflow.running import failures, locks
    from workflow.running.folder import require_writable
    from workflow.running.stopping import stop_on_sigterm

    require_writable()
    params = load_params(
        workflow.config_settings.configfiles, workflow.config_settings.config
    )
    plan = Plan(params)
    state = State(plan.jobs)
    state.write_recipes()
    if workflow.is_main_process:
        for line in plan.found:
            print(line, file=sys.stderr)
        locks.clear_stale(everywhere="--unlock" in sys.argv)
        state.forget_what_is_in_place()
except UserError as error:
    raise WorkflowError(str(error))

os.environ.setdefault("MLFLOW_TRACKING_URI", params.tracking.uri)
if not params.tracking.enabled:
    os.environ["HEADPOSE_TRACKING"] = "off"


def recipe_of(folder):
    """The recipe of the job whose results belong in a folder; its date alone decides whether the job runs."""

    def path(wildcards):
        require_profile(workflow)
        job = plan.jobs.get(folder.format(**wildcards))
        if job is None:
            raise WorkflowError(
                f"{folder.format(**wildcards)}: this study plans no such job"
            )
        return str(job.recipe_file)

    return path


def seals(folders):
    """Seals of the results in folders, which say that they are complete."""
    return [layout.seal(folder) for folder in folders]


def read_by(folder, *files):
    """Results of other jobs that the job of a folder reads, with their seals; all of these may hold wildcards.

    A job that is up to date reads nothing: what it was made from may be missing, newer, or replaced by another study. One
    whose earlier results are put back waits for what has to change along with it. With --force, --forcerun and --forceall
    Snakemake has to see those jobs too; files are `ancient` then, so that they run alone. Those of a job that is forced
    itself are not, or Snakemake 9.27 forgets the job where one of its inputs has to be made first.
    """
    names = dict.fromkeys([*files, *seals(os.path.dirname(file) for file in files)])

    def paths(wildcards):
        found = [name.format(**wildcards) for name in names]
        if earlier_results(folder.format(**wildcards)):
            return [path for path in found if state.must_follow(os.path.dirname(path))]
        job = state.jobs[folder.format(**wildcards)]
        if not state.is_current(job.folder) or is_forced(job):
            return found
        return [ancient(path) for path in found] if forced() else []

    return paths


def forced():
    """Rules and files whose jobs were asked to run although they are up to date."""
    asked = workflow.dag_settings
    targets = asked.targets if asked.forcetargets else []
    rules = [rule.name for rule in workflow.rules] if asked.forceall else []
    return {os.path.normpath(name) for name in [*asked.forcerun, *targets, *rules]}


def is_forced(job):
    """Whether a job was asked to run although it is up to date."""
    return not forced().isdisjoint([job.recipe.step, *job.outputs])


def earlier_results(folder):
    """Where earlier results of the planned recipe are kept; None where there are none, or the job has to run."""
    return None if forced() else state.earlier(folder)


def take_back(folder):
    """The command that puts earlier results back; `exec` keeps the job from running its step after it."""

    def command(wildcards):
        path = folder.format(**wildcards)
        if (kept := earlier_results(path)) is None:
            return ""
        return f"exec python -m workflow.commands.take_back {shlex.quote(str(kept))} {shlex.quote(path)};"

    return command


include: "workflow/rules/data.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/evaluation.smk"


onstart:
    stop_on_sigterm(workflow.scheduler)
    state.keep_what_is_replaced()
    try:
        warn_before_start()
    except UserError as error:
        raise WorkflowError(str(error))


onerror:
    failures.say_last(workflow.scheduler.failed)


rule all:
    default_target: True
    input:
        seals([plan.comparison, plan.report]),
        seals(state.to_put_back()),


rule all_data:
    input:
        seals(plan.crops(name) for name in plan.datasets()),
        seals(plan.splits()),
        seals(plan.cards()),


rule all_pretrained:
    input:
        seals(plan.pretrainings()),


rule all_finetuned:
    input:
        seals(plan.finetunings()),
