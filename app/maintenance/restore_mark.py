"""Marking a database that came out of a backup: what it may not do before an admin confirms."""

from collections.abc import Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.orm import Session

from app import audit
from app.alerts import Alarm, close_alert, raise_alert
from app.maintenance import ids_after_restore
from app.models import TICK, TIMER, ApiToken, Service, SignInLink, WebSession
from app.monitoring.checks import LOOKED, PARTS
from app.outbox import restored
from app.outbox.restored import Restored
from app.services import Services


def mark(services: Services, *, who: str, now: datetime) -> int:
    """Marks the database of these services; returns how many mails wait now.

    Raises what the database raises.
    """
    with services.db.write() as session:
        return mark_in(session, services.config.app_timezone, who=who, now=now)


def mark_in(
    session: Session,
    zone: str,
    *,
    who: str,
    now: datetime,
    ends: datetime | None = None,
    given: Mapping[str, int] | None = None,
) -> int:
    """The same, within the caller's transaction. `zone`: in which people read instants.
    `ends`: the last instant that the database knows of, where no operator restored it and
    programs have signed in it since. `given`: the numbers that the replaced database gave away.

    - Open mails wait, and so does what is decided for dates that had begun (app/outbox/restored.py).
    - No id is given away twice (app/maintenance/ids_after_restore.py).
    - All sessions, open sign-in links and API tokens end: what a member ended or used up since the
      backup would work again.
    - Heartbeats are forgotten: they are those of programs on another database.
    """
    as_of = ends or session.scalar(select(func.max(Service.at)))
    found = Restored(now, as_of, waits=True, by_hand=ends is None)
    held = restored.hold_all(session, now=now)
    restored.note(session, found, who=who)
    ids_after_restore.jump(session, now, given or {})
    session.execute(delete(WebSession))
    session.execute(update(SignInLink).where(SignInLink.used_at.is_(None)).values(used_at=now))
    session.execute(update(ApiToken).where(ApiToken.revoked_at.is_(None)).values(revoked_at=now))
    parts = or_(*(Service.name.startswith(part, autoescape=True) for part in PARTS))
    session.execute(delete(Service).where(or_(parts, Service.name.in_([TICK, TIMER, LOOKED]))))
    told = as_of.isoformat() if as_of else None
    audit.note(session, who=who, what="restore", now=now, held=held, as_of=told)
    close_alert(session, Alarm.RESTORED, now=now)  # of a restore before
    raise_alert(session, Alarm.RESTORED, now=now, **restored.alert_facts(found, ZoneInfo(zone)))
    return held
