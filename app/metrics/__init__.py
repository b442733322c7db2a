"""`/metrics`: the figures for Prometheus. `read` asks the database, `page` (QUIET) writes them."""

import logging
import threading
from datetime import datetime
from queue import Empty, SimpleQueue

from app.metrics.page import Facts
from app.metrics.read import facts
from app.services import Services

log = logging.getLogger(__name__)

ANSWER_WITHIN = 5.0  # seconds; Prometheus waits for 10 unless it is told otherwise


class Reading:
    """Reads the figures, once at a time, and never waits longer than ANSWER_WITHIN.

    A database that accepts connections and answers nothing would else take one thread of the
    pages at each scrape, until none was left.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._within = ANSWER_WITHIN * services.config.test_time_scale
        self._one_at_a_time = threading.Lock()

    def facts(self, now: datetime) -> Facts | None:
        """How things stand at `now`; None while the database cannot be read."""
        if not self._one_at_a_time.acquire(timeout=self._within):
            return None
        answer: SimpleQueue[Facts | None] = SimpleQueue()
        threading.Thread(target=self._read, args=(now, answer), name="metrics", daemon=True).start()
        try:
            return answer.get(timeout=self._within)
        except Empty:
            log.warning("no figures: the database has not answered in time")
            return None

    def _read(self, now: datetime, answer: "SimpleQueue[Facts | None]") -> None:
        try:
            answer.put(facts(self._services, now))
        except Exception as error:  # noqa: BLE001 - whatever the driver raises, the page answers
            log.warning("no figures: %s", type(error).__name__)
            answer.put(None)
        finally:
            self._one_at_a_time.release()
