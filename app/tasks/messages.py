"""Messages that a worker refuses: unreadable, harmful, or of another installation.

A message is a hint; what is to be done stands in the database, and the next tick queues it again. A
message that made a worker end would be handed to the next one, and keep them all down for ever: one
whose body or time limit Celery cannot read, or one whose job ends its process. A job that another
installation published is left to it.
"""

import json
import logging
import random
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any

import redis
from celery.worker.consumer import Consumer

from app.db import DatabaseDown
from app.util import shared_redis

log = logging.getLogger(__name__)

# What comes again by itself. An order by hand (`celery call`) is carried out after a restart.
_COMES_AGAIN = frozenset({"app.tasks.notifications.deliver", "app.tasks.notifications.tick"})
_ANSWER_WITHIN = 5.0  # seconds

# Seconds. Redis hands a message to the worker that waits longest, and both workers wait by the second: at
# equal distances the other installation's would get each job again and again.
FETCH_EVERY = (0.3, 1.7)

Receive = Callable[[Any], Any]


class Ours:
    """The id of this worker's installation: None until the database has said it."""

    id: str | None = None


def know_ours(installation: Callable[[], str]) -> None:
    """Asks the database for the id, before the first message comes. Raises DatabaseDown."""
    Ours.id = installation()


def fetch_ours(url: str, queues: Sequence[str], installation: Callable[[], str]) -> None:
    """Puts our jobs that another installation's worker received back on the queues, for as long
    as this process lives.
    """
    if _is_redis(url):
        arguments = (url, queues, installation)
        threading.Thread(target=_fetch, args=arguments, name="fetch", daemon=True).start()


def _fetch(url: str, queues: Sequence[str], installation: Callable[[], str]) -> None:
    client = shared_redis.connect(url)
    while True:
        try:
            know_ours(installation)
            for queue in queues:
                if found := shared_redis.fetch(client, queue, installation()):
                    log.warning("jobs that another installation had received: %d", found)
        except (redis.RedisError, DatabaseDown) as error:
            log.debug("nothing is fetched: %s", type(error).__name__)
        time.sleep(random.uniform(*FETCH_EVERY))  # noqa: S311 - no secret


class HintConsumer(Consumer):
    """Celery's consumer, which lives through any message."""

    connection_errors: tuple[type[Exception], ...]  # of the broker; Celery's types leave it out

    def start(self) -> None:
        """Begins, and begins again after each lost connection."""
        _forget_rubbish(self.app.conf.broker_url, self.app.conf.broker_transport_options)
        super().start()

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Receive:
        """What is done with each message."""
        receive: Receive = super().create_task_handler(*args, **kwargs)

        def received(message: Any) -> Any:
            why = unusable(message)
            if why is None:
                try:
                    return None if self._laid_aside(message) else receive(message)
                except self.connection_errors:
                    raise
                except Exception as error:  # noqa: BLE001 - whatever Celery cannot read
                    why = type(error).__name__
            log.warning("a message was thrown away: %s", why)
            if not message.acknowledged:
                message.reject_log_error(log, self.connection_errors)
            return None

        return received

    def _laid_aside(self, message: Any) -> bool:
        """Whether another installation published the message, which is then laid aside for it.

        One without an installation is carried out here: typed by hand, or of a former version.
        """
        publisher, ours = shared_redis.publisher_of(message.headers), Ours.id
        url = self.app.conf.broker_url
        if publisher is None or ours is None or publisher == ours or not _is_redis(url):
            return False
        queue = message.delivery_info.get("routing_key") or "mail"
        kept = message.serializable()
        # A tag of its own: this worker's acknowledgement must not take the other one's message.
        kept["properties"] = {**kept["properties"], "delivery_tag": str(uuid.uuid4())}
        with shared_redis.connect(url) as client:
            shared_redis.lay_aside(client, queue, publisher, json.dumps(kept))
        log.warning("a job of the installation %s was laid aside for it", publisher)
        message.ack_log_error(log, self.connection_errors)
        return True


def unusable(message: Any) -> str | None:
    """Why no job can be made of this message; None where one can. Quotes nothing of it."""
    headers = message.headers
    if not isinstance(headers, dict) or not isinstance(headers.get("id"), str):
        return "no headers"
    limits = headers.get("timelimit")
    if limits is not None and not _is_pair_of_numbers(limits):
        return "its time limit is no number"
    if headers.get("task") in _COMES_AGAIN and message.delivery_info.get("redelivered"):
        return "its worker ended; what it was about comes again"
    try:
        payload = message.payload
    except Exception:  # noqa: BLE001 - whatever a decoder raises
        return "its body cannot be decoded"
    known = isinstance(payload, list) and [type(one) for one in payload[:2]] == [list, dict]
    return None if known and len(payload) == 3 else "its body holds no arguments"


def _is_redis(url: str) -> bool:
    return url.startswith(("redis://", "rediss://"))


def _is_pair_of_numbers(limits: Any) -> bool:
    pair = isinstance(limits, list | tuple) and len(limits) == 2
    return pair and all(one is None or isinstance(one, Real) for one in limits)


def _forget_rubbish(url: str, options: dict[str, Any]) -> None:
    """Takes out of the unacknowledged messages what kombu cannot restore, and would end at."""
    if not _is_redis(url):
        return
    messages, index = options["unacked_key"], options["unacked_index_key"]
    try:
        with shared_redis.connect(url, _ANSWER_WITHIN) as server:
            for tag in server.zrange(index, 0, -1):
                value = server.hget(messages, tag)
                if value is not None and not _can_be_restored(value):
                    server.zrem(index, tag)
                    server.hdel(messages, tag)
                    log.warning("an unacknowledged message was thrown away: it is no message")
    except redis.RedisError as error:
        log.info("the unacknowledged messages are not looked at: %s", type(error).__name__)


def _can_be_restored(value: bytes) -> bool:
    try:
        message, exchange, routing_key = json.loads(value)
        parts = message["headers"], message["properties"]["delivery_info"]
    except (ValueError, TypeError, KeyError):
        return False
    names = isinstance(exchange, str) and isinstance(routing_key, str)
    return names and all(isinstance(one, dict) for one in parts)
