"""A call of a program is one transaction; with a key (Idempotency-Key) it is done once.

The row of the key is written in the transaction of the effect: both are there, or neither, whatever
is killed between. A second call with the key gets what the first one was answered.
(draft-ietf-httpapi-idempotency-key-header-07.)
"""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import text, update
from sqlalchemy.orm import Session

from app.db import insert_new
from app.db.nested import OneTransaction
from app.locale import Both
from app.models import ApiCall
from app.refused import Code, Refused
from app.services import Services
from app.util import crash_points

KEPT_FOR = timedelta(days=1)
_TRY_AGAIN = 1  # seconds


class Stored(NamedTuple):
    """An answer as it was sent. `again`: it is that of an earlier call with the same key."""

    status: int
    answer: str
    location: str | None = None
    again: bool = False


class CallKey(NamedTuple):
    """What makes a call the same one: whose it is, its key, and a digest of what it asks for."""

    token_id: int
    key: str
    digest: str


def whole(
    services: Services, key: CallKey | None, now: datetime, act: Callable[[Services], Stored]
) -> Stored:
    """What `act` answers, all it does being one transaction; with a key, done once.

    What it refuses is undone and not remembered. Raises Refused where the key came with something
    else before, or its first call still runs.
    """
    publish: list[int] = []
    services.installation.id()  # the first time it is written, which waits for those who write
    with services.db.write() as session:
        if key is not None and (known := _known(session, key, now)) is not None:
            return known
        one = OneTransaction(services.db, session)
        done = act(replace(services, db=one, publish=publish.extend))
        crash_points.point("acted")
        if key is not None:
            _remember(session, key, done)
    crash_points.point("committed")
    services.publish(publish)
    return done


def _remember(session: Session, key: CallKey, done: Stored) -> None:
    mine = update(ApiCall).where(ApiCall.token_id == key.token_id, ApiCall.key == key.key)
    session.execute(mine.values(status=done.status, answer=done.answer, location=done.location))


def _known(session: Session, key: CallKey, now: datetime) -> Stored | None:
    """What a call with this key was answered; None: it is the first, and the key is taken."""
    if not _is_alone(session, key):
        raise Refused(Code.CALL_IN_PROGRESS, _IN_PROGRESS, _TRY_AGAIN)
    row = {**key._asdict(), "status": 0, "answer": "", "location": None, "created_at": now}
    while not insert_new(session, ApiCall, [row], returning=[ApiCall.key]):
        known = session.get_one(ApiCall, (key.token_id, key.key))
        if known.created_at > now - KEPT_FOR:
            if known.digest != key.digest:
                raise Refused(Code.KEY_REUSED, _REUSED)
            return Stored(known.status, known.answer, known.location, again=True)
        session.delete(known)
        session.flush()
    return None


def _is_alone(session: Session, key: CallKey) -> bool:
    """Whether no other transaction works on this key now; SQLite has one writer anyway."""
    if session.get_bind().dialect.name != "postgresql":
        return True
    hashed = hashlib.sha256(f"{key.token_id} {key.key}".encode()).digest()
    lock = {"lock": int.from_bytes(hashed[:8], signed=True)}
    return bool(session.scalar(text("SELECT pg_try_advisory_xact_lock(:lock)"), lock))


_IN_PROGRESS = Both(
    "同じ Idempotency-Key の最初の呼び出しを処理しています。少し待ってから、もう一度送ってください。",
    "The first call with this Idempotency-Key is still running. Send it again in a moment.",
)
_REUSED = Both(
    "この Idempotency-Key は、別の内容の呼び出しで使われています。新しいキーにしてください。",
    "This Idempotency-Key came with another call before. Use a new one.",
)
