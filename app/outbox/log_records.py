"""The log records that operators count: each end of an attempt, each decision, each outage.

Ids, states and reasons only: who and what they stand for is in the database.
"""

import logging
import time
from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from app.channel import SendError
from app.db import after_commit
from app.models import State
from app.outbox.lease import AnyMail

log = logging.getLogger(__name__)

_GOOD = frozenset({State.ACCEPTED, State.READY, State.SUPPRESSED, State.CANCELLED})


def attempt(
    mail: AnyMail,
    state: str,
    *,
    reason: str | None = None,
    code: int | None = None,
    began: float | None = None,
    error: Exception | None = None,
) -> None:
    """An attempt ended, and left the mail in this state.

    `code`: the mail server's. `began`: by time.monotonic(), when the way to the server began.
    `error`: what broke the letter.
    """
    level = logging.INFO if state in _GOOD else logging.WARNING
    if log.isEnabledFor(level):
        facts = {"id": mail.id, "kind": mail.kind, "state": state, "reason": reason, "code": code}
        ms = None if began is None else round((time.monotonic() - began) * 1000)
        facts |= {"attempts": mail.claims + mail.retries, "ms": ms}
        log.log(level, "mail", extra={"facts": facts}, exc_info=error)


def cannot_send(error: SendError) -> None:
    """A try ended the sending for all mails, as the mail server cannot be used: once a try.

    A server's words may quote an address, so of an answer only the codes are said.
    """
    facts = {
        "phase": error.phase,
        "fault": error.fault,
        "code": error.code,
        "status": error.status,
        "why": error.words.en if error.code is None else None,
    }
    log.warning("MailSendError", extra={"facts": facts})


def ended(
    session: Session,
    mail: AnyMail,
    state: str,
    reason: str | None,
    *,
    error: Exception | None = None,
) -> None:
    """`attempt` that never came to the mail server, said once this is committed."""
    after_commit(session, lambda: attempt(mail, state, reason=reason, error=error))


def decided(
    session: Session, rows: Mapping[int, Mapping[str, Any]], mails: Mapping[int, int]
) -> None:
    """New decisions, by their ids, said once they are committed; `mails`: decision -> mail."""
    if log.isEnabledFor(logging.INFO):
        after_commit(session, lambda: _say_decided(rows, mails))


def _say_decided(rows: Mapping[int, Mapping[str, Any]], mails: Mapping[int, int]) -> None:
    for decision_id, row in rows.items():
        facts = {
            "id": decision_id,
            "member": row["user_id"],
            "slot": row["slot"],
            "date": row["local_date"],
            "verdict": row["verdict"],
            "reason": row["reason"],
            "mail": mails.get(decision_id),
        }
        log.info("decision", extra={"facts": facts})
