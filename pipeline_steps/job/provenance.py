"""Which code and which data a result comes from."""

import subprocess
from contextlib import suppress
from pathlib import Path

import yaml

_ROOT = Path(__file__).resolve().parents[2]


def provenance() -> dict[str, str]:
    """The code's commit, how many files differ from it, and DVC's checksums of the data where there is a dvc.lock."""
    known: dict[str, str] = {}
    with suppress(OSError, subprocess.CalledProcessError):
        git = ["git", "-C", str(_ROOT)]
        quiet = subprocess.DEVNULL
        known["git_commit"] = subprocess.check_output([*git, "rev-parse", "HEAD"], text=True, stderr=quiet).strip()
        changed = subprocess.check_output([*git, "status", "--porcelain", "-uno"], text=True, stderr=quiet)
        known["git_changed_files"] = str(len(changed.splitlines()))
    lock = Path("dvc.lock")
    if lock.exists():
        for stage in (yaml.safe_load(lock.read_text()) or {}).get("stages", {}).values():
            known |= {
                f"dvc.{out['path']}": out["md5"] for out in stage.get("outs", []) if out["path"].startswith("data/")
            }
    return known
