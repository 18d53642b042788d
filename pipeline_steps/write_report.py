"""Write a comparison as one page for people: what came out, with figures, from which runs, and how it was made.

python -m pipeline_steps.write_report --recipe RECIPE --output DIR --comparison DIR --card DIR ... --evaluation DIR ...
    --training DIR ... [--pretraining DIR ...] --crops CROPS.h5 ...
"""

import os
from pathlib import Path
from typing import Annotated

from typer import Option

from pipeline_steps.evaluation.reading import files_read
from pipeline_steps.job.command_line import main
from pipeline_steps.job.files import write_text
from pipeline_steps.job.progress import logger
from pipeline_steps.job.provenance import provenance
from pipeline_steps.job.recipe import Inputs, read_recipe, seal
from pipeline_steps.reporting.links import Links
from pipeline_steps.reporting.report import Sources, render


def write_report(
    recipe: Annotated[Path, Option(help="parameters of this job")],
    output: Annotated[Path, Option(help="folder for report.html")],
    comparison: Annotated[Path, Option(help="folder that compare filled")],
    card: Annotated[list[Path], Option(help="folder of one data set's card; repeat for each")],
    evaluation: Annotated[list[Path], Option(help="folder of one evaluation; repeat for each")],
    training: Annotated[list[Path], Option(help="folder of one fine-tuning; repeat for each")],
    crops: Annotated[list[Path], Option(help="crops.h5 of one test data set; repeat for each")],
    pretraining: Annotated[list[Path] | None, Option(help="folder of one pre-training; repeat for each")] = None,
) -> None:
    """Write report.html, one file that needs no other; its links lead to the files of the runs."""
    made = read_recipe(recipe)
    compared = [path for path in comparison.iterdir() if path.is_file()]
    inputs = Inputs(*compared, *files_read(evaluation, [*training, *(pretraining or [])]), *crops)
    sources = Sources(comparison, evaluation, training, pretraining or [], card, crops)
    page = render(sources, Links(output, os.environ.get("MLFLOW_TRACKING_URI", "")), _code())
    write_text(output / "report.html", page)
    logger.info("report: %s", output / "report.html")
    seal(made, output / "recipe.json", inputs)


def _code() -> dict[str, str]:
    """Commit of the code that writes the page, where it lies in a git repository."""
    known = provenance()
    if "git_commit" not in known:
        return {}
    changed = int(known["git_changed_files"])
    since = f", {changed} files changed since" if changed else ""
    return {"page written by commit": known["git_commit"][:12] + since}


if __name__ == "__main__":
    main(write_report)
