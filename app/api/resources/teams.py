"""A team today."""

from datetime import date, datetime

from pydantic import Field

from app.access.api_tokens import Scope
from app.api.operation import Answered, Call, Paged, operation
from app.board import today as board_today
from app.board.today import StandingNow
from app.locale import Both
from app.refused import Code


class TeamMember(Answered):
    """Where a member of the team stands today."""

    id: int
    email: str
    name: str
    date: date
    standing: str = Field(description="blocked, silent, at_risk, reported, not_yet, away, no_task")
    silent: int = Field(description="workdays of silence")
    away: str | None = Field(description="why today is no workday")
    tasks: int = Field(description="open tasks")
    blocked: list[str] = Field(description="refs of tasks last reported as blocked")
    reminded_at: datetime | None = Field(description="when the mail server took today's reminder")


class TeamToday(Answered):
    """A team today; `broken`: ids of members whose stored settings make no sense."""

    id: int
    name: str
    items: list[TeamMember]
    broken: list[int]
    next: int | None


@operation(
    "GET", "/teams/{team_id}/today", "teams", Both("今日のチーム", "A team today"), Scope.READ,
    refuses=[Code.NO_SUCH_TEAM], example={"path": {"team_id": 1}},
)  # fmt: skip
def team_today(call: Call, team_id: int, asked: Paged) -> TeamToday:
    """Those of it whom the caller leads; an admin sees all."""
    found = board_today.today(
        call.services, call.caller.me, team_id, call.now, limit=asked.limit, before=asked.before
    )
    return TeamToday(
        id=found.id,
        name=found.name,
        items=[_member(one) for one in found.standings.members],
        broken=[member_id for member_id, _ in found.standings.broken],
        next=found.standings.last_id,
    )


def _member(one: StandingNow) -> TeamMember:
    return TeamMember(
        id=one.id,
        email=one.row.email,
        name=one.row.facts.name,
        date=one.row.facts.today,
        standing=one.row.standing,
        silent=one.row.silent,
        away=one.row.away,
        tasks=one.row.number,
        blocked=one.row.blocked,
        reminded_at=one.reminded,
    )
