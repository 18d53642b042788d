"""Mean teachers, from which self-distillation learns (Tarvainen & Valpola, NeurIPS 2017, arXiv 1703.01780)."""

import copy
from itertools import chain

import torch
from torch import Tensor, nn

from pipeline_steps.network.backbones import Backbone


class Teacher(nn.Module):
    """A copy of the student's backbone and head whose weights are a moving average of the student's."""

    def __init__(self, backbone: Backbone, head: nn.Module) -> None:
        super().__init__()
        self.backbone = copy.deepcopy(backbone)
        self.head = copy.deepcopy(head)
        self.requires_grad_(False)

    @torch.no_grad()
    def follow(self, backbone: Backbone, head: nn.Module, momentum: float) -> None:
        """Move the weights towards the student's: they become momentum * own + (1 - momentum) * student's."""
        student = chain(backbone.parameters(), head.parameters())
        for own, of_student in zip(self.parameters(), student, strict=True):
            own.lerp_(of_student, 1 - momentum)

    def maps(self, images: Tensor) -> Tensor:
        """Feature maps float32 (B, F, h, w) of images (B, 3, H, W) in 0..1."""
        return self.backbone.maps(images.contiguous(memory_format=torch.channels_last)).float()
