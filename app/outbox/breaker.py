"""The breaker: while the mail server refuses everything, only one mail at a time is tried.

It stands in the database, so that all senders see it; a second one for each machine holds what is
this machine's own trouble (no name, no way to the server), which others need not share. Each
failure doubles the pause, from 30 s to 4 min; then one sender probes with one mail, never with
one that met the trouble while others are ready. Open for 2 minutes, or at once where an operator
has to mend something, raises an alert.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from sqlalchemy import delete, or_, select, update
from sqlalchemy.orm import Session

from app.alerts import Alarm, close_alert, keep_alert, update_alert
from app.db import put
from app.models import Service
from app.outbox.lease import accepted_since
from app.smtp.fault import Fault
from app.util.mailer import MailSendError

NAME = "breaker"
FIRST_PAUSE = timedelta(seconds=30)
LONGEST_PAUSE = timedelta(minutes=4)
SUSPECTED_PAUSE = timedelta(minutes=1)  # the longest, while it may be the recipients' after all
ALERT_AFTER = timedelta(minutes=2)
FORGOTTEN = timedelta(hours=1)  # a machine's own breaker, when it has not tried since
KEPT = 50  # mails that met the trouble and do not probe
SKEW = timedelta(minutes=5)  # between the clocks of two machines


class Gate(Enum):
    """Whether mails may be tried. (An electrician's words: an open circuit lets nothing pass.)"""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half open"  # one mail, by one sender


@dataclass(frozen=True, slots=True)
class ServerTrouble:
    """What stops all sending, whose fault it is, and the mails it met."""

    error: MailSendError
    fault: Fault
    mails: tuple[int, ...] = ()

    @property
    def at_once(self) -> bool:
        """Whether the alert opens now and not in two minutes: waiting does not help."""
        for_good = self.fault is Fault.EVERYONE and self.error.permanent
        return self.fault.needs_a_hand or for_good


def own(host: str) -> str:
    """The name of a machine's own breaker; only it looks at it."""
    return f"{NAME}@{host}"[:120]


def gate(session: Session, now: datetime, host: str | None = None) -> Gate:
    """How the breaker stands at `now`, with that of this machine where one is named."""
    rows = _rows(session, host)
    if not rows:
        return Gate.CLOSED
    return Gate.OPEN if any(now < row.at <= _latest(now) for row in rows) else Gate.HALF_OPEN


def _latest(now: datetime) -> datetime:
    """No failure up to now sets a later probe; one that is later was set by a clock ahead."""
    return now + LONGEST_PAUSE + SKEW


def mails(session: Session, host: str) -> list[int]:
    """The mails that met the trouble."""
    return [mail for row in _rows(session, host) for mail in row.data.get("mails", [])]


def take_probe(session: Session, now: datetime, scale: float, host: str) -> bool:
    """True for the one sender who may probe now with the mail it has claimed."""
    won = session.scalars(
        update(Service)
        .where(
            Service.name.in_([NAME, own(host)]),
            or_(Service.at <= now, Service.at > _latest(now)),
        )
        .values(at=now + FIRST_PAUSE * scale)
        .returning(Service.name)
    ).all()
    return len(won) == len(_rows(session, host))


def trip(
    session: Session,
    trouble: ServerTrouble | MailSendError,
    now: datetime,
    scale: float,
    host: str | None = None,
) -> None:
    """Pause, longer each time. `service.at` is when to probe."""
    if isinstance(trouble, MailSendError):
        trouble = ServerTrouble(trouble, trouble.fault)
    if trouble.fault is Fault.LOCAL and host is not None:
        _trip_own(session, trouble, now, scale, host)
        return
    why, fault = str(trouble.error.words), trouble.fault
    opened = _open(session, NAME, trouble, now, scale)
    if trouble.at_once or now - opened >= ALERT_AFTER * scale:
        keep_alert(session, Alarm.MAIL_SERVER, now=now, why=why, fault=fault)
    else:  # it may be open already, for another reason
        update_alert(session, Alarm.MAIL_SERVER, why=why, fault=fault)


def reset(session: Session, now: datetime, host: str | None = None) -> None:
    """The server took a mail from this machine: all is well again."""
    closed = delete(Service).where(Service.name.in_(_names(host)))
    session.execute(closed.execution_options(synchronize_session="auto"))
    close_alert(session, Alarm.MAIL_SERVER, now=now)
    if host is not None:
        close_alert(session, Alarm.MAIL_SERVER, host, now=now)


def watch(session: Session, now: datetime, scale: float) -> None:
    """Raises the alert when a breaker has been open for too long without a probe failing."""
    shared = session.get(Service, NAME)
    if shared is not None and _too_long(shared, now, scale):
        _alert(session, shared, None, now)
    for row in session.scalars(select(Service).where(Service.name.startswith(f"{NAME}@"))).all():
        host = row.name.removeprefix(f"{NAME}@")
        if now - row.at > FORGOTTEN:
            session.execute(delete(Service).where(Service.name == row.name))
            close_alert(session, Alarm.MAIL_SERVER, host, now=now)
        elif shared is None and _too_long(row, now, scale):
            _alert(session, row, host, now)


def _names(host: str | None) -> list[str]:
    return [NAME] if host is None else [NAME, own(host)]


def _rows(session: Session, host: str | None) -> list[Service]:
    found = select(Service).where(Service.name.in_(_names(host)))
    return list(session.scalars(found.execution_options(populate_existing=True)))


def _trip_own(
    session: Session, trouble: ServerTrouble, now: datetime, scale: float, host: str
) -> None:
    """This machine pauses; all do, once it failed again and no other machine had a mail accepted."""
    opened = _open(session, own(host), trouble, now, scale)
    again = session.get_one(Service, own(host)).data["times"] > 1
    shared = session.get(Service, NAME)
    if shared is not None:  # others may have a way: they need not wait for this machine
        put(session, Service, {"name": NAME}, {"at": min(shared.at, now), "data": shared.data})
    elif again and not accepted_since(session, opened):
        _open(session, NAME, replace(trouble, mails=()), now, scale)
    if now - opened >= ALERT_AFTER * scale:
        alone = session.get(Service, NAME) is None
        _alert(session, session.get_one(Service, own(host)), host if alone else None, now)


def _open(
    session: Session, name: str, trouble: ServerTrouble, now: datetime, scale: float
) -> datetime:
    """Opens this breaker, or keeps it open for longer; returns since when it is."""
    row = session.get(Service, name)
    times = row.data["times"] + 1 if row else 1
    opened = min(now, datetime.fromisoformat(row.data["opened_at"])) if row else now
    longest = SUSPECTED_PAUSE if trouble.fault is Fault.EVERYONE else LONGEST_PAUSE
    pause = min(FIRST_PAUSE * 2 ** min(times - 1, 10), longest) * scale
    met = [*(row.data.get("mails", []) if row else []), *trouble.mails]
    data: dict[str, Any] = {
        "times": times,
        "opened_at": opened.isoformat(),
        "why": str(trouble.error.words),
        "fault": trouble.fault,
        "login_refused": trouble.fault is Fault.LOGIN,
        "mails": list(dict.fromkeys(met))[-KEPT:],
    }
    put(session, Service, {"name": name}, {"at": now + pause, "data": data})
    return opened


def _too_long(row: Service, now: datetime, scale: float) -> bool:
    return now - datetime.fromisoformat(row.data["opened_at"]) >= ALERT_AFTER * scale


def _alert(session: Session, row: Service, host: str | None, now: datetime) -> None:
    facts = {"why": row.data["why"], "fault": row.data.get("fault")}
    keep_alert(session, Alarm.MAIL_SERVER, host, now=now, **facts)
