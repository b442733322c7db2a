"""The Redis guard `remind:<user_id>:YYYY-MM-DD`: a second, independent lock against doubles.

The database alone keeps the promise; the guard also stops a mail that another program, or the
same one on a restored database, has already sent. Redis away means: go on without.
"""

import logging
import time
from dataclasses import dataclass, field
from datetime import date

import redis

log = logging.getLogger(__name__)

KEEP_SECONDS = 86_400
ANSWER_WITHIN = 0.5  # seconds; a mail must not wait for Redis
SKIP_AFTER_FAILURE = 30.0  # seconds without asking again

_RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""


@dataclass
class Once:
    """The guard on one Redis. Never raises: an unreachable Redis guards nothing."""

    url: str | None
    _client: "redis.Redis | None" = field(default=None, repr=False)
    _skip_until: float = 0.0

    def take(self, user_id: int, day: date, value: str) -> bool:
        """True when the guard is now held with `value` (or Redis is away); False when taken."""
        client = self._ready()
        if client is None:
            return True
        key = guard_key(user_id, day)
        try:
            if client.set(key, value, nx=True, ex=KEEP_SECONDS):
                return True
            held = client.get(key)
        except redis.RedisError as error:
            self._failed(error)
            return True
        return held is None or held == value.encode()

    def release(self, user_id: int, day: date, value: str) -> None:
        """Lets go of the guard if it is held with `value`."""
        client = self._ready()
        if client is None:
            return
        try:
            client.eval(_RELEASE, 1, guard_key(user_id, day), value)
        except redis.RedisError as error:
            self._failed(error)

    def _ready(self) -> "redis.Redis | None":
        if self.url is None or time.monotonic() < self._skip_until:
            return None
        if self._client is None:
            self._client = redis.Redis.from_url(
                self.url,
                socket_timeout=ANSWER_WITHIN,
                socket_connect_timeout=ANSWER_WITHIN,
                retry=None,
            )
        return self._client

    def _failed(self, error: Exception) -> None:
        log.warning("guard: Redis does not answer, going on without (%s)", type(error).__name__)
        self._skip_until = time.monotonic() + SKIP_AFTER_FAILURE


def guard_key(user_id: int, day: date) -> str:
    """The key that others may set as well: `remind:<user_id>:YYYY-MM-DD` (local date)."""
    return f"remind:{user_id}:{day.isoformat()}"
