"""Beat's scheduler: Celery's in-memory one, which also follows a clock that is set.

Celery counts from the wall clock at which each job was last sent. Set back by 9 hours, it sends
nothing for 9 hours; so whenever the wall clock and the monotonic clock part, all is counted anew.
"""

import logging
import time
from typing import Any

from celery.beat import Scheduler as CelerysOwn

from app import clock

log = logging.getLogger(__name__)

APART = 2.0  # seconds between two looks by which the clocks may differ


class Scheduler(CelerysOwn):
    """Looks at both clocks at least every `beat_max_loop_interval`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._apart = _apart()
        super().__init__(*args, **kwargs)

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """As Celery's; after the clock was set, counted from now on."""
        apart = _apart()
        if abs(apart - self._apart) > APART:
            log.warning("the clock was set by %.0f s: counting anew", apart - self._apart)
            self._count_anew()
        self._apart = apart
        return float(super().tick(*args, **kwargs))

    def _count_anew(self) -> None:
        for entry in self.schedule.values():
            now = entry.default_now()
            # Sent by a clock that was ahead.
            entry.last_run_at = min(entry.last_run_at or now, now)
        self._heap = None


def _apart() -> float:
    return clock.of_the_machine().timestamp() - time.monotonic()
