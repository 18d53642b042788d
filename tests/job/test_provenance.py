"""What results keep of the code that made them: enough to get that code back, or no claim at all."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline_steps.job.seal import Seal, read_seal
from tests.conftest import ROOT

JOB = """
import sys
from pathlib import Path
from pipeline_steps.job.recipe import Recipe
from pipeline_steps.job.seal import seal
folder, *copied = map(Path, sys.argv[1:])
folder.mkdir(exist_ok=True)
(folder / "result.txt").write_text("42")
seal(Recipe(step="compare", job={}, params={}), folder, copied=copied[0] if copied else None)
"""


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    return subprocess.check_output(["git", "-C", str(folder), *identity, *arguments], text=True)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository of what a job needs, with everything committed."""
    folder = tmp_path / "project"
    shutil.copytree(ROOT / "pipeline_steps/job", folder / "pipeline_steps/job")
    (folder / "pipeline_steps/__init__.py").touch()
    (folder / "Snakefile").write_text("rule all:\n")
    (folder / ".gitignore").write_text("__pycache__/\n/results/\n")
    (folder / "picture.png").write_bytes(bytes(range(256)))
    git(tmp_path, "init", "-q", "project")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "first")
    return folder


def made(project: Path, name: str = "made", *copied: Path) -> Path:
    """The results of a job of the project."""
    folder = project.parent / name
    command = [sys.executable, "-c", JOB, str(folder), *map(str, copied)]
    subprocess.run(command, cwd=project, env=os.environ | {"PYTHONPATH": str(project)}, check=True)
    return folder


def seal_of(folder: Path) -> Seal:
    found = read_seal(folder)
    assert {*found.files} == {path.name for path in folder.iterdir()} - {"seal.json"}
    return found


def test_changed_and_untracked_files_are_counted_and_can_be_got_back(project: Path, tmp_path: Path):
    commit = git(project, "rev-parse", "HEAD").strip()
    clean = made(project, "clean")
    assert seal_of(clean).code == {"git_commit": commit, "git_changed_files": "0"}
    assert not (clean / "code.patch").exists()
    changes = {
        "Snakefile": "rule all:\n    input: 'a'\n",
        "pipeline_steps/datasets/my heads.py": "HEADS = 'Köpfe'",
        "my_study.yaml": "study: mine\n",
        "task/empty/__init__.py": "",
    }
    for name, text in changes.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)
    (project / "pipeline_steps/job/signals.py").unlink()
    (project / "results").mkdir()
    (project / "results/ignored.py").write_text("IGNORED = 1")
    folder = made(project)
    assert seal_of(folder).code == {"git_commit": commit, "git_changed_files": "5"}
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", str(project), str(clone))
    git(clone, "apply", str(folder / "code.patch"))
    assert {name: (clone / name).read_text() for name in changes} == changes
    assert not (clone / "pipeline_steps/job/signals.py").exists()
    assert "Not in this patch" not in (folder / "code.patch").read_text()

    copied = made(project, "copied", clean)
    assert seal_of(copied).code["git_changed_files"] == "0", "the code is that of the results that were copied"
    assert not (copied / "code.patch").exists()
    git(project, "add", "-A")
    git(project, "commit", "-qm", "second")
    assert seal_of(made(project)).code["git_changed_files"] == "0"
    assert not (folder / "code.patch").exists(), "the patch of earlier results"


def test_what_may_be_data_or_secret_or_is_large_is_counted_and_named_but_not_kept(project: Path, tmp_path: Path):
    (project / ".env").write_text("TOKEN=s3cret")
    (project / "face.jpg").write_bytes(b"\xff\xd8\xff")
    (project / "picture.png").write_bytes(bytes(range(255, -1, -1)))
    (project / "large.py").write_text("A = 1\n" * 200_000)
    (project / "small.py").write_text("A = 1\n")
    folder = made(project)
    assert seal_of(folder).code["git_changed_files"] == "5"
    patch = (folder / "code.patch").read_text()
    assert "s3cret" not in patch
    named = patch.split("too large:\n")[1].split("\n\n")[0].splitlines()
    assert sorted(named) == [".env", "face.jpg", "large.py", "picture.png"]
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", str(project), str(clone))
    git(clone, "apply", str(folder / "code.patch"))
    assert (clone / "small.py").read_text() == "A = 1\n"


@pytest.mark.parametrize("around", ["nothing", "another repository", "another repository that ignores it"])
def test_code_outside_a_repository_of_its_own_claims_nothing(project: Path, tmp_path: Path, around: str):
    shutil.rmtree(project / ".git")
    if around != "nothing":
        git(tmp_path, "init", "-q")
        (tmp_path / ".gitignore").write_text("project\n" if "ignores" in around else "")
        git(tmp_path, "add", ".gitignore")
        git(tmp_path, "commit", "-qm", "other")
    folder = made(project)
    assert seal_of(folder).code == {}
    assert not (folder / "code.patch").exists()


def test_a_part_of_a_larger_repository_is_looked_at_alone(project: Path, tmp_path: Path):
    shutil.rmtree(project / ".git")
    git(tmp_path, "init", "-q")
    (tmp_path / "other.py").write_text("")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "all")
    (tmp_path / "other.py").write_text("OTHER = 1\n")
    (project / "mine.py").write_text("MINE = 1\n")
    folder = made(project)
    assert seal_of(folder).code["git_changed_files"] == "1"
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", str(tmp_path), str(clone))
    git(clone, "apply", str(folder / "code.patch"))
    assert (clone / "project/mine.py").read_text() == "MINE = 1\n"
    assert (clone / "other.py").read_text() == ""
