"""Installations that share one Redis: which they are, and jobs that one of them found for another.

Each writes every half minute that it is there, and how many ticks its database has counted
(app/maintenance/rollback.py); a program that meets a trace of another (a guard, a job) notes it as
well. The queues `mail` and `ai` are the same list for all on one Redis, so a worker may receive a job
of another installation: it lays it aside under that one's id, whose own worker puts it back on the
queue. What is not fetched is forgotten.
"""

from typing import Any, cast

import redis

INSTALLATION = "installation"  # the header of a message that says who published it
ASIDE = "task-progress:aside:"  # before a queue and an id
SEEN = "task-progress:installations"  # a sorted set: "<id> <address of its pages>" by when
TICKS = "task-progress:ticks:"  # before a timeline: the highest count of its ticks
TICKS_SECONDS = 30 * 86_400  # nothing of so long ago is sent again
SEEN_SECONDS = 900  # a timer that ticks every 5 minutes is seen without a break
LAID_ASIDE_SECONDS = 3600
AT_ONCE = 1000  # messages fetched at once: Redis serves no other client meanwhile
ANSWER_WITHIN = 2.0  # seconds

_NOTE = """
local now = tonumber(redis.call('TIME')[1])
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
if KEYS[2] then
    local before = tonumber(redis.call('GET', KEYS[2]) or 0) or 0
    redis.call('SET', KEYS[2], math.max(before, tonumber(ARGV[3])), 'EX', ARGV[4])
end
"""
_SEEN = """
local now = tonumber(redis.call('TIME')[1])
return redis.call('ZRANGEBYSCORE', KEYS[1], now - ARGV[1], '+inf')
"""
_LAY_ASIDE = """
redis.call('LPUSH', KEYS[1], ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
"""
_FETCH = """
for i = 1, tonumber(ARGV[1]) do
    local message = redis.call('RPOP', KEYS[1])
    if not message then return i - 1 end
    redis.call('LPUSH', KEYS[2], message)
end
return tonumber(ARGV[1])
"""


def connect(url: str, within: float = ANSWER_WITHIN) -> "redis.Redis":
    """A connection that waits for no answer for longer than so many seconds."""
    return redis.Redis.from_url(
        url, socket_timeout=within, socket_connect_timeout=within, retry=None
    )


def note(
    client: "redis.Redis",
    installation: str,
    pages: str = "",
    counted: tuple[str, int] | None = None,
) -> None:
    """This installation was seen here now. `counted`: a timeline and how many ticks it has; of
    several numbers the highest is kept. Raises redis.RedisError, as all of these do.
    """
    keys = [SEEN]
    values: list[str | int] = [f"{installation} {pages}".strip(), SEEN_SECONDS]
    if counted is not None:
        timeline, number = counted
        keys.append(TICKS + timeline)
        values += [number, TICKS_SECONDS]
    client.eval(_NOTE, len(keys), *keys, *values)


def others(client: "redis.Redis", ours: str) -> list[str]:
    """The other installations seen here lately: the address of their pages, or the id."""
    found: dict[str, str] = {}
    for value in client.eval(_SEEN, 1, SEEN, SEEN_SECONDS):
        installation, _, pages = value.decode(errors="replace").partition(" ")
        if installation != ours:
            found[installation] = pages or found.get(installation, "") or installation
    return sorted(found.values())


def lay_aside(client: "redis.Redis", queue: str, installation: str, message: str) -> None:
    """Keeps the message for the installation that published it, and notes that it is here."""
    client.eval(_LAY_ASIDE, 1, _aside(queue, installation), message, LAID_ASIDE_SECONDS)
    note(client, installation)


def fetch(client: "redis.Redis", queue: str, ours: str) -> int:
    """Puts on the queue what others laid aside for us; returns how many."""
    return cast("int", client.eval(_FETCH, 2, _aside(queue, ours), queue, AT_ONCE))


def publisher_of(headers: Any) -> str | None:
    """Who published the message with these headers; None where it does not say."""
    found = headers.get(INSTALLATION) if isinstance(headers, dict) else None
    return found if isinstance(found, str) and found else None


def _aside(queue: str, installation: str) -> str:
    return f"{ASIDE}{queue}:{installation}"
