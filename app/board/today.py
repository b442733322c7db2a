"""A team today, as a program asks for it: where each member stands, by the same rules as the board."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from app.access.sessions import Me
from app.board.team import Wanted, scope
from app.board.workload import reminded, rows_of
from app.members.teams import NoSuchTeam
from app.models import Member, Team
from app.people.settings import organisation
from app.rules.standing import BoardRow
from app.services import Services


@dataclass(frozen=True, slots=True)
class StandingNow:
    """One member. `reminded`: when today's last reminder was accepted by the mail server."""

    id: int
    row: BoardRow
    reminded: datetime | None


class Standings(NamedTuple):
    """A piece of a list of members, the highest ids first; `broken`: (id, why) of members of whom
    nothing can be said, as their stored settings make no sense.
    """

    members: Sequence[StandingNow]
    broken: Sequence[tuple[int, str]]
    last_id: int | None  # of the piece, where there may be more


class TeamNow(NamedTuple):
    """A team, and a piece of its members."""

    id: int
    name: str
    standings: Standings


def today(
    services: Services, me: Me, team_id: int, now: datetime, *, limit: int, before: int | None
) -> TeamNow:
    """Those of the team whom `me` leads, or all for an admin. Raises NoSuchTeam where no member is left."""
    with services.db.read() as session:
        whom = select(Member).where(scope(me, Wanted(team=team_id)))
        team = session.scalars(select(Team).where(Team.id == team_id, whom.exists())).one_or_none()
        if team is None:
            raise NoSuchTeam
        standings = _standings(session, services, me, whom, now, limit, before)
        return TeamNow(team.id, team.name, standings)


def all_led(
    services: Services, me: Me, now: datetime, *, limit: int, before: int | None
) -> Standings:
    """All whom `me` leads, of whatever team; an admin sees all members."""
    with services.db.read() as session:
        whom = select(Member).where(scope(me, Wanted()))
        return _standings(session, services, me, whom, now, limit, before)


def _standings(  # noqa: PLR0917 - of whom, by whose rights, and which piece
    session: Session,
    services: Services,
    me: Me,
    whom: Select[Member],
    now: datetime,
    limit: int,
    before: int | None,
) -> Standings:
    if before is not None:
        whom = whom.where(Member.id < before)
    members = session.scalars(whom.order_by(Member.id.desc()).limit(limit)).all()
    defaults = organisation(session, services.config)
    rows, broken = rows_of(session, defaults, me, members, now)
    mails = reminded(session, [(one.facts.id, one.facts.today) for one in rows])
    return Standings(
        [StandingNow(one.facts.id, one, mails.get(one.facts.id)) for one in rows],
        [*broken.items()],
        members[-1].id if len(members) == limit else None,
    )
