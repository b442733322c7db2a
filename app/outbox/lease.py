"""The transitions of a claimed mail: each is compare-and-set in the database.

A claim is a lease with a fencing token. A sender that lost its lease changes nothing any more: the
row count says so.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import CTE, ColumnElement, CursorResult, Row, exists, select, update
from sqlalchemy.orm import Session

from app.alerts import raise_alert
from app.alerts.catalogue import OF_MAILS
from app.channel import both_of
from app.db import among
from app.locale import Both
from app.models import Base, DecisionRow, Kind, MailEvent, Member, OutboxMail, Setting, State
from app.rules.decision import Verdict
from app.util.redis_guard import Guard

CLAIMS_AT_MOST = 5
DOUBTS_AT_MOST = 2  # the first copy and one more
MADE_LATELY = timedelta(days=2)  # no automatic mail is sent longer after it was made
PAUSE = "pause"  # settings key; while it stands nothing is claimed

# Ends after which the decision itself says that no reminder went out, and why.
TAKEN_BACK = frozenset({State.SUPPRESSED, State.CANCELLED, State.EXPIRED})

OUTBOX = Base.metadata.tables[OutboxMail.__tablename__]


# The last word before each dot, too: pause stops all sending at once.
NOT_PAUSED = ~exists(select(Setting.key).where(Setting.key == PAUSE))


class LeaseLost(Exception):
    """Another sender holds the mail now, or it has ended."""


class Claimed(NamedTuple):
    """A mail leased to this sender, as it stood then; its fields are columns of the outbox."""

    id: int
    lease_token: str
    decision_id: int | None
    user_id: int | None
    channel: str
    kind: str
    local_date: date
    n: int
    to_addr: str
    message_id: str
    date_header: datetime
    clock_shift: int
    not_before: datetime
    expires_at: datetime
    claims: int
    retries: int
    doubts: int
    subject: str | None
    task_refs: list[str] | None
    sent_bytes: bytes | None

    @property
    def guard(self) -> Guard | None:
        """The Redis guard of an automatic reminder; a resend and other kinds have none."""
        if self.kind != Kind.REMINDER or self.n != 0 or self.user_id is None:
            return None
        return Guard(self.user_id, self.local_date, self.id, self.channel)


# A mail as it was claimed, as it is stored, or as a row of those of its columns that are asked for.
AnyMail = Claimed | OutboxMail | Row[*tuple[Any, ...]]


class SentBytes(NamedTuple):
    """What is stored with a mail right before its final dot."""

    mail: Claimed
    subject: str
    task_refs: list[str]
    sent_bytes: bytes


def some(which: ColumnElement[bool], at_most: int) -> CTE:
    """The ids of up to so many of these mails, locked; without those that others work on.

    MATERIALIZED: PostgreSQL would run a plain subquery again for each row, and lock more rows.
    """
    mails = select(OutboxMail.id).where(which).limit(at_most).with_for_update(skip_locked=True)
    return mails.cte("some").prefix_with("MATERIALIZED", dialect="postgresql")


def give_back(
    session: Session,
    mail: Claimed,
    *,
    now: datetime,
    not_before: datetime | None = None,
    response: str | None = None,
) -> None:
    """The mail is as it was before the claim; with `not_before` it waits until then.

    `response`: what the server said, where it is at fault.
    """
    values = {"claims": OutboxMail.claims - 1, **_ready(mail), "updated_at": now}
    if not_before is not None:
        values["not_before"] = not_before
    if response is not None:
        values["response"] = response
    _change(session, mail, values)


def accepted_since(session: Session, moment: datetime, channel: str) -> bool:
    """Whether any sender had a mail accepted by this channel after `moment`; of mails made lately."""
    accepted = select(OutboxMail.id).where(
        OutboxMail.created_at > moment - MADE_LATELY,
        OutboxMail.accepted_at > moment,
        OutboxMail.channel == channel,
    )
    return session.scalar(accepted.limit(1)) is not None


def give_all_back(session: Session, mails: Sequence[Claimed], *, now: datetime) -> None:
    """Those of these mails that are still leased here are as they were before their claim.

    None has been marked in doubt under this lease: what an earlier copy left stays with the row.
    """
    tokens = {mail.lease_token for mail in mails}
    session.execute(
        update(OutboxMail)
        .where(
            among(OutboxMail.id, [mail.id for mail in mails]), OutboxMail.lease_token.in_(tokens)
        )
        .values(
            claims=OutboxMail.claims - 1,
            state=State.READY,
            lease_token=None,
            lease_until=None,
            updated_at=now,
        )
    )


def defer(
    session: Session, mail: Claimed, *, now: datetime, not_before: datetime, response: str
) -> None:
    """Refused for now: this copy is certainly not out, so the next try is composed anew."""
    counted = {"claims": 0, "retries": OutboxMail.retries + 1, "response": response}
    ready = {**_ready(mail), **counted, "not_before": not_before, "updated_at": now}
    _change(session, mail, ready)
    record(session, mail.id, "deferred", response, now=now)


def _ready(mail: Claimed) -> dict[str, Any]:
    """Ready again. If an earlier copy may be out, only the same bytes may follow it."""
    return {
        "state": State.READY,
        "lease_token": None,
        "lease_until": None,
        "doubts": mail.doubts,
        "sent_bytes": mail.sent_bytes,
    }


def end(
    session: Session,
    mail: Claimed,
    state: State,
    *,
    now: datetime,
    reason: str | None = None,
    response: str | None = None,
) -> None:
    """A mail's end other than accepted, and what it means for the decision, in one commit."""
    values: dict[str, Any] = {
        "state": state,
        "lease_token": None,
        "lease_until": None,
        "reason": reason,
        "updated_at": now,
    }
    if response is not None:
        values["response"] = response
    _change(session, mail, values)
    record(session, mail.id, state, reason or response, now=now)
    if state in TAKEN_BACK and mail.n <= 0:
        take_back(session, mail, reason or state)


