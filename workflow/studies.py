"""Lists studies and their questions, what each costs and where it is answered: python -m workflow.studies [STUDY].

Minutes are those of all trainings of a question one after another. For each training they are, in this order,

1. measured: what it took here, where its results are;
2. recorded: what the same training took on average where docs/results has the costs of its arm;
3. estimated: its images through the backbone, times the minutes per image of trainings with the same backbone and image
   size that docs/results has the costs of. Images are known where the parameters tell their number: by `epoch_images`,
   or of rendered heads.

Evaluations take little time beside the trainings, and are counted only.
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import pandas as pd
import typer

from pipeline_steps.datasets.rendered import Rendered
from pipeline_steps.job.command_line import main
from pipeline_steps.job.errors import UserError
from pipeline_steps.job.files import write_table
from pipeline_steps.params.sections import Labels, Training
from workflow import layout
from workflow.layout import ROOT, StudyLayout
from workflow.params import Params, parse_params
from workflow.questions import DEFAULT, STUDIES, choices, read_files

README_COMMAND = "python -m workflow.studies --readme"


class Job(NamedTuple):
    """A training by its step (pretrain or finetune), its pretext task or arm, and its seed."""

    step: str
    name: str
    seed: int


class Cost(NamedTuple):
    """Minutes that a training takes, on what, and how that is known."""

    minutes: float
    device: str
    source: str


@dataclass(frozen=True)
class Study:
    """A study: its name, its merged values, and what its file is called in messages."""

    name: str
    values: dict[str, Any]
    file: str

    @property
    def title(self) -> str:
        """Its name, with its file where that is called otherwise, as where several files extend one study."""
        return self.name if self.file in (DEFAULT.name, f"{self.name}.yaml") else f"{self.name} ({self.file})"

    @property
    def names(self) -> list[str]:
        """What it can be asked for by: its name, and its file's without ending."""
        return list(dict.fromkeys([self.name, *([Path(self.file).stem] if self.file != DEFAULT.name else [])]))

    def ask(self, size: str, question: str | None = None) -> Params:
        """Its parameters at a size, for a question or its first."""
        return parse_params(self.values, self.file, {"size": size} | ({"question": question} if question else {}))

    @cached_property
    def sizes(self) -> list[str]:
        """The size `default`, then those that it defines."""
        return list(dict.fromkeys(["default", *choices(self.values, self.file).sizes]))

    def questions(self, size: str) -> list[Params]:
        """Parameters of all its questions at a size; without questions, of its one comparison."""
        first = self.ask(size)
        return [self.ask(size, name) for name in first.questions] or [first]


def all_studies(folder: Path = STUDIES, default: Path = DEFAULT) -> list[Study]:
    """The default study and those of all files in a folder, in alphabetical order."""
    files = [[default], *([default, path] for path in sorted(folder.glob("*.yaml")))]
    found = [(read_files(paths), paths[-1].name) for paths in files]
    return [Study(str(values.get("study")), values, file) for values, file in found]


def trainings(params: Params) -> list[Job]:
    """All trainings of a question."""
    names = [*(("pretrain", name) for name in params.pretexts()), *(("finetune", arm) for arm in params.arms)]
    return [Job(step, name, seed) for step, name in names for seed in params.seeds]


def evaluations(params: Params) -> int:
    """How many evaluations a question has."""
    return len(params.arms) * len(params.seeds) * len(params.test_on)


