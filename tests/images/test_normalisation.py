"""Bytes become numbers from 0 to 1."""

import pytest
import torch

from pipeline_steps.images.normalisation import to_unit_range


def test_bytes_become_numbers_from_0_to_1_in_the_memory_layout_that_they_have():
    images = torch.tensor([0, 51, 255], dtype=torch.uint8).repeat(2, 4, 4, 1)
    seen = to_unit_range(images.permute(0, 3, 1, 2))
    assert seen.dtype == torch.float32
    assert seen[1, :, 2, 3].tolist() == pytest.approx([0, 0.2, 1])
    assert seen.is_contiguous(memory_format=torch.channels_last)
