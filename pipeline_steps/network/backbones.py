"""ResNet backbones with global average pooling, and their initial weights."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from pipeline_steps.images.normalisation import IMAGENET_MEAN, IMAGENET_STD
from pipeline_steps.job.errors import UserError


class Backbone(nn.Module):
    """A torchvision ResNet without its classifier: images (B, 3, H, W) in 0..1 to pooled features (B, `features`)."""

    mean: Tensor
    std: Tensor

    def __init__(self, name: str) -> None:
        import torchvision

        super().__init__()
        self.resnet = torchvision.models.get_model(name, weights=None)
        self.features: int = self.resnet.fc.in_features
        self.resnet.fc = nn.Identity()
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(3, 1, 1), persistent=False)

    def maps(self, images: Tensor) -> Tensor:
        """The last feature map (B, `features`, ceil(H / 32), ceil(W / 32))."""
        x = (images - self.mean) / self.std
        for name, layer in self.resnet.named_children():
            if name == "avgpool":
                break
            x = layer(x)
        return x

    def forward(self, images: Tensor) -> Tensor:
        """Features (B, `features`)."""
        return pooled(self.maps(images))


def pooled(maps: Tensor) -> Tensor:
    """Features (B, C) of feature maps (B, C, h, w): global average pooling."""
    return maps.mean((2, 3))


def load_weights(backbone: Backbone, path: Path) -> None:
    """Load the backbone's weights from safetensors of `pretrain` or `finetune`, or a torchvision state dict (.pth).

    No code in the file is executed. Raises UserError where the file is missing, unreadable, or of another network.
    """
    try:
        state = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except Exception as error:
        raise UserError(
            f"{path}: cannot be read as weights ({str(error).splitlines()[0]}); give a state dict"
        ) from error
    _fill(backbone, state, str(path))


def load_imagenet(backbone: Backbone, name: str) -> None:
    """Load torchvision's default ImageNet weights into the backbone, from its cache or the network."""
    import torchvision

    try:
        state = torchvision.models.get_model_weights(name).DEFAULT.get_state_dict(check_hash=True)
    except Exception as error:
        raise UserError(
            f"init: imagenet: torchvision's weights for {name} cannot be fetched ({error}); "
            "download them elsewhere and set init to file:<path>"
        ) from error
    _fill(backbone, state, f"torchvision's {name}")


def _fill(backbone: Backbone, state: dict[str, Any], source: str) -> None:
    prefix = "backbone.resnet." if any(key.startswith("backbone.resnet.") for key in state) else ""
    weights = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix) and not k.startswith("fc.")}
    expected = backbone.resnet.state_dict()
    for key, tensor in expected.items():
        if key not in weights:
            raise UserError(f"{source}: has no {key!r}: these are not this backbone's weights")
        if weights[key].shape != tensor.shape:
            shapes = f"{tuple(weights[key].shape)}, expected {tuple(tensor.shape)}"
            raise UserError(f"{source}: {key!r} has shape {shapes}: these are another backbone's weights")
    backbone.resnet.load_state_dict({key: weights[key] for key in expected})
