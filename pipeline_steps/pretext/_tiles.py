"""Images as a grid of square tiles, and back."""

import torch.nn.functional as F
from torch import Tensor


def to_tiles(images: Tensor, grid: int) -> Tensor:
    """Tiles (B, grid*grid, C, T, T) of images (B, C, S, S), in reading order, with T = S // grid.

    Where S is not a multiple of the grid, they are cut from the largest central square whose side is.
    """
    b, c, size, _ = images.shape
    side = size // grid
    edge = (size - side * grid) // 2
    centre = images[..., edge : edge + side * grid, edge : edge + side * grid]
    tiles = centre.reshape(b, c, grid, side, grid, side)
    return tiles.permute(0, 2, 4, 1, 3, 5).reshape(b, grid * grid, c, side, side)


def from_tiles(tiles: Tensor, size: int) -> Tensor:
    """Images (B, C, S, S) of `size` S, reassembled from tiles (B, grid*grid, C, T, T) in reading order.

    Edges that the tiles do not cover are grey: original pixels there would be a shortcut to the neighbouring tiles.
    """
    b, slots, c, side, _ = tiles.shape
    grid = round(slots**0.5)
    images = tiles.reshape(b, grid, grid, c, side, side).permute(0, 3, 1, 4, 2, 5).reshape(b, c, grid * side, -1)
    free = size - grid * side
    before = free // 2
    return F.pad(images, (before, free - before, before, free - before), value=0.5)
