"""The figures of `/metrics`, counted in the database when they are asked for.

Each question takes an index and is bounded: by the mails that have not ended, by a day's mails, by
the open alerts. None grows with the mails of the past.
"""

import importlib.metadata
from datetime import datetime, timedelta

from sqlalchemy import Row, func, or_, select, text
from sqlalchemy.orm import Session

from app import schema
from app.alerts import Alarm
from app.db import seconds_between
from app.models import FIRST_DUE, OPEN, TICK, Alert, Kind, OutboxMail, Service, Setting, State
from app.monitoring import checks, machine
from app.monitoring.metrics_page import BUCKETS, Facts, Values, Waits
from app.outbox import breaker
from app.outbox.lease import PAUSE
from app.services import Services

QUEUES = ("mail", "ai")
WINDOW = timedelta(days=1)
STATEMENT_MS = 8_000  # what PostgreSQL may spend on one question


def facts(services: Services, now: datetime) -> Facts:
    """How things stand at `now`. Raises what the database raises; Redis may be away."""
    # First, so that no connection to the database waits for Redis.
    queues = services.guard.lengths(QUEUES) if _broker_is_redis(services) else None
    scale = services.config.test_time_scale
    with services.db.read() as session:
        if not services.db.is_sqlite:
            session.execute(text(f"SET LOCAL statement_timeout = {round(STATEMENT_MS * scale)}"))
        unsent = _unsent(session)
        mails, waits = _of_the_last_day(session, now)
        late = checks.causes(session, now, scale)
        oldest = min((row.due for row in unsent), default=now)
        stuck = session.get(Service, breaker.NAME)
        return Facts(
            version=importlib.metadata.version("task-progress"),
            schema=schema.version_in(session.connection()) or "",
            mails=mails | {(row.kind, row.state): row.mails for row in unsent},
            waits=waits,
            held=sum(row.held for row in unsent),
            not_attempted=late.get((Alarm.NOT_ATTEMPTED, None), {}).get("number", 0),
            not_ended=late.get((Alarm.NOT_ENDED, None), {}).get("number", 0),
            oldest_unsent=_age(oldest, now),
            breaker=breaker.gate(session, now).name.lower(),
            breaker_open=_age(datetime.fromisoformat(stuck.data["opened_at"]), now) if stuck else 0,
            login_refused=bool(stuck and stuck.data.get("login_refused")),
            paused=session.get(Setting, PAUSE) is not None,
            tick_age=_tick_age(session, now),
            heartbeats=_heartbeats(session, now),
            alerts=_alerts(session),
            redis_up=queues is not None if _broker_is_redis(services) else None,
            redis_away=_redis_away(session, now) if _broker_is_redis(services) else None,
            disks_short=_disks_short(session, now),
            queues={(name,): number for name, number in (queues or {}).items()},
        )


def _broker_is_redis(services: Services) -> bool:
    return not services.config.celery_broker_url.startswith("amqp")


def _unsent(session: Session) -> list[Row[tuple[str, str, int, int, datetime]]]:
    """The mails that have not ended, by kind and state; `due`: when the first of them was."""
    mails, held, due = func.count(), func.count(OutboxMail.held), func.min(FIRST_DUE)
    kind, state = OutboxMail.kind, OutboxMail.state
    query = select(kind, state, mails.label("mails"), held.label("held"), due.label("due"))
    return list(session.execute(query.where(OPEN).group_by(kind, state)))


def _of_the_last_day(
    session: Session, now: datetime
) -> tuple[dict[tuple[str, ...], float], dict[str, Waits]]:
    """What was made in the last day and has ended; and how long the accepted ones took.

    By whole seconds: sorting 200,000 mails into the buckets by SQL takes half as long again.
    """
    mails: dict[tuple[str, ...], float] = {(kind, state): 0 for kind in Kind for state in State}
    waits = {str(kind): Waits([0] * (len(BUCKETS) + 1), 0.0) for kind in Kind}
    kind, state = OutboxMail.kind, OutboxMail.state
    took = func.round(seconds_between(FIRST_DUE, OutboxMail.accepted_at)).label("took")
    made = OutboxMail.created_at > now - WINDOW
    query = select(kind, state, took, func.count()).where(made, OutboxMail.ended)
    for name, end, seconds, number in session.execute(query.group_by(kind, state, took)):
        mails[name, end] += number
        if seconds is not None:
            waits[name].add(seconds, number)
    return mails, waits


def _tick_age(session: Session, now: datetime) -> float | None:
    tick, looked = session.get(Service, TICK), session.get(Service, checks.LOOKED)
    if tick is not None:
        return _age(tick.at, now)
    return _age(datetime.fromisoformat(looked.data["first"]), now) if looked is not None else None


def _heartbeats(session: Session, now: datetime) -> Values:
    """A part that was taken down for good is no part any more."""
    ages = checks.heartbeats(session, now).items()
    return {(part,): max(0.0, a.total_seconds()) for part, a in ages if a < checks.FORGOTTEN}


def _redis_away(session: Session, now: datetime) -> float:
    """Of the machine that has been without it for the longest time; 0 where none is."""
    troubles = machine.troubles(session, now)
    return max((_age(one.since, now) for one in troubles if one.what == machine.REDIS), default=0.0)


def _disks_short(session: Session, now: datetime) -> int:
    return sum(one.what == machine.DISK for one in machine.troubles(session, now))


def _alerts(session: Session) -> Values:
    """How many are open, counted by the database: on a bad day they are many."""
    counts = [
        func.count().filter(or_(Alert.name == alarm, Alert.name.startswith(f"{alarm}:")))
        for alarm in Alarm
    ]
    found = session.execute(select(*counts).where(Alert.closed_at.is_(None))).one()
    return {(str(alarm),): number for alarm, number in zip(Alarm, found, strict=True)}


def _age(since: datetime, now: datetime) -> float:
    return max(0.0, (now - since).total_seconds())
