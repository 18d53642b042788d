"""A model for all tests of prediction."""

from pathlib import Path

import pytest

from tests.prediction.made_up import write_model


@pytest.fixture(scope="session")
def bright_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported model whose answer can be worked out by hand: `made_up.yaw_of`."""
    return write_model(tmp_path_factory.mktemp("model") / "model.onnx")
