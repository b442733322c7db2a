"""The breaker: while the mail server cannot be worked with, nobody tries but one mail.

It stands in the database, so that all senders see it. Each failure doubles the pause, from 30 s
to 4 min; then one sender probes with one mail. Open for 2 minutes, or a refused login at once,
raises an alert.
"""

from datetime import datetime, timedelta
from enum import Enum

from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from app.alerts import Alarm, close_alert, raise_alert
from app.db import put
from app.models import Service
from app.util.mailer import MailSendError

NAME = "breaker"
FIRST_PAUSE = timedelta(seconds=30)
LONGEST_PAUSE = timedelta(minutes=4)
ALERT_AFTER = timedelta(minutes=2)


class Gate(Enum):
    """Whether mails may be tried. (An electrician's words: an open circuit lets nothing pass.)"""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half open"  # one mail, by one sender


def gate(session: Session, now: datetime) -> Gate:
    """How the breaker stands at `now`."""
    row = session.get(Service, NAME)
    if row is None:
        return Gate.CLOSED
    return Gate.OPEN if now < row.at else Gate.HALF_OPEN


def take_probe(session: Session, now: datetime, scale: float) -> bool:
    """True for the one sender who may probe now with the mail it has claimed."""
    won = session.execute(
        update(Service)
        .where(Service.name == NAME, Service.at <= now)
        .values(at=now + FIRST_PAUSE * scale)
        .returning(Service.name)
        .execution_options(synchronize_session=False)
    )
    return won.one_or_none() is not None


def trip(session: Session, error: MailSendError, now: datetime, scale: float) -> None:
    """The server is at fault: pause, longer each time. `service.at` is when to probe."""
    row = session.get(Service, NAME)
    times = row.data["times"] + 1 if row else 1
    opened = datetime.fromisoformat(row.data["opened_at"]) if row else now
    pause = min(FIRST_PAUSE * 2 ** min(times - 1, 10), LONGEST_PAUSE) * scale
    data = {"times": times, "opened_at": opened.isoformat(), "why": str(error.words)}
    data["login_refused"] = error.login_refused
    put(session, Service, {"name": NAME}, {"at": now + pause, "data": data})
    if error.login_refused or now - opened >= ALERT_AFTER * scale:
        raise_alert(session, Alarm.MAIL_SERVER, now=now, why=str(error.words))


def reset(session: Session, now: datetime) -> None:
    """The server took a mail: all is well again."""
    session.execute(delete(Service).where(Service.name == NAME))
    close_alert(session, Alarm.MAIL_SERVER, now=now)


def watch(session: Session, now: datetime, scale: float) -> None:
    """Raises the alert when the breaker has been open for too long without a probe failing."""
    row = session.get(Service, NAME)
    if row is None:
        return
    if now - datetime.fromisoformat(row.data["opened_at"]) >= ALERT_AFTER * scale:
        raise_alert(session, Alarm.MAIL_SERVER, now=now, why=str(row.data["why"]))
