"""A lock in the database: one process at a time, of all machines, has the turn.

It is a row of `service` with the instant at which it ends; a process that dies keeps it until then.
It saves work that two would only repeat; no promise depends on it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, or_, update
from sqlalchemy.orm import Session

from app.db import insert_new
from app.models import Service
from app.services import Services

SKEW = timedelta(minutes=5)  # between the clocks of two machines


@contextmanager
def of(services: Services, name: str, now: datetime, lasts: timedelta) -> Iterator[bool]:
    """True while the block has the turn; False when another process has it."""
    until = now + lasts
    # One that ends later than any turn was taken by a clock that ran ahead.
    free = or_(Service.at <= now, Service.at > until + SKEW)
    with services.db.write() as session:
        mine = take(session, name, until, free)
    try:
        yield mine
    finally:
        if mine:
            mine_still = (Service.name == name, Service.at == until)
            with services.db.write() as session:
                session.execute(update(Service).where(*mine_still).values(at=now))


def take(session: Session, name: str, at: datetime, free: ColumnElement[bool]) -> bool:
    """Makes the row of this name, or sets its instant where it is `free`: True for one process."""
    row = {"name": name, "at": at, "data": {}}
    if insert_new(session, Service, [row], returning=(Service.name,)):
        return True
    theirs = update(Service).where(Service.name == name, free).values(at=at)
    return session.scalar(theirs.returning(Service.name)) is not None
