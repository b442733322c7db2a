"""The board: the members of a lead, a page of them with their days."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

from sqlalchemy import ColumnElement, func, or_, select, true
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.access.rights import led_by
from app.access.sessions import Me
from app.board.workload import reminded, rows_of
from app.digest.team_week import said_by
from app.members.nudge import COOL_DOWN
from app.models import Member, Team
from app.people.settings import organisation
from app.rules.standing import BoardRow, DaySquare, Standing, days_shown, squares
from app.services import Services

PAGE = 25  # members
SORTED = 250  # up to so many members, who is blocked or silent comes first over all pages
TEAMS = 50  # up to so many teams are offered as a list


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be shown. `words`: part of a name, an address or a team's name."""

    team: int | None = None
    words: str = ""
    page: int = 1


@dataclass(frozen=True, slots=True)
class BoardMember:
    """A member as the page shows them."""

    row: BoardRow
    days: Sequence[DaySquare]
    reminded: datetime | None  # when today's last reminder was accepted
    can_nudge: bool


@dataclass(frozen=True, slots=True)
class Broken:
    """A member whose stored settings make no sense: nothing can be counted."""

    id: int
    name: str
    why: str


@dataclass(frozen=True, slots=True)
class Board:
    """One page of the board. `standings` and `stopped` count all members, not only this page;
    they are None when there are too many to count.
    """

    wanted: Wanted
    taken_at: datetime
    days: Sequence[date]
    shown: Sequence[BoardMember]
    broken: Sequence[Broken]
    total: int
    pages: int
    teams: Sequence[tuple[int, str]]
    several_teams: bool
    standings: Sequence[tuple[Standing, int]] | None = None  # in the order of the board
    stopped: int | None = None


def scope(me: Me, wanted: Wanted) -> ColumnElement[bool]:
    """The condition on Member for whom `me` sees, and wants to see."""
    mine: ColumnElement[bool] = true() if me.is_admin else led_by(me)
    found = Member.active.is_(True) & mine
    if wanted.team is not None:
        found &= Member.team_id == wanted.team
    if wanted.words:
        teams = select(Team.id).where(_holds(Team.name, wanted.words))
        found &= or_(
            _holds(Member.name, wanted.words),
            _holds(Member.email, wanted.words),
            Member.team_id.in_(teams),
        )
    return found


def _holds(column: InstrumentedAttribute[str], words: str) -> ColumnElement[bool]:
    return func.lower(column).contains(words.lower(), autoescape=True)


def board(services: Services, me: Me, wanted: Wanted, now: datetime) -> Board:
    """The page of the board that is wanted; a page past the end is the last one."""
    with services.db.read() as session:
        defaults = organisation(session, services.config)
        whom = scope(me, wanted)
        total = session.scalar(select(func.count()).where(whom)) or 0
        pages = max(1, -(-total // PAGE))
        wanted = replace(wanted, page=min(max(1, wanted.page), pages))
        start = (wanted.page - 1) * PAGE
        query = select(Member).where(whom).order_by(Member.team_id, Member.id)
        countable = total <= SORTED
        if not countable:
            query = query.limit(PAGE).offset(start)
        members = session.scalars(query).all()
        every, broken = rows_of(session, defaults, me, members, now)
        every.sort(key=lambda one: one.place)
        names = {member.id: member.name for member in members}
        teams = _teams(session, me)
        rows = every[start : start + PAGE] if countable else every
        today = now.astimezone(me.zone).date()
        days = days_shown(defaults.company(), today, [one.facts.calendar for one in rows])
        return Board(
            wanted=wanted,
            taken_at=now,
            days=days,
            shown=show(session, rows, days, now),
            broken=[Broken(key, names[key], why) for key, why in broken.items()],
            total=total,
            pages=pages,
            teams=teams if len(teams) <= TEAMS else (),
            several_teams=len(teams) > 1,
            standings=_counted(every) if countable else None,
            stopped=sum(one.stopped is not None for one in every) if countable else None,
        )


def _counted(rows: Sequence[BoardRow]) -> list[tuple[Standing, int]]:
    numbers = Counter(one.standing for one in rows)
    return [(standing, numbers[standing]) for standing in Standing if numbers[standing]]


def teams_seen(services: Services, me: Me) -> Sequence[tuple[int, str]]:
    """(id, name) of the teams of those `me` sees, by name; at most `TEAMS` + 1."""
    with services.db.read() as session:
        return _teams(session, me)


def _teams(session: Session, me: Me) -> list[tuple[int, str]]:
    """The teams of those `me` sees, up to one more than are offered as a list."""
    query = select(Team.id, Team.name).order_by(Team.name).limit(TEAMS + 1)
    if not me.is_admin:
        query = query.where(
            Team.id.in_(select(Member.team_id).where(led_by(me), Member.active.is_(True)))
        )
    return [(team_id, name) for team_id, name in session.execute(query)]


def show(
    session: Session, rows: Sequence[BoardRow], days: Sequence[date], now: datetime
) -> list[BoardMember]:
    """The rows with their days, and whether they can be nudged."""
    ids = [one.facts.id for one in rows]
    latest = max((one.facts.today for one in rows), default=days[-1])
    said = said_by(session, ids, days[0], latest)
    mails = reminded(session, [(one.facts.id, one.facts.today) for one in rows])
    return [
        BoardMember(
            row=one,
            days=squares(replace(one.facts, said=said.get(one.facts.id, ())), days),
            reminded=mails.get(one.facts.id),
            can_nudge=_can_nudge(one, mails.get(one.facts.id), now),
        )
        for one in rows
    ]


def _can_nudge(one: BoardRow, mail: datetime | None, now: datetime) -> bool:
    """Whether offering it makes sense; `nudge` itself looks closely."""
    if not one.silent or one.away is not None or one.stopped is not None:
        return False
    return mail is None or now >= mail + COOL_DOWN