def end_with_alert(
    session: Session,
    mail: Claimed,
    state: State,
    *,
    now: datetime,
    reason: str,
    response: str | None = None,
    why: Both | None = None,
) -> None:
    """An end that an operator must hear of. `why`: the reason, where both languages differ."""
    end(session, mail, state, now=now, reason=reason, response=response)
    alert_of(session, mail.id, state, now=now, why=why or both_of(reason))


def alert_of(
    session: Session, mail_id: int, state: State, *, now: datetime, why: Both | None = None
) -> None:
    """The alert about a mail that ended so: to whom it was, and what the server said."""
    kind, to, name = session.execute(
        select(OutboxMail.kind, OutboxMail.to_addr, Member.name)
        .join(Member, Member.id == OutboxMail.user_id, isouter=True)
        .where(OutboxMail.id == mail_id)
    ).one()
    facts = {"to": to, "member": name, "why": why}
    # The end of an alert's own mail raises no alert, or there would be no end.
    by_mail = kind != Kind.ALERT
    raise_alert(session, OF_MAILS[state], mail_id, now=now, by_mail=by_mail, **facts)


def take_back(session: Session, mail: AnyMail, reason: str) -> None:
    """The decisions behind this mail say now that it did not go out, and why."""
    if mail.decision_id is not None:
        take_back_decision(session, [mail.decision_id], reason)
    elif mail.kind == Kind.ESCALATION:  # one mail, a decision for each member it tells of
        session.execute(
            update(DecisionRow)
            .where(
                DecisionRow.told_id == mail.user_id,
                DecisionRow.told_on == mail.local_date,
                DecisionRow.verdict == Verdict.SEND,
            )
            .values(verdict=Verdict.SKIP, reason=reason)
            .execution_options(synchronize_session="auto")
        )


def take_back_decision(session: Session, decision_ids: list[int], reason: str) -> None:
    """The decisions say now that no reminder went out, and why."""
    session.execute(
        update(DecisionRow)
        .where(DecisionRow.id.in_(decision_ids), DecisionRow.verdict == Verdict.SEND)
        .values(verdict=Verdict.SKIP, reason=reason)
        .execution_options(synchronize_session="auto")
    )


def record(
    session: Session, mail_id: int, event: str, detail: str | None, *, now: datetime
) -> None:
    """One line of the mail's history."""
    session.add(MailEvent(outbox_id=mail_id, at=now, event=event, detail=detail))


def _change(session: Session, mail: Claimed, values: Mapping[str, Any]) -> None:
    changed = session.execute(
        update(OutboxMail)
        .where(OutboxMail.id == mail.id, OutboxMail.lease_token == mail.lease_token)
        .values(values)
    )
    if not isinstance(changed, CursorResult) or changed.rowcount != 1:
        raise LeaseLost(mail.id)
