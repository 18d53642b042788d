"""Curves against images through the backbone: an arm pays for its pre-training and for every view."""

import pandas as pd

from pipeline_steps.evaluation.curves import histories
from pipeline_steps.evaluation.reading import Trained
from pipeline_steps.figures.lines import training_curves
from pipeline_steps.job.recipe import JobInput, Recipe


def trained(name: str, init: str, passes: list[int], **inputs: JobInput) -> Trained:
    key = "pretext" if init == "pretext" else "arm"
    recipe = Recipe(step="finetune", job={key: name}, params={"init": init}, inputs=inputs)
    errors = [20.0 / (n + 1) for n in range(len(passes))]
    history = pd.DataFrame({"epoch": range(1, len(passes) + 1), "val_geodesic_deg": errors, "backbone_passes": passes})
    return Trained({key: name, "seed": 0, "backbone_passes": sum(passes)}, history, recipe)


def test_curves_begin_after_the_images_of_the_pretraining():
    rotation = trained("rotation", "pretext", [500, 500])
    encoder = JobInput(fingerprint=rotation.recipe.fingerprint)
    arms = [
        trained("baseline", "random", [64, 64]),
        trained("hybrid", "random", [128, 128]),
        trained("pretrained", "encoder", [64, 64], encoder=encoder),
        trained("given", "imagenet", [64, 64]),
    ]
    table = histories(arms, [rotation])
    assert table.groupby("arm", sort=False)["images"].apply(list).to_dict() == {
        "baseline": [64, 128],
        "hybrid": [128, 256],
        "pretrained": [1064, 1128],
        "given": [64, 128],
    }
    (axes,) = training_curves(table, ["baseline", "pretrained"]).axes
    assert [list(line.get_xdata()) for line in axes.lines] == [[64, 128], [1064, 1128]]
    assert list(axes.lines[0].get_ydata()) == [20, 10]
