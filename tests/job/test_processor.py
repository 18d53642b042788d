"""Memory and threads of the networks' processes."""

import platform
import resource
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
import torch

from pipeline_steps.job.processor import use_processor

PAGES_PER_TENSOR = 64 * 2**20 // resource.getpagesize()


def page_faults(threads: int) -> tuple[int, int]:
    """Of ten successive tensors of 64 MiB, after a warm-up; and the number of threads that torch uses."""
    use_processor(threads)
    for _ in range(10):
        torch.ones(16 * 2**20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.ones(16 * 2**20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before, torch.get_num_threads()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left as they are")
def test_the_memory_of_a_tensor_is_reused_for_the_next():
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        faults, threads = process.submit(page_faults, 1).result()
    assert faults < PAGES_PER_TENSOR
    assert threads == 1
