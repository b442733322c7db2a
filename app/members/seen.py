"""Members and tasks as one member may see them, the newest first, a piece at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, Select, select

from app.access.rights import of_visible, visible, visible_ids
from app.access.sessions import Me
from app.db import among, same_address
from app.members.roster import ROWS, RosterRow
from app.models import Member, Task
from app.people.lookup import NoSuchMember
from app.reports.progress import NoSuchTask
from app.services import Services


@dataclass(frozen=True, slots=True)
class SeenTask:
    """A task, and whose it is."""

    id: int
    ref: str
    title: str
    assignee_id: int | None
    assignee_email: str | None
    status: str
    start_on: date
    due_on: date | None
    report_every: str
    assigned_on: date | None
    closed_on: date | None


_TASKS: tuple[Any, ...] = (
    Task.id, Task.ref, Task.title, Task.assignee_id, Member.email, Task.status, Task.start_on,
    Task.due_on, Task.report_every, Task.assigned_on, Task.closed_on,
)  # fmt: skip
_ALL_TASKS: Select[Any] = select(*_TASKS).outerjoin(Member, Member.id == Task.assignee_id)


def members(
    services: Services,
    me: Me,
    *,
    limit: int,
    before: int | None = None,
    email: str | None = None,
    team: int | None = None,
) -> Sequence[RosterRow]:
    """Those whom `me` may see, with an id below `before`; `email`: however it is written."""
    query = ROWS
    if email is not None:
        query = query.where(same_address(Member.email, email))
    if team is not None:
        query = query.where(Member.team_id == team)
    if before is not None:
        query = query.where(Member.id < before)
    with services.db.read() as session:
        query = query.where(visible(me)).order_by(Member.id.desc()).limit(limit)
        return [RosterRow(*row) for row in session.execute(query)]


def member(services: Services, me: Me, member_id: int) -> RosterRow:
    """One of them. Raises NoSuchMember, for others too."""
    with services.db.read() as session:
        query = ROWS.where(Member.id == member_id, visible(me))
        row = session.execute(query).one_or_none()
    if row is None:
        raise NoSuchMember(str(member_id))
    return RosterRow(*row)


def tasks(
    services: Services,
    me: Me,
    *,
    limit: int,
    before: int | None = None,
    member_id: int | None = None,
    ref: str | None = None,
    status: str | None = None,
) -> Sequence[SeenTask]:
    """The tasks of those whom `me` may see; an admin also sees those without an assignee."""
    wanted: list[ColumnElement[bool]] = []
    if member_id is not None:
        wanted.append(Task.assignee_id == member_id)
    if ref is not None:
        wanted.append(Task.ref == ref)
    if status is not None:
        wanted.append(Task.status == status)
    if before is not None:
        wanted.append(Task.id < before)
    with services.db.read() as session:
        ids = visible_ids(session, me)
        if ids is not None:
            wanted.append(among(Task.assignee_id, ids))
        query = _ALL_TASKS.where(*wanted).order_by(Task.id.desc()).limit(limit)
        return [SeenTask(*row) for row in session.execute(query)]


def task(services: Services, me: Me, task_id: int) -> SeenTask:
    """One of them. Raises NoSuchTask, for others too."""
    with services.db.read() as session:
        mine = (Task.id == task_id, of_visible(Task.assignee_id, me))
        row = session.execute(_ALL_TASKS.where(*mine)).one_or_none()
    if row is None:
        raise NoSuchTask
    return SeenTask(*row)
