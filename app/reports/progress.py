"""Recording progress, and the one query that defines which tasks are open and when last reported."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session, aliased

from app.db import among
from app.locale import Both
from app.models import Member, Report, ReportEvery, StatusWord, Task, Via
from app.people.settings import Person
from app.refused import Code, Refused
from app.rules import unreported
from app.rules.unreported import OpenTask
from app.util.grouped import grouped
from app.util.parse import shown

UNDO_FOR = timedelta(minutes=10)


def open_tasks(session: Session, member_ids: Sequence[int], on: date) -> dict[int, list[OpenTask]]:
    """Each member's open, started tasks as of `on`, with the date their last report counts for."""
    last = (
        select(func.max(Report.counts_for))
        .where(Report.task_id == Task.id, Report.counts_for <= on)
        .correlate(Task)
        .scalar_subquery()
    )
    rows = session.execute(
        select(
            Task.assignee_id,
            Task.ref,
            Task.start_on,
            Task.assigned_on,
            Task.report_every,
            last,
            Task.added_on,
        ).where(among(Task.assignee_id, member_ids), *_open_on(on))
    )
    return grouped(
        (member_id, OpenTask(ref, start_on, assigned_on, report_every, last_on, added_on))
        for member_id, ref, start_on, assigned_on, report_every, last_on, added_on in rows
        if member_id is not None
    )


def open_tasks_ahead(
    session: Session, member_ids: Sequence[int], first: date, last: date
) -> Callable[[date], dict[int, list[OpenTask]]]:
    """`open_tasks` for each day from `first` to `last`, read at once: looking ahead asks for many."""
    newest = (
        select(func.max(Report.counts_for))
        .where(Report.task_id == Task.id, Report.counts_for <= first)
        .correlate(Task)
        .scalar_subquery()
    )
    opened = or_(Task.status == "open", Task.closed_on > first)
    mine = (among(Task.assignee_id, member_ids), opened, Task.start_on <= last)
    tasks = session.execute(select(Task, newest).where(*mine)).all()
    rows = session.execute(
        select(Report.task_id, Report.counts_for)
        .join(Task, Task.id == Report.task_id)
        .where(*mine, Report.counts_for > first, Report.counts_for <= last)
    )
    later = grouped((task_id, day) for task_id, day in rows)  # imported for dates to come

    def on(day: date) -> dict[int, list[OpenTask]]:
        found: dict[int, list[OpenTask]] = {}
        for task, before in tasks:
            is_open = task.status == "open" or (task.closed_on is not None and task.closed_on > day)
            if is_open and task.start_on <= day and task.assignee_id is not None:
                reported = [one for one in later.get(task.id, ()) if one <= day]
                one = _as_open(task, max(reported, default=before))
                found.setdefault(task.assignee_id, []).append(one)
        return found

    return on


def _open_on(day: date) -> tuple[ColumnElement[bool], ...]:
    return (
        or_(Task.status == "open", Task.closed_on > day),
        Task.start_on <= day,
    )


class ShownTask(NamedTuple):
    """Of a task, what letters and pages show."""

    id: int
    ref: str
    title: str
    assignee_id: int | None
    status: str
    start_on: date
    assigned_on: date | None
    due_on: date | None
    report_every: ReportEvery
    added_on: date | None


class ShownReport(NamedTuple):
    """Of a report, what letters and pages show."""

    reporter_id: int | None
    counts_for: date
    percent: int
    status: StatusWord
    text: str


class TaskDetail(NamedTuple):
    """A task as a letter or page shows it, with its last report on or before a date."""

    task: ShownTask
    report: ShownReport | None
    reporter: str | None  # the reporter's name

    @property
    def open_task(self) -> OpenTask:
        """What decides whether it is unreported."""
        return _as_open(self.task, self.report.counts_for if self.report else None)

    def seen_by(self, member_id: int) -> "TaskDetail":
        """The same, naming the reporter only when it was another member."""
        own = self.report is None or self.report.reporter_id == member_id
        return TaskDetail(self.task, self.report, None) if own else self


def _as_open(task: Task | ShownTask, last_on: date | None) -> OpenTask:
    return OpenTask(
        task.ref, task.start_on, task.assigned_on, task.report_every, last_on, task.added_on
    )


def details(session: Session, refs: Iterable[str], on: date) -> dict[str, TaskDetail]:
    """The tasks by ref, each with its last report that counts for `on` or before."""
    return {one.task.ref: one for one in _details(session, on, among(Task.ref, refs))}


def open_details(
    session: Session, member_ids: Iterable[int], on: date
) -> dict[int, list[TaskDetail]]:
    """The tasks of `open_tasks`, with all that a letter says of them."""
    found = _details(session, on, among(Task.assignee_id, member_ids), *_open_on(on))
    return grouped((who, one) for one in found if (who := one.task.assignee_id) is not None)


def _details(session: Session, on: date, *which: ColumnElement[bool]) -> Iterator[TaskDetail]:
    """Columns rather than entities: every mail asks, and entities take four times as long."""
    newest = aliased(Report)
    last = (
        select(newest.id)
        .where(newest.task_id == Task.id, newest.counts_for <= on)
        .order_by(newest.counts_for.desc(), newest.id.desc())
        .limit(1)
        .correlate(Task)
        .scalar_subquery()
    )
    rows = session.execute(
        select(*_TASK, Report.id, *_REPORT, Member.name)
        .select_from(Task)
        .outerjoin(Report, Report.id == last)
        .outerjoin(Member, Member.id == Report.reporter_id)
        .where(*which)
    )
    cut = len(_TASK)
    for row in rows:
        said = ShownReport(*row[cut + 1 : -1]) if row[cut] is not None else None
        yield TaskDetail(ShownTask(*row[:cut]), said, row[-1])


