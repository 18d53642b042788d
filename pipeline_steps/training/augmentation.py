"""Augmentation of a whole batch at once, on the device that trains, with parameters drawn per image."""

import kornia.augmentation as K
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline_steps.params import Augmentation
from pipeline_steps.pose.geometry import mirror_rotation


class RandomWindow(nn.Module):
    """Cuts a square window out of every stored image (T pixels a side) and resizes it to the crop's size S, bilinear.

    scale: range of the window's side, and shift: largest move of its centre along x and y, both as shares of S. The
    move is cut short where the window would leave the stored image. Without either the crop itself is cut out, exactly.
    """

    def __init__(self, size: int, scale: tuple[float, float], shift: float) -> None:
        super().__init__()
        self.size, self.scale, self.shift = size, scale, shift

    def forward(self, images: Tensor) -> Tensor:
        """Windows (B, C, S, S) of images (B, C, T, T)."""
        stored, size = images.shape[-1], self.size
        if self.scale == (1.0, 1.0) and not self.shift:
            edge = (stored - size) // 2
            return images[..., edge : edge + size, edge : edge + size]
        low, high = self.scale
        side = (low + (high - low) * torch.rand(len(images))) * size / stored  # as a share of the stored image
        reach = (2 * self.shift * size / stored * torch.ones_like(side)).minimum(1 - side)
        centre = (2 * torch.rand(len(images), 2) - 1) * reach[:, None]  # from -1 to 1 across the stored image
        theta = torch.zeros(len(images), 2, 3)
        theta[:, 0, 0] = theta[:, 1, 1] = side
        theta[:, :, 2] = centre
        grid = F.affine_grid(theta.to(images), [len(images), images.shape[1], size, size], align_corners=False)
        return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


class BatchAugmentation(nn.Module):
    """Mirror (with its label), window, colour, blur, noise. Randomness comes from torch's global generator.

    Every operation but the mirror leaves the pose as it is: the window is cut square and without a turn.
    """

    def __init__(self, params: Augmentation, size: int) -> None:
        super().__init__()
        self.flip = params.flip
        p = params
        self.window = RandomWindow(size, p.scale, p.shift)
        steps: list[nn.Module] = []
        if any((p.brightness, p.contrast, p.saturation, p.hue)):
            steps.append(K.ColorJiggle(p.brightness, p.contrast, p.saturation, p.hue, p=1.0))
        if p.grayscale:
            steps.append(K.RandomGrayscale(p=p.grayscale))
        if p.blur:
            steps.append(K.RandomGaussianBlur((3, 3), (0.3, 1.5), p=p.blur))
        if p.noise:
            steps.append(K.RandomGaussianNoise(std=p.noise, p=1.0))
        if p.erase:
            steps.append(K.RandomErasing(scale=(0.02, 0.2), ratio=(0.5, 2.0), p=p.erase))
        self.steps = nn.Sequential(*steps)

    @torch.no_grad()
    def forward(self, images: Tensor, rotation: Tensor, euler_deg: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Images (B, 3, S, S) in 0..1, made of stored ones (B, 3, T, T); labels (B, 3, 3) and (B, 3) in degrees."""
        mirrored = torch.rand(len(images)).lt(self.flip).to(images.device)
        images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
        rotation = torch.where(mirrored[:, None, None], mirror_rotation(rotation), rotation)
        sign = torch.tensor([-1.0, 1.0, -1.0], device=euler_deg.device)  # yaw and roll change, pitch stays
        euler_deg = torch.where(mirrored[:, None], euler_deg * sign, euler_deg)
        return self.steps(self.window(images)).clamp(0, 1), rotation, euler_deg
