"""A copy of the whole database while everything runs, checked before it takes its name."""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.config import SECRET_KEY_FILE
from app.config.sources import relative
from app.maintenance import postgresql, sqlite
from app.maintenance.errors import BackupFailed
from app.services import Services
from app.util.private import sync


@dataclass(frozen=True, slots=True)
class Backup:
    """What was written. `key_file`: the secret key that the copy does not hold, where it is a file."""

    file: Path
    size: int  # bytes
    key_file: Path | None


def backup(services: Services, file: Path) -> Backup:
    """Writes the database into `file`, mode 0600; a file that is there already is replaced.

    SQLite by its online backup, PostgreSQL by pg_dump in custom format: either is the database of
    one moment, and no program waits for it. Raises BackupFailed, DatabaseDown, OSError.
    """
    _refuse_the_database_itself(services, file)
    _refuse_what_is_no_backup(file)
    with _taking_its_name(file) as draft:
        if services.db.is_sqlite:
            sqlite.copy(services.db.file, draft)
            sqlite.in_one_file(draft)
            sqlite.check(draft, called=services.db.file)
        else:
            postgresql.dump(services.db.engine, draft)
    key_file = services.config.data_dir / SECRET_KEY_FILE
    return Backup(file, file.stat().st_size, key_file if key_file.exists() else None)


def _refuse_the_database_itself(services: Services, file: Path) -> None:
    if not services.db.is_sqlite:
        return
    live = services.db.file.resolve()
    if file.resolve() in {live.with_name(live.name + end) for end in ("", "-wal", "-shm")}:
        raise BackupFailed(
            f"{relative(file)} は、いま使っているデータベースそのものです。別のファイルを指定してください。",
            f"{relative(file)} is the database itself. Name another file.",
        )


def _refuse_what_is_no_backup(file: Path) -> None:
    """A mistyped path must not overwrite `.env`, nor root's /dev/null."""
    folder = file.absolute().parent
    if not folder.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(folder))
    if not file.exists():
        return
    head = b""
    if file.is_file():
        with file.open("rb") as opened:
            head = opened.read(16)
    if not head.startswith((sqlite.MAGIC, postgresql.MAGIC)):
        raise BackupFailed(
            f"{relative(file)} はすでにあり、バックアップではありません。別のファイルを指定してください。",
            f"{relative(file)} is there already, and is no backup. Name another file.",
        )


@contextmanager
def _taking_its_name(file: Path) -> Iterator[Path]:
    """A draft beside the file, mode 0600; the whole of it is on the disk before it has its name."""
    handle, name = tempfile.mkstemp(dir=file.absolute().parent, prefix=f".{file.name}-")
    os.close(handle)
    draft = Path(name)
    try:
        yield draft
        sync(draft)
        draft.replace(file)
        sync(file.absolute().parent)
    finally:
        draft.unlink(missing_ok=True)
