"""PURE. Which tasks are unreported, and for how many workdays each.

The rules are those of docs/rules.md.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from app.rules.workdays import DAY, Calendar

REPORT_EVERY = {"daily": 1, "weekly": 5}  # workdays a report may be old


@dataclass(frozen=True, slots=True)
class OpenTask:
    """One open, assigned, started task as seen on a date."""

    ref: str
    start_on: date
    assigned_on: date | None  # the local date on which the task came to this member
    report_every: str  # a key of REPORT_EVERY
    last_counts_for: date | None  # of the last report on or before the date, by any member
    added_on: date | None = None  # the local date on which the task was created or imported here

    @property
    def reported_through(self) -> date:
        """The date after which workdays make it unreported."""
        since = self.last_counts_for or self.start_on - DAY
        return since if self.assigned_on is None else max(since, self.assigned_on - DAY)

    @property
    def silent_since(self) -> date:
        """The date after which workdays count as silence: before it came here no member could report."""
        since = self.reported_through
        return since if self.added_on is None else max(since, self.added_on - DAY)


@dataclass(frozen=True, slots=True)
class Unreported:
    """A task whose report is overdue, and for how many workdays; 0: it came here only now."""

    ref: str
    silent: int


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


def overdue(task: OpenTask, calendar: Calendar, since: date, on: date) -> int:
    """For how many workdays a report is missing on `on` if the last one was for `since`; none: <= 0."""
    return calendar.workdays(since, on) - REPORT_EVERY[task.report_every]


def unreported(tasks: Iterable[OpenTask], calendar: Calendar, on: date) -> list[Unreported]:
    """The tasks whose report is overdue on `on`, the longest silent first."""
    late = []
    for task in tasks:
        silent = overdue(task, calendar, task.silent_since, on)
        is_late = silent > 0 or (
            task.silent_since != task.reported_through
            and overdue(task, calendar, task.reported_through, on) > 0
        )
        if is_late:
            late.append(Unreported(task.ref, max(silent, 0)))
    return sorted(late, key=lambda one: (-one.silent, one.ref))
