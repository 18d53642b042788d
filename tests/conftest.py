"""A finished tiny study, shared by all tests that ask what would run again or what came out."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from filelock import FileLock

import tests.hypothesis_profile  # noqa: F401 - loads it
from workflow.params import merged

ROOT = Path(__file__).resolve().parent.parent
TINY = ROOT / "tests" / "studies" / "tiny.yaml"


def shown_table(page: Path, command: str) -> str:
    """What a page of the repository shows between the marks of the table that `command` makes."""
    return page.read_text().split(f"<!-- table: {command} -->\n")[1].split("<!-- end of table -->")[0]


class World:
    """A working directory with data and results of its own."""

    def __init__(self, folder: Path, repository: Path = ROOT) -> None:
        self.folder = folder
        self.repository = repository

    def snakemake(self, *arguments: str, overlay: dict | None = None) -> subprocess.CompletedProcess:
        """Run snakemake on the tiny study, changed by an overlay."""
        with self.started(*arguments, overlay=overlay) as process:
            said, told = process.communicate(timeout=600)
        return subprocess.CompletedProcess(process.args, process.returncode, said, told)

    @contextmanager
    def started(self, *arguments: str, overlay: dict | None = None) -> Iterator[subprocess.Popen]:
        """Snakemake on the tiny study, which is killed with the block where it has not ended."""
        configs = [str(TINY), *map(str, self.overlays(overlay))]
        command = [sys.executable, "-m", "snakemake", "--cores", "2", "--directory", str(self.folder)]
        command += ["--snakefile", str(self.repository / "Snakefile"), *arguments, "--configfile", *configs]
        process = subprocess.Popen(
            command,
            cwd=self.repository,
            env=os.environ | self.environment(),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def environment(self) -> dict[str, str]:
        """What a study's processes find in the environment."""
        return {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

    def overlays(self, overlay: dict | None) -> list[Path]:
        """The file of an overlay, if there is one: this process's own, since several share a finished study."""
        if not overlay:
            return []
        path = self.folder / f"overlay{os.getpid()}.yaml"
        path.write_text(yaml.safe_dump(overlay))
        return [path]

    def training(self, module: str, recipe: Path, output: Path, checkpoints: Path) -> list[str]:
        """The command of a training, by itself, on this study's data."""
        data = self.folder / "data"
        return [
            *(sys.executable, "-m", module, "--recipe", str(recipe)),
            *("--crops", str(data / "crops/rendered-32px/crops.h5")),
            *("--split", str(data / "splits/rendered-32px/split.json")),
            *("--output", str(output), "--checkpoints", str(checkpoints)),
        ]

    def planned(self, overlay: dict | None = None, *targets: str) -> Counter[str]:
        """Rules that would run, by number of jobs."""
        done = self.snakemake("--dry-run", *targets, overlay=overlay)
        assert done.returncode == 0, done.stderr
        return Counter(re.findall(r"^(?:local)?rule (\w+):", done.stdout + done.stderr, re.MULTILINE))


class Repository:
    """A copy of the project under its own git, with the tiny study as its default."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        listed = subprocess.check_output(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, text=True)
        for name in listed.splitlines():
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        self.set_params(yaml.safe_load(TINY.read_text()))
        (folder / ".venv").mkdir()
        (folder / ".venv" / "installed").write_text(str(folder.resolve()))
        self("git", "init", "-q")
        self("git", "config", "user.name", "test")
        self("git", "config", "user.email", "test@example.org")

    def set_params(self, overlay: dict) -> None:
        path = self.folder / "params.yaml"
        path.write_text(yaml.safe_dump(merged(yaml.safe_load(path.read_text()), overlay)))

    def __call__(self, *command: str, fails: bool = False) -> str:
        programs = Path(sys.executable).parent
        environment = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}", "HEADPOSE_TRACKING": "off"}
        done = subprocess.run(command, cwd=self.folder, env=environment, text=True, capture_output=True, check=False)
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stdout + (done.stderr if fails else "")

    def record(self, message: str) -> None:
        self("make", "record", f"BIN={Path(sys.executable).parent}")
        self("git", "add", "-A")
        self("git", "commit", "-qm", message)

    def nothing_to_do(self) -> bool:
        return "Nothing to be done" in self("snakemake", "--dry-run", "--cores", "2")


@contextmanager
def shared_folder(factory: pytest.TempPathFactory, name: str) -> Iterator[tuple[Path, bool]]:
    """A folder that the processes of one test run share, and whether this one has to fill it; the others wait."""
    in_parallel = "PYTEST_XDIST_WORKER" in os.environ
    folder = (factory.getbasetemp().parent if in_parallel else factory.getbasetemp()) / name
    with FileLock(f"{folder}.lock"):
        done = folder.with_suffix(".done")
        empty = not done.exists()
        if empty:  # or half filled, by a process that failed
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
        yield folder, empty
        done.touch()


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The tiny study, run once; tests must leave it as it is."""
    with shared_folder(tmp_path_factory, "tiny") as (folder, empty):
        world = World(folder)
        if empty:
            done = world.snakemake()
            assert done.returncode == 0, done.stderr[-3000:]
    return world


@pytest.fixture(scope="session")
def exported(finished: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an exported model of the tiny study; MLflow's store, with its version there, lies beside it."""
    with shared_folder(tmp_path_factory, "export") as (folder, empty):
        if empty:
            export(finished, folder)
    return folder / "made"


def export(
    finished: World, folder: Path, detail: int | None = None, evaluation: str = "evaluate/test/rendered/hybrid/seed0"
) -> None:
    """Export the tiny study's hybrid arm; evaluation: folder within the study's, or anywhere."""
    study = finished.folder / "results/tiny/default"
    job = {"study": "tiny", "arm": "hybrid", "seed": 0}
    data = finished.folder / "data"
    read = [study / "finetune/hybrid/seed0", study / evaluation]
    read += [data / kind / "rendered-32px" for kind in ("crops", "cards", "splits")]
    sealed = {str(path): json.loads((path / "seal.json").read_text()) for path in read if (path / "seal.json").exists()}
    inputs = {path: {"kind": "job", "fingerprint": seal["fingerprint"]} for path, seal in sealed.items()}
    recipe = {"step": "export_model", "job": job, "params": {"seed": 0, "detail": detail}, "inputs": inputs}
    (folder / "told.json").write_text(json.dumps(recipe))
    command = [sys.executable, "-m", "pipeline_steps.export_model", "--recipe", str(folder / "told.json")]
    command += ["--training", str(study / "finetune/hybrid/seed0"), "--output", str(folder / "made")]
    command += ["--crops", str(data / "crops/rendered-32px/crops.h5"), "--card", str(data / "cards/rendered-32px")]
    command += ["--split", str(data / "splits/rendered-32px/split.json")]
    command += ["--evaluation", str(study / evaluation)]
    tracked = {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db", "HEADPOSE_TRACKING": "on"}
    subprocess.run(command, cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)} | tracked, check=True)


@pytest.fixture
def copy(finished: World, tmp_path: Path) -> World:
    """A copy of the finished study's results alone, as a fresh clone with restored outputs has them."""
    for name in ("data", "results"):
        shutil.copytree(finished.folder / name, tmp_path / name)
    return World(tmp_path)


@contextmanager
def small_disk(folder: Path, kilobytes: int = 1024) -> Iterator[Path]:
    """A file system of its own that is soon full; skips the test where none can be mounted."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small file system can be mounted by root alone")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def acquire_aflw2000(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess]:
    """Run the step `acquire_dataset` for AFLW2000-3D: (archive, output, further arguments)."""
    recipe = tmp_path / "recipe.json"
    content = {"step": "acquire_dataset", "job": {"dataset": "aflw2000"}, "params": {"source": {"kind": "aflw2000"}}}
    recipe.write_text(json.dumps(content | {"inputs": {"archive": {"kind": "archive", "sha256": "0" * 64}}}))

    def acquire(archive: Path, output: Path, *arguments: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "pipeline_steps.acquire_dataset", "--recipe", str(recipe)]
        command += ["--output", str(output), "--archive", str(archive), *arguments]
        return subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=False, timeout=300)

    return acquire
