"""The Redis guard `remind:<user_id>:YYYY-MM-DD`: a second, independent lock against doubles.

The database alone keeps the promise; the guard also stops a mail that another program, or the
same one on a restored database, has already sent. With Redis away, mails go out without it.

Its value names the installation and the outbox mail. Member 7 of another installation on the same
Redis is another person: a guard that it holds stops nothing here.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from typing import Any, NamedTuple, TypeVar

import redis

from app.channel import MAIL, key_of
from app.util import shared_redis

log = logging.getLogger(__name__)

T = TypeVar("T")

KEEP_SECONDS = 86_400
ANSWER_WITHIN = 0.5  # seconds; a mail must not wait for Redis
KEYS_AT_ONCE = 1000  # so that each answer comes in time
SKIP_AFTER_FAILURE = 30.0  # seconds without asking again

# One script for a whole batch: 5 us a mail, where a pipeline of commands takes 30 us.
_TAKE = """
local held = {}
for i, key in ipairs(KEYS) do
    redis.call('SET', key, ARGV[i + 1], 'NX', 'EX', ARGV[1])
    held[i] = redis.call('GET', key)
end
return held
"""
_RELEASE = """
local held = redis.call('GET', KEYS[1])
if held == ARGV[1] or held == ARGV[2] then return redis.call('DEL', KEYS[1]) end
return 0
"""


class Guard(NamedTuple):
    """One member's local date, and the outbox id that may have it."""

    user_id: int
    local_date: date
    mail_id: int
    channel: str = MAIL

    @property
    def key(self) -> str:
        """The key that others may set as well: `remind:<user_id>:YYYY-MM-DD`."""
        return key_of(guard_key(self.user_id, self.local_date), self.channel)

    def value(self, installation: str) -> str:
        """What a guard of this installation holds."""
        return f"{installation}:{self.mail_id}"


@dataclass
class SendGuard:
    """The guard on one Redis. An unreachable Redis guards nothing.

    `whose`: the id of this installation; what it raises (DatabaseDown) comes through.
    """

    url: str | None
    whose: Callable[[], str]
    time_scale: float = 1.0  # of the wait after a failure
    _client: "redis.Redis | None" = field(default=None, repr=False)
    _skip_until: float = 0.0

    def take(self, wanted: Sequence[Guard]) -> set[Guard]:
        """The guards under which another mail of this installation, or of a program that names
        none, has gone out; the others are ours now, or another installation's, or Redis is away.
        """

        def take(client: "redis.Redis") -> set[Guard]:
            ours = self.whose()
            keys, values = [one.key for one in wanted], [one.value(ours) for one in wanted]
            held = client.eval(_TAKE, len(keys), *keys, KEEP_SECONDS, *values)
            for other in {_installation_in(value) for value in held} - {"", ours}:
                log.error("guard: the installation %s uses this Redis, too", other)
                shared_redis.note(client, other)
            pairs = zip(wanted, held, strict=True)
            return {guard for guard, value in pairs if _another_mails(value, guard, ours)}

        return (self._ask(take) if wanted else None) or set()

    def standing(self, guards: Sequence[Guard]) -> list[Guard]:
        """Those of these guards that are held, in any name but another installation's. Takes none."""
        ours = self.whose()
        held: list[Any] = []
        for start in range(0, len(guards), KEYS_AT_ONCE):
            keys = [one.key for one in guards[start : start + KEYS_AT_ONCE]]
            values = self._ask(partial(_values, keys=keys))
            if values is None:
                break
            held += values
        return [
            one
            for one, value in zip(guards, held, strict=False)
            if value is not None and _installation_in(value) in ("", ours)
        ]

    def answers(self) -> bool | None:
        """Whether Redis answers; None where there is none. After a failure it is left in peace."""
        return None if self.url is None else bool(self._ask(lambda client: client.ping()))

    def ticks_of(self, timeline: str) -> int | None:
        """How many ticks of this timeline Redis knows; None where it knows none, or is away."""

        def ticks(client: "redis.Redis") -> Any:
            try:
                return client.get(shared_redis.TICKS + timeline)
            except redis.ResponseError as error:  # an ACL of a former version: the guard goes on
                log.warning("guard: Redis does not tell the ticks (%s)", type(error).__name__)
                return None

        value = self._ask(ticks)
        return int(value) if value and value.isdigit() else None

    def lengths(self, queues: Sequence[str]) -> dict[str, int] | None:
        """How much waits on each of these queues; None while Redis does not answer."""

        def lengths(client: "redis.Redis") -> dict[str, int]:
            with client.pipeline(transaction=False) as batch:
                for queue in queues:
                    batch.llen(queue)
                return dict(zip(queues, batch.execute(), strict=True))

        return self._ask(lengths)

    def release(self, guards: Sequence[Guard]) -> None:
        """Lets go of those guards that are held with their own value."""

        def release(client: "redis.Redis") -> None:
            ours = self.whose()
            with client.pipeline(transaction=False) as batch:
                for guard in guards:
                    batch.eval(_RELEASE, 1, guard.key, guard.value(ours), str(guard.mail_id))
                batch.execute()

        if guards:
            self._ask(release)

    def _ask(self, question: "Callable[[redis.Redis], T]") -> T | None:
        """Redis's answer; None where there is none, and for a while after it failed."""
        if self.url is None or time.monotonic() < self._skip_until:
            return None
        if self._client is None:
            self._client = shared_redis.connect(self.url, ANSWER_WITHIN)
        try:
            return question(self._client)
        except redis.RedisError as error:
            log.warning("guard: Redis does not answer, going on without (%s)", type(error).__name__)
            self._skip_until = time.monotonic() + SKIP_AFTER_FAILURE * self.time_scale
            return None


def _values(client: "redis.Redis", keys: list[str]) -> list[Any]:
    return list(client.mget(keys))


def guard_key(user_id: int, day: date) -> str:
    """The key that others may set as well: `remind:<user_id>:YYYY-MM-DD` (local date)."""
    return f"remind:{user_id}:{day.isoformat()}"


def _installation_in(value: Any) -> str:
    """The installation that a guard's value, bytes, names; "" where it names none."""
    name, colon, _ = value.decode(errors="replace").partition(":")
    return name if colon else ""


def _another_mails(value: bytes, guard: Guard, ours: str) -> bool:
    """Whether a guard's value is that of another mail of this installation. A bare number is what
    former versions wrote, "1" also what other programs write.
    """
    holder = _installation_in(value)
    if not holder:
        return value != str(guard.mail_id).encode()
    return holder == ours and value != guard.value(ours).encode()
