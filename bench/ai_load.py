"""The program's own Celery application, and one job more: it takes a processor until told to stop."""

import hashlib
import os
from pathlib import Path

from app.celery_app import celery

BURN = "app.tasks.ai.burn"  # goes to the queue `ai`, as everything of that name

__all__ = ["celery"]


@celery.task(name=BURN, ignore_result=True)
def burn(folder: str) -> None:
    """Computes while `folder` holds the file `go`; leaves a file that says so."""
    go = Path(folder) / "go"
    (Path(folder) / f"burning-{os.getpid()}").touch()
    while go.exists():
        for _ in range(200):
            hashlib.sha256(b"x" * 65_536)
