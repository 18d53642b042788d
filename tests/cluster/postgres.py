"""A PostgreSQL of its own on loopback, in a temporary folder, for as long as a test lasts.

Needs the server's programs and nothing of theirs set up: neither a cluster, accounts, nor a running service.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.cluster.slurm import wait_for

PROGRAMS = ("initdb", "postgres", "pg_isready")


def programs() -> Path | None:
    """The folder of PostgreSQL's programs; None where they are not installed."""
    folders = [Path(name) for name in os.environ["PATH"].split(":")]
    if shutil.which("pg_config"):
        folders.insert(0, Path(subprocess.check_output(["pg_config", "--bindir"], text=True).strip()))
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)  # where Debian puts them, outside PATH
    return next((folder for folder in folders if all((folder / name).exists() for name in PROGRAMS)), None)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        return int(held.getsockname()[1])


@contextmanager
def postgres() -> Iterator[str]:
    """Start PostgreSQL with an empty data base and end it with the block; yields its URI."""
    found, port = programs(), free_port()
    if found is None:
        raise FileNotFoundError(f"not installed: {', '.join(PROGRAMS)}; on Debian: apt-get install postgresql")
    with tempfile.TemporaryDirectory(prefix="postgres-") as folder:
        somebody: dict[str, Any] = {"cwd": folder}
        if os.geteuid() == 0:  # whom PostgreSQL refuses
            nobody = pwd.getpwnam("nobody")
            somebody |= {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            shutil.chown(folder, nobody.pw_uid, nobody.pw_gid)
        data, output = Path(folder) / "data", Path(folder) / "output"
        create = [found / "initdb", "--pgdata", data, "--username=test", "--auth=trust", "--no-sync"]
        create += ["--encoding=UTF8", "--locale=C"]
        subprocess.run(create, stdout=subprocess.DEVNULL, check=True, **somebody)
        serve = ["setpriv", "--pdeathsig", "INT", found / "postgres", "-D", data]  # ends where Python is killed
        serve += ["-h", "127.0.0.1", "-p", str(port), "-c", "unix_socket_directories=", "-c", "fsync=off"]
        with output.open("wb") as said:
            server = subprocess.Popen(serve, stdout=said, stderr=subprocess.STDOUT, **somebody)
        asked = [found / "pg_isready", "--quiet", "--host=127.0.0.1", f"--port={port}"]

        def answers() -> bool:
            if server.poll() is not None:
                raise ChildProcessError(f"postgres ended: {output.read_text()[-2000:]}")
            return subprocess.run(asked, check=False).returncode == 0

        try:
            wait_for(answers, "PostgreSQL")
            yield f"postgresql://test@127.0.0.1:{port}/postgres"
        finally:
            server.send_signal(signal.SIGINT)  # its fast shutdown, which waits for no client
            server.wait(60)
