"""The two statements that every mail costs: in doubt, and accepted.

They are written by hand, because most of a sender's wait for the database is here. On PostgreSQL
a whole round is one statement from arrays, which is a transaction by itself: one wait and one
flush to the disk for all its mails. SQLite has no arrays and no distance: there each mail is two
plain statements of one transaction.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Double, bindparam, select, update
from sqlalchemy.orm import Session

from app.db import AutocommitConnection, Database, among, database_now
from app.models import DecisionRow, OutboxMail, State
from app.outbox.lease import NOT_PAUSED, OUTBOX, PAUSE, Claimed, SentBytes
from app.rules.decision import Verdict

IN_DOUBT_SECONDS = 660.0  # the answer to the dot is awaited for at most 600 s

Answer = tuple[Claimed, str]  # a mail and what the server said when it took it


def settle(
    db: Database,
    each: AutocommitConnection,
    sent: Sequence[SentBytes],
    answers: Sequence[Answer],
    *,
    now: datetime,
    scale: float,
) -> set[int]:
    """Records the answers and says that the final dots of `sent` come next, in one commit.

    Returns the ids for which a dot may be sent: those still leased to this sender, unless sending
    is paused. No answer may be that of a resend: `record_accepted` knows those. Raises
    DatabaseDown; then the answers may be recorded or not, and recording them again does no harm.
    """
    if db.is_sqlite:
        with db.write() as session:
            record_accepted(session, answers, now=now)
            return _mark(session, sent, scale=scale)
    values = {
        "seconds": IN_DOUBT_SECONDS * scale,
        "ids": [one.mail.id for one in sent],
        "tokens": [one.mail.lease_token for one in sent],
        "subjects": [one.subject for one in sent],
        "refs": [json.dumps(one.task_refs) for one in sent],
        "bytes": [one.sent_bytes for one in sent],
        "now": now,
        "accepted": [mail.id for mail, _ in answers],
        "their_tokens": [mail.lease_token for mail, _ in answers],
        "responses": [response for _, response in answers],
    }
    return set(each.scalars(_ROUND, values))


# `%(…)b`: sent as binary. As text an array of bytes takes ten times as long.
_ROUND = f"""
WITH answered AS (
    UPDATE outbox SET state = 'accepted', accepted_at = %(now)b, updated_at = %(now)b,
        response = answer.response, reason = NULL, lease_token = NULL, lease_until = NULL
    FROM unnest(%(accepted)b::bigint[], %(their_tokens)b::text[], %(responses)b::text[])
        AS answer (id, token, response)
    WHERE outbox.id = answer.id AND outbox.lease_token = answer.token
)
UPDATE outbox SET state = 'in_doubt', doubts = outbox.doubts + 1,
    lease_until = clock_timestamp() + make_interval(secs => %(seconds)b),
    subject = mail.subject, task_refs = mail.refs::json, sent_bytes = mail.bytes
FROM unnest(%(ids)b::bigint[], %(tokens)b::text[], %(subjects)b::text[], %(refs)b::text[],
        %(bytes)b::bytea[]) AS mail (id, token, subject, refs, bytes)
WHERE outbox.id = mail.id AND outbox.lease_token = mail.token AND outbox.state = 'sending'
    AND NOT EXISTS (SELECT 1 FROM settings WHERE key = '{PAUSE}')
RETURNING outbox.id
"""  # noqa: S608 - PAUSE is a constant of ours

_MINE = (OUTBOX.c.id == bindparam("of_id"), OUTBOX.c.lease_token == bindparam("of_token"))
_MARK = (
    update(OUTBOX)
    .where(*_MINE, OUTBOX.c.state == State.SENDING, NOT_PAUSED)
    .values(
        state=State.IN_DOUBT,
        doubts=OUTBOX.c.doubts + 1,
        lease_until=database_now(bindparam("for_seconds", type_=Double())),
        subject=bindparam("to_subject"),
        task_refs=bindparam("to_refs"),
        sent_bytes=bindparam("to_bytes"),
    )
)
_ACCEPT = (
    update(OUTBOX)
    .where(*_MINE)
    .values(
        state=State.ACCEPTED,
        accepted_at=bindparam("at"),
        updated_at=bindparam("at"),
        response=bindparam("to_response"),
        reason=None,
        lease_token=None,
        lease_until=None,
    )
)


def record_accepted(session: Session, answers: Sequence[Answer], *, now: datetime) -> None:
    """The good end of these mails. A mail that another sender holds by now is left to it."""
    rows = [
        {"of_id": mail.id, "of_token": mail.lease_token, "at": now, "to_response": response}
        for mail, response in answers
    ]
    if not rows:
        return
    session.connection().execute(_ACCEPT, rows)
    again = [mail.decision_id for mail, _ in answers if mail.n > 0 and mail.decision_id is not None]
    if again:  # the first mail of that decision may have ended without being sent
        session.execute(
            update(DecisionRow)
            .where(DecisionRow.id.in_(again))
            .values(verdict=Verdict.SEND, reason=None)
        )


def _mark(session: Session, sent: Sequence[SentBytes], *, scale: float) -> set[int]:
    rows: list[dict[str, Any]] = [
        {
            "of_id": one.mail.id,
            "of_token": one.mail.lease_token,
            "for_seconds": IN_DOUBT_SECONDS * scale,
            "to_subject": one.subject,
            "to_refs": one.task_refs,
            "to_bytes": one.sent_bytes,
        }
        for one in sent
    ]
    ids = {one.mail.id for one in sent}
    if not rows or session.connection().execute(_MARK, rows).rowcount == len(rows):
        return ids
    tokens = {one.mail.lease_token for one in sent}
    mine = OutboxMail.lease_token.in_(tokens)
    marked = select(OutboxMail.id).where(among(OutboxMail.id, ids), mine)
    return set(session.scalars(marked.where(OutboxMail.state == State.IN_DOUBT)))
