"""What every job of a running study last said, a line each, while it runs: python -m workflow.commands.watch"""

import re
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

RECENT_SECONDS = 600
"""A job that has said nothing for so long is taken for gone."""
NOTHING = "no job has said anything in the last ten minutes"
SAID = re.compile(r"\d\d:\d\d:\d\d .+")


def last_words(logs: Path, since: float) -> list[str]:
    """The newest line of every log that was written to after `since` (seconds since 1970), the latest log last."""
    recent = [(path.stat().st_mtime, path) for path in logs.rglob("*.log")]
    lines = []
    for _, path in sorted(entry for entry in recent if entry[0] >= since):
        said = [line for line in path.read_text(errors="replace").splitlines() if SAID.match(line)]
        lines += said[-1:]
    return lines


def watch(
    logs: Annotated[Path, typer.Argument(help="folder of the logs")] = Path("logs"),
    once: Annotated[bool, typer.Option(help="print once instead of again and again")] = False,
) -> None:
    """Show epoch, losses, errors, images/s and time left of every running job; end it with Ctrl-C."""
    if once:
        print("\n".join(last_words(logs, time.time() - RECENT_SECONDS)))
    elif Console().is_terminal:
        _redraw(logs)
    else:
        _print_what_is_new(logs)


def _until_ended(logs: Path) -> Iterator[list[str]]:
    """What all jobs last said, every second."""
    while True:
        yield last_words(logs, time.time() - RECENT_SECONDS) or [NOTHING]
        time.sleep(1)


def _redraw(logs: Path) -> None:
    with Live(refresh_per_second=2) as live:
        for lines in _until_ended(logs):
            live.update(Group(*map(Text, lines)))  # long lines are wrapped: images/s and time left stand at their ends


def _print_what_is_new(logs: Path) -> None:
    """Into a pipe or file: every line once."""
    before: list[str] = []
    for lines in _until_ended(logs):
        for line in lines:
            if line not in before:
                print(line, flush=True)
        before = lines


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        typer.run(watch)
