"""PURE. Where a member stands today, what comes first on the board, and what its days show.

Days, silence and "blocked" are counted by app/rules/week.py, like those of the weekly digest.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from app.rules.hours import Frequency, Rhythm
from app.rules.unreported import unreported
from app.rules.week import (
    Mark,
    MemberFacts,
    TaskFacts,
    WeekReport,
    mark,
    silent_workdays,
    worked_on,
)
from app.rules.workdays import DAY, Calendar, Company, DayOff

DAYS = 10  # workdays that the picture shows


class Standing(StrEnum):
    """How a member stands today; in the order of the board."""

    BLOCKED = "blocked"
    SILENT = "silent"
    AT_RISK = "at_risk"
    REPORTED = "reported"
    NOT_YET = "not_yet"  # nothing reported so far, and nothing overdue
    AWAY = "away"
    NO_TASK = "no_task"


_ORDER = {standing: place for place, standing in enumerate(Standing)}


@dataclass(frozen=True, slots=True)
class Stopped:
    """Why no reminders reach the member: the setting, and until when for a pause."""

    why: str  # address_suppressed, frequency_none, paused
    until: date | None = None


@dataclass(frozen=True, slots=True)
class DaySquare:
    """One date of the picture; `off` says why it is no workday."""

    day: date
    mark: Mark | None  # None: today is not over, and nothing is overdue
    off: DayOff | None = None


@dataclass(frozen=True, slots=True)
class BoardTask:
    """An open task on the board, with its last report."""

    ref: str
    title: str
    due_on: date | None
    silent: int  # workdays
    last: WeekReport | None

    @property
    def status(self) -> str | None:
        """What its last report says."""
        return self.last.status if self.last else None


@dataclass(frozen=True, slots=True)
class BoardRow:
    """One member on the board."""

    facts: MemberFacts
    email: str
    standing: Standing
    silent: int  # workdays
    away: DayOff | None  # why today is no workday
    stopped: Stopped | None

    @property
    def tasks(self) -> list[BoardTask]:
        """The open tasks, what matters first; made when they are shown."""
        return lines(self.facts)

    @property
    def number(self) -> int:
        """How many tasks are open, without putting them in order."""
        return len(worked_on(self.facts))

    @property
    def blocked(self) -> list[str]:
        """The refs of tasks last reported as blocked."""
        if self.standing is not Standing.BLOCKED:
            return []
        return [task.ref for task in self.tasks if task.status == "blocked"]

    @property
    def place(self) -> tuple[int, int, str]:
        """Blocked and silent first, the longest silence before the others."""
        return _ORDER[self.standing], -self.silent, self.facts.name


def row(facts: MemberFacts, email: str, rhythm: Rhythm) -> BoardRow:
    """Where the member stands on their own today."""
    silent, away = silent_workdays(facts), facts.calendar.day_off(facts.today)
    return BoardRow(
        facts=facts,
        email=email,
        standing=_standing(worked_on(facts), silent, away),
        silent=silent,
        away=away,
        stopped=stopped(rhythm, facts.today),
    )


def _standing(tasks: Sequence[TaskFacts], silent: int, away: DayOff | None) -> Standing:
    said = {task.said[-1].status for task in tasks if task.said}
    if "blocked" in said:
        return Standing.BLOCKED
    if silent:  # also on a public holiday: silent members stay on top
        return Standing.SILENT
    if away is not None:
        return Standing.AWAY
    if "at_risk" in said:
        return Standing.AT_RISK
    if not tasks:
        return Standing.NO_TASK
    return Standing.REPORTED if said else Standing.NOT_YET


def stopped(rhythm: Rhythm, today: date) -> Stopped | None:
    """Why the member gets no reminders at all, if so; in the order of docs/rules.md."""
    if rhythm.suppressed:
        return Stopped("address_suppressed")
    if rhythm.frequency is Frequency.NONE:
        return Stopped("frequency_none")
    if rhythm.paused_until is not None and today < rhythm.paused_until:
        return Stopped("paused", rhythm.paused_until)
    return None


def lines(facts: MemberFacts) -> list[BoardTask]:
    """Blocked tasks first, then the longest silent, then those at risk, then what is due first."""
    some = worked_on(facts)
    late = unreported([task.as_open() for task in some], facts.calendar, facts.today)
    silent = {one.ref: one.silent for one in late}
    found = [
        BoardTask(
            task.ref,
            task.title,
            task.due_on,
            silent.get(task.ref, 0),
            task.said[-1] if task.said else None,
        )
        for task in some
    ]
    return sorted(found, key=_urgent)


def _urgent(line: BoardTask) -> tuple[bool, int, bool, date, str]:
    blocked, at_risk = line.status == "blocked", line.status == "at_risk"
    return not blocked, -line.silent, not at_risk, line.due_on or date.max, line.ref


def days_shown(company: Company, today: date, calendars: Collection[Calendar] = ()) -> list[date]:
    """The last 10 workdays of the company up to `today`, with the days off among them.

    Weekend days are left out, unless the company or one of the members with
    these calendars works on them.
    """
    found: list[date] = []
    workdays, day = 0, today
    while workdays < DAYS and (today - day).days < 3 * 31:  # a long closure ends the search
        works = company.day_off(day) is None
        if (
            works
            or day.weekday() not in company.weekend
            or any(one.is_workday(day) for one in calendars)
        ):
            found.append(day)
            workdays += works
        day -= DAY
    return found[::-1]


def squares(facts: MemberFacts, days: Iterable[date]) -> list[DaySquare]:
    """The member's picture: a square per date."""
    found = []
    for day in days:
        seen = mark(facts, day)
        off = facts.calendar.day_off(day) if seen is Mark.OFF else None
        open_still = seen is Mark.SILENT and day >= facts.today
        found.append(DaySquare(day, None if open_still else seen, off))
    return found
