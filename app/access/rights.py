"""Whom a member leads: those whose manager they are, and for a lead by role their own team."""

from sqlalchemy import ColumnElement, and_, false, or_, select
from sqlalchemy.orm import Session

from app.access.sessions import Me
from app.models import Member, Role
from app.services import Services


def led_by(session: Session, me: Me) -> ColumnElement[bool]:
    """The condition on `Member` for those `me` leads; being an admin alone leads no one."""
    team = session.scalar(select(Member.team_id).where(Member.id == me.id))
    by_role = me.role == Role.LEAD and team is not None
    return or_(
        Member.manager_id == me.id,
        and_(Member.team_id == team, Member.id != me.id) if by_role else false(),
    )


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
            query = query.where(led_by(session, me))
        return session.scalar(query) is not None
