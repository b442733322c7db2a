"""PURE. The week of a team, counted: who reported on which of their workdays, and what stands out.

Facts in, numbers out. The digest and the lead's board are both made from it, so their numbers agree.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from enum import StrEnum
from typing import Literal

from app.rules.silence import silent_for
from app.rules.unreported import OpenTask
from app.rules.workdays import DAY, Calendar

Status = Literal["on_track", "at_risk", "blocked", "done"]


@dataclass(frozen=True, slots=True)
class WeekReport:
    """One report."""

    id: int
    ref: str
    reporter_id: int | None
    counts_for: date
    percent: int
    status: Status
    text: str


@dataclass(frozen=True, slots=True)
class TaskFacts:
    """A task with its newest reports, oldest first: all of the week and later, and one before.

    `status_since` is the date from which on all reports say what the last one says.
    """

    ref: str
    title: str
    status: str  # open, done, cancelled
    start_on: date
    assigned_on: date | None
    closed_on: date | None
    due_on: date | None
    report_every: str
    added_on: date | None = None  # created or imported here
    said: tuple[WeekReport, ...] = ()
    status_since: date | None = None

    def open_on(self, day: date) -> bool:
        """True when the member could report on the task here that day, as far as is known."""
        start = self.start_on
        begun = max(start, self.assigned_on or start, self.added_on or start)
        return begun <= day and (self.status == "open" or day <= self._ended())

    def _ended(self) -> date:
        # Imported as closed: the day is not known, but not before its last report.
        last = self.said[-1].counts_for if self.said else self.start_on - DAY
        return self.closed_on or last

    def as_open(self) -> OpenTask:
        """As rules/unreported.py looks at it."""
        last = self.said[-1].counts_for if self.said else None
        return OpenTask(
            self.ref, self.start_on, self.assigned_on, self.report_every, last, self.added_on
        )


@dataclass(frozen=True, slots=True)
class MemberFacts:
    """A member, and what there is to count. `today` is their local date."""

    id: int
    name: str
    team: str
    calendar: Calendar
    today: date
    tasks: Sequence[TaskFacts] = ()
    said: Sequence[WeekReport] = ()  # by the member, on whatever task, in the week


class Mark(StrEnum):
    """One day of a member in the picture."""

    REPORTED = "reported"
    AT_RISK = "at_risk"  # reported, and a task is late
    BLOCKED = "blocked"  # reported, and a task is stuck
    SILENT = "silent"
    OFF = "off"  # leave, holiday, weekend
    NO_TASK = "no_task"


@dataclass(frozen=True, slots=True)
class MemberWeek:
    """One member's row: a mark a day, and on how many of their workdays they reported."""

    id: int
    name: str
    team: str
    marks: tuple[Mark, ...]
    reported: int
    workdays: int
    silent: int  # workdays, today

    @property
    def expected(self) -> bool:
        """True when there was a day to report on."""
        return self.workdays > 0


@dataclass(frozen=True, slots=True)
class Note:
    """A task that stands out, and who works on it. `since`: see TaskFacts."""

    member_id: int
    name: str
    ref: str
    title: str
    due_on: date | None
    since: date | None = None
    last: WeekReport | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a task came in the week; `before` None: its first report."""

    member_id: int
    name: str
    ref: str
    title: str
    before: int | None
    after: WeekReport


@dataclass(frozen=True, slots=True)
class Away:
    """A member's days of leave, cut to the two weeks that the digest is about."""

    member_id: int
    name: str
    first: date
    last: date


@dataclass
class Week:
    """The numbers of a team's week, from Monday `first` to Sunday `last`, seen on `today`."""

    first: date
    last: date
    today: date
    days: list[date] = field(default_factory=list)  # those of the picture
    members: list[MemberWeek] = field(default_factory=list)
    blocked: list[Note] = field(default_factory=list)  # the longest first
    at_risk: list[Note] = field(default_factory=list)
    finished: list[Note] = field(default_factory=list)
    overdue: list[Note] = field(default_factory=list)
    due: list[Note] = field(default_factory=list)  # this week
    progress: list[Progress] = field(default_factory=list)
    away: list[Away] = field(default_factory=list)

    @property
    def expected(self) -> int:
        """How many members had a day to report on."""
        return sum(one.expected for one in self.members)

    @property
    def reporters(self) -> int:
        """How many of them reported."""
        return sum(one.expected and one.reported > 0 for one in self.members)

    @property
    def workdays(self) -> int:
        """Their workdays, all together."""
        return sum(one.workdays for one in self.members)

    @property
    def reported_days(self) -> int:
        """On how many of these they reported."""
        return sum(one.reported for one in self.members)

    @property
    def silent(self) -> list[MemberWeek]:
        """Who is silent today, the longest first."""
        found = [one for one in self.members if one.silent > 0]
        return sorted(found, key=lambda one: (-one.silent, one.name))

    @property
    def says_something(self) -> bool:
        """False when no member had a workday with a task here: then there is nothing to tell a lead."""
        return self.expected > 0


