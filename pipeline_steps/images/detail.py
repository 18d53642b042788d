"""Limit the detail that crops show to the detail of the images that a model was trained on."""

import numpy as np
import torch
import torch.nn.functional as F


def limit_detail(images: np.ndarray, side: int | None, batch_size: int = 256) -> np.ndarray:
    """Crops uint8 (N, S, S, 3) shrunk to `side` pixels and enlarged to S again.

    Both by antialiased bicubic interpolation, as crops are resized (`images.image_files`), so that every head shows as
    much detail as one that was `side` pixels wide in its image. side: None, or S or more, changes nothing.
    """
    size = images.shape[1]
    if side is None or side >= size:
        return images
    limited = np.empty_like(images)
    for start in range(0, len(images), batch_size):
        batch = torch.from_numpy(images[start : start + batch_size]).permute(0, 3, 1, 2)
        for pixels in (side, size):
            batch = F.interpolate(batch, (pixels, pixels), mode="bicubic", antialias=True)
        limited[start : start + batch_size] = batch.permute(0, 2, 3, 1).numpy()
    return limited
