"""Write a comparison as one page for people: the outcome with figures, the runs behind it, and how it was computed.

python -m pipeline_steps.write_report --recipe RECIPE --output DIR --comparison DIR --card DIR ... --evaluation DIR ...
    --training DIR ... [--pretraining DIR ...] --crops CROPS.h5 ...
"""

from pathlib import Path
from typing import Annotated

from typer import Option

from pipeline_steps.evaluation.reading import files_read
from pipeline_steps.job.command_line import main
from pipeline_steps.job.files import write_text
from pipeline_steps.job.progress import logger
from pipeline_steps.job.provenance import provenance
from pipeline_steps.job.recipe import read_recipe
from pipeline_steps.job.seal import Inputs, seal, unseal
from pipeline_steps.reporting.links import Links
from pipeline_steps.reporting.report import Sources, render
from pipeline_steps.tracking.settings import tracking_uri


def write_report(
    recipe: Annotated[Path, Option(help="parameters of this job")],
    output: Annotated[Path, Option(help="folder for report.html")],
    comparison: Annotated[Path, Option(help="folder of compare's results")],
    card: Annotated[list[Path], Option(help="folder of one data set's card; repeat for each")],
    evaluation: Annotated[list[Path], Option(help="folder of one evaluation; repeat for each")],
    training: Annotated[list[Path], Option(help="folder of one fine-tuning; repeat for each")],
    crops: Annotated[list[Path], Option(help="crops.h5 of one test data set; repeat for each")],
    pretraining: Annotated[list[Path] | None, Option(help="folder of one pre-training; repeat for each")] = None,
) -> None:
    """Write report.html, one self-contained file; its links lead to the files of the runs."""
    job_recipe = read_recipe(recipe)
    compared = [path for path in comparison.iterdir() if path.is_file()]
    read = files_read(evaluation, [*training, *(pretraining or [])])
    inputs = Inputs(recipe, *compared, *read, *(folder / "card.json" for folder in card), *crops)
    unseal(output)
    sources = Sources(comparison, evaluation, training, pretraining or [], card, crops)
    page = render(sources, Links(output, tracking_uri()), _code())
    write_text(output / "report.html", page)
    logger.info("report: %s", output / "report.html")
    seal(job_recipe, output, inputs)


def _code() -> dict[str, str]:
    """Commit of the code that writes the page, if it lies in a git repository."""
    known = provenance()
    if "git_commit" not in known:
        return {}
    changed = int(known["git_changed_files"])
    since = f", {changed} files changed since" if changed else ""
    return {"page written by commit": known["git_commit"][:12] + since}


if __name__ == "__main__":
    main(write_report)
