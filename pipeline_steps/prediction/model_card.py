"""The card of an exported model."""

import json
from pathlib import Path
from typing import Any

import jinja2

from pipeline_steps.evaluation.reading import read_metrics
from pipeline_steps.params.steps import ExportParams
from pipeline_steps.prediction.onnx_model import OPSET
from pipeline_steps.prediction.tested import ErrorsOn, not_on_photographs


def model_card(
    job: dict[str, str | int],
    about: dict[str, str],
    data: dict[str, Any],
    params: ExportParams,
    measured: dict[str, float],
    evaluations: list[Path],
    tests: list[ErrorsOn],
) -> str:
    """The model's README: its training data, its errors, its limits.

    about: metadata of its weights. data: card.json of the training data. params: of the export. measured: by
    `prediction.export`. evaluations: folders of its evaluations. tests: what came out of each.
    """
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = Path(__file__).with_name("model_card.md.j2").read_text(encoding="utf-8")
    return environment.from_string(template).render(
        job=job,
        about=about,
        crop=json.loads(about["crop"]),
        data=data,
        detail=params.detail,
        window=params.window,
        measured=measured,
        tests=list(zip(tests, (read_metrics(folder)[0]["by_yaw"] for folder in evaluations), strict=True)),
        not_on_photographs=not_on_photographs(tests),
        record=data["record"] or {},
        opset=OPSET,
    )
