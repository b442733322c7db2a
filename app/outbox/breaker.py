"""The breaker: while the mail server cannot be worked with, nobody tries but one mail.

It stands in the database, so that all senders see it. Each failure doubles the pause, from 30 s
to 4 min; then one sender probes with one mail. Open for 2 minutes, or a refused login at once,
raises an alert.
"""

from datetime import datetime, timedelta

from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from app.alerts import close_alert, raise_alert
from app.db import insert_new
from app.models import Service
from app.util.mailer import MailSendError

NAME = "breaker"
ALERT = "mail server not usable"
FIRST_PAUSE = timedelta(seconds=30)
LONGEST_PAUSE = timedelta(minutes=4)
ALERT_AFTER = timedelta(minutes=2)


def permission(session: Session, now: datetime, scale: float) -> int | None:
    """How many mails may be tried now: None without limit, 1 to probe, 0 while it is open."""
    row = session.get(Service, NAME)
    if row is None:
        return None
    if now < row.at:
        return 0
    # Half open: whoever moves the row on first is the one who probes.
    won = session.execute(
        update(Service)
        .where(Service.name == NAME, Service.at == row.at)
        .values(at=now + FIRST_PAUSE * scale)
        .returning(Service.name)
    ).one_or_none()
    return 0 if won is None else 1


def trip(session: Session, error: MailSendError, now: datetime, scale: float) -> None:
    """The server is at fault: pause, longer each time. `service.at` is when to probe."""
    row = session.get(Service, NAME)
    times = row.data["times"] + 1 if row else 1
    opened = datetime.fromisoformat(row.data["opened_at"]) if row else now
    pause = min(FIRST_PAUSE * 2 ** min(times - 1, 10), LONGEST_PAUSE) * scale
    data = {"times": times, "opened_at": opened.isoformat(), "why": str(error.words)}
    if row is None:
        insert_new(session, Service, [{"name": NAME, "at": now + pause, "data": data}])
    else:
        row.at, row.data = now + pause, data
    if error.login_refused or now - opened >= ALERT_AFTER * scale:
        raise_alert(session, ALERT, str(error.words), now=now)


def reset(session: Session, now: datetime) -> None:
    """The server took a mail: all is well again."""
    session.execute(delete(Service).where(Service.name == NAME))
    close_alert(session, ALERT, now=now)


def watch(session: Session, now: datetime, scale: float) -> None:
    """Raises the alert when the breaker has been open for too long without a probe failing."""
    row = session.get(Service, NAME)
    if row is None:
        return
    if now - datetime.fromisoformat(row.data["opened_at"]) >= ALERT_AFTER * scale:
        raise_alert(session, ALERT, str(row.data["why"]), now=now)
