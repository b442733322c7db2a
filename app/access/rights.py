"""Whom a member leads: those whose manager they are, and for a lead by role their own team."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, and_, false, or_, select, true
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.access.sessions import Me
from app.models import Member, Role
from app.services import Services


def led_by(me: Me) -> ColumnElement[bool]:
    """The condition on `Member` for those `me` leads; an admin as such leads no member."""
    by_role = me.role == Role.LEAD and me.team_id is not None
    return or_(
        Member.manager_id == me.id,
        and_(Member.team_id == me.team_id, Member.id != me.id) if by_role else false(),
    )


def visible(me: Me) -> ColumnElement[bool]:
    """The condition on `Member` for those whose work `me` may see: they themselves, and whom they
    lead; an admin sees all.
    """
    return true() if me.is_admin else or_(Member.id == me.id, led_by(me))


def visible_ids(session: Session, me: Me) -> Sequence[int] | None:
    """The ids of `visible`; None: all. Of a few members the database then finds the rows by them."""
    if me.is_admin:
        return None
    return session.scalars(select(Member.id).where(visible(me))).all()


def of_visible(column: InstrumentedAttribute[int | None], me: Me) -> ColumnElement[bool]:
    """The condition that the column names one of `visible`; of an admin any, or none at all.

    For one row; of many, `visible_ids` is the way.
    """
    return true() if me.is_admin else column.in_(select(Member.id).where(visible(me)))


def leads_member(services: Services, me: Me, member_id: int) -> bool:
    """Whether `me` may see this member's work: their lead, or an admin (if there is such one)."""
    return _exists(services, me, Member.id == member_id)


def leads_team(services: Services, me: Me, team_id: int) -> bool:
    """Whether `me` may see this team: the lead of a member in it, or an admin."""
    return _exists(services, me, Member.team_id == team_id)


def _exists(services: Services, me: Me, whom: ColumnElement[bool]) -> bool:
    with services.db.read() as session:
        query = select(Member.id).where(whom).limit(1)
        if not me.is_admin:
            query = query.where(led_by(me))
        return session.scalar(query) is not None
