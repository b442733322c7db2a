"""`/metrics`: the figures for Prometheus, asked for with a time limit."""

import logging
import threading
import time
from datetime import datetime
from queue import Empty, SimpleQueue

from app.monitoring.metrics_page import Facts
from app.monitoring.metrics_read import facts
from app.services import Services

log = logging.getLogger(__name__)

ANSWER_WITHIN = 8.0  # seconds; Prometheus waits for 10 by default
STANDS = 20  # times as long as it took to read: reading takes 5 % of the time, who ever asks


class MetricsReading:
    """Reads the figures, once at a time, and never waits longer than ANSWER_WITHIN.

    A database that accepts connections and answers nothing would else take one thread of the
    pages at each scrape, until none was left; and a client that asks without end would keep it busy.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._within = ANSWER_WITHIN * services.config.test_time_scale
        self._one_at_a_time = threading.Lock()
        self._last: Facts | None = None
        self._stands_until = 0.0

    def facts(self, now: datetime) -> Facts | None:
        """How things stand at `now`; None while the database cannot be read."""
        until = time.monotonic() + self._within
        if not self._one_at_a_time.acquire(timeout=self._within):
            return None
        answer: SimpleQueue[Facts | None] = SimpleQueue()
        threading.Thread(target=self._read, args=(now, answer), name="metrics", daemon=True).start()
        try:
            return answer.get(timeout=max(0.0, until - time.monotonic()))
        except Empty:
            log.warning("no figures: the database has not answered in time")
            return None

    def _read(self, now: datetime, answer: "SimpleQueue[Facts | None]") -> None:
        try:
            answer.put(self._fresh(now))
        except Exception as error:  # noqa: BLE001 - whatever the driver raises, the page answers
            log.warning("no figures: %s", type(error).__name__)
            answer.put(None)
        finally:
            self._one_at_a_time.release()

    def _fresh(self, now: datetime) -> Facts:
        started = time.monotonic()
        if self._last is None or started >= self._stands_until:
            self._last = facts(self._services, now)
            ended = time.monotonic()
            self._stands_until = ended + STANDS * (ended - started)
        return self._last
