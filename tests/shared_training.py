"""pipeline_steps.finetune without batch statistics, which processes on CPUs do not synchronise: GroupNorm instead.

python -m tests.shared_training ARGUMENTS, those of pipeline_steps.finetune
"""

from torch import nn

from pipeline_steps import finetune
from pipeline_steps.job import command_line as step


class ImageNorm(nn.GroupNorm):
    """Statistics of one image alone, in place of BatchNorm."""

    def __init__(self, channels: int, *_: object, **__: object) -> None:
        super().__init__(4, channels)


if __name__ == "__main__":
    nn.BatchNorm2d = nn.BatchNorm1d = ImageNorm  # type: ignore[misc, assignment]
    step.main(finetune.finetune)