def week_before(day: date) -> tuple[date, date]:
    """Monday and Sunday of the ISO week before that of `day`."""
    monday = day - day.weekday() * DAY - 7 * DAY
    return monday, monday + 6 * DAY


def count(members: Iterable[MemberFacts], today: date) -> Week:
    """The numbers of these members for the week before that of `today` (the reader's date)."""
    first, last = week_before(today)
    week = Week(first, last, today)
    days = [first + n * DAY for n in range(7)]
    rows: list[tuple[MemberFacts, dict[date, Mark]]] = []
    for one in members:
        marks = {day: mark(one, day) for day in days}
        rows.append((one, marks))
        _note_tasks(week, one)
        _note_leave(week, one)
    week.days = [day for day in days if day.weekday() < 5 or _worked(rows, day)]
    week.members = [_row(one, marks, week.days) for one, marks in rows]
    _sort(week)
    return week


def _worked(rows: Iterable[tuple[MemberFacts, Mapping[date, Mark]]], day: date) -> bool:
    return any(marks[day] is not Mark.OFF for _, marks in rows)


def _row(facts: MemberFacts, marks: Mapping[date, Mark], days: Sequence[date]) -> MemberWeek:
    workdays = [day for day in marks if _expected(facts, day)]
    reported = {said.counts_for for said in facts.said}
    return MemberWeek(
        id=facts.id,
        name=facts.name,
        team=facts.team,
        marks=tuple(marks[day] for day in days),
        reported=sum(day in reported for day in workdays),
        workdays=len(workdays),
        silent=silent_workdays(facts),
    )


def _expected(facts: MemberFacts, day: date) -> bool:
    """A workday of the member on which they had something to report on."""
    return facts.calendar.is_workday(day) and any(task.open_on(day) for task in facts.tasks)


def silent_workdays(facts: MemberFacts) -> int:
    """For how many workdays the member is silent today."""
    return silent_for((task.as_open() for task in worked_on(facts)), facts.calendar, facts.today)


def worked_on(facts: MemberFacts) -> list[TaskFacts]:
    """The member's open tasks that have begun."""
    return [task for task in facts.tasks if task.status == "open" and task.open_on(facts.today)]


def mark(facts: MemberFacts, day: date) -> Mark:
    """One day of the member: a report says most; without one, why there is none."""
    last = {said.ref: said.status for said in facts.said if said.counts_for == day}
    if "blocked" in last.values():
        return Mark.BLOCKED
    if "at_risk" in last.values():
        return Mark.AT_RISK
    if last:
        return Mark.REPORTED
    if not facts.calendar.is_workday(day):
        return Mark.OFF
    return Mark.SILENT if _expected(facts, day) else Mark.NO_TASK


def _note_tasks(week: Week, facts: MemberFacts) -> None:
    sunday = week.last + 7 * DAY
    for task in facts.tasks:
        last = task.said[-1] if task.said else None
        note = Note(
            facts.id, facts.name, task.ref, task.title, task.due_on, task.status_since, last
        )
        if _finished_in(task, week):
            week.finished.append(note)
        moved = _progress(facts, task, week)
        if moved is not None:
            week.progress.append(moved)
        if task.status != "open":
            continue
        if last is not None and last.status == "blocked":
            week.blocked.append(note)
        if last is not None and last.status == "at_risk":
            week.at_risk.append(note)
        if task.due_on is not None and task.due_on <= sunday:
            (week.due if task.due_on > week.last else week.overdue).append(note)


def _finished_in(task: TaskFacts, week: Week) -> bool:
    if task.status != "done":
        return False
    ended = task.closed_on or (task.said[-1].counts_for if task.said else None)
    return ended is not None and week.first <= ended <= week.last


def _progress(facts: MemberFacts, task: TaskFacts, week: Week) -> Progress | None:
    before = [said for said in task.said if said.counts_for < week.first]
    during = [said for said in task.said if week.first <= said.counts_for <= week.last]
    if not during or task.status == "cancelled":
        return None
    start = before[-1].percent if before else None
    return Progress(facts.id, facts.name, task.ref, task.title, start, during[-1])


def _note_leave(week: Week, facts: MemberFacts) -> None:
    """Days of leave that would be workdays, in the week of the digest and in this one."""
    sunday = week.last + 7 * DAY
    for span in facts.calendar.leave:
        first, last = max(span.first, week.first), min(span.last or sunday, sunday)
        if replace(facts.calendar, leave=()).workdays(first - DAY, last):
            week.away.append(Away(facts.id, facts.name, first, last))


def _sort(week: Week) -> None:
    """What waits longest or ends first comes first; members as their teams and names go."""
    far = date.max
    week.blocked.sort(key=lambda one: (one.since or far, one.ref))
    week.at_risk.sort(key=lambda one: (one.due_on or far, one.since or far, one.ref))
    week.finished.sort(key=lambda one: one.ref)
    week.overdue.sort(key=lambda one: (one.due_on or far, one.ref))
    week.due.sort(key=lambda one: (one.due_on or far, one.ref))
    week.progress.sort(key=lambda one: one.ref)
    week.away.sort(key=lambda one: (one.first, one.name))
