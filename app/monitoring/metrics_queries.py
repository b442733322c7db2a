"""The figures of `/metrics`, counted in the database when they are asked for.

Each question takes an index and is bounded: by the mails that have not ended, by a day's mails, by
the open alerts. None grows with the mails of the past. All of it has a time limit.
"""

import logging
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from queue import Empty, SimpleQueue

from prometheus_client.metrics_core import Metric
from sqlalchemy import Row, func, or_, select, text
from sqlalchemy.orm import Session

from app import schema
from app.alerts import Alarm
from app.db import seconds_between
from app.models import FIRST_DUE, OPEN, Alert, Kind, OutboxMail, Service, Setting, State
from app.monitoring import checks, machine
from app.monitoring.metrics_page import BUCKETS, Values, Waits, gauge, histogram
from app.outbox import breaker
from app.outbox.lease import PAUSE
from app.services import Services
from app.util.version import version

log = logging.getLogger(__name__)

QUEUES = ("mail", "ai")
WINDOW = timedelta(days=1)
STATEMENT_MS = 8_000  # what PostgreSQL may spend on one question
ANSWER_WITHIN = 8.0  # seconds; Prometheus waits for 10 by default
STANDS = 20  # times as long as it took to read: reading takes 5 % of the time, who ever asks


class MetricsReading:
    """Reads the figures, once at a time, and never waits longer than ANSWER_WITHIN.

    A database that accepts connections and answers nothing would else take one thread of the
    pages at each scrape, until none was left; and a client that asks without end would keep it busy.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._within = ANSWER_WITHIN * services.config.test_time_scale
        self._one_at_a_time = threading.Lock()
        self._last: list[Metric] | None = None
        self._stands_until = 0.0

    def facts(self, now: datetime) -> list[Metric] | None:
        """How things stand at `now`; None while the database cannot be read."""
        until = time.monotonic() + self._within
        if not self._one_at_a_time.acquire(timeout=self._within):
            return None
        answer: SimpleQueue[list[Metric] | None] = SimpleQueue()
        threading.Thread(target=self._read, args=(now, answer), name="metrics", daemon=True).start()
        try:
            return answer.get(timeout=max(0.0, until - time.monotonic()))
        except Empty:
            log.warning("no figures: the database has not answered in time")
            return None

    def _read(self, now: datetime, answer: "SimpleQueue[list[Metric] | None]") -> None:
        try:
            answer.put(self._fresh(now))
        except Exception as error:  # noqa: BLE001 - whatever the driver raises, the page answers
            log.warning("no figures: %s", type(error).__name__)
            answer.put(None)
        finally:
            self._one_at_a_time.release()

    def _fresh(self, now: datetime) -> list[Metric]:
        started = time.monotonic()
        if self._last is None or started >= self._stands_until:
            self._last = facts(self._services, now)
            ended = time.monotonic()
            self._stands_until = ended + STANDS * (ended - started)
        return self._last


def facts(services: Services, now: datetime) -> list[Metric]:
    """How things stand at `now`: ages and waits are seconds; no name and no address is in here.

    Raises what the database raises; Redis may be away.
    """
    # First, so that no connection to the database waits for Redis.
    is_redis = not services.config.celery_broker_url.startswith("amqp")
    queues = services.guard.lengths(QUEUES) if is_redis else None
    scale = services.config.test_time_scale
    with services.db.read() as session:
        if not services.db.is_sqlite:
            # As of one moment: a mail that ends between two queries would be counted twice.
            session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
            session.execute(text(f"SET LOCAL statement_timeout = {round(STATEMENT_MS * scale)}"))
        return [
            *_mails(session, now, scale),
            *_sending(session, now),
            *_heartbeats(session, now),
            *(_redis(session, now, queues) if is_redis else ()),
            *_machines(session, now),
        ]


def _mails(session: Session, now: datetime, scale: float) -> Iterator[Metric]:
    unsent, (mails, waits) = _unsent(session), _of_the_last_day(session, now)
    late = checks.causes(session, now, scale)
    yield gauge(
        "mails",
        "Mails made in the last 24 hours, and all that have not ended, however old.",
        mails | {(row.kind, row.state): row.mails for row in unsent},
        "kind",
        "state",
    )
    meaning = "From due to accepted, of the mails made in the last 24 hours."
    yield histogram("mail_wait_seconds", meaning, waits, "kind")
    held = sum(row.held for row in unsent)
    yield gauge("mails_held", "Mails that wait for an admin's word.", held)
    yield gauge(
        "mails_not_attempted",
        "Mails due for 10 minutes that nobody has tried to send.",
        late.get((Alarm.NOT_ATTEMPTED, None), {}).get("number", 0),
    )
    yield gauge(
        "mails_not_ended",
        "Mails due 30 minutes ago that have not ended.",
        late.get((Alarm.NOT_ENDED, None), {}).get("number", 0),
    )
    yield gauge(
        "oldest_unsent_mail_age_seconds",
        "Since when the longest-waiting mail has been due; 0 where none is.",
        _age(min((row.due for row in unsent), default=now), now),
    )


def _sending(session: Session, now: datetime) -> Iterator[Metric]:
    stuck = session.get(Service, breaker.NAME)
    state = breaker.Breaker().gate(session, now).name.lower()
    yield gauge(
        "breaker",
        "1 for the state the breaker is in: open, nobody tries the mail server; half_open, one "
        "mail probes it.",
        {(one,): one == state for one in ("closed", "open", "half_open")},
        "state",
    )
    yield gauge(
        "breaker_open_seconds",
        "Since when the mail server has not been usable; 0 while it is.",
        _age(datetime.fromisoformat(stuck.data["opened_at"]), now) if stuck else 0,
    )
    refused = bool(stuck and stuck.data.get("login_refused"))
    yield gauge("login_refused", "1 while the mail server refuses the login.", refused)
    yield gauge("paused", "1 while all sending is paused.", session.get(Setting, PAUSE) is not None)


def _heartbeats(session: Session, now: datetime) -> Iterator[Metric]:
    since = checks.ticked_since(session)
    yield gauge(
        "last_tick_age_seconds",
        "Since the last tick, whoever made it; before the first one, since somebody looked for it.",
        {} if since is None else _age(since, now),
    )
    ages = checks.heartbeats(session, now).items()
    yield gauge(
        "heartbeat_age_seconds",
        "Since the last heartbeat of a part; of several workers of a queue, the latest.",
        # A part that was taken down for good is no part any more.
        {(part,): max(0.0, a.total_seconds()) for part, a in ages if a < checks.FORGOTTEN},
        "part",
    )
    yield gauge("alerts_open", "Open alerts.", _alerts(session), "alarm")


def _redis(session: Session, now: datetime, queues: dict[str, int] | None) -> Iterator[Metric]:
    yield gauge(
        "redis_up", "1 while the broker's Redis answers within half a second.", queues is not None
    )
    troubles = machine.troubles(session, now)
    away = [_age(one.since, now) for one in troubles if one.what == machine.REDIS]
    yield gauge(
        "redis_away_seconds",
        "Since when a machine has had no answer from Redis; 0 while all have.",
        max(away, default=0.0),
    )
    yield gauge(
        "queue_length",
        "Messages that wait on a queue; absent while Redis does not answer.",
        {(name,): number for name, number in (queues or {}).items()},
        "queue",
    )


def _machines(session: Session, now: datetime) -> Iterator[Metric]:
    short = sum(one.what == machine.DISK for one in machine.troubles(session, now))
    yield gauge("disks_short", "Machines with too little room on the disk.", short)
    yield gauge(
        "build_info",
        "Always 1: the program's version, and that of the database's schema.",
        {(version(), schema.version_in(session.connection()) or ""): 1},
        "version",
        "schema",
    )


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
