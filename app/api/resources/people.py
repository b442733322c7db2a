"""Who calls; members; a member's days."""

from dataclasses import asdict
from datetime import date, datetime

from pydantic import Field

from app.access.api_tokens import Scope
from app.api.operation import Answered, Asked, Call, Day, ListEntry, Paged, Piece, RowId, operation
from app.api.problems import FieldFault, FieldsRefused
from app.locale import Both
from app.members import seen
from app.refused import Code
from app.rules.workdays import DAY
from app.why import days as member_dates


class TokenOwner(Answered):
    """Whose token this is, and what it may do."""

    id: int
    email: str
    name: str
    role: str
    locale: str
    timezone: str
    token: str
    scopes: list[str]
    test: bool


class MemberEntry(ListEntry):
    """A member."""

    email: str
    name: str
    role: str
    team: str | None
    active: bool
    suppressed: bool = Field(description="mail to the address is stopped: it was refused for good")


class MemberList(Piece[MemberEntry]):
    """A piece of the members; `next` is the `before` of the piece that follows."""


class MembersAsked(Paged):
    """Which members."""

    email: str | None = Field(None, max_length=320)
    team: RowId | None = Field(None, description="the team's id")


class DueTask(Answered):
    """A task that the decision saw unreported."""

    ref: str
    silent: int = Field(description="workdays of silence")


class DayEntry(Answered):
    """One local date of a member."""

    date: date
    verdict: str | None = Field(description="send, skip, or null while it is not decided")
    reason: str | None = Field(description="why no reminder went out")
    at: datetime | None = Field(description="the hour of the reminder")
    due: list[DueTask]
    reported: list[str] = Field(description="refs of tasks with a report for this date")
    mails: list[int] = Field(description="ids of the date's reminders")


class DayList(Answered):
    """Dates of one member, the earliest first."""

    member: int
    items: list[DayEntry]


class DaysAsked(Asked):
    """Which dates; without any the last week."""

    first: Day | None = Field(None, alias="from")
    last: Day | None = Field(None, alias="to")


@operation("GET", "/me", "people", Both("だれのトークンか", "Whose token this is"), None)
def me(call: Call) -> TokenOwner:
    """The owner of the token."""
    caller = call.caller
    return TokenOwner(
        id=caller.me.id,
        email=caller.me.email,
        name=caller.me.name,
        role=caller.me.role,
        locale=caller.me.locale,
        timezone=caller.me.zone.key,
        token=caller.name,
        scopes=sorted(caller.scopes),
        test=caller.test,
    )


@operation(
    "GET", "/members", "people", Both("メンバーの一覧", "List members"), Scope.READ,
    example={"query": {"email": "suzuki.ichiro@example.jp"}},
)  # fmt: skip
def list_members(call: Call, asked: MembersAsked) -> MemberList:
    """Oneself, whom one leads; an admin sees all."""
    found = seen.members(
        call.services, call.caller.me, limit=asked.limit, before=asked.before, email=asked.email,
        team=asked.team,
    )  # fmt: skip
    return MemberList.of(found, asked)


@operation(
    "GET", "/members/{member_id}", "people", Both("メンバー1人", "One member"), Scope.READ,
    refuses=[Code.NO_SUCH_MEMBER], example={"path": {"member_id": 2}},
)  # fmt: skip
def get_member(call: Call, member_id: int) -> MemberEntry:
    """One whom the caller may see."""
    return MemberEntry.model_validate(seen.member(call.services, call.caller.me, member_id))


@operation(
    "GET", "/members/{member_id}/days", "people",
    Both("何を報告すべきで、なぜメールが来たか・来なかったか", "What was due, and why mail came or not"),
    Scope.READ, refuses=[Code.NO_SUCH_MEMBER],
    example={"path": {"member_id": 2}, "query": {"from": "2026-11-20", "to": "2026-11-24"}},
)  # fmt: skip
def member_days(call: Call, member_id: int, asked: DaysAsked) -> DayList:
    """The dates from `from` to `to`; by default the last seven of the organisation."""
    seen.member(call.services, call.caller.me, member_id)
    today = call.services.config.day_of(call.now)
    last = asked.last or today
    first = asked.first or last - 6 * DAY
    if not 0 <= (last - first).days < member_dates.MOST:
        raise FieldsRefused([FieldFault("parameter", "to", _TOO_FAR)])
    found = member_dates.days(call.services, member_id, first, last)
    return DayList(member=member_id, items=[_day(one) for one in found])


def _day(one: member_dates.MemberDay) -> DayEntry:
    due = [DueTask(ref=ref, silent=silent) for ref, silent in one.due]
    values = {key: value for key, value in asdict(one).items() if key not in {"day", "due"}}
    return DayEntry(date=one.day, due=due, **values)


_TOO_FAR = Both(
    f"from 以降で、{member_dates.MOST}日以内にしてください。",
    f"It must be from `from` on, and at most {member_dates.MOST} days.",
)
