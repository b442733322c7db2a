"""Publishing to the queue `mail`: a message says that there is something to send.

It names the mails where they are few. A sender takes all that is ready from the database, so that
no mail hangs on a message, and eight that wait for a free process are as good as eight hundred.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from app.db import DatabaseDown
from app.services import Publish, Services
from app.util.shared_redis import INSTALLATION

log = logging.getLogger(__name__)

QUEUE = "mail"
DELIVER = "app.tasks.notifications.deliver"
TICK = "app.tasks.notifications.tick"
IDS_PER_MESSAGE = 256  # what 32 connections claim at once
MESSAGE_EXPIRES = 50.0  # seconds; the next tick finds what no worker took
# Messages that wait for a free process. Each keeps one busy while anything is ready, and puts
# another one on the queue when its time is over.
POKES_AT_MOST = 8
# Of Redis's lists for a queue the last one looked at: no tick and no sign-in mail waits behind it.
LAST = 9
ALARM_WITHIN = timedelta(minutes=1)  # later ones are found by a tick

AWAY = (OperationalError, RedisError, OSError)  # what is raised while Redis does not answer


def publisher(celery: Celery, scale: float, whose: Callable[[], Services] | None = None) -> Publish:
    """Puts outbox ids on the queue, from any thread; the messages say `whose` they are.

    Redis or the database away costs latency only: the tick sweeps.
    """

    def publish(ids: Sequence[int]) -> None:
        parts = range(0, len(ids), IDS_PER_MESSAGE)
        messages = [list(ids[start : start + IDS_PER_MESSAGE]) for start in parts]
        try:
            ours = {} if whose is None else {INSTALLATION: whose().installation.id()}
            if len(messages) > 1:
                for message in messages[: max(0, POKES_AT_MOST - _waiting(celery))]:
                    _send(celery, message, priority=LAST, headers=ours)
            elif messages:
                _send(celery, messages[0], expires=MESSAGE_EXPIRES * scale, headers=ours)
        except DatabaseDown:
            log.warning("the database is away, the next tick sends")
        except AWAY as error:
            log.warning("Redis is away, the next tick sends: %s", type(error).__name__)

    return publish


def poke(celery: Celery) -> None:
    """Has a process go on sending once one is free."""
    try:
        _send(celery, [], priority=LAST)
    except AWAY as error:
        log.warning("Redis is away, the next tick sends: %s", type(error).__name__)


def tick_again(celery: Celery) -> None:
    """Has the work of a tick gone on with, before anything that is sent in bulk."""
    try:
        celery.send_task(TICK, ignore_result=True, retry=False, expires=MESSAGE_EXPIRES)
    except AWAY as error:
        log.warning("Redis is away, the next tick goes on: %s", type(error).__name__)


def ask_for_tick(celery: Celery) -> None:
    """A tick that does not expire: by the clock of beat's machine, or of this, it might at once."""
    celery.send_task(TICK, ignore_result=True, retry=False)


def _send(celery: Celery, ids: list[int], **options: Any) -> None:
    celery.send_task(DELIVER, (ids,), ignore_result=True, retry=False, **options)


def _waiting(celery: Celery) -> int:
    """How many messages wait for a free process to send with, ticks and single mails included."""
    pool: Any = celery.pool  # of connections; celery-types calls them producers
    with pool.acquire(block=True) as connection:
        return int(connection.default_channel.queue_declare(QUEUE).message_count)


class NextMailTimer:
    """Pokes once when the next mail's hour comes: no process sleeps until then."""

    def __init__(self) -> None:
        self._timer: threading.Timer | None = None
        self._lock = threading.Lock()

    def set(self, celery: Celery, after: timedelta) -> None:
        """In this process the last alarm counts; what it makes forget, the next sender finds."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = threading.Timer(after.total_seconds(), poke, (celery,))
            self._timer.daemon = True
            self._timer.start()
