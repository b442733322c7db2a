"""The page behind a mail's link: what it shows, what is written from it, and its undo."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db import among
from app.links import ReportLink
from app.models import Member, Report, StatusWord, Task
from app.people.lookup import active_person
from app.people.settings import Person
from app.reports.progress import UNDO_FOR, NoSuchTask, TaskDetail, details, open_tasks, record, undo
from app.rules import unreported
from app.services import Services
from app.util.grouped import grouped

SHOWN = 50  # tasks on one report page; the others come after these


TaskState = Literal["unreported", "reported", "open", "done", "cancelled"]


@dataclass(frozen=True, slots=True)
class PageTask:
    """A task on the report page. `state` "open": no report yet, and none is overdue."""

    detail: TaskDetail
    state: TaskState


@dataclass(frozen=True, slots=True)
class ReportPage:
    """What a report link shows its member. No tasks: the one it named is not theirs any more,
    or everything is reported.
    """

    person: Person
    today: date
    tasks: list[PageTask]  # due first, then the longest silent
    more: int  # unreported tasks that are not among them


@dataclass(frozen=True, slots=True)
class FilledReport:
    """One report as the member filled it in."""

    ref: str
    percent: int
    status: StatusWord
    text: str


@dataclass(frozen=True, slots=True)
class Form:
    """A form that was sent: its key (None: it had none), and when it was opened."""

    key: str | None
    opened_at: datetime


@dataclass(frozen=True, slots=True)
class WrittenReport:
    """A report as it was written."""

    report: Report
    reporter: str | None  # the reporter's name, where it was another member


@dataclass(frozen=True, slots=True)
class Written:
    """What became of the entries: the tasks reported on, and what is unreported still.

    `meanwhile` has, by ref, what else was reported on them after the form was opened, in another
    tab or by another member; `report_ids` may be undone until `undo_until`.
    """

    tasks: list[TaskDetail]
    still: list[TaskDetail]
    meanwhile: dict[str, list[WrittenReport]]
    report_ids: list[int]
    undo_until: datetime


def page(
    services: Services,
    link: ReportLink,
    now: datetime,
    *,
    task_id: int | None = None,
    refs: Sequence[str] = (),
) -> ReportPage:
    """The tasks to report on: the one with `task_id` (or that the link itself names), or those of
    `refs` (a form that was sent), or all that are unreported.

    Unreported means today, or on the mail's date where that lies ahead (a rehearsal): an older
    mail leads to everything that is open now. Raises NoSuchMember for a deleted or inactive one.
    """
    with services.db.read() as session:
        reader = active_person(session, services.config, link.member_id)
        today = reader.today(now)
        on = max(link.local_date, today)
        late = _late(session, reader, on)
        named = refs or late
        if task_id is not None or link.ref is not None:
            known = None if task_id is None else session.get(Task, task_id)
            named = [ref for ref in (known.ref if known else link.ref,) if ref is not None]
        tasks = _theirs(session, reader, named, on, late)
    shown = tasks[:SHOWN]
    among = {one.task.ref for one in shown}
    return ReportPage(
        person=reader,
        today=today,
        tasks=[PageTask(one, _state(one, late)) for one in shown],
        more=sum(ref not in among for ref in late),
    )


def write(
    services: Services, link: ReportLink, entries: Iterable[FilledReport], form: Form, now: datetime
) -> Written:
    """Records the entries in one transaction, those of tasks that are not theirs left out.

    Raises NoSuchMember for a deleted or inactive member.
    """
    made: dict[str, Report] = {}
    with services.db.write() as session:
        reader = active_person(session, services.config, link.member_id)
        # In one order everywhere, so that two forms sent at once cannot lock each other out.
        for entry in sorted(entries, key=lambda one: one.ref):
            with suppress(NoSuchTask):
                made[entry.ref] = record(
                    session,
                    reader,
                    entry.ref,
                    percent=entry.percent,
                    status=entry.status,
                    text=entry.text,
                    now=now,
                    form_key=form.key,
                ).report
        on = max(link.local_date, reader.today(now))
        late = [ref for ref in _late(session, reader, on) if ref not in made]
        return Written(
            tasks=_theirs(session, reader, made, on, late),
            still=_theirs(session, reader, late, on, late),
            meanwhile=_meanwhile(session, reader, made, form.opened_at),
            report_ids=[report.id for report in made.values()],
            undo_until=min((report.created_at for report in made.values()), default=now) + UNDO_FOR,
        )


def undo_reports(
    services: Services, link: ReportLink, report_ids: Iterable[int], now: datetime
) -> list[TaskDetail]:
    """Undoes reports of the link's member (see `undo`); returns the tasks as they are now.

    Raises NoSuchMember for a deleted or inactive member.
    """
    with services.db.write() as session:
        reader = active_person(session, services.config, link.member_id)
        refs = undo(session, reader, report_ids, now)
        session.flush()
        on = max(link.local_date, reader.today(now))
        return _theirs(session, reader, refs, on, _late(session, reader, on))


def _meanwhile(
    session: Session, reader: Person, made: dict[str, Report], since: datetime
) -> dict[str, list[WrittenReport]]:
    tasks = {report.task_id: ref for ref, report in made.items()}
    own = [report.id for report in made.values()]
    rows = session.execute(
        select(Report, Member.name)
        .outerjoin(Member, Member.id == Report.reporter_id)
        .where(among(Report.task_id, tasks), Report.created_at > since, Report.id.not_in(own))
        .order_by(Report.id)
    )
    own_id = reader.member.id
    return grouped(
        (
            tasks[report.task_id],
            WrittenReport(report, None if report.reporter_id == own_id else name),
        )
        for report, name in rows
    )


def _late(session: Session, reader: Person, on: date) -> list[str]:
    tasks = open_tasks(session, [reader.member.id], on).get(reader.member.id, [])
    return [one.ref for one in unreported.unreported(tasks, reader.calendar, on)]


def _theirs(
    session: Session, reader: Person, refs: Iterable[str], on: date, late: Sequence[str]
) -> list[TaskDetail]:
    """Those of the tasks that are the reader's, in the order in which letters name them."""
    silence = {ref: place for place, ref in enumerate(late)}
    known = details(session, refs, on).values()
    found = [one.seen_by(reader.member.id) for one in known]
    return sorted(
        (one for one in found if one.task.assignee_id == reader.member.id),
        key=lambda one: (
            one.task.due_on or date.max,
            silence.get(one.task.ref, len(late)),
            one.task.ref,
        ),
    )


def _state(detail: TaskDetail, late: Sequence[str]) -> TaskState:
    if detail.task.status == "cancelled":
        return "cancelled"
    if detail.task.status == "done":
        return "done"
    if detail.task.ref in late:
        return "unreported"
    return "open" if detail.report is None else "reported"
