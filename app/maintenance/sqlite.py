"""SQLite: a copy of a database that is in use, and its restore."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from app.config.sources import relative
from app.maintenance.errors import BackupFailed

MAGIC = b"SQLite format 3\x00"  # with which such a file begins


def copy(source: Path, target: Path) -> None:
    """Copies by the online backup: programs that use one of the two go on, and see all or nothing.

    `target` may be in use, too: it gets the new content in one transaction.
    """
    with _open(source, "ro") as old, _open(target, "rwc") as new:
        old.backup(new)


def version_of(file: Path) -> str | None:
    """The schema's version in a file; None in one that has none."""
    with _open(file, "ro") as connection, contextlib.suppress(sqlite3.OperationalError):
        found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        return found[0] if found else None
    return None


def in_one_file(file: Path) -> None:
    """Leaves nothing beside the file, so that it can be copied as it is."""
    with _open(file, "rw") as connection:
        connection.execute("PRAGMA journal_mode=DELETE")


def check(file: Path, *, called: Path | None = None) -> None:
    """Raises BackupFailed unless every page and every reference of the file is sound.

    `called`: what people know it by, where it is a copy.
    """
    name = relative(called or file)
    try:
        with _open(file, "ro") as connection:
            found = connection.execute("PRAGMA integrity_check").fetchall()
            lost = connection.execute("PRAGMA foreign_key_check").fetchone()
    except sqlite3.DatabaseError:
        found, lost = [], None
    if found != [("ok",)] or lost is not None:
        raise BackupFailed(
            f"{name} は壊れているか、途中で切れています。",
            f"{name} is damaged or cut off.",
        )


@contextlib.contextmanager
def _open(file: Path, mode: str) -> Iterator[sqlite3.Connection]:
    uri = f"{file.absolute().as_uri()}?mode={mode}"
    with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=30)) as connection:
        yield connection
