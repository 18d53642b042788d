"""An exported model as MLflow serves it: every record of a request gets an answer of its own."""

import base64
import io
import json
import warnings
from collections.abc import Iterator

import mlflow.pyfunc
import numpy as np
import pytest
from mlflow.pyfunc import PyFuncModel, scoring_server
from PIL import Image

from pipeline_steps.job.recipe import Recipe
from pipeline_steps.tracking.models import register_model
from pipeline_steps.tracking.store import experiment_of, open_client
from tests.prediction.made_up import write_model, yaw_of


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PyFuncModel]:
    """A model whose answer can be worked out by hand, registered as an export is, and loaded as MLflow serves it."""
    folder = tmp_path_factory.mktemp("served")
    write_model(folder / "model.onnx")
    (folder / "export.json").write_text(json.dumps({"validation_geodesic_error": 9.0}))
    (folder / "README.md").write_text("The card")
    recipe = Recipe(step="export_model", job={"study": "made", "arm": "a", "seed": 0}, params={})
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        patch.chdir(folder)
        client = open_client()
        run = client.create_run(experiment_of(client, recipe))
        warnings.filterwarnings("error", ".*An input example was not provided")
        register_model(client, run.info.run_id, recipe, folder)
        yield mlflow.pyfunc.load_model("models:/headpose-made@best")


def predictions(served: PyFuncModel, contents: list[bytes]) -> list[list[dict]]:
    """What MLflow's server answers to a request of image files, taken whole."""
    records = [{"image": base64.b64encode(content).decode()} for content in contents]
    request = json.dumps({"dataframe_records": records, "params": {"whole_image": True}})
    answer = scoring_server.invocations(request, "application/json", served, served.metadata.get_input_schema())
    assert answer.status == 200, answer.response
    return json.loads(answer.response)["predictions"]


def grey(level: int) -> bytes:
    """A PNG of one grey level."""
    file = io.BytesIO()
    Image.fromarray(np.full((32, 32, 3), level, np.uint8)).save(file, "png")
    return file.getvalue()


def test_an_image_that_cannot_be_read_spoils_no_other_records_answer(served: PyFuncModel):
    contents = [grey(60), b"not an image", b"", grey(200)[:60], grey(200)]
    first, *broken, last = predictions(served, contents)
    for (head,), level in ((first, 60), (last, 200)):
        assert head["yaw"] == pytest.approx(yaw_of(level), abs=0.01)
    for (said,) in broken:
        assert list(said) == ["error"]
        assert said["error"].startswith("not an image that can be read: ")
        assert "\n" not in said["error"]


def test_an_image_of_which_no_crop_can_be_cut_is_answered_too(served: PyFuncModel):
    strip = io.BytesIO()
    Image.new("RGB", (30_000, 1)).save(strip, "png")
    (said,), (head,) = predictions(served, [strip.getvalue(), grey(60)])
    assert said == {"error": "a crop of 30,000 pixels is too large"}
    assert head["yaw"] == pytest.approx(yaw_of(60), abs=0.01)
