"""Celery's log lines, and what is printed in a worker, in our one format (app/util/logs.py)."""

import contextlib
import logging
import logging.handlers
import os
import sys
from collections.abc import Callable
from typing import Any

from celery import Celery, current_app, signals
from celery.apps import worker
from celery.beat import SchedulingError
from celery.utils.log import get_logger

from app.config import load_or_exit
from app.queue.publishing import AWAY
from app.util import logs


def connect(celery: Celery, log_format: str) -> None:
    """Beat and the workers will ask us how to say things; without their banners, many lines long."""
    logs.install(log_format, level=logging.WARNING)  # for what is wrong before they ask
    signals.setup_logging.connect(_our_lines)
    signals.celeryd_init.connect(_no_banner)
    logging.getLogger("celery.beat").addFilter(_in_one_line)
    loud: Callable[..., Any] = celery.Beat
    quiet = {"quiet": True}
    setattr(celery, "Beat", lambda **options: loud(**options | quiet))  # noqa: B010 - its type says it is read only


def _our_lines(loglevel: int = logging.INFO, logfile: str | None = None, **_: object) -> None:
    file = logging.handlers.WatchedFileHandler(logfile) if logfile else None
    logs.install(load_or_exit(service=True).log_format, level=loglevel, handler=file)
    # The children of a worker inherit it: `redirect_stdouts` would have them do it once more.
    printed = get_logger("celery.redirected")
    current_app.log.redirect_stdouts_to_logger(printed, logging.WARNING)
    setattr(worker, "safe_say", _said_in_a_signal)  # noqa: B010 - its types do not name it


def _in_one_line(record: logging.LogRecord) -> bool:
    """Beat says of each job that it cannot queue two tracebacks of its own insides.

    That Redis is away is one line a minute; whatever else breaks there keeps its traceback.
    """
    error = record.exc_info[1] if record.exc_info else None
    away = error.__context__ if isinstance(error, SchedulingError) else None
    if isinstance(away, AWAY):
        why = type(away.__cause__ or away).__name__
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        record.msg, record.args = "Redis is away, a job is not queued: %s", (why,)
        record.exc_info = record.exc_text = None
    return True


def _no_banner(instance: Any = None, **_: object) -> None:
    instance.quiet = True


def _said_in_a_signal(message: str, _stream: Any = None) -> None:
    """Writes past the streams: the signal may have come in the middle of a line."""
    line = logs.line("celery.worker", logging.WARNING, message)
    with contextlib.suppress(OSError):
        os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, f"{line}\n".encode())
