"""Who is due: what is unreported, at which hour a mail may come, and the decision with its reason.

Pure: `now`, the calendar and all facts are arguments, and every answer says why.
The rules are those of docs/rules.md.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from zoneinfo import ZoneInfo

from app.rules.workdays import DAY, Calendar, DayOff, week_of

REPORT_EVERY = {"daily": 1, "weekly": 5}  # workdays a report may be old
ASKED_AT_MOST = 3  # asked_reminder mails per member and day
LOOK_BACK = 7 * DAY  # dates on which nothing ran are decided this far back
MIDNIGHT = time(0)


class Frequency(StrEnum):
    """How often a member wants to be reminded."""

    DAILY = "daily"
    WEEKLY = "weekly"
    NONE = "none"


class Verdict(StrEnum):
    """What was decided for one member and local date."""

    SEND = "send"
    SKIP = "skip"


class Reason(StrEnum):
    """Why no reminder goes out; the first ten in the order in which they are looked at."""

    ADDRESS_SUPPRESSED = "address_suppressed"
    FREQUENCY_NONE = "frequency_none"
    PAUSED = "paused"
    ON_LEAVE = "on_leave"
    COMPANY_CLOSED = "company_closed"
    HOLIDAY = "holiday"
    WEEKEND = "weekend"
    NOT_THIS_WEEKDAY = "not_this_weekday"
    ALREADY_SENT = "already_sent"
    NOTHING_UNREPORTED = "nothing_unreported"
    # later in a mail's life
    REPORTED_MEANWHILE = "reported_meanwhile"
    OPTED_OUT = "opted_out"
    INACTIVE = "inactive"
    EXPIRED = "expired"
    NOT_IN_PILOT = "not_in_pilot"  # MAIL_ONLY_TO does not name the address
    CANCELLED = "cancelled"  # by an operator, or snoozed to another hour of the day


DAY_OFF = frozenset(Reason(off.value) for off in DayOff)


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


@dataclass(frozen=True, slots=True)
class OpenTask:
    """One open, assigned, started task as seen on a date."""

    ref: str
    start_on: date
    assigned_on: date | None  # the local date on which the task came to this member
    report_every: str  # a key of REPORT_EVERY
    last_counts_for: date | None  # of the last report on or before the date, whoever made it


@dataclass(frozen=True, slots=True)
class Unreported:
    """A task whose report is overdue, and for how many workdays."""

    ref: str
    silent: int


@dataclass(frozen=True, slots=True)
class Past:
    """Another decision, not more than 6 days away; and on which weekday the week began then."""

    local_date: date
    verdict: Verdict
    reason: Reason | None
    frequency: Frequency
    week_begins: int = 0


@dataclass(frozen=True, slots=True)
class Decision:
    """The one answer for a member and local date."""

    local_date: date
    verdict: Verdict
    reason: Reason | None
    at: datetime  # the hour, UTC
    expires_at: datetime  # when it is too late, UTC
    tasks: tuple[Unreported, ...] = ()


# --- unreported -------------------------------------------------------------------------


def counts_for(made_at: datetime, zone: ZoneInfo, calendar: Calendar) -> date:
    """The local date for which a report made at `made_at` counts.

    Before noon it answers the morning's mail about yesterday: it counts for the workday before.
    """
    local = made_at.astimezone(zone)
    day = local.date()
    if local.hour >= 12:
        return day
    day -= DAY
    for _ in range(366):  # a year of leave: then the day before is as good as any
        if calendar.is_workday(day):
            return day
        day -= DAY
    return local.date() - DAY


def unreported(tasks: Iterable[OpenTask], calendar: Calendar, on: date) -> list[Unreported]:
    """The tasks whose report is overdue on `on`, the longest silent first."""
    late = []
    for task in tasks:
        since = task.last_counts_for or task.start_on - DAY
        if task.assigned_on is not None:
            since = max(since, task.assigned_on - DAY)
        silent = calendar.workdays(since, on) - REPORT_EVERY[task.report_every]
        if silent > 0:
            late.append(Unreported(task.ref, silent))
    return sorted(late, key=lambda one: (-one.silent, one.ref))


def silent_for(tasks: Iterable[OpenTask], calendar: Calendar, on: date) -> int:
    """The workdays for which the member of these tasks is silent on `on`; 0 when they are not.

    The one number of the lead's page, the digest and the escalation.
    """
    late = unreported(tasks, calendar, on)
    return late[0].silent if late else 0


# --- the hour ---------------------------------------------------------------------------


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


def too_late(rhythm: Rhythm, day: date) -> datetime:
    """The instant (UTC) from which the reminder of `day` is `expired`.

    18:00 local or 3 hours after the hour, whichever is later, cut at the start of quiet hours
    and at midnight.
    """
    return _too_late(rhythm, day, hour(rhythm, day))


def _too_late(rhythm: Rhythm, day: date, at: datetime) -> datetime:
    limit = max(instant(rhythm.zone, day, rhythm.catch_up_until), at + rhythm.catch_up_for)
    midnight = instant(rhythm.zone, day + DAY, MIDNIGHT)
    return min(limit, quiet_begins(rhythm, at, midnight))


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


# --- the decision -----------------------------------------------------------------------


def weekly_target(rhythm: Rhythm, calendar: Calendar, day: date) -> date | None:
    """The date of the weekly reminder in the working week of `day`, or None in a week off."""
    first = week_of(day, rhythm.week_begins).first
    week = [first + timedelta(days=n) for n in range(7)]
    chosen = (rhythm.weekly_day - rhythm.week_begins) % 7
    after = [one for one in week[chosen:] if calendar.is_workday(one)]
    before = [one for one in week[:chosen] if calendar.is_workday(one)]
    return after[0] if after else before[-1] if before else None


def same_week(rhythm: Rhythm, day: date, past: Iterable[Past]) -> list[Past]:
    """Those of `past` that are of the week of `day`, so that one of them may be its reminder.

    The week is the member's working week: as it is now, and as it was when the other one was
    decided. Where another weekend moved its beginning meanwhile, the ISO week counts as well.
    """
    some = [one for one in past if one.local_date != day]
    iso = week_of(day)
    moved = any(
        one.week_begins != rhythm.week_begins and iso.covers(one.local_date) for one in some
    )
    now = week_of(day, rhythm.week_begins)
    return [
        one
        for one in some
        if now.covers(one.local_date)
        or week_of(one.local_date, one.week_begins).covers(day)
        or (moved and iso.covers(one.local_date))
    ]


_ENDS_THE_WEEK = {Reason.NOTHING_UNREPORTED, Reason.REPORTED_MEANWHILE, Reason.CANCELLED}


def week_is_done(past: Iterable[Past], target: date | None) -> bool:
    """True when this week had its reminder, or its weekly day ended without one for good.

    It found nothing unreported, or the mail was cancelled (a snooze does: it brings another).
    """
    for one in past:
        if one.verdict is Verdict.SEND or one.reason is Reason.ALREADY_SENT:
            return True
        was_the_day = one.frequency is Frequency.WEEKLY or one.local_date == target
        if was_the_day and one.reason in _ENDS_THE_WEEK:
            return True
    return False


def week_was_missed(past: Iterable[Past], target: date | None) -> bool:
    """True when the week's reminder should have come and did not.

    The service was down, or the weekly day was a day off as the calendar stood then.
    """
    return any(
        one.reason is Reason.EXPIRED or (one.local_date == target and one.reason in DAY_OFF)
        for one in past
    )


def day_reason(
    rhythm: Rhythm, calendar: Calendar, day: date, past: Collection[Past] = ()
) -> Reason | None:
    """Why `day` is no day for a reminder, whatever is unreported; the first reason that holds."""
    if rhythm.suppressed:
        return Reason.ADDRESS_SUPPRESSED
    if rhythm.frequency is Frequency.NONE:
        return Reason.FREQUENCY_NONE
    if rhythm.paused_until is not None and day < rhythm.paused_until:
        return Reason.PAUSED
    off = calendar.day_off(day)
    if off is not None:
        return Reason(off.value)
    if rhythm.frequency is Frequency.WEEKLY:
        return _weekly_reason(rhythm, calendar, day, past)
    return None


def _weekly_reason(
    rhythm: Rhythm, calendar: Calendar, day: date, past: Collection[Past]
) -> Reason | None:
    target = weekly_target(rhythm, calendar, day)
    week = same_week(rhythm, day, past)
    if day == target:
        return Reason.ALREADY_SENT if week_is_done(week, target) else None
    late = target is not None and day > target
    now = week_of(day, rhythm.week_begins)
    missed = week_was_missed((one for one in week if now.covers(one.local_date)), target)
    if late and missed and not week_is_done(week, target):
        return None
    return Reason.NOT_THIS_WEEKDAY


def decide(
    rhythm: Rhythm,
    calendar: Calendar,
    day: date,
    tasks: Sequence[OpenTask],
    *,
    now: datetime,
    past: Collection[Past] = (),
) -> Decision:
    """The one rule: does this member get a reminder on the local date `day`, and if not, why?

    `tasks` are the member's open tasks as of `day`, `past` the decisions of the 6 days before
    `day`, `now` the instant of deciding: what would have been sent is `expired` when it is too
    late for `day`.
    """
    at = hour(rhythm, day)
    expires_at = _too_late(rhythm, day, at)
    late: list[Unreported] = []
    reason = day_reason(rhythm, calendar, day, past)
    if reason is None:
        late = unreported(tasks, calendar, day)
        if not late:
            reason = Reason.NOTHING_UNREPORTED
        elif now >= expires_at:
            reason = Reason.EXPIRED
    return Decision(
        local_date=day,
        verdict=Verdict.SEND if reason is None else Verdict.SKIP,
        reason=reason,
        at=at,
        expires_at=expires_at,
        tasks=tuple(late),
    )
