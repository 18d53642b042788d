"""Which of the processes that share a training speaks and writes."""

import os


def is_main_process() -> bool:
    """Whether this process, of several that share a training, is the one that speaks and writes."""
    return os.environ.get("LOCAL_RANK", "0") == "0"
