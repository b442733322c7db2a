"""Assigning tasks: a member's open tasks, a new one, and passing one on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app import audit
from app.access import sent_forms
from app.locale import Both
from app.members.changes import decide_before
from app.members.roster import member_with
from app.models import Member, Report, Task
from app.people import file_records
from app.people.columns import HEADERS
from app.people.file_records import TaskRecord
from app.people.lookup import no_such_member, with_address
from app.people.settings import organisation, today_of
from app.people.values import ValuesRefused
from app.refused import Code, Refused
from app.reports.progress import NoSuchTask
from app.services import Services
from app.util.parse import shown

FIELDS = ("ref", "title", "start_on", "due_on", "report_every")


class TaskClosed(Refused):
    """The task is done or cancelled already."""

    def __init__(self, ref: str) -> None:
        sentence = Both(
            f"{shown(ref)} はすでに完了か取りやめになっています。",
            f"{shown(ref)} is done or cancelled already.",
        )
        super().__init__(Code.NOT_POSSIBLE, sentence)


@dataclass(frozen=True, slots=True)
class AssignedTask:
    """A task, open or closed, and whose it is."""

    ref: str
    title: str
    assignee: str | None
    status: str
    start_on: date
    due_on: date | None
    report_every: str
    last_report_on: date | None


def list_tasks(
    services: Services, member_id: int | None = None, status: str = "open"
) -> Sequence[AssignedTask]:
    """Tasks of one member or of all, those due first at the top."""
    last = select(func.max(Report.counts_for)).where(Report.task_id == Task.id).scalar_subquery()
    query = (
        select(Task.ref, Task.title, Member.email, Task.status, Task.start_on, Task.due_on,
               Task.report_every, last)
        .outerjoin(Member, Member.id == Task.assignee_id)
        .where(Task.status == status)
        .order_by(Task.due_on.is_(None), Task.due_on, Task.ref)
    )  # fmt: skip
    if member_id is not None:
        query = query.where(Task.assignee_id == member_id)
    with services.db.read() as session:
        return [AssignedTask(*row) for row in session.execute(query)]


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
    line, start_on, faults = _read(typed)
    with services.db.write() as session:
        if sent_forms.made_before(session, form_key, now) is not None:
            return
        member = member_with(session, member_id)
        same = Task.ref.in_({line.ref, file_records.ref_key(line.ref)})
        if line.ref and session.scalar(select(Task.id).where(same)) is not None:
            faults.append(("ref", _TWICE))
        if faults:
            raise ValuesRefused(faults)
        task = Task(
            ref=line.ref,
            title=line.title,
            assignee_id=member.id,
            assigned_on=_today(session, services, member, now),
            status="open",
            start_on=start_on,
            due_on=line.due_on,
            report_every=line.report_every,
        )
        session.add(task)
        audit.note(session, who=who, what="task.add", now=now, ref=task.ref, email=member.email)


def _read(typed: Mapping[str, str]) -> tuple[TaskRecord, date, list[tuple[str, Both]]]:
    """The task as a file's line would have it, its first day, and what is wrong."""
    line, table = file_records.read_one_task(typed, HEADERS["tasks"])
    faults = [(one.column, one.sentence) for one in table.faults]
    start_on = line.start_on or date.min
    if line.due_on and not faults and line.due_on < start_on:
        faults.append(("due_on", DUE_BEFORE_START))
    return line, start_on, faults


def assign_task(services: Services, ref: str, email: str, who: str, now: datetime) -> str | None:
    """Gives the open task to the member, from any other or none; returns whose it was, by address.

    What is due of both is decided before. Raises NoSuchTask, TaskClosed, and ValuesRefused for an
    unknown address, or one of a member who is not active.
    """
    with services.db.read() as session:
        before = _address(_task(session, ref))
        check_receiver(session, email)
    for one in (before, email):
        if one is not None:
            decide_before(services, one, now)
    with services.db.write() as session:
        after = check_receiver(session, email, lock=True)
        task = _task(session, ref, lock=True)
        before = _address(task)
        give(session, services, task, after, who, now)
        return before


def close_task(services: Services, ref: str, status: str, who: str, now: datetime) -> None:
    """The open task is `done` or `cancelled`; no report is asked for any more.

    What is due of its member is decided before. Raises NoSuchTask, TaskClosed.
    """
    with services.db.read() as session:
        email = _address(_task(session, ref))
    if email is not None:
        decide_before(services, email, now)
    with services.db.write() as session:
        task = _task(session, ref, lock=True)
        task.status, task.closed_on = status, _today(session, services, task.assignee, now)
        data = {"ref": ref, "email": _address(task), "status": status}
        audit.note(session, who=who, what="task.close", now=now, **data)


def check_receiver(session: Session, email: str, *, lock: bool = False) -> Member:
    """The member who may be given tasks; with `lock`, their row does not change meanwhile.

    Raises ValuesRefused for an unknown or inactive one.
    """
    query = with_address(email)
    member = session.scalars(query.with_for_update(key_share=True) if lock else query).first()
    if member is None or not member.active:
        raise ValuesRefused([("email", NOT_ACTIVE if member else no_such_member(email))])
    return member


def give(  # noqa: PLR0917 - what, to whom, by whom, when
    session: Session, services: Services, task: Task, after: Member, who: str, now: datetime
) -> None:
    """The task is that member's from today on; silence is counted anew."""
    if task.assignee_id == after.id:
        return
    data = {"ref": task.ref, "before": _address(task), "after": after.email}
    task.assignee = after
    task.assigned_on = _today(session, services, after, now)
    audit.note(session, who=who, what="task.assign", now=now, **data)


def _task(session: Session, ref: str, *, lock: bool = False) -> Task:
    query = select(Task).where(Task.ref == ref)
    task = session.scalars(query.with_for_update() if lock else query).one_or_none()
    if task is None:
        raise NoSuchTask(ref)
    if task.status != "open":
        raise TaskClosed(ref)
    return task


def _address(task: Task) -> str | None:
    return task.assignee.email if task.assignee else None


def _today(session: Session, services: Services, member: Member | None, now: datetime) -> date:
    return today_of(member, organisation(session, services.config), now)


_TWICE = Both(
    "この番号のタスクはすでにあります。別の番号にしてください。",
    "There is a task with this ref already. Choose another one.",
)
DUE_BEFORE_START = Both(
    "期限が開始日より前です。順番を直してください。", "It is due before it starts."
)
NOT_ACTIVE = Both(
    "この人は無効になっています。先に有効にするか、別の人を選んでください。",
    "This member is not active. Activate them first, or choose somebody else.",
)
