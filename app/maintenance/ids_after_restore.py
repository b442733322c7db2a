"""No id that the lost database gave away comes again after a restore.

Links in mails carry members' ids, the Redis guard and logs carry those of mails, Message-IDs those of
alerts and sign-in links. What was given away after the backup is not known, so ids go on above what
can have been (docs/decisions/0026).
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, inspect, select, text
from sqlalchemy.orm import Session

from app.models import Alert, Base, Member, OutboxMail

# Ids that no person reads: far above all that was given away, as long as those were fewer than 100 a second.
_COUNTED_FROM = datetime(2020, 1, 1, tzinfo=UTC)
IDS_A_SECOND = 100
# These ids become the number of a mail (outbox.n), which holds 31 bits: they last until 2037.
FEWER_IDS_A_SECOND = {"sign_in_links": 4, "api_tokens": 4}
# What people read and type goes on as near as it safely can: a mail a minute for each member, and 20
# of what is no member's, since the last one that the backup holds, and for half a day more.
READ_BY_PEOPLE = {"outbox": OutboxMail.created_at, "alerts": Alert.opened_at}
_FOR_NO_MEMBER = 20
_MORE = timedelta(hours=12)


def given_away(session: Session) -> dict[str, int]:
    """The highest id that this database ever gave to each of the tables people read numbers of."""
    there = set(inspect(session.connection()).get_table_names())
    return {name: _last(session, name) for name in READ_BY_PEOPLE if name in there}


def jump(session: Session, now: datetime, given: Mapping[str, int]) -> None:
    """Lets all ids go on above those of the lost time. `given`: what the database that was replaced
    gave away, as far as it could still say so."""
    seconds = (now - _COUNTED_FROM).total_seconds()
    minutes = (now - _reaches(session, now) + _MORE) / timedelta(minutes=1)
    members = session.scalar(select(func.count()).select_from(Member)) or 0
    rates = {"outbox": members + _FOR_NO_MEMBER, "alerts": _FOR_NO_MEMBER}
    for table in Base.metadata.sorted_tables:
        name = table.name
        if not table.dialect_options["sqlite"]["autoincrement"]:
            continue  # it gives no ids away
        if name in READ_BY_PEOPLE:
            last = max(_last(session, name), given.get(name, 0))
            floor = last + round(minutes * rates[name])
        else:
            floor = round(seconds * FEWER_IDS_A_SECOND.get(name, IDS_A_SECOND))
        for statement in _JUMPS[_kind(session)]:
            session.execute(text(statement), {"name": name, "floor": floor})


def _reaches(session: Session, now: datetime) -> datetime:
    """The last instant at which this database gave such a number away, as far as it knows.

    No heartbeat: a program may have been started on a copied file before an operator marked it.
    """
    instants = [
        session.scalar(select(instant).order_by(instant.class_.id.desc()).limit(1))
        for instant in READ_BY_PEOPLE.values()
    ]
    last = max((at for at in instants if at is not None), default=_COUNTED_FROM)
    return last if last <= now else _COUNTED_FROM  # a clock that ran ahead says nothing


def _last(session: Session, name: str) -> int:
    return session.scalar(text(_LAST[_kind(session)]), {"name": name}) or 0


def _kind(session: Session) -> str:
    return session.get_bind().dialect.name


_LAST = {
    "postgresql": "SELECT pg_sequence_last_value(pg_get_serial_sequence(:name, 'id')::regclass)",
    "sqlite": "SELECT seq FROM sqlite_sequence WHERE name = :name",
}
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
