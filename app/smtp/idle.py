"""Connections to the mail server between two deliveries of one process.

The jobs of a morning follow each other in milliseconds: none need connect where the one before
has just left. A connection that is not used again within two seconds is closed.
"""

import atexit
import threading
from collections.abc import Sequence
from time import monotonic

from app.smtp.capabilities import Dialect
from app.smtp.session import SmtpSession
from app.smtp.settings import SmtpSettings


class IdleConnections:
    """The sessions that wait for the next delivery. Each is in one hand at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[SmtpSession] = []
        self._since = 0.0
        self._timer: threading.Timer | None = None
        self._dialects: dict[SmtpSettings, Dialect] = {}
        atexit.register(self.close)

    def take(self, settings: SmtpSettings, number: int) -> list[SmtpSession]:
        """That many sessions, those still open first; the others connect at their first mail."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
            self._stop_timer()
            fresh = monotonic() - self._since <= settings.idle
        good = [one for one in waiting if fresh and one.settings == settings][:number]
        quit_all([one for one in waiting if one not in good])
        # What one connection learnt of the server, all others of this process know.
        dialect = self._dialects.setdefault(settings, Dialect())
        return good + [SmtpSession(settings, dialect) for _ in range(number - len(good))]

    def keep(self, sessions: Sequence[SmtpSession]) -> None:
        """For the next delivery, if it comes soon."""
        with self._lock:
            left, self._waiting = self._waiting, [one for one in sessions if one.is_free]
            self._since = monotonic()
            self._stop_timer()
            if self._waiting:
                self._timer = threading.Timer(self._waiting[0].settings.idle, self.close)
                self._timer.daemon = True
                self._timer.start()
        quit_all([*left, *(one for one in sessions if not one.is_free)])

    def close(self) -> None:
        """Sends QUIT on all that wait, and closes them."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
        quit_all(waiting)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None


def quit_all(sessions: Sequence[SmtpSession]) -> None:
    """Closes all; they wait together for what the server says. Never raises."""
    for session in sessions:
        session.send_quit()
    for session in sessions:
        session.close()
