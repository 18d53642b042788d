"""A trained network as an ONNX file that carries all it takes to use it: pixels in, rotations out, its crop beside."""

import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pipeline_steps.job.files import whole_file

OPSET = 18
INPUT, OUTPUT = "images", "rotation"


class PixelsToRotation(nn.Module):
    """uint8 (N, S, S, 3), RGB as pictures are decoded, to rotations float32 (N, 3, 3) in the project's convention."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Rotations of crops."""
        rotation: Tensor = self.network(images.permute(0, 3, 1, 2).float() / 255)
        return rotation


def exported(network: nn.Module, size: int) -> torch.export.ExportedProgram:
    """The network from pixels to rotations, for any number of images; size: pixels of a crop's side."""
    example = torch.zeros(2, size, size, 3, dtype=torch.uint8)
    number = torch.export.Dim("number", min=1)
    return torch.export.export(PixelsToRotation(network).eval(), (example,), dynamic_shapes=({0: number},))


def write_onnx(program: torch.export.ExportedProgram, path: Path, metadata: Mapping[str, str]) -> None:
    """Write the program as ONNX, opset OPSET, one file, with the metadata inside."""
    import onnx

    for name in ("torch.onnx", "onnxscript", "onnx_ir"):  # they tell of every pass
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = torch.onnx.export(
            program, dynamo=True, opset_version=OPSET, input_names=[INPUT], output_names=[OUTPUT], verbose=False
        )
    if made is None:
        raise RuntimeError("torch.onnx.export returned nothing")
    model = made.model_proto
    model.doc_string = ""
    onnx.helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model, full_check=True)
    with whole_file(path) as temporary:
        temporary.write_bytes(model.SerializeToString())


def write_int8(path: Path, output: Path, calibration: np.ndarray, metadata: Mapping[str, str]) -> None:
    """Write an ONNX model with convolutions in 8-bit integers, their ranges taken from crops uint8 (N, S, S, 3)."""
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Crops(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.batches: Iterator[np.ndarray] = iter(np.array_split(calibration, -(-len(calibration) // 32)))

        def get_next(self) -> dict[str, np.ndarray] | None:
            batch = next(self.batches, None)
            return None if batch is None else {INPUT: batch}

    logging.getLogger().setLevel(logging.ERROR)  # the quantiser advises through the root logger
    with whole_file(output.with_suffix(".prepared.onnx")) as prepared, whole_file(output) as temporary:
        quant_pre_process(path, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            temporary,
            Crops(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "Relu", "Add", "MaxPool"],
            per_channel=True,
            weight_type=QuantType.QInt8,
            activation_type=QuantType.QUInt8,
        )
        model = onnx.load(temporary)
        onnx.helper.set_model_props(model, dict(metadata))
        temporary.write_bytes(model.SerializeToString())
    output.with_suffix(".prepared.onnx").unlink()


class OnnxModel:
    """An exported model on the CPU; about: its metadata. threads: 0 for as many as there are cores."""

    def __init__(self, path: Path, threads: int = 0) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        known: dict[str, str] = self.session.get_modelmeta().custom_metadata_map
        self.about = known
        self.size = int(known["image_size"])
        self.crop: dict[str, Any] = json.loads(known["crop"])

    def __call__(self, images: np.ndarray, batch_size: int = 64) -> np.ndarray:
        """Rotations float64 (N, 3, 3) in the project's convention for crops uint8 (N, S, S, 3)."""
        starts = range(0, len(images), batch_size)
        parts = [self.session.run([OUTPUT], {INPUT: images[start : start + batch_size]})[0] for start in starts]
        return np.concatenate(parts).astype(float) if parts else np.empty((0, 3, 3))
