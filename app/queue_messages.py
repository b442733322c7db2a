"""The worker's side of the queue: a message is a hint, and one that is no use is thrown away.

What is to be done stands in the database, and the next tick queues it again. A message that made
a worker end would be handed to the next one, and keep them all down for ever: one whose body or
time limit Celery cannot read, or one whose job ends its process.
"""

import json
import logging
from collections.abc import Callable
from numbers import Real
from typing import Any

import redis
from celery.worker.consumer import Consumer

log = logging.getLogger(__name__)

# What comes again by itself. An order by hand (`celery call`) is carried out after a restart.
_COMES_AGAIN = frozenset({"app.tasks.notifications.deliver", "app.tasks.notifications.tick"})
_ANSWER_WITHIN = 5.0  # seconds

Receive = Callable[[Any], Any]


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
                    return receive(message)
                except self.connection_errors:
                    raise
                except Exception as error:  # noqa: BLE001 - whatever Celery cannot read
                    why = type(error).__name__
            log.warning("a message was thrown away: %s", why)
            if not message.acknowledged:
                message.reject_log_error(log, self.connection_errors)
            return None

        return received


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


def _is_pair_of_numbers(limits: Any) -> bool:
    pair = isinstance(limits, list | tuple) and len(limits) == 2
    return pair and all(one is None or isinstance(one, Real) for one in limits)


def _forget_rubbish(url: str, options: dict[str, Any]) -> None:
    """Takes out of the unacknowledged messages what kombu cannot restore, and would end at."""
    if not url.startswith(("redis://", "rediss://")):
        return
    messages, index = options["unacked_key"], options["unacked_index_key"]
    wait = {"socket_timeout": _ANSWER_WITHIN, "socket_connect_timeout": _ANSWER_WITHIN}
    try:
        with redis.Redis.from_url(url, retry=None, **wait) as server:
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
