"""A trained network as a self-contained ONNX file: from pixels to rotations, with its kind of crop as metadata."""

import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pipeline_steps.images.normalisation import to_unit_range
from pipeline_steps.job.files import atomic_write

OPSET = 18
INPUT, OUTPUT = "images", "rotation"


class PixelsToRotation(nn.Module):
    """uint8 (N, S, S, 3), RGB, to rotations float32 (N, 3, 3) in the project's convention."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Rotations of crops."""
        rotation: Tensor = self.network(to_unit_range(images.permute(0, 3, 1, 2)))
        return rotation


def exported(network: nn.Module, size: int) -> torch.export.ExportedProgram:
    """The network from pixels to rotations, for any number of images; size: pixels of a crop's side."""
    example = torch.zeros(2, size, size, 3, dtype=torch.uint8)
    number = torch.export.Dim("number", min=1)
    return torch.export.export(PixelsToRotation(network).eval(), (example,), dynamic_shapes=({0: number},))


@contextmanager
def _quiet(*loggers: str) -> Iterator[None]:
    """Silences everything below errors of these loggers within the block."""
    levels = {name: logging.getLogger(name).level for name in loggers}
    try:
        for name in loggers:
            logging.getLogger(name).setLevel(logging.ERROR)
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def write_onnx(program: torch.export.ExportedProgram, path: Path, metadata: Mapping[str, str]) -> None:
    """Write the program as ONNX, opset OPSET, one file, with the metadata inside."""
    import onnx

    with _quiet("torch.onnx", "onnxscript", "onnx_ir"), warnings.catch_warnings():  # they report every pass
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
    with atomic_write(path) as temporary:
        temporary.write_bytes(model.SerializeToString())


def add_metadata(path: Path, metadata: Mapping[str, str]) -> None:
    """Add to the metadata of an ONNX file."""
    import onnx

    model = onnx.load(path)
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value)
    with atomic_write(path) as temporary:
        temporary.write_bytes(model.SerializeToString())


def write_int8(path: Path, output: Path, calibration: np.ndarray, metadata: Mapping[str, str]) -> None:
    """Write an ONNX model with convolutions in 8-bit integers, with their ranges from crops uint8 (N, S, S, 3)."""
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Crops(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.batches: Iterator[np.ndarray] = iter(np.array_split(calibration, -(-len(calibration) // 32)))

        def get_next(self) -> dict[str, np.ndarray] | None:
            batch = next(self.batches, None)
            return None if batch is None else {INPUT: batch}

    prepared_file = output.with_suffix(".prepared.onnx")
    # the quantiser gives advice through the root logger
    with _quiet("root"), atomic_write(prepared_file) as prepared, atomic_write(output) as temporary:
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
    prepared_file.unlink()


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
