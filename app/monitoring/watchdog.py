"""The worker's own watchdog: attached to Redis, yet no longer consuming, it ends itself.

Seen after restarts of Redis: the connection is there, the queue fills, nothing is received. The
supervisor (systemd, `make run`) starts it again. Whatever is running is finished first.

It also asks for a tick when beat sends none, or none that has not expired by this machine's clock.
"""

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

log = logging.getLogger(__name__)

LOOK_EVERY = 10.0  # seconds
DEAF_FOR = 60.0  # seconds with a filled queue and a free slot, and nothing received
NO_TICK_FOR = 180.0  # seconds; beat sends one each minute
FINISH_WITHIN = 720.0  # above the 600 s that a server may take to answer the final dot
EXIT_CODE = 70  # EX_SOFTWARE


@dataclass
class Watchdog:
    """Looks at one worker every 10 s.

    `waiting` tells how many messages lie on the worker's queues, over a connection of its own;
    `free` whether the worker could take one; `stop` asks it to finish and end with a code.
    `last_tick` is whatever is different after each tick; `ask_for_tick` (None: not this worker's
    work) puts one on the queue.
    """

    waiting: Callable[[], int]
    free: Callable[[], bool]
    stop: Callable[[int], None]
    scale: float = 1.0
    end: Callable[[int], None] = os._exit
    last_tick: Callable[[], object] = lambda: None
    ask_for_tick: Callable[[], None] | None = None
    no_tick_for: float = NO_TICK_FOR
    clock: Callable[[], float] = time.monotonic
    _heard: float = field(init=False)
    _seen: tuple[object, float] = field(init=False)

    def __post_init__(self) -> None:
        self._heard = self.clock()
        self._seen = (None, self._heard)

    def heard(self) -> None:
        """The worker received a message."""
        self._heard = self.clock()

    def start(self) -> None:
        """Looks from a thread of its own, for as long as the process lives."""
        threading.Thread(target=self._run, name="watchdog", daemon=True).start()

    def deaf(self) -> bool:
        """True when messages wait that the worker should have taken long ago."""
        try:
            if not self.free() or self.waiting() == 0:
                self.heard()
        except Exception as error:  # noqa: BLE001 - Redis away: then no worker could receive anything
            log.debug("watchdog: %s", type(error).__name__)
            self.heard()
        return self.clock() - self._heard > DEAF_FOR * self.scale

    def look_for_ticks(self) -> None:
        """Asks for a tick when none came for 3 minutes, by a clock that cannot be set."""
        if self.ask_for_tick is None:
            return
        try:
            mark, since = self.last_tick(), self._seen[1]
            if mark != self._seen[0]:
                since = self.clock()
            elif self.clock() - since > self.no_tick_for * self.scale:
                log.warning("no tick for %.0f s: asking for one", self.clock() - since)
                self.ask_for_tick()
                since = self.clock()
            self._seen = (mark, since)
        except Exception as error:  # noqa: BLE001 - no database, no Redis: no worker could run a tick
            log.debug("watchdog: %s", type(error).__name__)

    def _run(self) -> None:
        while not self.deaf():
            self.look_for_ticks()
            time.sleep(LOOK_EVERY * self.scale)
        log.critical("attached to Redis but receiving nothing: ending, to be started again")
        self.stop(EXIT_CODE)
        time.sleep(FINISH_WITHIN * self.scale)
        self.end(EXIT_CODE)
