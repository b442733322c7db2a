"""A PostgreSQL of one's own with its standby, streaming; each can be killed, and the second promoted."""

import contextlib
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg

from app import schema
from app.db import Database
from tests.servers import Account, binaries, free_port, says_ready, wait_until

NAME = "task_progress"


class Server:
    """One server in `folder`."""

    def __init__(self, folder: Path, account: Account) -> None:
        self.folder = folder
        self.account = account
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        account.own(folder)

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.folder / "data"

    def run(self, program: str, *arguments: str) -> None:
        """A program of PostgreSQL to its end."""
        ended = self.account.start(binaries() / program, *arguments).wait()
        if ended != 0:
            raise RuntimeError(f"{program} failed")

    def start(self) -> None:
        """Returns when it takes connections."""
        process = self.process = self.account.start(
            binaries() / "postgres", "-D", self.data, "-k", self.folder, "-p", str(self.port),
            "-h", "127.0.0.1", "-c", "fsync=off", "-c", "shared_buffers=16MB",
            "-c", "autovacuum=off", "-c", "log_min_messages=fatal",
        )  # fmt: skip
        ready = self.data / "postmaster.pid"
        wait_until(lambda: process.poll() is not None or says_ready(ready), "PostgreSQL")

    def kill(self) -> None:
        """Ends it at once, with every session."""
        if self.process is not None:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(30)
            self.process = None

    def says(self, *statements: str, database: str = NAME) -> object:
        """Runs the statements, each for itself; returns the last one's first value."""
        where = f"postgresql://tests@127.0.0.1:{self.port}/{database}"
        found = None
        with psycopg.connect(where, autocommit=True) as connection:
            for one in statements:
                cursor = connection.execute(one.encode())
                found = cursor.fetchone() if cursor.description else None
        return found[0] if found else None


def standby_of(port: int, folder: Path, account: Account) -> Server:
    """A server in `folder` that follows the one on this port; it takes connections."""
    server = Server(folder, account)
    server.run("pg_basebackup", "-D", str(server.data), "-h", "127.0.0.1", "-U", "tests",
               "-p", str(port), "-R", "-c", "fast", "--no-sync")  # fmt: skip
    server.start()
    return server


@contextlib.contextmanager
def primary_and_standby(folder: Path) -> Iterator[tuple[Server, Server]]:
    """The two, with a migrated, empty database; the second follows the first."""
    account = Account()
    with contextlib.ExitStack() as ending:
        first = Server(folder / "first", account)
        ending.callback(first.kill)
        first.run("initdb", "-D", str(first.data), "-U", "tests", "-A", "trust", "-E", "UTF8",
                  "--locale=C", "--no-sync", "--no-instructions")  # fmt: skip
        first.start()
        first.says(f"CREATE DATABASE {NAME}", database="postgres")
        url = f"postgresql+psycopg://tests@127.0.0.1:{first.port}/{NAME}"
        with contextlib.closing(Database(url)) as database:
            schema.upgrade(database)
        second = standby_of(first.port, folder / "second", account)
        ending.callback(second.kill)
        yield first, second
