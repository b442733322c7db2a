"""The trusted reading of each machine's clocks, the doubt about it, and an admin's acceptance.

One row in `service` for each start of a machine (`clock@<boot id>`), written when something
changes. All programs of the machine share it.
"""

import logging
import math
import platform
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pydantic import TypeAdapter
from sqlalchemy import select
from sqlalchemy.orm import Session

from app import audit, clock
from app.alerts import Alarm, close_alert, raise_alert
from app.clock_trust.judge import HOUR, ClockReading, Doubt, judge, moved
from app.clock_trust.repair import may_be_ahead, put_back
from app.db import database_now, put
from app.models import TICK, Service
from app.services import Services

log = logging.getLogger(__name__)

PREFIX = "clock@"
SETTLED = timedelta(days=1)  # a clock set back for so long is the one to go by


@dataclass(frozen=True, slots=True)
class KnownClock:
    """What is known of this start of this machine."""

    believed: ClockReading | None = None
    doubt: float | None = None  # seconds ahead
    accepted: float | None = None  # seconds ahead, accepted by an admin
    back_since: float | None = None  # seconds since boot at which it was seen set back


# As the row has it, with the host's name beside it.
_KNOWN = TypeAdapter(KnownClock)


def may_work(services: Services, now: datetime) -> bool:
    """The first question of each minute's work: False while the clock is in doubt.

    Puts back what a clock that ran ahead has stored. Raises DatabaseDown.
    """
    if doubted(services, now) is not None:
        return False
    with services.db.read() as session:
        tick = session.get(Service, TICK)
        was_ahead = (tick is not None and tick.at > now + HOUR) or may_be_ahead(session, now)
    if was_ahead:
        put_back(services, now)
    return True


def doubted(services: Services, now: datetime) -> Doubt | None:
    """Why this machine's clock is not believed at this moment; None: it is.

    Opens and closes the alert about it. Raises DatabaseDown.
    """
    name = PREFIX + clock.boot_id()
    with services.db.read() as session:
        reading = _read(session)
        row = session.get(Service, name)
    kept = _KNOWN.validate_python(row.data) if row else KnownClock()
    doubt = judge(reading, kept.believed)
    accepted = None if kept.accepted is None else timedelta(seconds=kept.accepted)
    # An acceptance is about the clock as it was then, not about another jump since.
    if doubt is not None and accepted is not None and abs(doubt.ahead - accepted) <= HOUR:
        doubt, new = None, KnownClock(reading)
    else:
        new = _after(kept, reading, doubt)
    if new != kept:
        with services.db.write() as session:
            if row is None:  # a start of this machine: the doubt of an earlier one ended with it
                for earlier in _rows(session):
                    if earlier.data["host"] == platform.node():
                        earlier.data = earlier.data | {"doubt": None, "accepted": None}
            data = {"host": platform.node(), **_KNOWN.dump_python(new, mode="json")}
            put(session, Service, {"name": name}, {"at": now, "data": data})
            _alert(session, doubt, now)
    return doubt


def _read(session: Session) -> ClockReading:
    """The three clocks, as close together as can be."""
    database = session.scalars(select(database_now())).one()
    return ClockReading(clock.of_the_machine(), clock.since_boot(), database)


def _after(kept: KnownClock, reading: ClockReading, doubt: Doubt | None) -> KnownClock:
    """What is known after this reading; equal to `kept` when nothing changed."""
    if doubt is not None:
        ahead = doubt.ahead.total_seconds()
        same = kept.doubt is not None and abs(kept.doubt - ahead) <= HOUR.total_seconds()
        return kept if same else replace(kept, doubt=ahead, accepted=None)
    if kept.believed is None:
        return KnownClock(reading)
    new = replace(kept, doubt=None, accepted=None)
    since = math.inf if kept.back_since is None else kept.back_since
    back = -moved(reading.wall, kept.believed.wall, reading, kept.believed)
    if abs(back) <= HOUR:
        new = replace(new, back_since=None)
    elif back < timedelta() or since < reading.since_boot - SETTLED.total_seconds():
        # It was wrong before: an independent clock says so, or a whole day.
        return KnownClock(reading)
    elif kept.back_since is None:
        new = replace(new, back_since=reading.since_boot)
    if abs(moved(reading.database, kept.believed.database, reading, kept.believed)) > HOUR:
        new = replace(new, believed=replace(kept.believed, database=_line(kept.believed, reading)))
    return new


def _line(believed: ClockReading, reading: ClockReading) -> datetime:
    """What the database's clock, set meanwhile, would have said at the believed reading."""
    return reading.database - timedelta(seconds=reading.since_boot - believed.since_boot)


def _alert(session: Session, doubt: Doubt | None, now: datetime) -> None:
    host = platform.node()
    if doubt is None:
        close_alert(session, Alarm.CLOCK, host, now=now)
        return
    log.error("the clock of %s is %s ahead by %s", host, doubt.ahead, doubt.witness)
    raise_alert(
        session,
        Alarm.CLOCK,
        host,
        now=now,
        ahead=round(doubt.ahead.total_seconds()),
        witness=doubt.witness,
    )


def waiting(services: Services) -> list[tuple[str, timedelta]]:
    """The machines whose clocks are in doubt, and by how much they are ahead."""
    with services.db.read() as session:
        return [(row.data["host"], timedelta(seconds=row.data["doubt"])) for row in _rows(session)]


def accept(services: Services, *, who: str, now: datetime) -> list[str]:
    """An admin accepts that these clocks are right; the names of the machines. They go on within
    a minute, unless their clocks were set once more.
    """
    with services.db.write() as session:
        rows = _rows(session)
        for row in rows:
            row.data = row.data | {"accepted": row.data["doubt"]}
        hosts = [str(row.data["host"]) for row in rows]
        if hosts:
            audit.note(session, who=who, what="clock.accept", now=now, machines=hosts)
    return hosts


def _rows(session: Session) -> list[Service]:
    rows = session.scalars(
        select(Service).where(Service.name.startswith(PREFIX, autoescape=True)).order_by("name")
    )
    return [row for row in rows if row.data["doubt"] is not None]
