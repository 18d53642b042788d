"""A Slurm cluster of one node on loopback, in a folder of its own, for as long as a test or a command lasts.

python -m tests.cluster.slurm COMMAND [ARGUMENT ...]    runs a command with that cluster as its Slurm

Needs slurmctld, slurmd, Slurm's client commands and munge, and nothing of theirs set up: neither accounts, /etc/slurm,
cgroups nor services.
"""

import getpass
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scancel", "scontrol", "sinfo", "squeue", "setpriv")
SYSTEM = "/usr/sbin:/sbin"  # where Debian puts daemons, which a user's PATH need not name

# 16 cores and 64 GB are claimed, whatever there is, so that what the profile asks for is granted: nothing is enforced.
# Credentials expire soon because a requeued job waits for the old one's end.
CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=batch_sched_delay=0,sched_interval=1
ReturnToService=2
MinJobAge=3600
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs=16 RealMemory=64000 Gres=gpu:2
PartitionName=main Nodes=ALL Default=YES
"""


def missing() -> list[str]:
    """Programs of Slurm and munge that are not installed."""
    return [name for name in PROGRAMS if _program(name) is None]


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:{SYSTEM}")


def wait_for(condition: Callable[[], object], what: str, seconds: float = 300) -> None:
    """Return once the condition holds; raises TimeoutError where it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"no {what} within {seconds:g} s")
        time.sleep(0.05)


def _free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(server.getsockname()[1]) for server in held]
    for server in held:
        server.close()
    return ports


class Cluster:
    """Starts munged, slurmctld and slurmd with the block, and ends them and every job with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = os.environ | {
            "SLURM_CONF": f"{folder}/slurm.conf",
            "PATH": f"{folder}/bin:{os.environ['PATH']}",
        }
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        """Start the daemons and wait for the node to be idle."""
        controller_port, node_port = _free_ports(2)
        for name in ("state", "spool", "bin"):
            (self.folder / name).mkdir()
        srun = self.folder / "bin" / "srun"  # called by snakemake-executor-plugin-slurm-jobstep without SLURM_CONF
        srun.write_text(f'#!/bin/sh\nSLURM_CONF={self.folder}/slurm.conf exec {_program("srun")} "$@"\n')
        srun.chmod(0o755)
        (self.folder / "slurm.conf").write_text(
            CONFIGURATION.format(
                host=socket.gethostname().split(".")[0],
                user=getpass.getuser(),
                folder=self.folder,
                controller_port=controller_port,
                node_port=node_port,
            )
        )
        (self.folder / "gres.conf").write_text("Name=gpu File=/dev/null\nName=gpu File=/dev/zero\n")
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        try:
            self._start("munged", "--foreground", "--force", *self._munge_options())
            wait_for(lambda: self._alive() and (self.folder / "munge.socket").exists(), "munged")
            self._start("slurmctld", "-D")
            self._start("slurmd", "-D")
            wait_for(lambda: self._alive() and self._node() == "idle", "idle node")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Cancel what is left and end the daemons, the last one first."""
        if "slurmd" in self._daemons:
            self("scancel", f"--user={getpass.getuser()}", "--signal=KILL", "--full", check=False)
            self("scancel", f"--user={getpass.getuser()}", check=False)
            wait_for(lambda: not self.jobs(), "end of all jobs")
        for daemon in reversed(self._daemons.values()):
            daemon.terminate()
        for daemon in reversed(self._daemons.values()):
            daemon.wait(60)

    def _munge_options(self) -> list[str]:
        files = {"socket": "socket", "key-file": "key", "log-file": "log", "pid-file": "pid", "seed-file": "seed"}
        return [f"--{option}={self.folder}/munge.{suffix}" for option, suffix in files.items()]

    def _start(self, name: str, *arguments: str) -> None:
        with (self.folder / f"{name}.out").open("wb") as output:
            command = ["setpriv", "--pdeathsig", "TERM", str(_program(name)), *arguments]  # ends where Python is killed
            self._daemons[name] = subprocess.Popen(
                command, env=self.environment, stdout=output, stderr=subprocess.STDOUT
            )

    def _alive(self) -> bool:
        for name, daemon in self._daemons.items():
            if daemon.poll() is not None:
                raise ChildProcessError(f"{name} ended: {(self.folder / f'{name}.out').read_text()[-2000:]}")
        return True

    def _node(self) -> str:
        asked = ("sinfo", "--noheader", "--format=%T")
        return subprocess.run(asked, env=self.environment, text=True, capture_output=True, check=False).stdout.strip()

    def __call__(self, *command: str, check: bool = True) -> str:
        """Standard output of a command that has this cluster as its Slurm."""
        return subprocess.run(command, env=self.environment, text=True, stdout=subprocess.PIPE, check=check).stdout

    def jobs(self) -> dict[str, str]:
        """State by id of every job that has not ended."""
        lines = self("squeue", "--noheader", "--format=%i %T", check=False).splitlines()
        return dict(line.split() for line in lines)


def main() -> int:
    """Run a command on a cluster."""
    if not sys.argv[1:]:
        sys.exit(__doc__)
    if missing():
        sys.exit(f"error: not installed: {', '.join(missing())}; on Debian: apt-get install slurmctld slurmd munge")
    with tempfile.TemporaryDirectory() as folder, Cluster(Path(folder)) as cluster:
        return subprocess.run(sys.argv[1:], env=cluster.environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
