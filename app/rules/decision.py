"""PURE. The decision: does a member get a reminder on a date, and if not, why?

`now`, the calendar and all facts are arguments, and every answer says why. The rules are those of
docs/rules.md.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from app.rules.hours import Frequency, Rhythm, hour, too_late
from app.rules.unreported import OpenTask, Unreported, unreported
from app.rules.workdays import Calendar, DayOff, week_of

ASKED_AT_MOST = 3  # asked_reminder mails per member and day


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
    expires_at = too_late(rhythm, day, at)
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
