"""Angles of face crops on the CPU: by ONNX, as `predict` computes them, against torch; in 8 bits against 32."""

import json
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.measure import CORES, Row, rates
from pipeline_steps.network.hybrid import HybridNetwork
from pipeline_steps.prediction.onnx_model import OnnxModel, PixelsToRotation, exported, write_int8, write_onnx


def _count(model: Callable[[Any], Any], images: Any) -> int:
    return len(model(images))


def _rows(backbone: str, size: int, network: nn.Module) -> list[Row]:
    crops = np.random.default_rng(0).integers(0, 256, (64, size, size, 3), np.uint8)
    about = {"image_size": str(size), "crop": json.dumps({})}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_onnx(exported(network, size), folder / "float.onnx", about)
        write_int8(folder / "float.onnx", folder / "int8.onnx", crops, about)
        floats, integers = (OnnxModel(folder / f"{kind}.onnx", CORES) for kind in ("float", "int8"))
    direct = PixelsToRotation(network).eval()
    rows = []
    for number in (1, 64):
        images = crops[:number]
        tensor = torch.from_numpy(images)
        with torch.inference_mode():
            ours, theirs, small = rates(
                partial(_count, floats, images), partial(_count, direct, tensor), partial(_count, integers, images)
            )
        what = f"angles of crops of {size} px, {backbone}, {number} at a time, by ONNX"
        rows.append(Row(what, ours, "torch", theirs, "crops/s", ">= 1"))
        rows.append(Row(f"{what} in 8 bits", small, "in 32 bits", ours, "crops/s"))
    return rows


def measure() -> list[Row]:
    """The default study's network, and the paper's."""
    torch.manual_seed(0)
    return [
        row
        for backbone, size in (("resnet18", 64), ("resnet50", 224))
        for row in _rows(backbone, size, HybridNetwork(backbone, "rotation_6d", {}))
    ]
