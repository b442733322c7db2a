"""What the timer's `task-progress tick` does, again and again in one process.

A process for each tick would cost a second of processor time each; the road is the same. With
`--poison` the letter of a member whose name begins with 毒 kills the process, and one whose name
begins with 傷 raises, as a fault in a template would.
"""

import logging
import os
import signal
import sys
import time
from types import FrameType

from app import clock, compose, outbox, reminders
from app.config import load_or_exit
from app.db import DatabaseDown
from app.services import make
from app.util.message import MailMessage

EVERY = 20.0  # seconds, unscaled
log = logging.getLogger("sender")


class _Asked:
    over = False


def _stop(_number: int, _frame: FrameType | None) -> None:
    _Asked.over = True


def poison() -> None:
    """Makes the letters of two members poisonous."""
    healthy = compose.reminder

    def reminder(facts: compose.ReminderFacts) -> MailMessage:
        if facts.name.startswith("毒"):
            os.abort()
        if facts.name.startswith("傷"):
            raise KeyError(facts.name)
        return healthy(facts)

    compose.reminder = reminder


def main() -> None:
    """Ticks until TERM."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    signal.signal(signal.SIGTERM, _stop)
    if "--poison" in sys.argv:
        poison()
    config = load_or_exit()
    clock.shift(config.test_clock_offset)
    services = make(config)
    while not _Asked.over:
        try:
            planned = reminders.plan(services, clock.now())
            if "--plan-only" not in sys.argv:
                ids = outbox.sweep(services, clock.now())
                accepted = outbox.deliver(services, ids, clock.now, lambda: _Asked.over)
                if ids or planned.decided:
                    log.info("%d decided, %d of %d accepted", planned.decided, accepted, len(ids))
        except DatabaseDown as error:
            log.warning("database: %s", error)
        except Exception:
            log.exception("UNEXPECTED")
        time.sleep(EVERY * config.test_time_scale)


if __name__ == "__main__":
    main()
