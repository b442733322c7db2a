"""Reminding a member now; stopping and starting all sending."""

from pydantic import Field

from app.access import rights
from app.access.api_tokens import Scope
from app.api.operation import Answered, Asked, Call, Reply, RowId, operation
from app.api.resources.mails import NewMailAnswer, written
from app.locale import Both
from app.members.nudge import nudge
from app.monitoring import status
from app.people.lookup import NoSuchMember
from app.refused import Code


class ReminderWanted(Asked):
    """Whom to remind."""

    member: RowId = Field(description="by id")


class SendingNow(Answered):
    """Whether all sending is stopped; how many held mails were let go."""

    paused: bool
    released: int = 0


@operation(
    "POST", "/reminders", "sending", Both("いま知らせる", "Remind a member now"), Scope.SEND,
    answers={202: NewMailAnswer},
    refuses=[
        Code.NO_SUCH_MEMBER, Code.QUIET_HOURS, Code.NO_REMINDER_TODAY, Code.NOTHING_UNREPORTED,
        Code.ALREADY_NUDGED, Code.ALREADY_WAITING, Code.COMES_BY_ITSELF, Code.TOO_MANY_TODAY,
        Code.INACTIVE, Code.BROKEN_SETTINGS,
    ],
    example={"body": {"member": 3}},
)  # fmt: skip
def remind(call: Call, body: ReminderWanted) -> Reply:
    """One whom the caller leads; quiet hours, days off and the limits of the page hold."""
    if not rights.leads_member(call.services, call.caller.me, body.member):
        raise NoSuchMember(str(body.member))
    return written(call, nudge(call.services, body.member, call.caller.who, call.now))


@operation(
    "POST", "/pause", "sending", Both("すべての送信を止める", "Stop all sending"), Scope.SEND
)
def pause(call: Call) -> SendingNow:
    """At once, for all members. For admins."""
    call.require_admin()
    call.require_real()
    status.pause(call.services, who=call.caller.who, now=call.now)
    return SendingNow(paused=True)


@operation("POST", "/resume", "sending", Both("送信を再開する", "Start sending again"), Scope.SEND)
def resume(call: Call) -> SendingNow:
    """Held mails go, too. For admins."""
    call.require_admin()
    call.require_real()
    released = status.resume(call.services, who=call.caller.who, now=call.now)
    return SendingNow(paused=False, released=released)
