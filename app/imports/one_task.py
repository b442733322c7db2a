"""One task by its ref, made or changed as a line of a file would; for programs.

What is not said stays as it is; of a new task it is what a file without that column means.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import audit
from app.access.sessions import Me
from app.imports.context import ImportContext
from app.imports.work import upsert_task
from app.locale import Both
from app.members.assign import DUE_BEFORE_START, NOT_ACTIVE
from app.members.own_tasks import refuse_too_many
from app.models import Member, Task
from app.people import file_records
from app.people.file_records import TaskRecord
from app.people.lookup import no_such_member, with_address
from app.people.settings import organisation
from app.people.table import Table
from app.people.values import ValuesRefused
from app.reminders.plan import is_due, plan
from app.reports.progress import NoSuchTask
from app.services import Services


class Upserted(NamedTuple):
    """The task's id, and whether it is new."""

    task_id: int
    new: bool


def upsert(
    services: Services, me: Me, said: Mapping[str, str], who: str, now: datetime
) -> Upserted:
    """Makes the task with the ref in `said`, or changes it; keys are the columns of tasks.csv.

    What is due of whose it is and whose it becomes is decided before. Who is no admin has only
    their own tasks: a new one is theirs. Raises ValuesRefused with all faults; NoSuchTask for a
    task that is not theirs.
    """
    if not me.is_admin:
        said = {"assignee_email": me.email, **said}
    line, table = file_records.read_one_task(said, {*said, "ref"})
    with services.db.read() as session:
        due = _due(session, me, line, now)
    for member_id in due:
        plan(services, now, only=member_id)  # the sweep finds its mails
    with services.db.write() as session:
        task, assignee = _task(session, line.ref), _assignee(session, line)
        _check(me, table, line, task, assignee)
        if not me.is_admin and task is None:
            refuse_too_many(session, me.id, "ref")
        context = ImportContext(
            session=session,
            organisation=organisation(session, services.config),
            now=now,
            who=who,
            table=table,
        )
        both = [one for one in (assignee, task.assignee if task else None) if one is not None]
        made = upsert_task(context, line, assignee, task, {one.id: one.email for one in both})
        _note(context, line, assignee)
        session.flush()
        return Upserted(made.id, task is None)


def _due(session: Session, me: Me, line: TaskRecord, now: datetime) -> list[int]:
    """Whose it is and becomes, as far as they are due, in one order for all: each is locked while it
    is decided.
    """
    task, assignee = _task(session, line.ref), _assignee(session, line)
    if not _may(me, task):
        raise NoSuchTask
    both = {task.assignee if task else None, assignee} - {None}
    return sorted(one.id for one in both if one is not None and is_due(one, now))


def _may(me: Me, task: Task | None) -> bool:
    return me.is_admin or task is None or task.assignee_id == me.id


def _task(session: Session, ref: str) -> Task | None:
    refs = Task.ref.in_({ref, file_records.ref_key(ref)})
    exact_first = select(Task).where(refs).order_by(Task.ref != ref).limit(1)
    return session.scalars(exact_first.with_for_update()).one_or_none()


def _assignee(session: Session, line: TaskRecord) -> Member | None:
    if not line.assignee_email:
        return None
    return session.scalars(with_address(line.assignee_email)).first()


def _check(
    me: Me, table: Table, line: TaskRecord, task: Task | None, assignee: Member | None
) -> None:
    """Raises ValuesRefused, NoSuchTask."""
    if not _may(me, task):
        raise NoSuchTask
    faults = [
        (one.column, one.sentence)
        for one in table.faults
        if task is None or one.column in {*line.columns, "ref"}
    ]
    if line.assignee_email and assignee is None:
        faults.append(("assignee_email", no_such_member(line.assignee_email)))
    elif assignee is not None and not assignee.active:
        faults.append(("assignee_email", NOT_ACTIVE))
    elif not me.is_admin and (assignee is None or assignee.id != me.id):
        faults.append(("assignee_email", _ONLY_OWN))
    start_on = line.start_on or (task.start_on if task else None)
    if line.due_on and start_on and line.due_on < start_on:
        faults.append(("due_on", DUE_BEFORE_START))
    if faults:
        raise ValuesRefused(faults)


def _note(context: ImportContext, line: TaskRecord, assignee: Member | None) -> None:
    (done,) = context.outcomes
    if done.verdict == "unchanged":
        return
    data: dict[str, object] = {"ref": line.ref}
    if done.verdict == "new":
        data["email"] = assignee.email if assignee else None
    else:
        data["changed"] = {column: [before, after] for column, before, after in done.changes}
    what = {"new": "task.add", "changed": "task.edit"}[done.verdict]
    audit.note(context.session, who=context.who, what=what, now=context.now, **data)


_ONLY_OWN = Both(
    "ほかの人のタスクは、管理者のトークンで変えてください。",
    "Only an admin's token gives a task to somebody else.",
)
