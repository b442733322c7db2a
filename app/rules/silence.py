"""PURE. For how many workdays a member is silent: the one number of letter, board and digest.

Who is on leave cannot report: on such a day they are away, not silent, and no lead is notified.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from app.rules.unreported import OpenTask, overdue, unreported
from app.rules.workdays import DAY, Calendar


@dataclass(frozen=True, slots=True)
class Silence:
    """For how many workdays a member has been silent here, and after which date it began.

    `workdays` is the number of `silent_for`, except that nothing before the member became
    active counts: the first day escalates nothing.
    """

    workdays: int
    since: date


def silent_for(tasks: Iterable[OpenTask], calendar: Calendar, on: date) -> int:
    """The workdays for which the member of these tasks is silent on `on`; 0 when not, or on leave.

    The one number of letter, board and digest; escalation leaves out days before the member was active.
    """
    late = () if calendar.on_leave(on) else unreported(tasks, calendar, on)
    return late[0].silent if late else 0


def longest_silence(
    tasks: Iterable[OpenTask], calendar: Calendar, on: date, *, active_since: date
) -> Silence | None:
    """The silence that escalation goes by on the local date `on`; None when there is none, or leave.

    `active_since` is the member's.
    """
    if calendar.on_leave(on):
        return None
    longest: Silence | None = None
    for task in tasks:
        since = max(task.silent_since, active_since - DAY)
        workdays = overdue(task, calendar, since, on)
        if workdays > 0 and (longest is None or workdays > longest.workdays):
            longest = Silence(workdays, since)
    return longest
