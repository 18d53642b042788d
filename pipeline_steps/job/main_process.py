"""Which of the processes that share a training writes messages and files."""

import os


def is_main_process() -> bool:
    """Whether this is the one process, of those that share a training, that writes messages and files."""
    return os.environ.get("LOCAL_RANK", "0") == "0"
