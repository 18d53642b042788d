"""The window of a crop that a network sees wherever nothing is drawn at random: in tests, validation and prediction.

Training cuts random windows (`images.augmentation.RandomWindow`). Where these are smaller than the crop on average, a
head in the whole crop is smaller than those that the network learned from, and errors rise.
"""

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F

from pipeline_steps.images.detail import limit_detail
from pipeline_steps.job.errors import UserError

if TYPE_CHECKING:  # where a model is served, there is no HDF5
    from pipeline_steps.images.crop_file import CropFile


def middle_window(scale: tuple[float, float]) -> float:
    """The middle of the windows that training cuts, as a share of the crop's side; scale: `Augmentation.scale`."""
    return round(sum(scale) / 2, 6)


def side_needed(size: int, window: float) -> int:
    """Side in pixels of what a window is cut from: the crop of `size` and, above 1, the context that it reaches."""
    return size + 2 * max(0, math.ceil(round(size * (window - 1) / 2, 6)))


def as_seen(
    crops: np.ndarray, size: int, window: float, detail: int | None = None, batch_size: int = 256
) -> np.ndarray:
    """The central windows of crops, as a network sees them: uint8 (N, S, S, 3), S being `size`.

    crops: uint8 (N, T, T, 3), the crop of S pixels a side in the centre, context around it. window: its side as a share
    of the crop's; 1 is the crop to the bit, others are sampled bilinearly, as `RandomWindow` does. detail: of the crop,
    as in `limit_detail`. Raises ValueError where T is less than `side_needed`.
    """
    side = side_needed(size, window)
    if crops.shape[1] < side:
        raise ValueError(f"crops of {crops.shape[1]} pixels, but a window of {window:g} is cut from {side}")
    edge = (crops.shape[1] - side) // 2
    around = np.ascontiguousarray(crops[:, edge : edge + side, edge : edge + side])
    around = limit_detail(around, detail and round(detail * side / size), batch_size)
    if window == 1:
        return around
    seen = np.empty((len(crops), size, size, 3), np.uint8)
    for start in range(0, len(crops), batch_size):
        seen[start : start + batch_size] = _resampled(around[start : start + batch_size], size, window * size / side)
    return seen


def _resampled(images: np.ndarray, size: int, share: float) -> np.ndarray:
    """Central windows uint8 (N, size, size, 3) of images uint8 (N, T, T, 3); share: their side as a share of T."""
    batch = torch.from_numpy(images).permute(0, 3, 1, 2).float()
    theta = (share * torch.eye(2, 3)).expand(len(batch), 2, 3)
    grid = F.affine_grid(theta, [len(batch), 3, size, size], align_corners=False)
    windows = F.grid_sample(batch, grid, align_corners=False)
    return windows.round().to(torch.uint8).permute(0, 2, 3, 1).numpy()


def require_context(file: "CropFile", window: float) -> None:
    """Raise UserError where a window reaches beyond what is stored around the crops of a file."""
    if side_needed(file.size, window) > file.stored:
        raise UserError(
            f"{file.path}: a window of {window:g} times the crop reaches beyond what is stored, "
            f"{file.stored / file.size:g} times; raise crops.context, or lower evaluate.window"
        )


def read_as_seen(file: "CropFile", rows: np.ndarray, window: float, detail: int | None = None) -> np.ndarray:
    """`as_seen` of the given rows of a crop file, in their order; UserError where the stored context is too small."""
    require_context(file, window)
    return as_seen(file.read_with_context(rows), file.size, window, detail)