class Costs:
    """What trainings cost, from results here and from the costs in docs/results."""

    def __init__(self, studies: list[Study], results: Path, docs: Path) -> None:
        """results: the folder that holds `results`; docs: the folder that holds `results` of other machines."""
        self.results = results
        self.recorded: dict[tuple[str, str, str, str], Cost] = {}
        self.views: dict[str, float] = {}
        """Images through the backbone per image that a pretext task sees, by its kind."""
        spent: dict[tuple[str, int, str], list[tuple[float, float]]] = defaultdict(list)
        rows = [(study, size, row) for study in studies for size in study.sizes for row in _rows(docs, study, size)]
        for study, size, row in rows:
            params, start = study.ask(size), str(row["start"])
            for step, name in (("finetune", str(row["arm"])), ("pretrain", start.removeprefix("ssl:"))):
                passes, minutes = float(row[f"{step}_passes"]), float(row[f"{step}_minutes"])
                if not passes > 0:  # no pre-training, or one elsewhere
                    continue
                self.recorded[study.name, size, step, name] = Cost(minutes, str(row["device"]), "recorded")
                spent[params.network.backbone, params.crops.size, str(row["device"])].append((passes, minutes))
                if step == "pretrain" and (images := _unlabelled_images(params)):
                    self.views[_kind(params, name)] = passes / images
        self.rates = {  # of several devices the one with the most trainings
            key[:2]: (sum(m for _, m in costs) / sum(p for p, _ in costs), key[2])
            for key, costs in sorted(spent.items(), key=lambda item: len(item[1]))
        }

    def of(self, params: Params, job: Job) -> Cost | None:
        """What a training costs; None where nothing is known of its like."""
        at = StudyLayout(params.study, params.size)
        folder = (at.pretraining if job.step == "pretrain" else at.finetuning)(job.name, job.seed)
        record = self.results / folder / "run.json"
        if record.exists():
            run = json.loads(record.read_text("utf-8"))
            return Cost(run["seconds"] / 60, f"{run['device']}, {run['precision']}", "measured")
        recorded = self.recorded.get((params.study, params.size, job.step, job.name))
        return recorded or self._estimated(params, job)

    def _estimated(self, params: Params, job: Job) -> Cost | None:
        rate = self.rates.get((params.network.backbone, params.crops.size))
        if job.step == "pretrain":
            images, tasks, pose_views = _unlabelled_images(params), [job.name], 0
        else:
            arm = params.arms[job.name]
            images, tasks = _labelled_images(params, job.name), list(arm.auxiliary)
            pose_views = 0 if arm.views == "single_view" else 1
        views = [self.views.get(_kind(params, task)) for task in tasks]
        if rate is None or images is None or None in views:
            return None
        per_pass, device = rate
        return Cost(images * (pose_views + sum(filter(None, views))) * per_pass, device, "estimated")


def _rows(docs: Path, study: Study, size: str) -> Iterator[dict[str, Any]]:
    for path in sorted((docs / "results" / study.name / size).glob("**/costs.csv")):
        yield from ({str(key): value for key, value in row.items()} for row in pd.read_csv(path).to_dict("records"))


def _unlabelled_images(params: Params) -> int | None:
    """Images that a pre-training sees, each view once; None where that depends on the data."""
    return _images(params.pretrain, params, params.pretrain_on or params.train_on, Labels())


def _labelled_images(params: Params, arm: str) -> int | None:
    """Images that a fine-tuning sees, each view once; None where that depends on the data."""
    return _images(params.finetune_of(arm), params, params.train_on, params.labels_of(arm))


