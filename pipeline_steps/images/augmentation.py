"""Augmentation of a batch at once, on the device of the training, with parameters drawn for every image."""

from functools import cache
from typing import Annotated, NamedTuple

import torch
import torch.nn.functional as F
from pydantic import AfterValidator, BeforeValidator, Field
from torch import Tensor, nn

from pipeline_steps.job.strict import Strict
from pipeline_steps.pose.geometry import matrix_to_euler, mirror_rotation, roll_rotation


def _ascending(limits: tuple[float, float]) -> tuple[float, float]:
    if not 0 < limits[0] <= limits[1]:
        raise ValueError(f"two positive numbers are needed, the first not above the second; got {list(limits)}")
    return limits


Fraction = Annotated[float, Field(ge=0, le=1)]
Limits = Annotated[
    tuple[float, float],
    BeforeValidator(lambda v: tuple(v) if isinstance(v, list) else v),
    AfterValidator(_ascending),
]


class Augmentation(Strict):
    """How images are augmented; everything is drawn anew for every image."""

    flip: Fraction = Field(default=0.5, description="probability of a mirrored image; the pose label is mirrored too")
    roll: float = Field(
        default=0.0,
        ge=0,
        le=180,
        description="rotation augmentation: largest angle within the image plane, in degrees; the pose label follows",
    )
    rolled: Fraction = Field(
        default=1.0,
        description="share of the images that `roll` rotates; the others keep their own corners, as test images do. On "
        "rendered heads, rotating half of the labelled images gave a lower error than rotating all",
    )
    scale: Limits = Field(
        default=(1.0, 1.0),
        description="range of the side of the window that is cut out, as shares of the crop's; above 1 needs context",
    )
    shift: float = Field(
        default=0.0,
        ge=0,
        le=0.5,
        description="largest shift of the window's centre, as a share of the crop's side; limited by crops.context",
    )
    brightness: Fraction = 0.0
    contrast: Fraction = 0.0
    saturation: Fraction = 0.0
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    grayscale: Fraction = Field(default=0.0, description="probability")
    blur: Fraction = Field(default=0.0, description="probability")
    noise: Fraction = Field(default=0.0, description="standard deviation of Gaussian noise on images in 0..1")
    erase: Fraction = Field(default=0.0, description="probability that a rectangle is erased")


class Motion(NamedTuple):
    """How each image was moved, which its pose label must follow: mirrored or not (B,), then rotated by roll_deg (B,).

    A positive angle, in degrees, tilts the top of the image to the right, as a positive roll does.
    """

    mirrored: Tensor
    roll_deg: Tensor

    def rotation(self, rotation: Tensor) -> Tensor:
        """Pose labels (B, 3, 3) of the moved images from those of the images before."""
        mirrored = torch.where(self.mirrored[:, None, None], mirror_rotation(rotation), rotation)
        return torch.where(
            self.roll_deg.eq(0)[:, None, None], mirrored, roll_rotation(mirrored, self.roll_deg.to(mirrored))
        )

    def labels(self, rotation: Tensor, euler_deg: Tensor) -> tuple[Tensor, Tensor]:
        """Both forms of the moved labels, (B, 3, 3) and (B, 3) in degrees; without roll, angles are not recomputed."""
        sign = torch.tensor([-1.0, 1.0, -1.0], device=euler_deg.device)  # yaw and roll change, pitch stays
        mirrored = torch.where(self.mirrored[:, None], euler_deg * sign, euler_deg)
        moved = self.rotation(rotation)
        return moved, torch.where(self.roll_deg.eq(0)[:, None], mirrored, matrix_to_euler(moved))


def _mirrored_at_circle(grid: Tensor, centre: Tensor, radius: Tensor) -> Tensor:
    """Points (B, S, S, 2); those outside the circle with centre (B, 2) and radius (B,) are mirrored to its inside.

    A point at distance d from the centre moves along its ray to 2 * radius - d, which must not be negative.
    """
    offset = grid - centre[:, None, None]
    distance, radius = offset.norm(dim=3, keepdim=True), radius[:, None, None, None]
    return torch.where(distance > radius, grid - 2 * (1 - radius / distance) * offset, grid)


