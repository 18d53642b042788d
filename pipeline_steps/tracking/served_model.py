"""An exported model as MLflow serves it: images in, head poses out. MLflow runs this file to load the model."""

import io
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from pipeline_steps.images.image_files import UNREADABLE
from pipeline_steps.job.errors import UserError, brief
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

        For an image that cannot be read, or in which no head can be cropped, the list holds one entry: `error`, with
        the reason. params: OPTIONS of `HeadPose`.
        """
        options = {name: bool((params or {}).get(name, False)) for name in OPTIONS}
        return [self._answer(content, options) for content in model_input["image"]]

    def _answer(self, content: bytes, options: dict[str, bool]) -> list[dict[str, Any]]:
        """Heads of one image, or why there are none."""
        try:
            image = open_picture(io.BytesIO(content)).image
        except UNREADABLE as error:
            return [{"error": f"not an image that can be read: {brief(error)}"}]
        try:
            return [pose.record() for pose in self.head_pose(image, **options)]
        except (UserError, ValueError) as error:
            return [{"error": brief(error)}]


set_model(ServedHeadPose())
