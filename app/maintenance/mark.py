"""Marking a database that came out of a backup: what it may not do before an admin confirms."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from sqlalchemy import delete, func, or_, select, text
from sqlalchemy.orm import Session

from app.alerts import Alarm, close_alert, raise_alert
from app.models import TICK, TIMER, Audit, Base, Service, WebSession
from app.monitoring.checks import LOOKED, PARTS
from app.outbox import restored
from app.outbox.restored import Restored
from app.services import Services

# Ids that the lost database gave away after its backup lie below what this makes of the time of
# the restore, as long as it gave away fewer than 100 a second.
_COUNTED_FROM = datetime(2020, 1, 1, tzinfo=UTC)
IDS_A_SECOND = 100
# These ids become the number of a mail (outbox.n, of an alert doubled), which holds 31 bits: so they
# are fewer, and last until 2037 and 2054.
FEWER_IDS_A_SECOND = {"sign_in_links": 4, "alerts": 1}


def mark(services: Services, *, who: str, now: datetime) -> int:
    """Marks the database of these services; returns how many mails wait now.

    Raises what the database raises.
    """
    with services.db.write() as session:
        return mark_in(session, services.config.app_timezone, who=who, now=now)


def mark_in(
    session: Session, zone: str, *, who: str, now: datetime, ends: datetime | None = None
) -> int:
    """The same, within the caller's transaction. `zone`: in which people read instants.
    `ends`: the last instant that the database knows of, where no operator restored it and
    programs have signed in it since.

    - Open mails wait, and so does what is decided for dates that had begun (app/outbox/restored.py).
    - No id is given away twice: the links in mails, the Redis guard and Message-IDs carry them.
    - All sessions end: a member who signed out since the backup would be signed in again.
    - Heartbeats are forgotten: they are those of programs on another database.
    """
    as_of = ends or session.scalar(select(func.max(Service.at)))
    found = Restored(now, as_of, waits=True, by_hand=ends is None)
    held = restored.hold_all(session, now=now)
    restored.note(session, found, who=who)
    _jump_over_ids(session, now)
    session.execute(delete(WebSession))
    parts = or_(*(Service.name.startswith(part, autoescape=True) for part in PARTS))
    session.execute(delete(Service).where(or_(parts, Service.name.in_([TICK, TIMER, LOOKED]))))
    data = {"held": held, "as_of": as_of.isoformat() if as_of else None}
    session.add(Audit(at=now, who=who, what="restore", data=data))
    close_alert(session, Alarm.RESTORED, now=now)  # of a restore before
    raise_alert(session, Alarm.RESTORED, now=now, **restored.alert_facts(found, ZoneInfo(zone)))
    return held


def _jump_over_ids(session: Session, now: datetime) -> None:
    seconds = round((now - _COUNTED_FROM).total_seconds())
    statements = _JUMPS[session.get_bind().dialect.name]
    for table in Base.metadata.sorted_tables:
        if table.dialect_options["sqlite"]["autoincrement"]:  # it gives ids away
            floor = seconds * FEWER_IDS_A_SECOND.get(table.name, IDS_A_SECOND)
            for statement in statements:
                session.execute(text(statement), {"name": table.name, "floor": floor})


_JUMPS = {
    "postgresql": (
        """SELECT setval(name, :floor) FROM (SELECT pg_get_serial_sequence(:name, 'id') AS name) one
        WHERE coalesce(pg_sequence_last_value(name::regclass), 0) < :floor""",
    ),
    "sqlite": (
        "UPDATE sqlite_sequence SET seq = max(seq, :floor) WHERE name = :name",
        """INSERT INTO sqlite_sequence (name, seq) SELECT :name, :floor
        WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = :name)""",
    ),
}
