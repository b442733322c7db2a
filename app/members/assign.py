"""Assigning tasks: a member's open tasks, a new one, and passing one on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from sqlalchemy import select

from app.access import sent_forms
from app.locale import Both
from app.members.changes import decide_before
from app.members.roster import member_with
from app.models import Audit, Task
from app.people import csv_records
from app.people.lookup import find, no_such_member, with_address
from app.people.settings import organisation
from app.people.table import Table, TableRow
from app.people.values import ValuesRefused
from app.reports.progress import NoSuchTask
from app.services import Services


@dataclass(frozen=True, slots=True)
class TaskRow:
    """An open task as the list shows it."""

    ref: str
    title: str
    start_on: date
    due_on: date | None
    report_every: str


def tasks_of(services: Services, member_id: int) -> Sequence[TaskRow]:
    """The member's open tasks, those due first at the top."""
    query = (
        select(Task.ref, Task.title, Task.start_on, Task.due_on, Task.report_every)
        .where(Task.assignee_id == member_id, Task.status == "open")
        .order_by(Task.due_on.is_(None), Task.due_on, Task.ref)
    )
    with services.db.read() as session:
        return [TaskRow(*row) for row in session.execute(query)]


def add_task(  # noqa: PLR0917 - whose, what, by whom, when
    services: Services,
    member_id: int,
    typed: Mapping[str, str],
    who: str,
    now: datetime,
    form_key: str | None = None,
) -> None:
    """A new open task of the member: ref, title, start_on, due_on, report_every as typed.

    Raises NoSuchMember, and ValuesRefused with all faults.
    """
    empty = dict.fromkeys(csv_records.HEADERS["tasks"], "")
    table = Table("", [TableRow(0, empty | {key: one.strip() for key, one in typed.items()})])
    (line,) = csv_records.tasks(table)
    faults = [(one.column, one.sentence) for one in table.faults]
    if line.due_on and not faults and line.due_on < line.start_on:
        faults.append(("due_on", _DUE_BEFORE_START))
    with services.db.write() as session:
        if sent_forms.made_before(session, form_key, now) is not None:
            return
        member = member_with(session, member_id)
        if line.ref and session.scalar(select(Task.id).where(Task.ref == line.ref)) is not None:
            faults.append(("ref", _TWICE))
        if faults:
            raise ValuesRefused(faults)
        task = Task(
            ref=line.ref,
            title=line.title,
            assignee_id=member.id,
            assigned_on=_today(organisation(session, services.config).timezone, now),
            status="open",
            start_on=line.start_on,
            due_on=line.due_on,
            report_every=line.report_every,
        )
        session.add(task)
        data = {"ref": task.ref, "email": member.email}
        session.add(Audit(at=now, who=who, what="task.add", data=data))


def pass_on(
    services: Services,
    member_id: int,
    ref: str,
    *,
    email: str,
    who: str,
    now: datetime,
    form_key: str | None = None,
) -> str:
    """Gives the member's open task to another member; returns whose it is now, by name.

    What is due of both is decided before. Raises NoSuchMember, NoSuchTask, and ValuesRefused for
    an unknown address, or one of a member who is not active.
    """
    with services.db.read() as session:
        before = member_with(session, member_id).email
        after = session.scalars(with_address(email)).first()
        if after is None or not after.active:
            raise ValuesRefused([("email", _NOT_ACTIVE if after else no_such_member(email))])
    for one in (before, email):
        decide_before(services, one, now)
    with services.db.write() as session:
        mine = (Task.ref == ref, Task.assignee_id == member_id, Task.status == "open")
        after = find(session, email)
        if sent_forms.made_before(session, form_key, now) is not None:
            return after.name
        task = session.scalars(select(Task).where(*mine).with_for_update()).one_or_none()
        if task is None:
            raise NoSuchTask
        if after.id != member_id:
            task.assignee_id = after.id
            task.assigned_on = _today(organisation(session, services.config).timezone, now)
            data = {"ref": ref, "before": before, "after": after.email}
            session.add(Audit(at=now, who=who, what="task.assign", data=data))
        return after.name


def _today(zone: str, now: datetime) -> date:
    return now.astimezone(ZoneInfo(zone)).date()


_TWICE = Both(
    "この番号のタスクはすでにあります。別の番号にしてください。",
    "There is a task with this ref already. Choose another one.",
)
_DUE_BEFORE_START = Both(
    "期限が開始日より前です。順番を直してください。", "It is due before it starts."
)
_NOT_ACTIVE = Both(
    "この人は無効になっています。先に有効にするか、別の人を選んでください。",
    "This member is not active. Activate them first, or choose somebody else.",
)
