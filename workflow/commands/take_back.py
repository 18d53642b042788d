"""Put earlier results of a job back instead of computing them: python -m workflow.commands.take_back KEPT FOLDER"""

from pathlib import Path

from pipeline_steps.job.command_line import main
from pipeline_steps.job.progress import logger
from workflow.freshness.replaced import take_back


def put_back(kept: Path, folder: Path) -> None:
    """Put the results in the folder KEPT back into FOLDER."""
    take_back(kept, folder)
    logger.info("%s: taken back from %s, where results of the same recipe were kept", folder, kept.parent)


if __name__ == "__main__":
    main(put_back)
