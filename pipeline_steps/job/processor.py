"""How networks use the processor: the number of threads, and memory that stays with the process."""

import ctypes
import platform

import torch

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


def use_processor(threads: int) -> None:
    """Let torch compute with `threads` threads, and keep freed memory for the next batch.

    A training frees and allocates the same large tensors in every iteration. By default glibc returns them to the
    operating system, which then clears every page again when it is touched (mallopt(3)). Other C libraries are left
    as they are.
    """
    torch.set_num_threads(threads)
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, -1)
