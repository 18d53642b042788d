"""An exported model as MLflow serves it: images in, head poses out. MLflow runs this file to load the model."""

import io
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from pipeline_steps.prediction.head_pose import OPTIONS, HeadPose
from pipeline_steps.prediction.pictures import open_picture


class ServedHeadPose(PythonModel):
    """From the bytes of image files, in the column `image`, to the poses of their heads."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the model that the run stored."""
        self.head_pose = HeadPose.load(context.artifacts["model"])

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> list[list[dict[str, Any]]]:
        """For every image a list of heads: box, yaw, pitch, roll (degrees), matrix, confidence.

        params: OPTIONS of `HeadPose`.
        """
        options = {name: bool((params or {}).get(name, False)) for name in OPTIONS}
        images = (open_picture(io.BytesIO(content)).image for content in model_input["image"])
        return [[pose.record() for pose in self.head_pose(image, **options)] for image in images]


set_model(ServedHeadPose())
