"""Mails: listed, one with its history; sent again, cancelled."""

from datetime import date, datetime
from typing import Any

from pydantic import Field

from app.access.api_tokens import Scope
from app.api.operation import Answered, Call, Day, ListEntry, Paged, Piece, Reply, RowId, operation
from app.locale import Both
from app.models import Kind, State
from app.outbox import cancel, resending, seen, trial
from app.refused import Code


class MailEntry(ListEntry):
    """A mail, and where it is in its life."""

    kind: Kind
    member: int | None = Field(description="whose, by id")
    email: str
    local_date: date
    state: State
    reason: str | None = Field(description="why it was not sent")
    held: str | None = Field(description="it waits for an admin's word: brake, restore")
    attempts: int
    subject: str | None
    message_id: str
    not_before: datetime
    accepted_at: datetime | None
    response: str | None = Field(description="what the mail server said last")


class MailEventEntry(Answered):
    """One thing that happened to a mail."""

    at: datetime
    event: str
    detail: str | None


class MailStory(MailEntry):
    """A mail with all that happened to it."""

    tasks: list[str]
    created_at: datetime
    expires_at: datetime
    resend_of: int | None
    history: list[MailEventEntry]


class MailList(Piece[MailEntry]):
    """A piece of the mails; `next` is the `before` of the piece that follows."""


class MailsAsked(Paged):
    """Which mails."""

    member: RowId | None = Field(None, description="whose, by id")
    on: Day | None = Field(None, alias="date", description="their local date")
    state: State | None = None


class NewMailAnswer(Answered):
    """The mail that was written; its Location tells what becomes of it."""

    mail: int


@operation(
    "GET", "/mails", "mails", Both("メールの一覧", "List mails"), Scope.READ,
    example={"query": {"date": "2026-11-24"}},
)  # fmt: skip
def list_mails(call: Call, asked: MailsAsked) -> MailList:
    """One's own, and the reminders of whom one leads; an admin sees all."""
    found = seen.mails(
        call.services, call.caller.me, limit=asked.limit, before=asked.before,
        member_id=asked.member, on=asked.on, state=asked.state,
    )  # fmt: skip
    return MailList.of([*map(_row, found)], asked)


@operation(
    "GET", "/mails/{mail_id}", "mails", Both("メール1通と、その経過", "One mail and its life"),
    Scope.READ, refuses=[Code.NO_SUCH_MAIL], example={"path": {"mail_id": 1000}},
)  # fmt: skip
def get_mail(call: Call, mail_id: int) -> MailStory:
    """What happened to it, without its text."""
    return MailStory.model_validate(_row(seen.mail(call.services, call.caller.me, mail_id)))


@operation(
    "POST", "/mails/{mail_id}/resend", "mails",
    Both("終わったメールをもう一度送る", "Send an ended mail again"), Scope.SEND,
    answers={202: NewMailAnswer}, refuses=[Code.NO_SUCH_MAIL, Code.NOT_POSSIBLE],
    example={"path": {"mail_id": 1000}},
)  # fmt: skip
def resend_mail(call: Call, mail_id: int) -> Reply:
    """A new mail in its place, composed anew. For admins."""
    call.require_admin()
    caller = call.caller
    new = resending.resend(call.services, mail_id, who=caller.who, now=call.now, trial=caller.test)
    return written(call, new)


@operation(
    "POST", "/mails/{mail_id}/cancel", "mails",
    Both("送る前のメールを取り消す", "Cancel a mail that waits"), Scope.SEND,
    refuses=[Code.NO_SUCH_MAIL, Code.NOT_POSSIBLE], example={"path": {"mail_id": 1001}},
)  # fmt: skip
def cancel_mail(call: Call, mail_id: int) -> MailStory:
    """It is not sent. For admins."""
    call.require_admin()
    call.require_real()
    cancel(call.services, mail_id, who=call.caller.who, now=call.now)
    return get_mail(call, mail_id)


def written(call: Call, mail_id: int) -> Reply:
    """That the mail was written; of a test token it ends here."""
    if call.caller.test:
        trial.suppress(call.services, mail_id, who=call.caller.who, now=call.now)
    return Reply(NewMailAnswer(mail=mail_id), 202, f"/api/v1/mails/{mail_id}")


def _row(one: dict[str, Any]) -> dict[str, Any]:
    return {**one, "member": one["user_id"], "tasks": one.get("tasks") or []}
