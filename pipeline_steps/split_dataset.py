"""Divide a data set by subject: who trains, who validates, who is tested on.

python -m pipeline_steps.split_dataset --recipe RECIPE --crops CROPS.h5 [--protocol PROTOCOL.yaml] --output DIR
"""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from typer import Option

from pipeline_steps.images.crop_file import CropFile
from pipeline_steps.job.command_line import main
from pipeline_steps.job.errors import UserError
from pipeline_steps.job.files import write_json
from pipeline_steps.job.progress import logger
from pipeline_steps.job.recipe import Inputs, read_recipe, seal
from pipeline_steps.params.sections import SplitRule
from pipeline_steps.params.steps import SplitParams
from pipeline_steps.splits.protocols import Protocol, listed_images, read_protocol


def kept_by(crops: CropFile, max_angle: float | None, listed: list[str] | None) -> np.ndarray:
    """Whether (N,) each image counts: none of its angles beyond `max_angle` degrees, and its name among the listed."""
    kept = np.ones(len(crops), bool)
    if max_angle is not None:
        kept &= ~(np.abs(crops.euler_deg) > max_angle).any(1)  # an unknown angle excludes nothing
    if listed is not None:
        kept &= np.isin(crops.source_ids, listed)
    return kept


def draw_subjects(subjects: list[str], rule: SplitRule, tested: list[str] | None) -> dict[str, list[str]]:
    """Subjects by part: train, validation, test; each in one seeded order, the first of which get labels first.

    tested: the protocol's test subjects, where it names them.
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
    of_test = set(test)
    rest = [s for s in order if s not in of_test]
    validation, train = rest[: rule.validation_subjects], rest[rule.validation_subjects :]
    if rule.test_subjects != "all":
        wanting = isinstance(rule.test_subjects, int) and len(test) < rule.test_subjects
        if wanting or not train or len(validation) < rule.validation_subjects:
            raise UserError(
                f"split: {len(everyone)} subjects do not suffice for {rule.test_subjects or len(test)} to test, "
                f"{rule.validation_subjects} to validate and 1 to train on; lower test_subjects or validation_subjects"
            )
    return {"train": train, "validation": validation, "test": test}


def divide(images: pd.DataFrame, rule: SplitRule, tested: list[str] | None) -> dict[str, Any]:
    """Source ids by part, and the subjects behind them in the order in which they were drawn.

    images: source_id and subject.
    """
    parts = draw_subjects(list(images["subject"]), rule, tested)
    of_subject = {str(s): group for s, group in images.groupby("subject")}
    chosen = {part: [i for s in sorted(who) for i in of_subject[s]["source_id"]] for part, who in parts.items()}
    return {**chosen, "subjects": parts}


def tell(path: Path, protocol: Protocol, kept: "pd.Series[bool]") -> None:
    """Say how many images the protocol keeps, and whether that is what it keeps of the whole, official data set."""
    logger.info("%s: keeps %d of %d images", protocol.title, kept.sum(), len(kept))
    if protocol.expected_images not in (None, kept.sum()):
        message = "%s keeps %d images here and %d of the official data set: this is not the whole set, or not the same"
        logger.warning(message, path, kept.sum(), protocol.expected_images)
    if not protocol.verified:
        logger.warning("%s could not be verified against its source: %s", path, protocol.notes or protocol.source)


def split_dataset(
    recipe: Annotated[Path, Option(help="parameters of this job")],
    crops: Annotated[Path, Option(help="crops.h5 of the data set")],
    output: Annotated[Path, Option(help="folder for split.json")],
    protocol: Annotated[Path | None, Option(help="which images count and who is tested on")] = None,
) -> None:
    """Write split.json."""
    made, inputs = read_recipe(recipe), Inputs(crops)
    rule = made.params_as(SplitParams).split
    with CropFile(crops) as file:
        images = pd.DataFrame({"source_id": file.source_ids, "subject": file.subjects, "kept": True})
        tested = None
        if protocol is not None:
            rules = read_protocol(protocol)
            tested = rules.test
            images["kept"] = kept_by(file, rules.max_angle, listed_images(rules, protocol))
            tell(protocol, rules, images["kept"])
    kept = images[images["kept"]]
    if kept.empty:
        raise UserError(
            f"{protocol}: leaves out all {len(images)} images of {crops}; check that it is for this data set"
        )
    write_json(output / "split.json", {**divide(kept, rule, tested), "left_out": len(images) - len(kept)})
    seal(made, output / "recipe.json", inputs)


if __name__ == "__main__":
    main(split_dataset)
