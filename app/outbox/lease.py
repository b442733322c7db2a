"""Claims and ends: the transitions of one outbox mail, each one compare-and-set in the database.

A claim is a lease with a fencing token, by the database's clock. Whoever lost it changes nothing
any more: the row count says so.
"""

import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, or_, select, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import Session

from app.db import database_now
from app.due import Verdict
from app.models import DecisionRow, MailEvent, OutboxMail, Setting, State

SENDING_SECONDS = 100.0  # all before the dot takes at most 90 s
IN_DOUBT_SECONDS = 660.0  # the answer to the dot is awaited for at most 600 s
CLAIMS_AT_MOST = 5
PAUSE = "pause"  # settings key; while it stands nothing is claimed

# Ends after which the decision itself says that no reminder went out, and why.
TAKEN_BACK = frozenset({State.SUPPRESSED, State.CANCELLED, State.EXPIRED})


class LeaseLost(Exception):
    """Another sender holds the mail now, or it has ended."""


def claimable(now: datetime) -> ColumnElement[bool]:
    """The condition for a mail that may be worked on at `now`."""
    lapsed = OutboxMail.lease_until < database_now()
    return and_(
        or_(
            and_(OutboxMail.state == State.READY, OutboxMail.not_before <= now),
            and_(OutboxMail.state.in_([State.SENDING, State.IN_DOUBT]), lapsed),
        ),
        OutboxMail.held.is_(None),
    )


def claim(session: Session, mail_id: int, *, now: datetime, scale: float) -> OutboxMail | None:
    """Leases the mail to the caller, or returns None: not due, taken, held, ended or paused."""
    return session.scalars(
        update(OutboxMail)
        .where(
            OutboxMail.id == mail_id,
            claimable(now),
            ~exists(select(Setting.key).where(Setting.key == PAUSE)),
        )
        .values(
            state=State.SENDING,
            lease_token=secrets.token_hex(16),
            lease_until=database_now(SENDING_SECONDS * scale),
            claims=OutboxMail.claims + 1,
            updated_at=now,
        )
        .returning(OutboxMail)
        .execution_options(synchronize_session=False)
    ).one_or_none()


def mark_in_doubt(session: Session, mail: OutboxMail, *, scale: float, **sent: Any) -> None:
    """Says that the final dot comes next; raises LeaseLost, and then no dot may be sent."""
    _change(
        session,
        mail,
        State.SENDING,
        {
            "state": State.IN_DOUBT,
            "doubts": OutboxMail.doubts + 1,
            "lease_until": database_now(IN_DOUBT_SECONDS * scale),
            **sent,
        },
    )


def give_back(
    session: Session, mail: OutboxMail, *, now: datetime, not_before: datetime, event: str, why: str
) -> None:
    """The mail waits for its next try; the copy that was tried is certainly not out."""
    _change(
        session,
        mail,
        None,
        {
            "state": State.READY,
            "lease_token": None,
            "lease_until": None,
            "claims": 0 if event == "deferred" else OutboxMail.claims - 1,
            "retries": OutboxMail.retries + (1 if event == "deferred" else 0),
            "doubts": 0,
            "sent_bytes": None,
            "response": why,
            "not_before": not_before,
            "updated_at": now,
        },
    )
    record(session, mail.id, event, why, now=now)


def end(
    session: Session,
    mail: OutboxMail,
    state: State,
    *,
    now: datetime,
    reason: str | None = None,
    response: str | None = None,
) -> None:
    """The mail's end, and what it means for the decision, in the caller's one commit."""
    values: dict[str, Any] = {
        "state": state,
        "lease_token": None,
        "lease_until": None,
        "reason": reason,
        "updated_at": now,
    }
    if response is not None:
        values["response"] = response
    if state is State.ACCEPTED:
        values["accepted_at"] = now
    else:
        record(session, mail.id, state, reason or response, now=now)
    _change(session, mail, None, values)
    if state in TAKEN_BACK and mail.decision_id is not None and mail.n == 0:
        take_back_decision(session, [mail.decision_id], reason or state)


def take_back_decision(session: Session, decision_ids: list[int], reason: str) -> None:
    """The decisions say now that no reminder went out, and why."""
    session.execute(
        update(DecisionRow)
        .where(DecisionRow.id.in_(decision_ids), DecisionRow.verdict == Verdict.SEND)
        .values(verdict=Verdict.SKIP, reason=reason)
    )


def record(
    session: Session, mail_id: int, event: str, detail: str | None, *, now: datetime
) -> None:
    """One line of the mail's history."""
    session.add(MailEvent(outbox_id=mail_id, at=now, event=event, detail=detail))


def _change(
    session: Session, mail: OutboxMail, state: State | None, values: Mapping[str, Any]
) -> None:
    where = [OutboxMail.id == mail.id, OutboxMail.lease_token == mail.lease_token]
    if state is not None:
        where.append(OutboxMail.state == state)
    changed = session.execute(
        update(OutboxMail).where(*where).values(values).execution_options(synchronize_session=False)
    )
    if not isinstance(changed, CursorResult) or changed.rowcount != 1:
        raise LeaseLost(mail.id)
