"""The servers a measurement needs: private, on loopback, gone afterwards; the disk is waited for.

PostgreSQL syncs every commit to the disk (fsync, synchronous_commit, full_page_writes: its own
defaults), unlike the one of the tests.
"""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests import servers
from tests.postgres import Cluster

HELLO_BYTES = 3


class Missing(Exception):
    """A program is not installed; the text says how to get it."""


def tool(name: str) -> str:
    """The path of a Postfix test program, which may lie outside of PATH. Raises Missing."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise Missing(f"{name}: apt install postfix")
    return found


@contextlib.contextmanager
def program(*command: str | Path, log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A server that runs while the block does and dies with this process."""
    process = servers.spawn(command, log)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(10)


@contextlib.contextmanager
def smtp_sink(folder: Path) -> Iterator[int]:
    """Postfix's server that accepts every mail and keeps none; yields its port."""
    port = servers.free_port()
    account = ["-u", "nobody"] if os.geteuid() == 0 else []  # it refuses to run as root
    command = [tool("smtp-sink"), *account, f"127.0.0.1:{port}", "1000"]
    with program(*command, log=folder / "sink.log"):
        servers.wait_until(lambda: _listens(port), "smtp-sink")
        yield port


@contextlib.contextmanager
def slow(folder: Path, port: int, milliseconds: int) -> Iterator[int]:
    """The same server, each of its answers that much later; yields the port to use."""
    if not milliseconds:
        yield port
        return
    near = servers.free_port()
    command = [sys.executable, "-m", "bench.proxy", str(near), str(port), str(milliseconds)]
    with program(*command, log=folder / "proxy.log"):
        servers.wait_until(lambda: _listens(near), "the proxy")
        yield near


def _listens(port: int) -> bool:
    with (
        contextlib.suppress(OSError),
        socket.create_connection(("127.0.0.1", port), 1) as connection,
    ):
        return len(connection.recv(HELLO_BYTES)) == HELLO_BYTES
    return False


@contextlib.contextmanager
def beside(work: Callable[[threading.Event], None]) -> Iterator[None]:
    """Does this work in a thread while the block runs; the event tells it that the block is over."""
    over = threading.Event()
    thread = threading.Thread(target=work, args=(over,))
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


class PostgreSQL(Cluster):
    """One durable cluster; databases are made as copies of each other, file by file."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "shared_buffers=256MB", "max_wal_size=4GB", "logging_collector=on")
        self.version = ""

    @contextlib.contextmanager
    def running(self) -> Iterator["PostgreSQL"]:
        """The server, while the block runs."""
        self.init().start()
        try:
            self.version = str(self._one("SHOW server_version"))
            yield self
        finally:
            self.stop()

    def copy(self, source: str, name: str) -> str:
        """Makes the database `name` as a copy of `source`; returns its URL."""
        with self.connect("postgres") as admin:
            admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())
            copied = f"CREATE DATABASE {name} TEMPLATE {source} STRATEGY file_copy"
            admin.execute(copied.encode())
            admin.execute("CHECKPOINT")
        return self.url(name)

    def tidy(self, name: str) -> None:
        """What autovacuum would have done by the time the mails are due."""
        with self.connect(name) as admin:
            admin.execute("VACUUM ANALYZE")

    def commits(self, name: str) -> int:
        """Committed transactions of the database since it was made."""
        query = f"SELECT xact_commit FROM pg_stat_database WHERE datname = '{name}'"  # noqa: S608
        return int(self._one(query))

    def _one(self, query: str) -> Any:
        with self.connect("postgres") as admin:
            row = admin.execute(query.encode()).fetchone()
        return row[0] if row else None


class Child:
    """`python -m bench.work` with one task; it says "ready", waits for "go", and reports."""

    def __init__(self, task: dict[str, Any]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bench.work", json.dumps(task)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=servers.die_with_parent,  # noqa: PLW1509  # it calls only the kernel
        )
        self._hear("ready")

    def go(self) -> None:
        """Starts the measurement."""
        assert self.process.stdin is not None  # noqa: S101
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def result(self) -> dict[str, Any]:
        """What it measured: `began` and `ended` (s), `mails`, `peak_kib`, and more."""
        found: dict[str, Any] = json.loads(self._line())
        self.process.communicate(timeout=30)
        return found

    def _hear(self, word: str) -> None:
        if self._line().strip() != word:
            raise RuntimeError("the measured process failed; see above")

    def _line(self) -> str:
        assert self.process.stdout is not None  # noqa: S101
        return self.process.stdout.readline()
