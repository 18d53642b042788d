"""Which values a study has at one size, for one of its questions: how parameter files, sizes and questions are merged.

Later ones win; maps are merged key by key, anything else is replaced, and null removes an entry of a map:

1. `params.yaml`;
2. for every file given: first the file that it extends, then the file itself;
3. the changes of the chosen size, `sizes: {SIZE: ...}`;
4. the changes of the chosen question, `questions: {QUESTION: ...}`;
5. values given on the command line (`--config`).

A size is merged before the question is looked up, so it can change a question too. Then the arms that the question
names are selected, and crossed with its variations.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator
from snakemake.utils import update_config

from pipeline_steps.job.errors import UserError, brief, refusal
from pipeline_steps.job.strict import Strict
from pipeline_steps.job.yaml_file import read_yaml
from pipeline_steps.params.sections import ArmName, Name
from workflow.layout import ROOT

STUDIES = ROOT / "studies"
DEFAULT = ROOT / "params.yaml"

Seeds = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]

_MAPS = ("datasets", "pretext", "arms", "variations", "sizes", "questions")
"""Maps whose entries null removes."""

_OWN = ("about", "question", "questions")
"""Keys of a study that a study which extends it does not inherit, in its sizes neither."""


class Question(Strict):
    """What is compared with what. It never changes how an arm is trained, so questions of a study share trainings."""

    asks: str = Field(min_length=1, description="the question, in one sentence")
    of: Name | None = Field(
        default=None, description="another question, whose keys are used wherever this one has none of its own"
    )
    arms: list[Name] | None = Field(default=None, min_length=1, description="the arms to compare; by default all")
    baselines: list[ArmName] | None = Field(
        default=None, min_length=1, description="as compare.baselines; by default those of them that are among its arms"
    )
    seeds: Seeds | None = Field(default=None, description="as seeds")
    test_on: list[Name] | None = Field(default=None, description="as test_on")
    evaluate: dict[str, Any] = Field(default={}, description="keys of evaluate that this question changes")
    variations: dict[Name, dict[str, Any] | None] = Field(default={}, description="merged over variations")

    @model_validator(mode="after")
    def _each_arm_once(self) -> Self:
        if self.arms and len(set(self.arms)) < len(self.arms):
            raise ValueError(f"arms: {self.arms} names one twice")
        return self


class Choices(Strict):
    """The sizes and questions of a study, and which of them are chosen."""

    size: Name = Field(
        default="default", description="one of `sizes`, or default; results are in results/{study}/{size}"
    )
    sizes: dict[Name, dict[str, Any]] = Field(
        default={}, description="by name, keys of this file that a size changes; `default` changes nothing"
    )
    question: Annotated[Name | Literal[""] | None, AfterValidator(lambda name: name or None)] = Field(
        default=None,
        description="one of `questions`, by default or where empty the first; without any, all arms are compared",
    )
    questions: dict[Name, Question] = Field(
        default={}, description="by name, what is compared with what, from the trainings that they share"
    )

    def size_changes(self) -> dict[str, Any]:
        """Values that the chosen size changes."""
        if self.size == "default" and self.size not in self.sizes:
            return {}
        require("size", self.size, self.sizes, "default")
        return self.sizes[self.size]

    def question_changes(self) -> dict[str, Any]:
        """Values that the chosen question changes, its name among them; `arms` is the list of those that it selects."""
        name = self.question or next(iter(self.questions), None)
        if name is None:
            return {}
        require("question", name, self.questions)
        chain = [name]
        while (below := self.questions[chain[-1]].of) is not None:
            require(f"questions.{chain[-1]}.of", below, self.questions)
            if below in chain:
                raise ValueError(f"questions.{name}.of: goes in a circle, {' -> '.join([*chain, below])}")
            chain.append(below)
        changes: dict[str, Any] = {}
        for link in reversed(chain):
            own = self.questions[link].model_dump(exclude_unset=True)
            changes = merged(changes, {key: value for key, value in own.items() if key not in ("asks", "of")})
        baselines = changes.pop("baselines", None)
        return changes | {"question": name} | ({"compare": {"baselines": baselines}} if baselines else {})


def require(key: str, name: str, among: Mapping[str, Any], *more: str) -> None:
    """Raise ValueError where `key` gives a name that is neither in `among` nor one of `more`."""
    if name not in among:
        known = ", ".join([*(other for other in more if other not in among), *among])
        raise ValueError(f"{key}: {name!r} is not defined; known: {known or 'none'}")


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `changes`, maps merged key by key; neither is modified."""
    both: dict[str, Any] = _copied(dict(base))
    update_config(both, changes)
    return both


