"""PURE. Escalation: when a silence is reported to the lead, to whom, and since when it counts.

The steps are those of docs/rules.md: the member's own mail says when the lead will be notified,
then the lead is notified, then the lead's manager. Each step happens once for one silence.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from app.rules.decision import day_reason, weekly_target
from app.rules.hours import Frequency, Rhythm
from app.rules.silence import Silence
from app.rules.workdays import DAY, Calendar

LOOK_AHEAD = 60  # days within which a lead is notified, or it is not said when


class Step(StrEnum):
    """What happens after so many workdays of silence."""

    NOTICE = "notice"  # the member's own mail says when the lead will be notified
    LEAD = "lead"
    MANAGER = "manager"  # the lead's


@dataclass(frozen=True, slots=True)
class Steps:
    """After how many workdays of silence each step comes; 0 is never."""

    notice: int = 3
    lead: int = 5
    manager: int = 8

    def after(self, step: Step) -> int:
        """The workdays of silence of one step; 0 is never."""
        return {Step.NOTICE: self.notice, Step.LEAD: self.lead, Step.MANAGER: self.manager}[step]


@dataclass(frozen=True, slots=True)
class Taken:
    """A step that was taken for a member."""

    step: Step
    since: date  # of the silence it was taken for

    def of(self, silence: Silence) -> bool:
        """True when it was taken for this silence, and not for an earlier one."""
        return self.since >= silence.since


def is_due(step: Step, steps: Steps, found: Silence | None, taken: Collection[Taken]) -> bool:
    """True when the step is to be taken now."""
    after = steps.after(step)
    if found is None or not after or found.workdays < after:
        return False
    return not any(one.step is step and one.of(found) for one in taken)


def may_be_notified(
    rhythm: Rhythm, calendar: Calendar, day: date, *, wanted: bool, this_week: Iterable[date] = ()
) -> bool:
    """True when this person may be notified on their local date `day`: calendar and frequency rule.

    `wanted` is their own switch, `this_week` the dates of their working week on which they were
    notified. A weekly lead is notified on the weekly day, or later that week if that one was
    missed.
    """
    if not wanted:
        return False
    daily = Rhythm(
        zone=rhythm.zone,
        frequency=Frequency.NONE if rhythm.frequency is Frequency.NONE else Frequency.DAILY,
        paused_until=rhythm.paused_until,
        suppressed=rhythm.suppressed,
    )
    if day_reason(daily, calendar, day) is not None:
        return False
    if rhythm.frequency is not Frequency.WEEKLY:
        return True
    target = weekly_target(rhythm, calendar, day)
    return target is not None and day >= target and not any(target <= one for one in this_week)


def next_notification(
    found: Silence,
    calendar: Calendar,
    steps: Steps,
    lead: tuple[Rhythm, Calendar],
    *,
    on: date,
    earliest: date,
    wanted: bool,
) -> date | None:
    """The lead's date on which the lead will be notified if nothing is reported; None: not soon.

    `on` is the member's date of `found`, `earliest` the lead's next date that is not settled yet.
    """
    if not steps.lead:
        return None
    day, missing = on, steps.lead - found.workdays
    while missing > 0 and (day - on).days < LOOK_AHEAD:
        day += DAY
        missing -= calendar.is_workday(day)
    if missing > 0:
        return None
    notified_on = max(earliest, day)
    for _ in range(LOOK_AHEAD):
        if not calendar.on_leave(notified_on) and may_be_notified(
            *lead, notified_on, wanted=wanted
        ):
            return notified_on
        notified_on += DAY
    return None
