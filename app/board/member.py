"""One member's page for their lead: tasks, days, and what was reported."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.access.sessions import Me
from app.board.team import BoardMember, show
from app.board.workload import read
from app.models import Member, Report, Task
from app.people.settings import organisation, people
from app.rules.standing import days_shown, row
from app.services import Services

HISTORY = 30  # reports on a page


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One report of the history; `reporter` is None where the person is gone."""

    ref: str
    title: str
    counts_for: date
    percent: int
    status: str
    text: str
    at: datetime
    reporter: str | None


@dataclass(frozen=True, slots=True)
class MemberPage:
    """`shown` is None when the stored settings make no sense: then `broken` says why."""

    id: int
    name: str
    email: str
    team: str
    active: bool
    taken_at: datetime
    page: int
    more: bool
    history: Sequence[HistoryEntry]
    shown: BoardMember | None = None
    broken: str = ""


def member_page(services: Services, me: Me, member_id: int, page: int, now: datetime) -> MemberPage:
    """The member's page; whether `me` may see it was asked before."""
    with services.db.read() as session:
        member = session.get_one(Member, member_id)
        defaults = organisation(session, services.config)
        good, broken = people(session, defaults, [member])
        shown = None
        if good:
            days = days_shown(
                defaults.company(), now.astimezone(me.zone).date(), [good[0].calendar]
            )
            facts = read(session, good, days[0], now)[member_id]
            (shown,) = show(session, [row(facts, member.email, good[0].rhythm)], days, now)
        history = _history(session, member_id, page)
        return MemberPage(
            id=member.id,
            name=member.name,
            email=member.email,
            team=member.team.name if member.team else "",
            active=member.active,
            taken_at=now,
            page=page,
            more=len(history) > HISTORY,
            history=history[:HISTORY],
            shown=shown,
            broken=broken.get(member_id, ""),
        )


def name_of(services: Services, member_id: int) -> str:
    """The member's name; the caller has checked who may see it."""
    with services.db.read() as session:
        return session.get_one(Member, member_id).name


def _history(session: Session, member_id: int, page: int) -> list[HistoryEntry]:
    """All reports on the member's tasks, the newest first; one more than are shown."""
    said = (Report.counts_for, Report.percent, Report.status, Report.text, Report.created_at)
    rows: Sequence[Any] = session.execute(
        select(Task.ref, Task.title, *said, Member.name)
        .join(Task, Task.id == Report.task_id)
        .outerjoin(Member, Member.id == Report.reporter_id)
        .where(Task.assignee_id == member_id)
        .order_by(Report.counts_for.desc(), Report.id.desc())
        .limit(HISTORY + 1)
        .offset((page - 1) * HISTORY)
    ).all()
    return [HistoryEntry(*row) for row in rows]
