"""A PostgreSQL of one's own for each run, durable, so that it can be killed like a real one."""

import contextlib
import resource
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from app import schema
from app.db import Database
from tests.servers import Account, binaries, free_port, locked, says_ready, wait_until

NAME = "task_progress"


class Postgres:
    """One cluster in `folder`, copied from a template that `shared` keeps for the whole session."""

    def __init__(self, folder: Path, shared: Path, *options: str) -> None:
        self.folder = folder
        self.options = options
        self.port = free_port()
        self.account = Account()
        self.process: subprocess.Popen[bytes] | None = None
        self.account.own(folder)
        copied = self.account.start("cp", "-r", _template(shared), folder / "data").wait()
        if copied != 0:
            raise RuntimeError("the template was not copied")

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.folder / "data"

    def url(self, port: int | None = None) -> str:
        """DATABASE_URL, straight or by way of a proxy's port."""
        return f"postgresql+psycopg://tests@127.0.0.1:{port or self.port}/{NAME}"

    def start(self, seconds: float = 60) -> "Postgres":
        """Returns when it takes connections; also after `kill`."""
        end = time.monotonic() + seconds
        while not self._runs():
            # The backends of the one that was killed may still be going.
            if time.monotonic() > end:
                raise RuntimeError("PostgreSQL did not start")
            time.sleep(0.2)
        return self

    def _runs(self) -> bool:
        """Starts it; False when it ended instead of taking connections."""
        ready = self.data / "postmaster.pid"
        ready.unlink(missing_ok=True)
        process = self.process = self._spawn()
        wait_until(lambda: process.poll() is not None or says_ready(ready), "PostgreSQL")
        return process.poll() is None

    def _spawn(self) -> subprocess.Popen[bytes]:
        return self.account.start(
            binaries() / "postgres", "-D", self.data, "-k", self.folder, "-p", str(self.port),
            "-h", "127.0.0.1", "-c", "shared_buffers=16MB", "-c", "autovacuum=off", "-c", "jit=off",
            "-c", "logging_collector=off", "-c", "log_min_messages=fatal",
            *(part for option in self.options for part in ("-c", option)),
        )  # fmt: skip

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        """Ends the postmaster, by default without letting it say goodbye."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(60)
            self.process = None

    @contextmanager
    def admin(self) -> Iterator[psycopg.Connection]:
        """A connection of the rig's own, committing each statement."""
        url = self.url().replace("+psycopg", "")
        with psycopg.connect(url, autocommit=True, application_name="rig") as connection:
            yield connection

    def cut_sessions(self) -> int:
        """pg_terminate_backend for everybody else; returns how many."""
        with self.admin() as admin:
            found = admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            ).fetchall()
        return len(found)

    def limit_files(self, octets: int) -> None:
        """No file may grow beyond this (RLIMIT_FSIZE), as on a full disk; -1 lifts it."""
        if self.process is None:
            return
        for pid in [self.process.pid, *children(self.process.pid)]:
            with contextlib.suppress(ProcessLookupError):
                _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (octets, hard))


def children(pid: int) -> list[int]:
    """The children of a process."""
    found: list[int] = []
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += [int(one) for one in thread.read_text().split()]
    return found


def _template(shared: Path) -> Path:
    folder = shared / "postgres-template"
    with locked(shared / "postgres-template.lock"):
        if not (folder / "done").exists():
            _make_template(folder)
    return folder / "data"


def _make_template(folder: Path) -> None:
    account = Account()
    account.own(folder)
    made = account.start(
        binaries() / "initdb", "-D", folder / "data", "-U", "tests", "-A", "trust", "-E", "UTF8",
        "--locale=C", "--no-sync", "--no-instructions", "--wal-segsize=1",
    ).wait()  # fmt: skip
    if made != 0:
        raise RuntimeError("initdb failed")
    server = Postgres.__new__(Postgres)
    server.folder, server.options, server.port, server.account = folder, (), free_port(), account
    server.start()
    try:
        url = server.url().replace("+psycopg", "").replace(NAME, "postgres")
        with psycopg.connect(url, autocommit=True) as admin:
            admin.execute(f"CREATE DATABASE {NAME}".encode())
        with contextlib.closing(Database(server.url())) as database:
            schema.upgrade(database)
    finally:
        server.kill(signal.SIGINT)
    (folder / "done").touch()
