"""The processor as networks use it."""

import platform
import resource
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
import torch

from pipeline_steps.job.processor import use_processor

PAGES_OF_A_TENSOR = 64 * 2**20 // resource.getpagesize()


def pages_touched_anew(threads: int) -> tuple[int, int]:
    """By ten tensors of 64 MiB, one after the other, once memory has settled; and the threads torch computes with."""
    use_processor(threads)
    for _ in range(10):
        torch.ones(16 * 2**20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.ones(16 * 2**20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before, torch.get_num_threads()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left as they are")
def test_the_memory_of_a_tensor_serves_the_next():
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        touched, threads = process.submit(pages_touched_anew, 1).result()
    assert touched < PAGES_OF_A_TENSOR
    assert threads == 1
