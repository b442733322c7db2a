"""Files and folders that only the account of this program may read."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

UMASK = 0o077  # of all our programs: what Celery, gunicorn and Redis write has its mode from it


@contextmanager
def private_files() -> Iterator[None]:
    """Whatever is made meanwhile, by programs started meanwhile too, is for this account alone."""
    before = os.umask(UMASK)
    try:
        yield
    finally:
        os.umask(before)


def keep_private(path: Path) -> None:
    """Takes all rights of other accounts off a file or folder of this one, if it is there.

    What belongs to another account stays as it is, and so does a folder that all share (/tmp):
    `doctor` tells of both.
    """
    try:
        found = path.stat()
    except OSError:
        return
    open_to_others = found.st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    if open_to_others and found.st_uid == os.geteuid() and not found.st_mode & stat.S_ISVTX:
        path.chmod(stat.S_IMODE(found.st_mode) & stat.S_IRWXU)


def write_whole(path: Path, data: bytes) -> None:
    """Whole or not at all, and for this account alone; when it returns, it survives a power cut.

    Raises OSError when it could not be stored; then nothing is left of it.
    """
    unfinished = path.with_name(f".{path.name}.part")
    unfinished.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as f:
            f.write(data)
        sync(unfinished)
        unfinished.replace(path)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise
    sync(path.parent)  # without this the name itself may be forgotten


def sync(path: Path) -> None:
    """What was written to the file or folder is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
