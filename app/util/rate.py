"""TOOL. Limits that all processes keep together on Redis.

With Redis away each process keeps them by itself until Redis is back.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from limits import RateLimitItem, RateLimitItemPerMinute, RateLimitItemPerSecond
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import MovingWindowRateLimiter
from redis.exceptions import RedisError

log = logging.getLogger(__name__)

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

    def allows(self, limit: RateLimitItem, key: str) -> bool:
        """True when it could happen now; it is not counted."""
        return self._with_redis(lambda limiter: limiter.test(limit, key))

    def _with_redis(self, ask: Callable[[MovingWindowRateLimiter], bool]) -> bool:
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
    """SMTP_RATE_PER_MINUTE: how many mails a minute may go out, all senders together.

    They spread: providers count by the second, so a second has its share, at least one mail.
    """

    per_minute: int | None
    limits: Limits

    @property
    def per_second(self) -> int | None:
        """A second's share, in whole mails."""
        return None if self.per_minute is None else max(1, self.per_minute // 60)

    def most_in(self, seconds: int, wanted: int) -> int:
        """How many of the mails that are wanted may go in so many seconds."""
        return wanted if self.per_second is None else min(wanted, self.per_second * seconds)

    def allows_one(self) -> bool:
        """Whether the minute has room for a mail. Nothing is counted."""
        if self.per_minute is None:
            return True
        return self.limits.allows(RateLimitItemPerMinute(self.per_minute), KEY)

    def take(self, mails: int) -> bool:
        """True when `mails` may go now, waited for a little; else the minute's number is used up."""
        if self.per_minute is None or self.per_second is None:
            return True
        second = RateLimitItemPerSecond(self.per_second)
        give_up = time.monotonic() + WAIT_AT_MOST
        while not self.limits.take(second, KEY, mails):
            if time.monotonic() > give_up:
                return False  # other senders take all there is
            time.sleep(0.05)
        return self.limits.take(RateLimitItemPerMinute(self.per_minute), KEY, mails)
