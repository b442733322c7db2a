"""What the timer's `task-progress tick` does, again and again in one process.

A process for each tick would cost a second of processor time each; the road is the same. With
`--poison` the letter of a member whose name begins with 毒 kills the process, one whose name
begins with 傷 raises, as a fault in a template would, and one whose name begins with 大 has 5 MB.
With `--no-name FILE` the name of the mail server does not exist while the file does.
"""

import logging
import os
import signal
import socket
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

from app import clock, outbox, reminders
from app.compose.reminder import ReminderFacts
from app.compose.reminder import reminder as healthy
from app.config import load_or_exit
from app.db import DatabaseDown
from app.letters import reminder as letter
from app.mime.message import MailMessage
from app.services import make
from app.util import logs
from tests import sending

EVERY = 20.0  # seconds, unscaled
log = logging.getLogger("sender")


class _Asked:
    over = False


def _stop(_number: int, _frame: FrameType | None) -> None:
    _Asked.over = True


def poison() -> None:
    """Makes the letters of three members poisonous."""

    def reminder(facts: ReminderFacts) -> MailMessage:
        if facts.name.startswith("毒"):
            os.abort()
        if facts.name.startswith("傷"):
            raise KeyError(facts.name)
        message = healthy(facts)
        return replace(message, text="大" * 1_250_000) if facts.name.startswith("大") else message

    setattr(letter, "reminder", reminder)  # noqa: B010 - it only imports the name


def no_name(while_there: Path) -> None:
    """No name can be resolved while this file is there, as the resolver says it (NXDOMAIN)."""
    resolve = socket.getaddrinfo

    def getaddrinfo(*args: Any, **kwargs: Any) -> Any:
        if while_there.exists():
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return resolve(*args, **kwargs)

    socket.getaddrinfo = getaddrinfo


def main() -> None:
    """Ticks until TERM."""
    logs.install("text")
    signal.signal(signal.SIGTERM, _stop)
    if "--poison" in sys.argv:
        poison()
    if "--no-name" in sys.argv:
        no_name(Path(sys.argv[sys.argv.index("--no-name") + 1]))
    config = load_or_exit()
    clock.shift(config.test_clock_offset)
    services = make(config)
    log.info("begins")
    while not _Asked.over:
        try:
            planned = reminders.plan(services, clock.now())
            if "--plan-only" not in sys.argv:
                outbox.sweep(services, clock.now())
                accepted = sending.send(services, clock.now, lambda: _Asked.over).accepted
                if accepted or planned.decided:
                    log.info("%d decided, %d accepted", planned.decided, accepted)
        except DatabaseDown as error:
            log.warning("database: %s", error)
        except Exception:
            log.exception("UNEXPECTED")
        time.sleep(EVERY * config.test_time_scale)


if __name__ == "__main__":
    main()
