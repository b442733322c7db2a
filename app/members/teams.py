"""Teams: created, renamed, and deleted when no member is in them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app import audit
from app.access import sent_forms
from app.locale import Both
from app.models import Member, Team
from app.people import values
from app.people.lookup import no_such_team
from app.people.values import ValuesRefused
from app.refused import Code, Refused
from app.services import Services


@dataclass(frozen=True, slots=True)
class TeamRow:
    """A team, and how many members are in it, those who are not active included."""

    id: int
    name: str
    members: int


class NoSuchTeam(Refused):
    """No team has this id, or none that the member sees."""

    def __init__(self) -> None:
        super().__init__(
            Code.NO_SUCH_TEAM, Both("このチームはありません。", "There is no such team.")
        )


def teams(services: Services, *, after: str = "", limit: int | None = None) -> Sequence[TeamRow]:
    """The teams by name: all, or at most `limit` of those behind the name `after`."""
    query = (
        select(Team.id, Team.name, func.count(Member.id))
        .outerjoin(Member, Member.team_id == Team.id)
        .group_by(Team.id, Team.name)
        .order_by(Team.name)
        .limit(limit)
    )
    if after:
        query = query.where(Team.name > after)
    with services.db.read() as session:
        return [TeamRow(*row) for row in session.execute(query)]


def id_of(services: Services, name: str) -> int:
    """The id of the team with this name. Raises ValuesRefused with the one it may mean."""
    known = {one.name: one.id for one in teams(services)}
    if name not in known:
        raise ValuesRefused([("--team", no_such_team(name, known))])
    return known[name]


def add_team(
    services: Services, name: str, who: str, now: datetime, form_key: str | None = None
) -> int:
    """A new team; returns its id. Raises ValuesRefused."""
    with services.db.write() as session:
        if (known := sent_forms.made_before(session, form_key, now)) is not None:
            return known
        team = Team(name=_checked(session, name))
        session.add(team)
        session.flush()
        audit.note(session, who=who, what="team.add", now=now, team=team.name)
        sent_forms.made(session, form_key, team.id)
        return team.id


def rename_team(  # noqa: PLR0917 - which, how, by whom, when
    services: Services, team_id: int, name: str, who: str, now: datetime, was: str | None = None
) -> None:
    """Another name for the team. Raises NoSuchTeam, ValuesRefused.

    `was`: the name that a form was opened with; another one by now is not overwritten.
    """
    with services.db.write() as session:
        team = _get(session, team_id)
        before = team.name
        values.refuse_changed(
            {"name": name}, {"name": before}, {} if was is None else {"name": was}
        )
        if name.strip() == before:
            return
        team.name = _checked(session, name)
        audit.note(session, who=who, what="team.rename", now=now, before=before, after=team.name)


def remove_team(services: Services, team_id: int, who: str, now: datetime) -> None:
    """Removes a team without members; twice is as good as once. Raises ValuesRefused."""
    with services.db.write() as session:
        team = session.get(Team, team_id, with_for_update=True)
        if team is None:
            return
        if session.scalar(select(Member.id).where(Member.team_id == team_id).limit(1)) is not None:
            raise ValuesRefused([("name", _NOT_EMPTY)])
        session.delete(team)
        audit.note(session, who=who, what="team.remove", now=now, team=team.name)


def _get(session: Session, team_id: int) -> Team:
    team = session.get(Team, team_id, with_for_update=True)
    if team is None:
        raise NoSuchTeam
    return team


def _checked(session: Session, name: str) -> str:
    wanted = name.strip()
    if not wanted:
        raise ValuesRefused([("name", _EMPTY)])
    values.read({"team": wanted}, values.MEMBER)
    if session.scalar(select(Team.id).where(Team.name == wanted)) is not None:
        raise ValuesRefused([("name", _TWICE)])
    return wanted


_EMPTY = Both("チーム名を入力してください。", "Write the team's name.")
_TWICE = Both(
    "同じ名前のチームがすでにあります。別の名前にしてください。",
    "There is a team of this name already. Choose another one.",
)
_NOT_EMPTY = Both(
    "メンバーがいるチームは削除できません。先にメンバーを別のチームに移してください。",
    "There are members in this team. Move them to another team first.",
)
