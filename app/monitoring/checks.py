"""Checks for what no program reports: late mails, missing ticks. Every running program looks for them.

Beat, each worker, the pages and the safety timer all look, so that the alarm of the promise
(mails due and not attempted, not ended) needs none of the others. A look within half a minute of
another program's is skipped.
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from app import clock_trust
from app.alerts import close_alert, keep_alert, name_of, open_names
from app.alerts.catalogue import Alarm
from app.db import put
from app.models import FIRST_DUE, OPEN, TICK, TIMER, OutboxMail, Service, Setting, State
from app.monitoring import machine, restarts
from app.monitoring.status import STALE
from app.outbox import breaker
from app.outbox.lease import PAUSE
from app.services import Services

LOOKED = "watch"
LOOK_EVERY = timedelta(seconds=30)
ATTEMPT_WITHIN = timedelta(minutes=10)
END_WITHIN = timedelta(minutes=30)
HEALTH_LOCK_SECONDS = 2.0  # a monitor at /healthz does not wait long
FORGOTTEN = timedelta(days=7)  # a part that was taken down for good is no part any more

PARTS = ("beat", "worker-mail", "worker-ai")

Found = dict[tuple[Alarm, str | None], dict[str, Any]]
_OURS = (
    Alarm.NOT_ATTEMPTED,
    Alarm.NOT_ENDED,
    Alarm.NO_TICK,
    Alarm.SILENT,
    Alarm.HEARTBEAT_AHEAD,
    Alarm.RESTARTS,
    Alarm.REDIS,
    Alarm.REDIS_SHARED,
    Alarm.MAIL_SERVER_CHANGED,
    Alarm.DISK,
    Alarm.LOGIN_ENDS,
)
# Opened and closed by those who meet the cause.
_LASTING = (Alarm.MAIL_SERVER, Alarm.CLOCK)
# With one of these open mail is late, or would be: the pages call themselves unwell.
_WELL = (Alarm.REDIS_SHARED, Alarm.MAIL_SERVER_CHANGED, Alarm.LOGIN_ENDS)
_UNWELL = (*_LASTING, *(one for one in _OURS if one not in _WELL))


def run(services: Services, now: datetime) -> None:
    """Opens and closes the alerts about what lasts. Raises DatabaseDown.

    A machine whose clock is in doubt says that, and judges no other program's lateness by it.
    """
    if clock_trust.doubted(services, now) is not None:
        return
    scale = services.config.test_time_scale
    machine.note(services, now)
    with services.db.read() as session:
        last = session.get(Service, LOOKED)
        if last is not None and timedelta() <= now - last.at < LOOK_EVERY * scale:
            return
        found = causes(session, now, scale)
        ours = open_names(session, _OURS)
    over = set(ours) - {name_of(*key) for key in found}
    first = last.data["first"] if last is not None else now.isoformat()
    with services.db.write() as session:
        put(session, Service, {"name": LOOKED}, {"at": now, "data": {"first": first}})
        breaker.watch(session, now, scale)
        for (alarm, about), facts in found.items():
            keep_alert(session, alarm, about, now=now, **facts)
        for name in over:
            closed, _, which = name.partition(":")
            close_alert(session, Alarm(closed), which or None, now=now)


def unwell(services: Services, now: datetime) -> list[str]:
    """The alarms that hold at this moment, whether a program has looked or not. Changes nothing."""
    scale = services.config.test_time_scale
    with services.db.read() as session:
        services.db.wait_at_most(session, HEALTH_LOCK_SECONDS * scale)
        found = {name_of(*key) for key in causes(session, now, scale) if key[0] in _UNWELL}
        lasting = set(open_names(session, _LASTING))
    # A full disk may not take what is said of it.
    return sorted(found | lasting | set(machine.disk_here(services)))


def causes(session: Session, now: datetime, scale: float) -> Found:
    """What is the matter at `now`, by alarm and what it is about. `scale` is TEST_TIME_SCALE.

    It scales what is waited for mails; the timetable of beat and timer is a clock's.
    """
    found: Found = {}
    for alarm, late in (
        (Alarm.NOT_ATTEMPTED, not_attempted(now - ATTEMPT_WITHIN * scale)),
        (Alarm.NOT_ENDED, not_ended(now - END_WITHIN * scale)),
    ):
        number, held = session.execute(
            select(func.count(), func.count(OutboxMail.held)).where(OPEN, late)
        ).one()
        if number:
            paused = session.get(Setting, PAUSE) is not None
            found[alarm, None] = {"number": number, "held": held, "paused": paused}
    tick = ticked_since(session)
    if tick is not None and now - tick > STALE:
        found[Alarm.NO_TICK, None] = {}
    for part, age in heartbeats(session, now).items():
        if part in PARTS and STALE < age < FORGOTTEN:
            found[Alarm.SILENT, part] = {}
    for part, minutes in restarts.restless(session, now).items():
        found[Alarm.RESTARTS, part] = {"minutes": minutes}
    return found | _of_machines(session, now) | heartbeats_ahead(session, now)


def _of_machines(session: Session, now: datetime) -> Found:
    """One alert for all machines that find the same with themselves."""
    found: Found = {}
    for one in machine.troubles(session, now):
        if one.what != machine.REDIS or now - one.since >= machine.AWAY_FOR:
            facts = found.setdefault((Alarm(one.what), None), {"machines": []})
            facts["machines"].append(one.machine)
            facts |= {key: value for key, value in one.facts.items() if key != "since"}
    return found


def heartbeats_ahead(session: Session, now: datetime) -> Found:
    """Heartbeats from the future: one of two clocks is wrong, and silence would go unnoticed."""
    ages = heartbeats(session, now)
    tick = session.get(Service, TICK)
    if tick is not None:
        ages[TICK] = now - tick.at
    return {
        (Alarm.HEARTBEAT_AHEAD, part): {"ahead": round(-age.total_seconds())}
        for part, age in ages.items()
        if age < -STALE
    }


def not_attempted(due_by: datetime) -> Any:
    """Ready since `due_by`. A sender that tried would have ended it or put it off."""
    return and_(OutboxMail.state == State.READY, OutboxMail.not_before <= due_by)


def not_ended(due_by: datetime) -> Any:
    """First due at `due_by` or before; one that was put off once has the first hour as its Date."""
    return or_(
        and_(OutboxMail.retries == 0, OutboxMail.not_before <= due_by),
        and_(OutboxMail.retries > 0, due_by >= FIRST_DUE),
    )


def heartbeats(session: Session, now: datetime) -> dict[str, timedelta]:
    """How old the last heartbeat of each part is; of several workers of a queue, the latest.

    Beat and each worker's parent renew it twice a minute, the timer each time it ran.
    """
    ages: dict[str, timedelta] = {}
    rows = session.execute(select(Service.name, Service.at))
    for name, at in rows:
        part = name.partition("@")[0]
        if part in {*PARTS, TIMER}:
            ages[part] = min(now - at, ages.get(part, timedelta.max))
    return ages


def ticked_since(session: Session) -> datetime | None:
    """When the last tick was; while there has been none, since when there should have been one."""
    tick, looked = session.get(Service, TICK), session.get(Service, LOOKED)
    if tick is not None:
        return tick.at
    return datetime.fromisoformat(looked.data["first"]) if looked is not None else None