_TASK = [getattr(Task, name) for name in ShownTask._fields]
_REPORT = [getattr(Report, name) for name in ShownReport._fields]


class NoSuchTask(Refused):
    """The task does not exist, is not assigned to the member, or was cancelled."""

    def __init__(self, ref: str | None = None) -> None:
        sentence = Both("このタスクはありません。", "There is no such task.")
        if ref is not None:
            sentence = Both(
                f"「{shown(ref)}」というタスクはありません。task list で確かめてください。",
                f'There is no task "{shown(ref)}". See task list.',
            )
        super().__init__(Code.NO_SUCH_TASK, sentence)


class Recorded(NamedTuple):
    """A report as it is stored; `new`: false where it was there already."""

    report: Report
    new: bool


def record(
    session: Session,
    person: Person,
    ref: str,
    *,
    percent: int,
    status: StatusWord,
    text: str,
    now: datetime,
    form_key: str | None = None,
    via: Via = Via.WEB,
    token_id: int | None = None,
) -> Recorded:
    """Records one report of `person` on their task `ref`; `done` closes the task at 100 %.

    Another status opens a done task again: a tap on the wrong button can be put right. The same
    words from the same form are the same report, whatever was reported since; so is saying again
    what the last report said for the same date. Raises NoSuchTask for a task that is not theirs,
    or was cancelled.
    """
    task = session.scalars(
        select(Task)
        .where(Task.ref == ref, Task.assignee_id == person.member.id, Task.status != "cancelled")
        .with_for_update()  # a form sent twice at once: the second one waits, then sees the first
    ).one_or_none()
    if task is None:
        raise NoSuchTask
    if status == "done":
        percent = 100
    report = Report(
        task_id=task.id,
        reporter_id=person.member.id,
        counts_for=unreported.counts_for(now, person.rhythm.zone, person.calendar),
        percent=percent,
        status=status,
        text=text,
        form_key=form_key,
        via=via,
        token_id=token_id,
        task_was=task.status,
        task_was_closed_on=task.closed_on,
        created_at=now,
    )
    today = person.today(now)
    for known in _perhaps_the_same(session, task, form_key):
        if _says(known) == _says(report):
            if not _later(session, known):
                _open_or_close(task, status, today)
            return Recorded(known, new=False)
    _open_or_close(task, status, today)
    session.add(report)
    session.flush()
    return Recorded(report, new=True)


def _perhaps_the_same(session: Session, task: Task, form_key: str | None) -> Sequence[Report]:
    """The task's newest report, and what this form wrote before."""
    newest = select(func.max(Report.id)).where(Report.task_id == task.id).scalar_subquery()
    known = [Report.id == newest]
    if form_key is not None:
        known.append(Report.form_key == form_key)
    return session.scalars(select(Report).where(Report.task_id == task.id, or_(*known))).all()


def undo(session: Session, person: Person, report_ids: Iterable[int], now: datetime) -> list[str]:
    """Takes reports of `person` back that are younger than UNDO_FOR; returns their tasks' refs.

    Each task is again what it was before, unless it was reported on since. What is gone
    already, or too old, stays as it is: undoing twice is as good as once.
    """
    known = session.execute(
        select(Task.ref, Report.id)
        .join(Task, Task.id == Report.task_id)
        .where(
            among(Report.id, list(report_ids)),
            Report.reporter_id == person.member.id,
            Report.task_was.is_not(None),
            Report.created_at > now - UNDO_FOR,
        )
        .order_by(Task.ref)  # the order in which `write` locks them
    ).all()
    return [ref for ref, report_id in known if _undo_one(session, ref, report_id)]


def _undo_one(session: Session, ref: str, report_id: int) -> bool:
    task = session.scalars(select(Task).where(Task.ref == ref).with_for_update()).one()
    report = session.get(Report, report_id)
    if report is None:
        return False
    later = _later(session, report)
    if later is not None and later.task_was is not None:
        # Undoing that one, too, must lead back to the beginning.
        later.task_was, later.task_was_closed_on = report.task_was, report.task_was_closed_on
    elif later is None and task.status != "cancelled" and report.task_was is not None:
        task.status, task.closed_on = report.task_was, report.task_was_closed_on
    session.delete(report)
    return True


def _later(session: Session, report: Report) -> Report | None:
    """The next report on the same task."""
    return session.scalars(
        select(Report)
        .where(Report.task_id == report.task_id, Report.id > report.id)
        .order_by(Report.id)
        .limit(1)
    ).one_or_none()


def _open_or_close(task: Task, status: StatusWord, today: date) -> None:
    wanted = "done" if status == "done" else "open"
    if task.status != wanted:
        task.status = wanted
        task.closed_on = today if status == "done" else None


def _says(report: Report) -> tuple[object, ...]:
    """Everything that makes a report this one, except when it was made."""
    return (report.reporter_id, report.counts_for, report.percent, report.status, report.text)
