"""A disk that loses unwritten data in a simulated power failure. Needs Linux, and root for mounting."""

import os
import subprocess
from pathlib import Path

from pipeline_steps.job.errors import UserError

MOUNT = "loop,noauto_da_alloc,commit=1"
"""File names reach the disk image within a second, their content only after half a minute, unless a program syncs."""


class Disk:
    """A file system in a disk image, mounted where the study runs."""

    def __init__(self, image: Path, folder: Path) -> None:
        self.image, self.folder = image, folder
        folder.mkdir(parents=True)
        with image.open("wb") as file:
            file.truncate(4 << 30)
        _system("mkfs.ext4", "-q", str(image))
        self.mount()

    def mount(self) -> None:
        """Mount the disk image; its journal is replayed."""
        _system("mount", "-o", MOUNT, str(self.image), str(self.folder))

    def unmount(self) -> None:
        """Unmount it."""
        _system("umount", str(self.folder))

    def lose_unwritten_data(self) -> int:
        """Return to the data that have reached the disk image; gives the number of files lost or truncated."""
        before = self._sizes()
        survived = self.image.with_suffix(".survived")
        _system("cp", "--sparse=always", str(self.image), str(survived))
        self.unmount()
        survived.replace(self.image)
        self.mount()
        after = self._sizes()
        return sum(after.get(path) != size for path, size in before.items())

    def _sizes(self) -> dict[Path, int]:
        return {path: path.stat().st_size for path in self.folder.rglob("*") if path.is_file()}


def _system(*command: str) -> None:
    environment = os.environ | {"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}  # not in everybody's PATH
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"{' '.join(command)}: {done.stderr.strip()}; mounting a file system needs root")
