"""gunicorn's threads, none of which waits for what a visitor sends longer than READ_WITHIN.

A body of one byte a minute would hold one of the eight threads for ever: gunicorn bounds the wait
for the first byte alone. nginx, as `deploy/nginx.conf` sets it up, hands over whole requests; this
holds where nothing stands between. `gunicorn.conf.py` names this class.
"""

import time
from contextlib import suppress
from socket import SHUT_RD
from typing import Any

from gunicorn.workers.gthread import TConn, ThreadWorker

READ_WITHIN = 20.0  # seconds for a whole request, from its first byte's arrival to its last


class BoundedWorker(ThreadWorker):  # type: ignore[misc]  # a class of gunicorn, which has no types
    """After that time nothing more is read from the connection: what came so far ends there.

    A request that is whole by then is answered however long its answer takes.
    """

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._within = READ_WITHIN
        self._reading: dict[TConn, float] = {}  # until when, by time.monotonic()

    def load_wsgi(self) -> None:
        """The application, and how fast its time goes (TEST_TIME_SCALE)."""
        super().load_wsgi()
        self._within *= self.wsgi.extensions["task_progress"].config.test_time_scale

    def handle(self, conn: TConn) -> Any:
        """A request, in one of the threads."""
        self._reading[conn] = time.monotonic() + self._within
        try:
            return super().handle(conn)
        finally:
            del self._reading[conn]

    def notify(self) -> None:
        """Called each second by the process's own loop."""
        super().notify()
        now = time.monotonic()
        for conn, until in [*self._reading.items()]:
            if now > until:
                with suppress(OSError):  # it has gone
                    conn.sock.shutdown(SHUT_RD)
