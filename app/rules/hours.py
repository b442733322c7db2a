"""PURE. At which hour a reminder may come, and until when: time zones, quiet hours, catching up.

`now` and all facts are arguments. The rules are those of docs/rules.md.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from zoneinfo import ZoneInfo

from app.rules.workdays import DAY

LOOK_BACK = 7 * DAY  # dates on which nothing ran are decided this far back


class Frequency(StrEnum):
    """How often a member wants to be reminded."""

    DAILY = "daily"
    WEEKLY = "weekly"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class QuietHours:
    """Wall-clock hours without mail, `start` included, `end` not; may cross midnight."""

    start: time
    end: time

    def cover(self, wall: time) -> bool:
        """True when `wall` lies in the quiet hours; start = end means there are none."""
        if self.start <= self.end:
            return self.start <= wall < self.end
        return wall >= self.start or wall < self.end


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How one member wants to be reminded: the member's own values over the organisation's."""

    zone: ZoneInfo
    frequency: Frequency = Frequency.DAILY
    notify_at: time = time(9)
    weekly_day: int = 0  # date.weekday(): Monday 0
    week_begins: int = 0  # the weekday of workdays.week_begins
    quiet: QuietHours | None = None
    paused_until: date | None = None  # the first date with mail again
    suppressed: bool = False  # the address was refused for good on three days
    catch_up_until: time = time(18)  # late is better than never until this hour, local
    catch_up_for: timedelta = timedelta(hours=3)  # or for this long after the hour


def end_of(day: date, zone: ZoneInfo) -> datetime:
    """The instant (UTC) at which the local date `day` is over."""
    return instant(zone, day + DAY, time(0))


@lru_cache(maxsize=4096)  # a team shares its few hours, and each is asked for several times
def instant(zone: ZoneInfo, day: date, wall: time) -> datetime:
    """The first instant (UTC) at or after `day` `wall` in `zone`.

    A wall time that a clock change skips becomes the first instant after the gap; one that
    exists twice is its first occurrence.
    """
    moment = datetime.combine(day, wall, zone).astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None) == datetime.combine(day, wall):
        return moment
    # fold=1 reads the wall time with the offset after the gap, which lies before the gap.
    early = datetime.combine(day, wall, zone).replace(fold=1).astimezone(UTC)
    before = early.astimezone(zone).utcoffset()
    while (moment - early) > timedelta(seconds=1):
        middle = early + (moment - early) / 2
        if middle.astimezone(zone).utcoffset() == before:
            early = middle
        else:
            moment = middle
    return moment.replace(microsecond=0)


def hour(rhythm: Rhythm, day: date) -> datetime:
    """The instant (UTC) at which the reminder of the local date `day` may come."""
    at = instant(rhythm.zone, day, rhythm.notify_at)
    wall = at.astimezone(rhythm.zone).time()
    if rhythm.quiet is not None and rhythm.quiet.cover(wall):
        return instant(rhythm.zone, day, rhythm.quiet.end)
    return at


def too_late(rhythm: Rhythm, day: date, at: datetime | None = None) -> datetime:
    """The instant (UTC) from which the reminder of `day`, whose hour is `at`, is `expired`.

    18:00 local or 3 hours after the hour, whichever is later, cut at the start of quiet hours
    and at midnight.
    """
    at = at or hour(rhythm, day)
    limit = max(instant(rhythm.zone, day, rhythm.catch_up_until), at + rhythm.catch_up_for)
    return min(limit, quiet_begins(rhythm, at, end_of(day, rhythm.zone)))


def quiet_begins(rhythm: Rhythm, now: datetime, midnight: datetime) -> datetime:
    """The first start (UTC) of quiet hours after `now`, or `midnight` when that comes before."""
    quiet = rhythm.quiet
    if quiet is None or quiet.start == quiet.end:
        return midnight
    begin = instant(rhythm.zone, now.astimezone(rhythm.zone).date(), quiet.start)
    return min(begin, midnight) if begin > now else midnight


def quiet_until(rhythm: Rhythm, now: datetime) -> datetime | None:
    """The end (UTC) of the quiet hours that `now` lies in, or None."""
    local = now.astimezone(rhythm.zone)
    quiet = rhythm.quiet
    if quiet is None or not quiet.cover(local.time()):
        return None
    day = local.date() if local.time() < quiet.end else local.date() + DAY
    end = instant(rhythm.zone, day, quiet.end)
    if end > now:
        return end
    # The clock was set back and `now` lies in the second run of that hour, as the end does.
    return datetime.combine(day, quiet.end, rhythm.zone).replace(fold=1).astimezone(UTC)


def first_date(rhythm: Rhythm, now: datetime) -> date:
    """The first local date of a member who becomes active at `now`.

    It is today while today's hour is still to come, else tomorrow.
    """
    day = now.astimezone(rhythm.zone).date()
    return day if now <= hour(rhythm, day) else day + DAY


def dates_due(rhythm: Rhythm, decided_through: date, now: datetime) -> list[date]:
    """The local dates after `decided_through` whose hour has come, at most 7 days back."""
    today = now.astimezone(rhythm.zone).date()
    day = max(decided_through + DAY, today - LOOK_BACK)
    days = []
    while day <= today and hour(rhythm, day) <= now:
        days.append(day)
        day += DAY
    return days
