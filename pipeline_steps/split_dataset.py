"""Divide a data set by subject: who trains, who of them is labelled, who validates, who is tested on.

python -m pipeline_steps.split_dataset --recipe RECIPE --crops CROPS.h5 --output DIR
"""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import yaml
from typer import Option

from pipeline_steps.crops import CropFile
from pipeline_steps.errors import UserError
from pipeline_steps.files import write_json
from pipeline_steps.params import SplitParams, SplitRule
from pipeline_steps.recipe import read_recipe, seal
from pipeline_steps.step import main


def divide(source_ids: list[str], subjects: list[str], rule: SplitRule, tested: list[str] | None) -> dict[str, Any]:
    """Source ids by part, and the subjects behind them.

    tested: the protocol's test subjects, where the rule names one. The labelled subjects are the first of one seeded
    order, and the labelled images of each are spread evenly over its sequence, so that a larger budget only adds.
    """
    everyone = sorted(set(subjects))
    order = [everyone[i] for i in np.random.default_rng(rule.seed).permutation(len(everyone))]
    if tested is not None:
        unknown = sorted(set(tested) - set(everyone))
        if unknown:
            raise UserError(f"split.protocol: no subject {unknown[0]!r}; there are {', '.join(everyone[:5])}, ...")
        test = list(tested)
    else:
        test = order if rule.test_subjects == "all" else order[: rule.test_subjects]
    rest = [s for s in order if s not in set(test)]
    validation, train = rest[: rule.validation_subjects], rest[rule.validation_subjects :]
    wanted = len(train) if rule.labelled_subjects == "all" else rule.labelled_subjects
    if rule.test_subjects != "all" and (not train or wanted > len(train) or len(test) < 1):
        raise UserError(
            f"split: {len(everyone)} subjects do not suffice for {len(test)} to test, {rule.validation_subjects} to "
            f"validate and {wanted} labelled; lower test_subjects, validation_subjects or labelled_subjects"
        )
    labelled = train[:wanted]
    images: dict[str, list[str]] = {}
    for source_id, subject in zip(source_ids, subjects, strict=True):
        images.setdefault(subject, []).append(source_id)

    def thinned(ids: list[str]) -> list[str]:
        count = max(1, round(rule.labelled_fraction * len(ids)))
        return [ids[i] for i in np.linspace(0, len(ids) - 1, count).round().astype(int)]

    parts = {"train": train, "labelled": labelled, "validation": validation, "test": test}
    chosen = {part: [i for s in sorted(who) for i in images[s]] for part, who in parts.items()}
    chosen["labelled"] = [i for s in sorted(labelled) for i in thinned(images[s])]
    return {**chosen, "subjects": {part: sorted(who) for part, who in parts.items()}}


def split_dataset(
    recipe: Annotated[Path, Option(help="parameters of this job")],
    crops: Annotated[Path, Option(help="crops.h5 of the data set")],
    output: Annotated[Path, Option(help="folder for split.json")],
    protocol: Annotated[Path | None, Option(help="YAML file whose `test` lists the test subjects")] = None,
) -> None:
    """Write split.json."""
    made = read_recipe(recipe)
    rule = made.params_as(SplitParams).split
    tested = None if protocol is None else [str(s) for s in yaml.safe_load(protocol.read_text())["test"]]
    with CropFile(crops) as file:
        parts = divide(file.source_ids, file.subjects, rule, tested)
    write_json(output / "split.json", parts)
    seal(made, output / "recipe.json")


if __name__ == "__main__":
    main(split_dataset)