def _copied(value: Any) -> Any:
    """Maps and lists anew, each place with its own: an alias in YAML names one map in two places."""
    if isinstance(value, dict):
        return {key: _copied(of_key) for key, of_key in value.items()}
    return [_copied(entry) for entry in value] if isinstance(value, list) else value


def without_removed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values without the entries of maps that are null."""
    maps = {key: value for key in _MAPS if isinstance(value := values.get(key), dict)}
    return dict(values) | {key: {n: e for n, e in entries.items() if e is not None} for key, entries in maps.items()}


def read_files(paths: Iterable[Path]) -> dict[str, Any]:
    """Values of parameter files, each merged over the one before and over what it extends itself.

    Raises UserError where a file is missing, empty, not YAML, or gives a key twice.
    """
    values: dict[str, Any] = {}
    for path in paths:
        own = _read(path.absolute(), [])
        if "study" in own:  # what the study before it was about
            values.pop("about", None)
        values = merged(values, own)
    return values


def _read(path: Path, above: Sequence[Path]) -> dict[str, Any]:
    chain = [*above, path]
    if path in above:
        raise UserError(f"{above[0]}: extends: goes in a circle, {' -> '.join(p.name for p in chain)}")
    try:
        values = read_yaml(path)
    except OSError as error:
        key = f"{above[-1]}: extends: " if above else ""
        raise UserError(f"{key}no file {path} ({error.strerror}); give the path of an existing one") from error
    if not isinstance(values, dict):
        raise UserError(f"{path}: has no keys at the top level; write `key: value` lines")
    below = values.pop("extends", None)
    if below is None:
        return values
    if not isinstance(below, str):
        raise UserError(f"{path}: extends: give the name of a study, or the path of a file (given: {brief(below)})")
    named = STUDIES / f"{below}.yaml" if below.isidentifier() else (path.parent / below).resolve()
    return merged(_inherited(_read(named, chain)), values)


def _inherited(values: dict[str, Any]) -> dict[str, Any]:
    """Values of a study as another study inherits them."""
    sizes = values.get("sizes")
    if isinstance(sizes, dict):
        values = values | {"sizes": {k: _inherited(v) if isinstance(v, dict) else v for k, v in sizes.items()}}
    return {key: value for key, value in values.items() if key not in _OWN}


def choices(values: Mapping[str, Any], file: str) -> Choices:
    """Sizes and questions among merged values; UserError that names the problems with them."""
    kept = {key: value for key, value in without_removed(values).items() if key in Choices.model_fields}
    try:
        return Choices.model_validate(kept)
    except ValidationError as error:
        raise refusal(error, file, kept) from error


def resolved(files: Mapping[str, Any], config: Mapping[str, Any], file: str) -> dict[str, Any]:
    """Values of one question at one size, steps 3 to 5 of this module's list, and its arms.

    files: values of all parameter files, merged; config: those of the command line; file: what messages call the files.
    Raises UserError where a size, question or arm is not defined.
    """
    try:
        sized = merged(files, choices(merged(files, config), file).size_changes())
        asked = choices(merged(sized, config), file).question_changes()
        selected, given = asked.pop("arms", None), "compare" in asked
        values = without_removed(merged(merged(sized, asked), config))
        arms = values.get("arms")
        if selected and isinstance(arms, dict):
            for name in selected:
                require(f"questions.{asked['question']}.arms", name, arms)
            values["arms"] = {name: arms[name] for name in selected}
            compare = values.get("compare")
            if not given and isinstance(compare, dict) and isinstance(baselines := compare.get("baselines"), list):
                among = [name for name in baselines if name in selected]
                values["compare"] = compare | {"baselines": among or baselines}
    except ValueError as error:
        raise UserError(f"{file}: {error}") from error
    return _crossed(values)


def _crossed(values: dict[str, Any]) -> dict[str, Any]:
    """Values whose arms are every arm with every variation, where there are variations."""
    arms, variations = values.get("arms"), values.get("variations")
    if not isinstance(arms, dict) or not isinstance(variations, dict):
        return values
    crossed = {
        f"{name}-{variation}": merged(arm, change)
        for variation, change in variations.items()
        for name, arm in arms.items()
        if isinstance(arm, dict) and isinstance(change, dict)
    }
    return values | {"arms": crossed} if crossed else values
