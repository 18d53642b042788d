"""What data sets that come as archives have in common."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from pipeline_steps.acquisition.unpack import is_clutter, unpack
from pipeline_steps.datasets.base import HeadPoseDataset


class ArchivedDataset(HeadPoseDataset):
    """A data set whose raw files are members of an archive."""

    needs_archive: ClassVar[bool] = True
    members: ClassVar[re.Pattern[str]]
    """Members whose path (with forward slashes) contains a match are unpacked."""

    def acquire(self, raw: Path, archive: Path | None, processes: int = 1) -> None:
        """Unpack the members; if `archive` is a folder, link it instead."""
        assert archive is not None
        unpack(archive, raw / "unpacked", lambda name: self.members.search(name) is not None)

    def unpacked(self, raw: Path) -> Path:
        """The folder that `acquire` filled or linked."""
        return (raw / "unpacked").resolve()

    def files(self, raw: Path, pattern: str) -> Iterator[Path]:
        """Every file below it that matches the glob pattern, without hidden ones and what file systems add."""
        root = self.unpacked(raw)
        for path in root.rglob(pattern):
            if not is_clutter(path.relative_to(root).as_posix()):
                yield path
