"""Read by gunicorn by itself when it starts in this folder."""

import os
from typing import Any

umask = 0o077  # of gunicorn's own files; and of all that the pages make (app/util/private.py):
os.umask(umask)

limit_request_line = 4_094  # what one address may hold; app/web/limits.py has the rest

worker_class = "app.web.worker.BoundedWorker"  # threads that nobody holds by sending slowly

logger_class = "app.web.access_log.MaskingLogger"  # no token of a mail link in any log


def on_starting(_server: Any) -> None:
    """With a SECRET_KEY that the database does not know no page is shown."""
    from app.identity.known_settings import check_or_exit  # noqa: PLC0415 - a setting of gunicorn's must not need it

    check_or_exit()


def pre_fork(_server: Any, _worker: Any) -> None:
    """The pages' process shares what was loaded before it."""
    from app.util.forking import share_memory  # noqa: PLC0415 - a setting of gunicorn's must not need it

    share_memory()


def post_worker_init(worker: Any) -> None:
    """Each process of the pages looks for alarms, also where beat and the workers are dead."""
    from app.monitoring.heartbeat import Heartbeat  # noqa: PLC0415 - after the fork

    services = worker.wsgi.extensions["task_progress"]
    Heartbeat(None, lambda: services).start()
