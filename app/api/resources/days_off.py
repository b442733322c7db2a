"""Days off: the company's closures, and members' leave."""

from collections.abc import Sequence
from datetime import date

from pydantic import Field

from app.access.api_tokens import Scope
from app.api.operation import Answered, Asked, Call, Day, RowId, operation
from app.locale import Both
from app.members import seen
from app.members.days import LEAVE
from app.people.lookup import NoSuchMember
from app.people.values import ValuesRefused
from app.refused import Code
from app.rules.workdays import Span

_WHOSE = "the member's id; without it the company's"


class DaysOffEntry(Answered):
    """Days off in a row; without a last day until further notice."""

    first: date
    last: date | None
    name: str


class DaysOffList(Answered):
    """All days off of one owner as they stand, the earliest first."""

    member: int | None
    items: list[DaysOffEntry]


class DaysOffAsked(Asked):
    """Whose."""

    member: RowId | None = Field(None, description=_WHOSE)


class DaysOffTaken(DaysOffAsked):
    """Days to take out; what is left of a span stays."""

    first: Day
    last: Day | None = None


class DaysOffWanted(DaysOffTaken):
    """Days off to add; `last` not sent: one day, null: until further notice."""

    name: str = Field("", max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")


@operation(
    "GET", "/days-off", "days off", Both("休みの一覧", "List days off"), Scope.READ,
    refuses=[Code.NO_SUCH_MEMBER], example={"query": {"member": 2}},
)  # fmt: skip
def list_days_off(call: Call, asked: DaysOffAsked) -> DaysOffList:
    """Of the company, or of a member whom the caller may see; what leave is for, only one's own."""
    email, me = _email(call, asked.member), call.caller.me
    found = _listed(asked.member, LEAVE.owned(call.services, email))
    if asked.member not in {None, me.id} and not me.is_admin:
        found.items = [one.model_copy(update={"name": ""}) for one in found.items]
    return found


@operation(
    "POST", "/days-off", "days off", Both("休みを追加する", "Add days off"), Scope.DATA,
    refuses=[Code.NO_SUCH_MEMBER],
    example={"body": {"member": 2, "first": "2026-12-28", "last": "2026-12-30", "name": "休暇"}},
)  # fmt: skip
def add_days_off(call: Call, body: DaysOffWanted) -> DaysOffList:
    """One's own; an admin's token adds those of others and of the company."""
    email = _own(call, body.member)
    last = body.last if "last" in body.model_fields_set else body.first
    if last is not None and last < body.first:
        raise ValuesRefused([("last", _BACKWARDS)])
    days = Span(body.first, last, body.name)
    return _listed(body.member, LEAVE.add(call.services, email, days, call.caller.who, call.now))


@operation(
    "DELETE", "/days-off", "days off", Both("休みから日を除く", "Take days out"), Scope.DATA,
    refuses=[Code.NO_SUCH_MEMBER, Code.NO_SUCH_DAYS],
    example={"query": {"member": 2, "first": "2026-12-29"}},
)  # fmt: skip
def remove_days_off(call: Call, asked: DaysOffTaken) -> DaysOffList:
    """The days from `first` to `last` (without it, one day) are no days off any more."""
    email = _own(call, asked.member)
    last = asked.last or asked.first
    if last < asked.first:
        raise ValuesRefused([("last", _BACKWARDS)])
    days = Span(asked.first, last)
    left = LEAVE.remove(call.services, email, days, call.caller.who, call.now)
    return _listed(asked.member, left)


def _email(call: Call, member_id: int | None) -> str | None:
    if member_id is None:
        return None
    return seen.member(call.services, call.caller.me, member_id).email


def _own(call: Call, member_id: int | None) -> str | None:
    """Whose days are changed. Raises Refused unless they are the caller's, or an admin calls."""
    if call.caller.me.is_admin:
        return _email(call, member_id)
    if member_id is None:
        call.require_admin()
    if member_id != call.caller.me.id:
        raise NoSuchMember(str(member_id))
    return call.caller.me.email


def _listed(member_id: int | None, spans: Sequence[Span]) -> DaysOffList:
    items = [DaysOffEntry(first=one.first, last=one.last, name=one.name) for one in spans]
    return DaysOffList(member=member_id, items=items)


_BACKWARDS = Both(
    "最初の日より前です。順番を直してください。", "It is before the first day. Put them in order."
)
