"""Status: whether mails go out, and what waits; and pause and resume, which stop and start all sending."""

from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app import audit
from app.alerts import IS_OPEN, first_of
from app.alerts.catalogue import words_of
from app.clock_trust import ticks
from app.db import put
from app.identity import known_settings
from app.models import (
    FIRST_DUE,
    OPEN,
    TICK,
    Alert,
    DecisionRow,
    Member,
    OutboxMail,
    Service,
    Setting,
)
from app.monitoring import machine, status_lines
from app.outbox import breaker, restored
from app.outbox.allowlist import in_pilot
from app.outbox.lease import PAUSE
from app.reminders import brake, undecided
from app.services import Services
from app.util.version import version

STALE = timedelta(minutes=5)  # without a tick something is wrong
UNSENT = timedelta(minutes=10)  # a mail that waits longer is late
_HELD = (OPEN, OutboxMail.held.is_not(None))


def pause(services: Services, *, who: str, now: datetime) -> None:
    """Stops all sending at once, for all members. Mails stay ready, and expire at their time."""
    with services.db.write() as session:
        put(session, Setting, {"key": PAUSE}, {"value": True, "changed_by": who, "changed_at": now})
        audit.note(session, who=who, what="pause", now=now)


def paused(services: Services) -> bool:
    """Whether all sending is stopped. Raises what the database raises."""
    with services.db.read() as session:
        return session.get(Setting, PAUSE) is not None


def held_mails(services: Services) -> tuple[int, int]:
    """How many mails are held; and to how many of their addresses MAIL_ONLY_TO lets nothing go."""
    only_to, number = services.config.mail_only_to, func.count()
    with services.db.read() as session:
        if not only_to:
            return session.scalar(select(number).where(*_HELD)) or 0, 0
        query = select(OutboxMail.to_addr, number).where(*_HELD).group_by(OutboxMail.to_addr)
        held = session.execute(query).all()
    outside = sum(n for address, n in held if not in_pilot(only_to, address))
    return sum(n for _, n in held), outside


def resume(services: Services, *, who: str, now: datetime) -> int:
    """Starts sending again, and lets go what is held; returns how many mails that were.

    Of mails held since a restore, those end of which Redis knows that a copy is out.
    """
    out = restored.guarded(services)
    with services.db.write() as session:
        paused = session.get(Setting, PAUSE)
        if paused is not None:
            session.delete(paused)
        released = brake.release(session, who=who, now=now)
        released += restored.release(session, out, who=who, now=now)
        audit.note(session, who=who, what="resume", now=now, released=len(released))
    services.publish(released)
    return len(released)


def note_heartbeat(services: Services, name: str, now: datetime, **data: Any) -> None:
    """Notes that the part `name` (tick, timer, a worker) is running. Ticks are counted."""
    with services.db.write() as session:
        data |= ticks.one_more(session) if name == TICK else {}
        put(session, Service, {"name": name}, {"at": now, "data": data})


def last_tick(services: Services) -> datetime | None:
    """The instant that the last tick noted, whichever program did it. Raises DatabaseDown."""
    with services.db.read() as session:
        row = session.get(Service, TICK)
        return row.at if row else None


def status(services: Services, now: datetime) -> dict[str, Any]:
    """The facts: pause, held mails, members, mails by state, last tick, open alerts."""
    with services.db.read() as session:
        today = services.config.day_of(now)
        return {
            **_sending_facts(services, session, now),
            "version": version(),
            "members": session.scalar(
                select(func.count()).select_from(Member).where(Member.active.is_(True))
            ),
            "suppressed": session.scalar(
                select(func.count()).where(Member.active, Member.suppressed_reason.is_not(None))
            ),
            "decisions_of_today": _decisions(session, today),
            "undecided": undecided.undecided(services, session, now),
            "mails_of_the_last_day": _states(session, now),
        }


def troubles(services: Services, now: datetime) -> list[status_lines.StatusLine]:
    """What keeps mails from going out now, for the banner of each of the operator's pages."""
    with services.db.read() as session:
        facts = _sending_facts(services, session, now)
    found = [
        *status_lines.stopped(facts, status_lines.ON_PAGE),
        *status_lines.notices(facts, status_lines.ON_PAGE),
    ]
    return [line for line in found if line.mark == "bad"]


def stopped(services: Services, now: datetime) -> list[status_lines.StatusLine]:
    """What keeps a mail that is ready from being sent now; [] while nothing does."""
    with services.db.read() as session:
        return status_lines.stopped(_sending_facts(services, session, now))


def _sending_facts(services: Services, session: Session, now: datetime) -> dict[str, Any]:
    """The facts that say whether mails go out; no question that grows with the mails sent."""
    paused = session.get(Setting, PAUSE)
    tick, stuck = session.get(Service, TICK), session.get(Service, breaker.NAME)
    oldest = session.scalar(select(func.min(FIRST_DUE)).where(OPEN, OutboxMail.not_before <= now))
    free = machine.room(services.config.data_dir)
    alerts, more = first_of(session, IS_OPEN, Alert.id.asc())
    return {
        "paused": paused is not None,
        "paused_by": paused.changed_by if paused else None,
        "paused_at": paused.changed_at.isoformat() if paused else None,
        "held": session.scalar(select(func.count()).where(*_HELD)) or 0,
        "held_since_restore": restored.held_number(session),
        "smtp_host": services.config.smtp_host,
        "another_mail_server": known_settings.another_server(services),
        "mail_server_trouble": stuck.data.get("why") if stuck else None,
        "mail_only_to": list(services.config.mail_only_to),
        "oldest_unsent": oldest.isoformat() if oldest else None,
        "oldest_unsent_is_late": oldest is not None and now - oldest > UNSENT,
        "last_tick": tick.at.isoformat() if tick else None,
        "log_written": tick is None or tick.data.get("log_written", True),
        "tick_is_late": tick is not None and now - tick.at > STALE,
        "redis_answers": services.guard.answers(),
        "disk_free_mb": None if free is None else free // 2**20,
        "disk_is_short": bool(machine.disk_here(services)),
        "dead_links": services.config.dead_links,
        "app_base_url": services.config.app_base_url,
        "mcp_url": services.config.mcp_url,
        "timezone": services.config.app_timezone,
        "alerts": [_alert(one) for one in alerts],
        "alerts_open": len(alerts) + more,
    }


def _alert(one: Alert) -> dict[str, Any]:
    words = words_of(one.name, one.data, one.detail)
    return {
        "name": one.name,
        "opened_at": one.opened_at.isoformat(),
        "detail": str(words.what),
        "what": words.what._asdict(),
        "fix": words.fix._asdict(),
        "seen_by": one.acked_by,
    }


def _decisions(session: Session, today: date) -> dict[str, Any]:
    """How many reminders were decided for this date: all, to send, and not by reason."""
    rows = session.execute(
        select(DecisionRow.reason, func.count())
        .where(DecisionRow.local_date == today, DecisionRow.slot == "reminder")
        .group_by(DecisionRow.reason)
        .order_by(DecisionRow.reason)
    )
    by_reason: dict[str | None, int] = {reason: number for reason, number in rows}
    return {
        "decided": sum(by_reason.values()),
        "send": by_reason.pop(None, 0),
        "skipped": by_reason,
    }


def _states(session: Session, now: datetime) -> dict[str, int]:
    rows = session.execute(
        select(OutboxMail.state, func.count())
        .where(OutboxMail.created_at > now - timedelta(days=1))
        .group_by(OutboxMail.state)
        .order_by(OutboxMail.state)
    )
    return {state: number for state, number in rows}
