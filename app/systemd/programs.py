"""The commands that start each program: used by the units of systemd and by `make run`.

`bin_folder` is the virtual environment's folder of programs.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from app.locale import Both

CELERY_APP = "app.celery_app.celery"  # the specification's own name
WEB_PORT = 8000
# Seconds that open requests get when the pages are stopped.
WEB_GRACE_SECONDS = 5


def beat(bin_folder: Path) -> list[str]:
    """The timetable."""
    return [str(bin_folder / "celery"), "-A", CELERY_APP, "beat", "--loglevel=INFO"]


def worker(bin_folder: Path, queue: str, *, host: str, processes: int) -> list[str]:
    """The worker of one queue. `host`: %H where systemd fills it in, %h where Celery does."""
    return [
        str(bin_folder / "celery"), "-A", CELERY_APP, "worker", "-Q", queue,
        "-n", f"{queue}@{host}", "-c", str(processes), "--loglevel=INFO",
    ]  # fmt: skip


def is_service(arguments: Sequence[str]) -> bool:
    """Whether this command line of Celery is a program that runs until it is stopped."""
    return not {"beat", "worker"}.isdisjoint(arguments)


def knows_jobs(arguments: Sequence[str]) -> bool:
    """Whether this command line of Celery loads the jobs: all but beat's, which queues them by their
    names and so needs neither them nor the letters that they write.
    """
    return "worker" in arguments or "beat" not in arguments


def wrong_node_name(arguments: Sequence[str]) -> Both | None:
    """What is wrong with a worker's name as a shell hands it over: %H means something to systemd
    alone, and Celery ends on it without a word that helps.
    """
    names = re.findall(r"(?:^|\0)(?:-n\0?|--hostname[=\0])([^\0]*)", "\0".join(arguments))
    if "worker" not in arguments or not any("%H" in one.replace("%%", "") for one in names):
        return None
    typed = names[-1]
    right = typed.replace("%H", "%h")
    return Both(
        f"-n {typed}: %H を書き換えるのは systemd だけです。シェルでは -n {right} と書いてください。",
        f"-n {typed}: only systemd knows %H. In a shell write -n {right}.",
    )


def web(bin_folder: Path, port: int = WEB_PORT) -> list[str]:
    """The pages, on loopback only: what takes HTTPS stands before them.

    There is no access log: the links in mails are secrets. --preload reads the settings before
    anything is served, so that faulty ones end the program (exit 78); without it gunicorn would
    start a worker that ends, and another, for ever.
    """
    return [
        str(bin_folder / "gunicorn"), "--preload", "--threads", "8",
        "--graceful-timeout", str(WEB_GRACE_SECONDS), "--no-control-socket",
        "--bind", f"127.0.0.1:{port}", "app:create_app()",
    ]  # fmt: skip


def tick(bin_folder: Path) -> list[str]:
    """What the safety timer runs every 5 minutes; it needs no broker."""
    return [str(bin_folder / "task-progress"), "tick"]
