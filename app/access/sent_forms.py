"""A form that creates something creates it once, however often it is sent.

The form has a key, made when it was shown. The use case takes the key in the transaction in which it
creates: both are there, or neither. A second click waits for the first one's end, and gets what that
created. (Reports keep the key in their own row: see app/reports/progress.py.)
"""

from datetime import datetime, timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from app.db import insert_new
from app.models import SentForm

KEPT_FOR = timedelta(days=7)  # a browser that is opened again may send its old tabs again
_SWEPT_AT_ONCE = 100


def made_before(session: Session, key: str | None, now: datetime) -> int | None:
    """The id of what this form made already; None for the first time, and for a form without a key.

    The first one says at its end what it made (`made`), in the same transaction.
    """
    if key is None:
        return None
    _sweep(session, now)
    row = {"key": key, "made": 0, "at": now}
    if insert_new(session, SentForm, [row], returning=[SentForm.key]):
        return None
    return session.scalar(select(SentForm.made).where(SentForm.key == key))


def made(session: Session, key: str | None, made_id: int) -> None:
    """Notes what the form made."""
    if key is not None:
        session.execute(update(SentForm).where(SentForm.key == key).values(made=made_id))


def _sweep(session: Session, now: datetime) -> None:
    old = select(SentForm.key).where(SentForm.at < now - KEPT_FOR).limit(_SWEPT_AT_ONCE)
    keys = session.scalars(old.with_for_update(skip_locked=True)).all()
    if keys:
        session.execute(delete(SentForm).where(SentForm.key.in_(keys)))
