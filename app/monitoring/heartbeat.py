"""A program's start and its heartbeat: twice a minute, from a thread of its own that also runs the checks."""

import logging
import threading
from collections.abc import Callable

from app import clock
from app.db import DatabaseDown
from app.monitoring import alert_mails, checks, restarts, status
from app.services import Services

log = logging.getLogger(__name__)

BEAT_EVERY = 30.0  # seconds


class Heartbeat:
    """Renews a program's heartbeat and runs the checks, for as long as the process runs.

    `name`: whose heartbeat it is (`beat`, `worker-mail@host`); None: the checks alone, as the pages do.
    `services`: asked in the thread, so that a fork inherits no connection in use.
    """

    def __init__(self, name: str | None, services: Callable[[], Services]) -> None:
        self._name = name
        self._services = services
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Begins at once. The start itself is noted first: the program may end soon."""
        if self._name is not None:
            try:
                with self._services().db.write() as session:
                    restarts.note(session, self._name, clock.now())
            except DatabaseDown as error:
                log.warning("the start cannot be stored: %s", error.sentence.en)
        self._thread.start()

    def stop(self) -> None:
        """Beats no more; waits for a beat that has begun."""
        self._over.set()
        self._thread.join()

    def once(self) -> None:
        """One beat; a database that is away breaks nothing here."""
        now = clock.now()
        try:
            if self._name is not None:
                status.note_heartbeat(self._services(), self._name, now)
            checks.run(self._services(), now)
            alert_mails.notify_admins(self._services(), now)
        except DatabaseDown as error:
            log.warning("no heartbeat can be stored: %s", error.sentence.en)
        except Exception:
            log.exception("the look for alarms broke")

    def _run(self) -> None:
        while True:
            self.once()
            if self._over.wait(BEAT_EVERY):
                return
