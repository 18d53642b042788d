"""A study whose steps take half a second: each copies the results that the finished tiny study has of such a job.

So tests can ask what Snakemake does with jobs in many situations. A step also notes when it began and ended, in
`steps.csv`: step, folder, start, end.
"""

import os
import sys
from pathlib import Path

import pandas as pd

from tests.conftest import ROOT, World

LONGER = {"finetune": {"epochs": 2}}
OTHER_DATA = {"datasets": {"rendered": {"source": {"seed": 1}}}}
MODEL = "results/tiny/default/finetune/hybrid/seed0/model.safetensors"

SCRIPT = """#!{python}
import os, sys
sys.path.insert(0, {root!r})
if len(sys.argv) > 2 and sys.argv[2].startswith("pipeline_steps."):
    from tests.workflow.fake_step import work
    work({source!r}, sys.argv[2].removeprefix("pipeline_steps."), sys.argv[3:])
else:
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
"""


class FakeSteps(World):
    """A working directory in which steps are faked; `finished`: the study that they copy from."""

    def __init__(self, folder: Path, finished: Path) -> None:
        super().__init__(folder)
        self.programs = folder / "programs"
        self.programs.mkdir(parents=True)
        script = self.programs / "python"
        script.write_text(SCRIPT.format(python=sys.executable, root=str(ROOT), source=str(finished)))
        script.chmod(0o755)

    def environment(self) -> dict[str, str]:
        """The faked `python` comes first."""
        return super().environment() | {
            "PATH": f"{self.programs}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HEADPOSE_TRACKING": os.environ.get("HEADPOSE_TRACKING", "off"),
        }

    def steps(self) -> pd.DataFrame:
        """What ran: step, folder, start and end in seconds, by end."""
        names = ["step", "folder", "start", "end"]
        path = self.folder / "steps.csv"
        return pd.read_csv(path, names=names) if path.exists() else pd.DataFrame(columns=names)


def succeeds(world: World, *arguments: str, overlay: dict | None = None) -> str:
    done = world.snakemake(*arguments, overlay=overlay)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr


def content(folder: Path) -> dict[str, bytes]:
    found = (path for top in ("data", "results") for path in (folder / top).rglob("*"))
    return {str(path.relative_to(folder)): path.read_bytes() for path in found if path.is_file()}


def times(faked: FakeSteps, step: str, part: str = "") -> int:
    """How often a step ran for folders whose path has a part."""
    return int((faked.steps()["step"].eq(step) & faked.steps()["folder"].str.contains(part)).sum())
