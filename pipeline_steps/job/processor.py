"""The processor as networks use it: threads, and memory that stays with the process."""

import ctypes
import platform

import torch

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


def use_processor(threads: int) -> None:
    """Let torch compute with `threads` threads, and keep freed memory for the next batch instead of giving it back.

    A step frees and asks for the same large tensors every time. glibc gives them back to the system by default, which
    then clears every page anew when it is touched (mallopt(3)); other C libraries are left as they are.
    """
    torch.set_num_threads(threads)
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, -1)
