"""A member's days: what was due, what was reported, what was decided and why, and which mails went."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.models import REMINDERS, DecisionRow, OutboxMail, Report, Task
from app.rules.workdays import dates
from app.services import Services
from app.util.grouped import grouped

MOST = 92  # days at once


@dataclass(frozen=True, slots=True)
class MemberDay:
    """One local date. `verdict` None: it is not decided (yet); `due`: (ref, workdays silent) of
    what the decision saw unreported; `reported`: refs of tasks with a report that counts for it.
    """

    day: date
    verdict: str | None
    reason: str | None
    at: datetime | None
    due: Sequence[tuple[str, int]]
    reported: Sequence[str]
    mails: Sequence[int]


def days(services: Services, member_id: int, first: date, last: date) -> list[MemberDay]:
    """The dates from `first` to `last`; whether they may be looked at was asked before."""
    with services.db.read() as session:
        decided = {one.local_date: one for one in _decided(session, member_id, first, last)}
        reported = _reported(session, member_id, first, last)
        mails = _mails(session, member_id, first, last)
    found = []
    for day in dates(first, last):
        row = decided.get(day)
        found.append(
            MemberDay(
                day=day,
                verdict=row.verdict if row else None,
                reason=row.reason if row else None,
                at=row.at if row else None,
                due=[(ref, silent) for ref, silent in row.facts.get("tasks", ())] if row else [],
                reported=reported.get(day, ()),
                mails=mails.get(day, ()),
            )
        )
    return found


def _decided(session: Session, member_id: int, first: date, last: date) -> Sequence[DecisionRow]:
    return session.scalars(
        select(DecisionRow).where(
            DecisionRow.user_id == member_id,
            DecisionRow.slot == "reminder",
            DecisionRow.local_date.between(first, last),
        )
    ).all()


def _reported(session: Session, member_id: int, first: date, last: date) -> dict[date, list[str]]:
    rows = session.execute(
        select(Report.counts_for, Task.ref)
        .join(Task, Task.id == Report.task_id)
        .where(Report.reporter_id == member_id, Report.counts_for.between(first, last))
        .distinct()
        .order_by(Task.ref)
    )
    return grouped(rows)


def _mails(session: Session, member_id: int, first: date, last: date) -> dict[date, list[int]]:
    mine = (OutboxMail.user_id == member_id, OutboxMail.local_date.between(first, last), REMINDERS)
    rows = session.execute(
        select(OutboxMail.local_date, OutboxMail.id).where(*mine).order_by(OutboxMail.id)
    )
    return grouped(rows)
