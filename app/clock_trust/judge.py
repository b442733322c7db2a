"""PURE. Whether a machine's wall clock can be believed, from what other clocks say.

The first witness is the time since the machine started, which cannot be set. The second is the
clock of the database, where it is another machine's: it counts only if it kept in step with the
first, because a clock that jumped along (SQLite, a server on this machine) knows nothing.

Only a clock that runs ahead is doubted. One that was set back plans what is planned already, which
changes nothing.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

HOUR = timedelta(hours=1)  # two clocks further apart than this do not agree


class Witness(StrEnum):
    """Against which clock the wall clock is ahead."""

    BOOT = "boot"
    DATABASE = "database"


@dataclass(frozen=True, slots=True)
class ClockReading:
    """What the clocks said at one moment."""

    wall: datetime
    since_boot: float  # seconds
    database: datetime


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why the wall clock is not believed."""

    witness: Witness
    ahead: timedelta


def judge(now: ClockReading, before: ClockReading | None) -> Doubt | None:
    """Whether to doubt the wall clock.

    `before` is a reading of the same start of the same machine that was believed; None when there
    is none yet. A machine that was off, or asleep, is no fault: it starts anew, or its time since
    the start went on.
    """
    apart = now.wall - now.database
    if before is None:
        return Doubt(Witness.DATABASE, apart) if apart > HOUR else None
    ahead = moved(now.wall, before.wall, now, before)
    if ahead <= HOUR:
        return None
    steady = abs(moved(now.database, before.database, now, before)) <= HOUR
    if steady and abs(apart) <= HOUR:
        return None  # it was wrong before, and agrees with an independent clock now
    return Doubt(Witness.BOOT, ahead)


def moved(clock: datetime, was: datetime, now: ClockReading, before: ClockReading) -> timedelta:
    """By how much a clock was set between two readings."""
    return clock - was - timedelta(seconds=now.since_boot - before.since_boot)
