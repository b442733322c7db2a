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
