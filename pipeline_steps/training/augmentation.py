"""Augmentation of a whole batch at once, on the device that trains, with parameters drawn per image."""

import kornia.augmentation as K
import torch
from torch import Tensor, nn

from pipeline_steps.params import Augmentation
from pipeline_steps.pose.geometry import mirror_rotation


class BatchAugmentation(nn.Module):
    """Mirror (with its label), window, colour, blur, noise. Randomness comes from torch's global generator.

    Every operation but the mirror leaves the pose as it is: the window is cut square and without a turn.
    """

    def __init__(self, params: Augmentation, size: int) -> None:
        super().__init__()
        self.flip = params.flip
        p = params
        steps: list[nn.Module] = []
        if p.scale != (1.0, 1.0):
            area = (p.scale[0] ** 2, p.scale[1] ** 2)
            steps.append(K.RandomResizedCrop((size, size), scale=area, ratio=(1.0, 1.0), cropping_mode="resample"))
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
        """Augmented images (B, 3, S, S) in 0..1 with their labels (B, 3, 3) and (B, 3) degrees."""
        mirrored = torch.rand(len(images)).lt(self.flip).to(images.device)
        images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
        rotation = torch.where(mirrored[:, None, None], mirror_rotation(rotation), rotation)
        sign = torch.tensor([-1.0, 1.0, -1.0], device=euler_deg.device)  # yaw and roll change, pitch stays
        euler_deg = torch.where(mirrored[:, None], euler_deg * sign, euler_deg)
        return self.steps(images).clamp(0, 1), rotation, euler_deg
