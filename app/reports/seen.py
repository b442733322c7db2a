"""Reports as one member may read them: their own, and those of whom they lead; an admin all."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Select, select

from app.access.rights import of_visible, visible_ids
from app.access.sessions import Me
from app.db import among
from app.models import Member, Report, Task
from app.services import Services


@dataclass(frozen=True, slots=True)
class SeenReport:
    """A report, on which task, by whom and by which way."""

    id: int
    task_id: int
    task_ref: str
    reporter_id: int | None
    reporter_email: str | None
    counts_for: date
    percent: int
    status: str
    text: str
    via: str
    created_at: datetime


_COLUMNS: tuple[Any, ...] = (
    Report.id, Report.task_id, Task.ref, Report.reporter_id, Member.email, Report.counts_for,
    Report.percent, Report.status, Report.text, Report.via, Report.created_at,
)  # fmt: skip
_ALL: Select[Any] = (
    select(*_COLUMNS)
    .select_from(Report)
    .join(Task, Task.id == Report.task_id)
    .outerjoin(Member, Member.id == Report.reporter_id)
)


def reports(
    services: Services,
    me: Me,
    *,
    limit: int,
    before: int | None = None,
    task_id: int | None = None,
    member_id: int | None = None,
) -> Sequence[SeenReport]:
    """The newest first, with an id below `before`; `member_id`: who reported."""
    query = select(Report.id).limit(limit)
    if task_id is not None:
        query = query.where(Report.task_id == task_id)
    if member_id is not None:
        query = query.where(Report.reporter_id == member_id)
    if before is not None:
        query = query.where(Report.id < before)
    with services.db.read() as session:
        ids = visible_ids(session, me)
        if ids is not None:
            query = query.where(among(Report.reporter_id, ids))
        # "+ 0": of a few members or one task, PostgreSQL would walk back through all others' rows.
        few = ids is not None or task_id is not None or member_id is not None
        query = query.order_by((Report.id + 0 if few else Report.id).desc())
        # The ids first: joined before it is cut, PostgreSQL would read all tasks and members.
        newest = query.subquery()
        found = _ALL.join(newest, newest.c.id == Report.id).order_by(Report.id.desc())
        return [SeenReport(*row) for row in session.execute(found)]


def report(services: Services, me: Me, report_id: int) -> SeenReport | None:
    """One of them; None where there is none that `me` may read."""
    with services.db.read() as session:
        mine = (Report.id == report_id, of_visible(Report.reporter_id, me))
        row = session.execute(_ALL.where(*mine)).one_or_none()
    return SeenReport(*row) if row is not None else None
