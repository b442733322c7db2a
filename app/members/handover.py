"""Handing a member's work over: the open tasks, all or some, and who needs another lead."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.access import sent_forms
from app.locale import Both
from app.members.assign import AssignedTask, check_receiver, give, list_tasks
from app.members.changes import decide_before
from app.models import Member, Task
from app.people.lookup import find
from app.people.values import ValuesRefused
from app.reports.progress import NoSuchTask
from app.services import Services


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """What waits for another member when this one goes: open tasks, and members they lead."""

    name: str
    tasks: Sequence[AssignedTask]
    led: Sequence[str]


def left_behind(services: Services, email: str) -> LeftBehind:
    """What is the member's now. Raises NoSuchMember."""
    with services.db.read() as session:
        member = find(session, email)
        query = select(Member.email).where(Member.manager_id == member.id, Member.active.is_(True))
        led = session.scalars(query.order_by(Member.email)).all()
    return LeftBehind(member.name, list_tasks(services, member.id), led)


def check_handover(services: Services, email: str, to: str) -> None:
    """Raises NoSuchMember, and ValuesRefused where `to` cannot be given the tasks of `email`."""
    with services.db.read() as session:
        if find(session, email).id == check_receiver(session, to).id:
            raise ValuesRefused([("email", _SAME)])


def hand_over(  # noqa: PLR0917 - whose, to whom, by whom, when
    services: Services,
    email: str,
    to: str,
    who: str,
    now: datetime,
    refs: Collection[str] = (),
    form_key: str | None = None,
) -> Sequence[str]:
    """Gives the member's open tasks to another member, all or those of `refs`; returns their refs.

    All or none; what is due of both is decided before. Raises NoSuchMember, NoSuchTask for a ref
    that is no open task of the member, and ValuesRefused.
    """
    check_handover(services, email, to)
    for one in (email, to):
        decide_before(services, one, now)
    with services.db.write() as session:
        if sent_forms.made_before(session, form_key, now) is not None:
            return ()
        after = check_receiver(session, to, lock=True)
        tasks = _open_tasks(session, find(session, email), refs)
        for task in tasks:
            give(session, services, task, after, who, now)
        return [task.ref for task in tasks]


def _open_tasks(session: Session, member: Member, refs: Collection[str]) -> Sequence[Task]:
    query = select(Task).where(Task.assignee_id == member.id, Task.status == "open")
    found = session.scalars(query.order_by(Task.ref).with_for_update()).all()
    if missing := sorted(set(refs) - {task.ref for task in found}):
        raise NoSuchTask(missing[0])
    return [task for task in found if not refs or task.ref in refs]


_SAME = Both(
    "引き継ぎ元と引き継ぎ先が同じ人です。別の人のアドレスを書いてください。",
    "It is the same member. Name somebody else.",
)