class RandomWindow(nn.Module):
    """Cuts a square window out of every stored image (T pixels a side) and resizes it to the crop's size S, bilinear.

    scale: range of the window's side, and shift: largest shift of its centre along x and y, both as shares of S. Shifts
    are limited so that the window, before it is rotated, stays within the stored image. Without any of the three, the
    window is exactly the crop.

    roll: largest rotation of the image about the window's centre, in degrees. The corners of a rotated window reach
    beyond the stored image, and any filling with an edge that rotates along would tell the angle. So whatever lies
    farther from the window's centre than the nearest edge of the stored image is filled with the mirror image of what
    lies within that circle: a circle is the same at every angle. rolled: share of the images that are rotated.
    """

    def __init__(
        self, size: int, scale: tuple[float, float], shift: float, roll: float = 0.0, rolled: float = 1.0
    ) -> None:
        super().__init__()
        self.size, self.scale, self.shift, self.roll, self.rolled = size, scale, shift, roll, rolled

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Windows (B, C, S, S) of images (B, C, T, T), and the angles (B,) in degrees by which they were rotated."""
        stored, size = images.shape[-1], self.size
        if self.scale == (1.0, 1.0) and not self.shift and not self.roll:
            edge = (stored - size) // 2
            return images[..., edge : edge + size, edge : edge + size], torch.zeros(len(images), device=images.device)
        low, high = self.scale
        side = (low + (high - low) * torch.rand(len(images))) * size / stored  # as a share of the stored image
        reach = (2 * self.shift * size / stored * torch.ones_like(side)).minimum(1 - side)
        centre = (2 * torch.rand(len(images), 2) - 1) * reach[:, None]  # from -1 to 1 across the stored image
        roll_deg = (2 * torch.rand(len(images)) - 1) * self.roll if self.roll else torch.zeros(len(images))
        if self.rolled < 1:
            roll_deg *= torch.rand(len(images)).lt(self.rolled)
        cosine, sine = roll_deg.deg2rad().cos() * side, roll_deg.deg2rad().sin() * side
        theta = torch.stack(  # the image rotates clockwise as its sampling grid rotates counter-clockwise
            [torch.stack([cosine, sine, centre[:, 0]], 1), torch.stack([-sine, cosine, centre[:, 1]], 1)], 1
        )
        with torch.autocast(images.device.type, enabled=False):  # a grid in bfloat16 would not hit the pixels
            grid = F.affine_grid(theta.to(images), [len(images), images.shape[1], size, size], align_corners=False)
        if self.roll:
            nearest_edge = 1 - 1 / stored - centre.abs().amax(1)  # the middles of the outermost pixels
            mirrored = _mirrored_at_circle(grid, centre.to(images), nearest_edge.to(images))
            is_rotated = roll_deg.ne(0).to(images.device)[:, None, None, None]
            grid = torch.where(is_rotated, mirrored, grid) if self.rolled < 1 else mirrored
        windows = F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
        return windows, roll_deg.to(images.device)


class BatchAugmentation(nn.Module):
    """Mirror, window, colour, blur, noise, erasing. Uses torch's global generator: kornia accepts no other."""

    def __init__(self, params: Augmentation, size: int) -> None:
        import kornia.augmentation as K

        super().__init__()
        self.flip = params.flip
        p = params
        self.window = RandomWindow(size, p.scale, p.shift, p.roll, p.rolled)
        steps: list[nn.Module] = []
        if any((p.brightness, p.contrast, p.saturation, p.hue)):
            steps.append(K.ColorJitter(p.brightness, p.contrast, p.saturation, p.hue, p=1.0))
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
    def forward(self, images: Tensor) -> tuple[Tensor, Motion]:
        """Augmented images (B, 3, S, S) in 0..1 of stored ones (B, 3, T, T), and how each was moved."""
        mirrored = torch.rand(len(images)).lt(self.flip).to(images.device)
        images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
        images, roll_deg = self.window(images)
        return self.steps(images).clamp(0, 1), Motion(mirrored, roll_deg)


@cache
def _augmentation(params: Augmentation, size: int) -> BatchAugmentation:
    return BatchAugmentation(params, size)


def augmented(images: Tensor, params: Augmentation, generator: torch.Generator) -> tuple[Tensor, Motion]:
    """Images (B, 3, S, S) in 0..1, augmented, and how each was moved; all randomness comes from `generator`."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(int(torch.randint(2**62, (), generator=generator)))
        views: tuple[Tensor, Motion] = _augmentation(params, images.shape[-1])(images)
        return views
