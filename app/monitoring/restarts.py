"""Restart loops: a program that starts again and again, because its supervisor hides what ends it."""

from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db import put
from app.models import Service

TOO_OFTEN = 5  # starts
WITHIN = timedelta(minutes=10)
_ROW = "starts:"  # before the name of the part, in `service`


def note(session: Session, part: str, now: datetime) -> None:
    """The part (`beat`, `worker-mail@host`) has just started."""
    name = _ROW + part
    row = session.get(Service, name)
    known = list(row.data["starts"]) if row is not None else []
    starts = [*known, now.isoformat()][-TOO_OFTEN:]
    put(session, Service, {"name": name}, {"at": now, "data": {"starts": starts}})


def restless(session: Session, now: datetime) -> dict[str, int]:
    """The parts that started too often lately, each with the minutes it took."""
    rows = session.scalars(
        select(Service).where(Service.name.startswith(_ROW), Service.at > now - WITHIN)
    )
    found: dict[str, int] = {}
    for row in rows:
        starts = [datetime.fromisoformat(one) for one in row.data["starts"]]
        if len(starts) == TOO_OFTEN and now - starts[0] < WITHIN:
            minutes = (starts[-1] - starts[0]) / timedelta(minutes=1)
            found[row.name.removeprefix(_ROW)] = round(minutes)
    return found
