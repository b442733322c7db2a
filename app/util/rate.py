"""Rate limits that all processes keep together on Redis.

With Redis away each process keeps them by itself until Redis is back.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from math import gcd
from typing import Any, TypeVar

from limits import RateLimitItem, RateLimitItemPerMinute, RateLimitItemPerSecond, WindowStats
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import MovingWindowRateLimiter
from redis.exceptions import RedisError

from app import clock

log = logging.getLogger(__name__)

T = TypeVar("T")

KEY = "smtp"
ANSWER_WITHIN = 0.5  # seconds
SKIP_AFTER_FAILURE = 30.0  # seconds
WAIT_AT_MOST = 3.0  # seconds, for a share of one of the next seconds


@dataclass
class Limits:
    """How often something may happen, by key."""

    redis_url: str | None
    time_scale: float = 1.0  # of the wait after a failure
    _shared: MovingWindowRateLimiter | None = field(default=None, repr=False)
    _own: MovingWindowRateLimiter = field(
        default_factory=lambda: MovingWindowRateLimiter(MemoryStorage()), repr=False
    )
    _skip_until: float = 0.0

    def take(self, limit: RateLimitItem, key: str, cost: int = 1) -> bool:
        """True when it may happen now, and is counted; else the limit is used up."""
        return self._with_redis(lambda limiter: limiter.hit(limit, key, cost=cost))

    def stats(self, limit: RateLimitItem, key: str) -> WindowStats:
        """How often it could happen now, and when (seconds since 1970) it grows; nothing is counted."""
        return self._with_redis(lambda limiter: limiter.get_window_stats(limit, key))

    def _with_redis(self, ask: Callable[[MovingWindowRateLimiter], T]) -> T:
        if self.redis_url is not None and time.monotonic() >= self._skip_until:
            try:
                return ask(self._on_redis(self.redis_url))
            except RedisError as error:
                log.warning("rate: Redis does not answer (%s)", type(error).__name__)
                self._skip_until = time.monotonic() + SKIP_AFTER_FAILURE * self.time_scale
        return ask(self._own)

    def _on_redis(self, url: str) -> MovingWindowRateLimiter:
        if self._shared is None:
            options: dict[str, Any] = {
                "socket_timeout": ANSWER_WITHIN,
                "socket_connect_timeout": ANSWER_WITHIN,
                "retry": None,
            }
            storage = RedisStorage(
                url, key_prefix="task-progress", wrap_exceptions=False, **options
            )
            self._shared = MovingWindowRateLimiter(storage)
        return self._shared


@dataclass
class Rate:
    """How many mails a minute may go out by a channel, all senders together (SMTP_RATE_PER_MINUTE).

    They spread (`windows`), because providers count by the second.
    """

    per_minute: int | None
    limits: Limits
    key: str = KEY  # whose rate it is

    @cached_property
    def _windows(self) -> list[RateLimitItem]:
        return [] if self.per_minute is None else windows(self.per_minute)

    def most_in(self, seconds: int, wanted: int) -> int:
        """How many of the mails that are wanted may go in so many seconds."""
        if self.per_minute is None:
            return wanted
        return min(wanted, max(seconds, _share(self.per_minute, seconds)))

    def room(self, wanted: int) -> int:
        """How many of the mails that are wanted may go at this moment. Nothing is counted."""
        return self._room(wanted)[0]

    def take(self, wanted: int) -> int:
        """How many of the mails that are wanted go now: they are counted.

        Waits a little for the first one; 0 when its turn comes later than that.
        """
        give_up = time.monotonic() + WAIT_AT_MOST
        while True:
            mails, wait = self._room(wanted)
            # False: another sender was faster.
            if mails and all(self.limits.take(one, self.key, mails) for one in self._windows):
                return mails
            if time.monotonic() + wait > give_up:
                return 0
            time.sleep(max(wait, 0.001))

    def _room(self, wanted: int) -> tuple[int, float]:
        """How many may go at this moment; where it is none, the seconds until one may."""
        now = clock.of_the_machine().timestamp()  # as `limits` has it
        found = [self.limits.stats(one, self.key) for one in self._windows]
        room = min([wanted, *(one.remaining for one in found)])
        return room, max((one.reset_time - now for one in found if not one.remaining), default=0.0)


def windows(per_minute: int) -> list[RateLimitItem]:
    """What may go in a second, in longer windows, and in the minute.

    A second has its share, rounded up to whole mails, so that the minute can be filled: of 90 a
    minute 2. The longer windows keep that from adding up: 3 in 2 seconds, which is 90 exactly.
    """
    exact = 60 // gcd(per_minute, 60) if per_minute > 60 else 1  # seconds with whole mails
    lengths = [n for n in (1, 2, 4, 8, 16, 32) if n < exact] + [exact]
    spread = [RateLimitItemPerSecond(_share(per_minute, n), n) for n in lengths]
    return [*spread, RateLimitItemPerMinute(per_minute)]


def _share(per_minute: int, seconds: int) -> int:
    return -(-per_minute * seconds // 60)
