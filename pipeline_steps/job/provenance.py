"""Which code and which data a result comes from, and what it takes to get that code back."""

import subprocess
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pipeline_steps.job.errors import UserError
from pipeline_steps.job.files import atomic_write
from pipeline_steps.job.yaml_file import read_yaml

PATCH = "code.patch"
"""Name of the file beside results that holds what the code differed by from its commit; `keep_patch` writes it."""
_ROOT = Path(__file__).resolve().parents[2]
_LARGEST = 1 << 20
"""Bytes of a patch; what would go beyond them is named in it instead."""
_CODE = {".cfg", ".csv", ".html", ".j2", ".py", ".smk", ".toml", ".txt", ".yaml", ".yml"}
"""Endings of untracked files that can be code or parameters. Nothing else leaves the folder it lies in: it may be data,
or secret."""
_GIT = ("-c", "diff.noprefix=false", "-c", "diff.mnemonicPrefix=false", "-c", "core.quotePath=false")
_DIFF = ("diff", "--no-color", "--no-ext-diff", "--no-textconv", "--no-renames", "--ignore-submodules")


@dataclass(frozen=True)
class Code:
    """The code as it lies here.

    commit: of git; empty where the code is in no repository, and nothing is known. changed: names of files that differ
    from the commit, or are untracked and not ignored. patch: what makes this code of the commit's, by `git apply`.
    """

    commit: str = ""
    changed: tuple[str, ...] = ()
    patch: bytes = b""

    def facts(self) -> dict[str, str]:
        """Commit and number of changed files, as results keep them; empty where nothing is known."""
        return {"git_commit": self.commit, "git_changed_files": str(len(self.changed))} if self.commit else {}


@cache
def code(root: Path = _ROOT) -> Code:
    """The code in a folder, looked at once per process, when it is first asked for."""

    def git(*arguments: str, ends: tuple[int, ...] = (0,)) -> bytes:
        command = ["git", "--no-optional-locks", "--literal-pathspecs", *_GIT, "-C", str(root), *arguments]
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode not in ends:
            raise subprocess.CalledProcessError(done.returncode, command)
        return done.stdout

    try:
        git("ls-files", "--error-unmatch", "Snakefile")  # fails in a repository around the folder that ignores it
        commit = git("rev-parse", "HEAD").decode().strip()
        top = git("rev-parse", "--show-toplevel").decode().removesuffix("\n")
        status = git("status", "--porcelain", "-z", "--no-renames", "--untracked-files=all", "--", ".")
        entries = [(entry[:2], entry[3:]) for entry in status.decode(errors="surrogateescape").split("\0") if entry]
        new = [name for state, name in entries if state == "??"]
        numbers = git(*_DIFF, "--numstat", "-z", "HEAD", "--", ".").decode(errors="surrogateescape").split("\0")
        text = [n.split("\t", 2)[2] for n in numbers if n and not n.startswith("-")]  # of binary files there are none
        pieces = [(name, git("-C", top, *_DIFF, "HEAD", "--", name)) for name in text]
        for name in new:
            path = Path(top, name)
            if path.suffix in _CODE and path.is_file() and path.stat().st_size <= _LARGEST:
                compared = ("-C", top, *_DIFF, "--no-index", "--", "/dev/null", name)
                pieces.append((name, git(*compared, ends=(0, 1))))
    except (OSError, subprocess.CalledProcessError):
        return Code()
    names = tuple(name for _, name in entries)
    return Code(commit, names, _patch(commit, names, pieces))


def _patch(commit: str, changed: tuple[str, ...], pieces: list[tuple[str, bytes]]) -> bytes:
    """A patch of as many pieces as fit, below lines that say how it is used and what it leaves out."""
    if not changed:
        return b""
    kept, size = dict[str, bytes](), 0
    for name, piece in pieces:
        if piece and size + len(piece) <= _LARGEST and b"\nBinary files " not in piece:
            kept[name] = piece
            size += len(piece)
    head = [f"The code of these results: git checkout {commit} && git apply {PATCH}"]
    if missing := [name for name in changed if name not in kept]:
        head += ["", "Not in this patch, because they are neither code nor parameters, binary, or too large:", *missing]
    return "\n".join([*head, "", ""]).encode(errors="surrogateescape") + b"".join(kept.values())


def patch_beside(results: Path) -> bytes:
    """The patch beside results; empty where there is none."""
    path = results / PATCH
    return path.read_bytes() if path.exists() else b""


def keep_patch(folder: Path, patch: bytes) -> None:
    """Put a patch beside results; remove an earlier one where it is empty."""
    if not patch:
        (folder / PATCH).unlink(missing_ok=True)
        return
    with atomic_write(folder / PATCH) as temporary:
        temporary.write_bytes(patch)


def provenance() -> dict[str, str]:
    """Commit of the code, how many files differ from it, and DVC's checksums of the data where there is a dvc.lock."""
    known, lock = code().facts(), Path("dvc.lock")
    with suppress(OSError, UserError):
        for stage in (read_yaml(lock) or {}).get("stages", {}).values():
            known |= {
                f"dvc.{out['path']}": out["md5"] for out in stage.get("outs", []) if out["path"].startswith("data/")
            }
    return known
