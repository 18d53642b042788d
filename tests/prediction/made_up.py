"""A model whose answer can be worked out by hand, and films and pictures for it."""

import json
import struct
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from pipeline_steps.prediction.onnx_model import exported, write_onnx


class Brightness(nn.Module):
    """Turns heads about the vertical axis by the image's mean level: yaw is -1 radian for white, and 0 for black."""

    def forward(self, images: Tensor) -> Tensor:
        level = images.mean((1, 2, 3))
        cos, sin, zero, one = level.cos(), level.sin(), torch.zeros_like(level), torch.ones_like(level)
        return torch.stack([cos, zero, sin, zero, one, zero, -sin, zero, cos], 1).reshape(-1, 3, 3)


def write_model(path: Path) -> Path:
    """Write `Brightness` as an exported model for crops of 32 pixels, cut as wide as faces are found."""
    about = {"image_size": "32", "crop": json.dumps({"border": "reflect"}), "backbone": "none", "trained_on": "nothing"}
    write_onnx(exported(Brightness(), 32), path, about | {"face_place": json.dumps(np.zeros((10, 3)).tolist())})
    return path


def yaw_of(level: float) -> float:
    """What `Brightness` says of an image of one level, 0 to 255: yaw in degrees."""
    return -float(np.degrees(level / 255))


def element(name: str, *content: bytes) -> bytes:
    """An EBML element: its identifier in hexadecimal, eight bytes of length, its content."""
    joined = b"".join(content)
    return bytes.fromhex(name) + (len(joined) | 1 << 56).to_bytes(8, "big") + joined


def write_matroska(path: Path, milliseconds: list[int], levels: list[int]) -> None:
    """A Matroska film of JPEG frames 64 pixels wide, each of one grey level and at a time of its own."""
    head = element("1a45dfa3", element("4282", b"matroska"), element("4287", b"\4"), element("4285", b"\2"))
    side = (64).to_bytes(2, "big")
    track = [element("d7", b"\1"), element("73c5", b"\1"), element("83", b"\1"), element("86", b"V_MJPEG")]
    track.append(element("e0", element("b0", side), element("ba", side)))
    parts = [element("1549a966", element("2ad7b1", (1_000_000).to_bytes(4, "big")))]
    parts.append(element("1654ae6b", element("ae", *track)))
    for time, level in zip(milliseconds, levels, strict=True):
        jpeg = cv2.imencode(".jpg", np.full((64, 64, 3), level, np.uint8))[1].tobytes()
        block = element("a3", b"\x81" + struct.pack(">h", 0) + b"\x80" + jpeg)
        parts.append(element("1f43b675", element("e7", time.to_bytes(4, "big")), block))
    path.write_bytes(head + element("18538067", *parts))
