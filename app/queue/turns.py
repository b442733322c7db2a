"""Turns: one process at a time, of all machines. A turn is a row of `service` with its end.

A process that dies in its turn keeps it until that end. Turns save work; no promise depends on them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from sqlalchemy import or_, update

from app.db import insert_new
from app.models import Service
from app.services import Services

SKEW = timedelta(minutes=5)  # between the clocks of two machines


@contextmanager
def of(services: Services, name: str, now: datetime, lasts: timedelta) -> Iterator[bool]:
    """True while the block has the turn; False when another process has it."""
    mine = _taken(services, name, now, now + lasts)
    try:
        yield mine
    finally:
        if mine:
            _end(services, name, now, now + lasts)


def _taken(services: Services, name: str, now: datetime, until: datetime) -> bool:
    with services.db.write() as session:
        row = {"name": name, "at": until, "data": {}}
        if insert_new(session, Service, [row], returning=(Service.name,)):
            return True
        won = session.execute(
            update(Service)
            # One that ends later than any turn was taken by a clock that ran ahead.
            .where(Service.name == name, or_(Service.at <= now, Service.at > until + SKEW))
            .values(at=until)
            .returning(Service.name)
        )
        return won.first() is not None


def _end(services: Services, name: str, now: datetime, until: datetime) -> None:
    with services.db.write() as session:
        session.execute(
            update(Service).where(Service.name == name, Service.at == until).values(at=now)
        )