def _images(training: Training, params: Params, dataset: str, labels: Labels) -> int | None:
    """Images that a training sees in whole batches; None where that depends on data that are not rendered."""
    if training.epoch_images:
        return training.epochs * training.epoch_images
    source, split = params.datasets[dataset].source, params.datasets[dataset].split
    if not isinstance(source, Rendered) or not isinstance(split.test_subjects, int):
        return None
    people = source.subjects - split.test_subjects - split.validation_subjects
    if labels.subjects != "all":
        people = min(people, labels.subjects)
    images = people * max(1, round(labels.fraction * source.images_per_subject))
    return training.epochs * (images // training.batch_size * training.batch_size)


def _kind(params: Params, task: str) -> str:
    return str(params.pretext[task].model_dump()["kind"])


@dataclass(frozen=True)
class Entry:
    """A question at one size.

    left: trainings that are not finished here. minutes: None where some training's are unknown; sources: how the others
    are known.
    """

    trainings: int
    left: int
    evaluations: int
    minutes: float | None
    devices: list[str]
    sources: list[str]


def entry(params: Params, costs: Costs) -> Entry:
    """What a question costs."""
    jobs = trainings(params)
    known = [cost for job in jobs if (cost := costs.of(params, job))]
    return Entry(
        trainings=len(jobs),
        left=len(jobs) - sum(cost.source == "measured" for cost in known),
        evaluations=evaluations(params),
        minutes=sum(cost.minutes for cost in known) if len(known) == len(jobs) else None,
        devices=sorted({cost.device for cost in known}),
        sources=sorted({cost.source for cost in known}),
    )


def is_answered(params: Params, results: Path) -> bool:
    """Whether the question's comparison is finished in `results`, a folder that holds a folder of that name."""
    return (results / layout.seal(StudyLayout(params.study, params.size).comparison(params.question))).exists()


def is_recorded(params: Params, docs: Path) -> bool:
    """Whether docs/results has the question's table."""
    return (docs / "results" / params.study / params.size / (params.question or "") / "table.csv").exists()


def _asks(params: Params) -> str:
    return params.questions[params.question].asks if params.question else "Which of all arms is best?"


def _range(numbers: list[int]) -> str:
    return str(numbers[0]) if len(set(numbers)) == 1 else f"{min(numbers)} to {max(numbers)}"


def readme(studies: list[Study], docs: Path) -> str:
    """The tables of studies/README.md: what the files and docs/results say, the same on every machine."""
    blocks = []
    for study in studies:
        by_question: dict[str, list[Params]] = {}
        for size in study.sizes:
            for params in study.questions(size):
                by_question.setdefault(params.question or "", []).append(params)
        about, sizes = study.ask("default").about, ", ".join(f"`{size}`" for size in study.sizes)
        lines = ["| question | asks | trainings | evaluations | answered at |", "|---|---|---|---|---|"]
        for name, found in by_question.items():
            at = ", ".join(params.size for params in found if is_recorded(params, docs))
            numbers = [_range([len(trainings(p)) for p in found]), _range([evaluations(p) for p in found])]
            lines.append(f"| {f'`{name}`' if name else ''} | {' | '.join([_asks(found[0]), *numbers, at])} |")
        blocks.append("\n".join([f"### {study.name}", "", f"{about}. Sizes: {sizes}.", "", *lines]))
    return "\n" + "\n\n".join(blocks) + "\n\n"


def write_readme(root: Path = ROOT) -> None:
    """Write the tables of studies/README.md."""
    page = root / "studies" / "README.md"
    write_table(page, README_COMMAND, readme(all_studies(page.parent, root / "params.yaml"), root / "docs"))


def listing(study: Study, costs: Costs, docs: Path) -> str:
    """A study's questions, and below each a line per size: trainings, evaluations, minutes, where it is answered."""
    of_size = {size: {params.question: params for params in study.questions(size)} for size in study.sizes}
    lines = [f"{study.title}: {study.ask('default').about}"]
    for question in dict.fromkeys(question for found in of_size.values() for question in found):
        at = [found[question] for found in of_size.values() if question in found]
        lines += ["", "  " + ": ".join(filter(None, [question, _asks(at[0])]))]
        width = max(len(params.size) for params in at)
        for params in at:
            row = entry(params, costs)
            done = f", {row.trainings - row.left} of them done" if row.left < row.trainings else ""
            how = f"{' and '.join(row.sources)} on {' and '.join(row.devices)}"
            minutes = "minutes unknown" if row.minutes is None else f"{row.minutes:,.0f} minutes ({how})"
            places = {"here": is_answered(params, costs.results), "in docs/results": is_recorded(params, docs)}
            answered = " and ".join(place for place, is_there in places.items() if is_there)
            facts = [f"{row.trainings} trainings{done}", f"{row.evaluations} evaluations", minutes]
            facts += [f"answered {answered}"] if answered else []
            lines.append(f"    {params.size:{width}}  {'; '.join(facts)}")
    return "\n".join([*lines, ""])


def list_studies(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="STUDY", help="only these, by name or file; by default all")
    ] = None,
    readme: Annotated[bool, typer.Option("--readme", help="write the tables of studies/README.md instead")] = False,
) -> None:
    """List studies, what their questions cost, and which are answered: here, or in docs/results."""
    if readme:
        write_readme()
        return
    studies = all_studies()
    known = list(dict.fromkeys(name for study in studies for name in study.names))
    for name in names or []:
        if name not in known:
            raise UserError(f"{name}: no such study; known: {', '.join(known)}")
    costs = Costs(studies, Path.cwd(), ROOT / "docs")
    for study in studies:
        if not names or set(names) & set(study.names):
            print(listing(study, costs, ROOT / "docs"))


if __name__ == "__main__":
    main(list_studies)
