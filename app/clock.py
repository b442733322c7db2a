"""The only clock. Doors ask it and pass `now` down; no other module reads the time of day.

TEST_CLOCK_OFFSET moves it: the start of each process hands `config.test_clock_offset` to
`shift` once (create_app does).
"""

import platform
import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

_offset = timedelta()


def now() -> datetime:
    """The present instant, aware, in UTC, moved by what `shift` was given."""
    return datetime.now(UTC) + _offset


def shift(seconds: float) -> None:
    """Let `now` run `seconds` ahead of the machine (behind, if negative) in this process.

    Called twice, the second value holds; they do not add up.
    """
    global _offset  # noqa: PLW0603  # one process has one clock
    _offset = timedelta(seconds=seconds)


def of_the_machine() -> datetime:
    """The machine's own wall clock, whatever `shift` was given."""
    return datetime.now(UTC)


def since_boot() -> float:
    """Seconds since this machine started, sleep included; this clock cannot be set.

    CLOCK_BOOTTIME of clock_gettime(2).
    """
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@lru_cache(maxsize=1)
def boot_id() -> str:
    """One start of one machine: what `since_boot` counts from (random(4)); else the host's name."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return platform.node()
