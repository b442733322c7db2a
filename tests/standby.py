"""A PostgreSQL of one's own with its standby, streaming; each can be killed, and the second promoted."""

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path

from tests.databases import copy_of_migrated, shared
from tests.postgres import NAME, USER, Cluster, binaries


class Server(Cluster):
    """One of the two."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "fsync=off", "shared_buffers=16MB", "autovacuum=off")

    def kill(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """Ends it at once, with every session."""
        super().kill(how)

    def says(self, *statements: str, database: str = NAME) -> object:
        """Runs the statements, each for itself; returns the last one's first value."""
        found = None
        with self.connect(database) as connection:
            for one in statements:
                cursor = connection.execute(one.encode())
                found = cursor.fetchone() if cursor.description else None
        return found[0] if found else None


def standby_of(port: int, folder: Path) -> Server:
    """A server in `folder` that follows the one on this port; it takes connections."""
    server = Server(folder)
    server.run(binaries() / "pg_basebackup", "-D", server.data, "-h", "127.0.0.1", "-U", USER,
               "-p", str(port), "-R", "-c", "fast", "--no-sync")  # fmt: skip
    server.start()
    return server


@contextlib.contextmanager
def primary_and_standby(folder: Path) -> Iterator[tuple[Server, Server]]:
    """The two, with a migrated, empty database; the second follows the first."""
    with contextlib.ExitStack() as ending:
        first = Server(folder / "first")
        ending.callback(first.kill)
        copy_of_migrated(first, shared())
        first.start()
        second = standby_of(first.port, folder / "second")
        ending.callback(second.kill)
        yield first, second
