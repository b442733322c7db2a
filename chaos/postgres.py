"""A PostgreSQL of one's own for each run, durable, so that it can be killed like a real one."""

import contextlib
import resource
from pathlib import Path

from tests.databases import copy_of_migrated
from tests.postgres import Cluster


class Postgres(Cluster):
    """With a migrated, empty database, copied from one that `shared` keeps for the whole session."""

    def __init__(self, folder: Path, shared: Path, *settings: str) -> None:
        super().__init__(folder, "shared_buffers=16MB", "autovacuum=off", "jit=off", *settings)
        copy_of_migrated(self, shared)

    def cut_sessions(self) -> int:
        """pg_terminate_backend for everybody else; returns how many."""
        with self.connect() as admin:
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
