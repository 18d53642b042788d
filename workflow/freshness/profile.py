"""Settings of Snakemake that the answer to "what has to run" depends on; profiles set them."""

from typing import Any

from pipeline_steps.job.errors import UserError

NEEDED = "rerun-triggers: [mtime], max-checksum-file-size: 0, ignore-incomplete: true, as profiles/default has them"


def require_profile(workflow: Any) -> None:
    """Raise UserError where the settings of a Snakemake `Workflow` are not those that recipes rely on.

    With other triggers Snakemake runs jobs that are up to date; with checksums, or its memory of incomplete files, it
    may skip jobs that have to run. Snakemake knows its settings only after it has read the Snakefile, so that input
    functions are the first to see them.
    """
    if not workflow.is_main_process:
        return
    wrong = []
    if (dag := workflow.dag_settings) is not None:
        if {trigger.name.lower() for trigger in dag.rerun_triggers} != {"mtime"}:
            wrong.append("rerun-triggers")
        if dag.max_checksum_file_size != 0:
            wrong.append("max-checksum-file-size")
    if (execution := workflow.execution_settings) is not None and not execution.ignore_incomplete:
        wrong.append("ignore-incomplete")
    if wrong:
        raise UserError(f"profile: {', '.join(wrong)} differs from what this workflow needs; set {NEEDED}")
