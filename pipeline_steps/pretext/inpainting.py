"""Fill a hole in the image (context encoders: Pathak et al., CVPR 2016, arXiv 1604.07379).

The paper's adversarial loss is replaced by a perceptual loss: to a frozen network, the filled image must look like the
original. Random weights suffice for that network (Liu et al., Generic Perceptual Loss for Modeling
Structured Output Dependencies, CVPR 2021, arXiv 2103.10571).
"""

from functools import cache
from typing import ClassVar, Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline_steps.images.augmentation import Limits
from pipeline_steps.images.normalisation import IMAGENET_MEAN, IMAGENET_STD
from pipeline_steps.job.errors import UserError
from pipeline_steps.pretext._decoder import Original, decoder, masked, weighted_mean
from pipeline_steps.pretext.base import PretextTask, Views

PerceptualNetwork = Literal["random", "imagenet"]


def _random_stages() -> list[nn.Module]:
    """VGG-like: two convolutions per stage, at 1/1, 1/2 and 1/4 of the resolution; weights as He et al. draw them."""
    generator = torch.Generator().manual_seed(0)
    stages: list[nn.Module] = []
    for before, after in ((3, 32), (32, 64), (64, 128)):
        layers: list[nn.Module] = [nn.MaxPool2d(2)] if stages else []
        for channels in (before, after):
            convolution = nn.Conv2d(channels, after, 3, padding=1, bias=False)
            nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu", generator=generator)
            layers += [convolution, nn.ReLU()]
        stages.append(nn.Sequential(*layers))
    return stages


def _imagenet_stages() -> list[nn.Module]:
    """The first stages of torchvision's ResNet-18, at 1/2, 1/4 and 1/8 of the resolution."""
    from torchvision.models import ResNet18_Weights, resnet18

    try:
        network = resnet18(weights=ResNet18_Weights.DEFAULT)
    except Exception as error:
        raise UserError(
            f"perceptual_network: imagenet: torchvision's weights for resnet18 cannot be fetched ({error}); "
            "set perceptual_network to random"
        ) from error
    stem, rest = [network.conv1, network.bn1, network.relu], [network.maxpool, network.layer1]
    return [nn.Sequential(*stem), nn.Sequential(*rest), network.layer2]


@cache
def frozen_network(kind: PerceptualNetwork, device: torch.device) -> nn.ModuleList:
    """The stages of the perceptual network: the same for all tasks, so that one per process and device is enough."""
    with torch.inference_mode(False), torch.random.fork_rng(devices=[]):  # the first call may come from a validation
        stages = _random_stages() if kind == "random" else _imagenet_stages()
        return nn.ModuleList(stages).eval().requires_grad_(False).to(device)


def perceptual_distance(a: Tensor, b: Tensor, kind: PerceptualNetwork) -> Tensor:
    """L1 distance between the features of images a and b (B, 3, H, W) in 0..1, averaged over the network's stages."""
    mean, std = (a.new_tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    a, b = (a - mean) / std, (b - mean) / std
    distances = []
    with torch.autocast(a.device.type, enabled=False):
        for stage in frozen_network(kind, a.device):
            a, b = stage(a), stage(b)
            distances.append(F.l1_loss(a, b))
    return torch.stack(distances).mean()


class Inpainting(PretextTask):
    """One hole per image; the reconstruction has a quarter of the image's resolution."""

    kind: Literal["inpainting"] = "inpainting"
    reads: ClassVar[Literal["features", "map", "rotation"]] = "map"

    side: Limits = Field(
        default=(0.25, 0.5), description="range of the hole's height and width, as shares of the image's"
    )
    width: int = Field(default=256, ge=8, description="channels of the decoder's first block, halved by every block")
    outside: float = Field(default=0.1, ge=0, description="weight of the reconstruction error outside the hole")
    perceptual: float = Field(default=1.0, ge=0, description="weight of the perceptual loss")
    perceptual_network: PerceptualNetwork = "random"

    @field_validator("side")
    @classmethod
    def _within_the_image(cls, side: tuple[float, float]) -> tuple[float, float]:
        if side[1] >= 1:
            raise ValueError("side must stay below 1: a hole as large as the image leaves nothing to fill it from")
        return side

    def views(self, images: Tensor, generator: torch.Generator) -> Views:
        """One view per image, with a rectangular hole; its sides and position are drawn uniformly, in whole pixels."""
        size = images.shape[-1]
        sides, places = torch.rand(2, 2, len(images), 1, generator=generator, device=generator.device).to(images.device)
        low, high = self.side
        extent = ((low + (high - low) * sides) * size).round().clamp(1, size - 1)
        start = (places * (size - extent + 1)).floor()
        pixel = torch.arange(size, device=images.device)
        rows, columns = (pixel >= start) & (pixel < start + extent)
        return masked(images, rows[:, None, :, None] & columns[:, None, None, :])

    def head(self, features: int) -> nn.Module:
        """The reconstruction (B, 3, 8h, 8w) in 0..1 of the images, from maps (B, features, h, w)."""
        return decoder(features, self.width, doublings=3, channels=3)

    def loss(self, outputs: Tensor, targets: Original) -> tuple[Tensor, dict[str, Tensor]]:
        """L1 error in the hole, a little of that outside, and the filled image's perceptual distance from the original.

        Images and mask are averaged down to a quarter of their resolution. Where the image's side is not a multiple of
        32, the feature map extends beyond the image, and with it the reconstruction, which is cropped.
        """
        size = targets.images.shape[-1] // 4
        filled = outputs[..., :size, :size]
        images, mask = (F.interpolate(target.float(), (size, size), mode="area") for target in targets)
        error = (filled - images).abs()
        hole = weighted_mean(error, mask)
        loss, metrics = hole + self.outside * weighted_mean(error, 1 - mask), {"hole_l1": hole}
        if self.perceptual:
            blended = mask * filled + (1 - mask) * images
            metrics["perceptual"] = perceptual_distance(blended, images, self.perceptual_network)
            loss = loss + self.perceptual * metrics["perceptual"]
        return loss, metrics
