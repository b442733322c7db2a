"""The breaker of a channel: while its server refuses everything, only one mail at a time is tried.

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

from app.alerts import close_alert, keep_alert, update_alert
from app.channel import MAIL, Fault, SendError, key_of
from app.db import put
from app.locale import Both
from app.models import Service
from app.outbox.channels import ALARMS
from app.outbox.lease import accepted_since

NAME = "breaker"
FIRST_PAUSE = timedelta(seconds=30)
LONGEST_PAUSE = timedelta(minutes=4)
SUSPECTED_PAUSE = timedelta(minutes=1)  # the longest, while it may be the recipients' after all
ALERT_AFTER = timedelta(minutes=2)
FORGOTTEN = timedelta(hours=1)  # a machine's own breaker, when it has not tried since
KEPT = 50  # mails that met the trouble and do not probe
SKEW = timedelta(minutes=5)  # between the clocks of two machines


class Gate(Enum):
    """Whether mails may be tried: the states of a circuit breaker. Open: none is."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half open"  # one mail, by one sender


@dataclass(frozen=True, slots=True)
class ServerTrouble:
    """What stops all sending, whose fault it is, and the mails it met."""

    error: SendError
    fault: Fault
    mails: tuple[int, ...] = ()

    @property
    def at_once(self) -> bool:
        """Whether the alert opens now and not in two minutes: waiting does not help."""
        for_good = self.fault is Fault.EVERYONE and self.error.permanent
        return self.fault.needs_operator or for_good


@dataclass(frozen=True, slots=True)
class Breaker:
    """The breaker of a channel, with that of this machine where one is named.

    `scale` multiplies every pause. The rows of `services` are `breaker` and `breaker@host` for mail,
    `breaker:channel` and `breaker:channel@host` for another channel.
    """

    channel: str = MAIL
    host: str | None = None
    scale: float = 1.0

    @property
    def name(self) -> str:
        """The row that all senders look at."""
        return key_of(NAME, self.channel)

    @property
    def own(self) -> str:
        """The row that only this machine looks at."""
        return f"{self.name}@{self.host}"[:120]

    def gate(self, session: Session, now: datetime) -> Gate:
        """How the breaker stands at `now`."""
        rows = self._rows(session)
        if not rows:
            return Gate.CLOSED
        return Gate.OPEN if any(now < row.at <= _latest(now) for row in rows) else Gate.HALF_OPEN

    def mails(self, session: Session) -> list[int]:
        """The mails that met the trouble."""
        return [mail for row in self._rows(session) for mail in row.data.get("mails", [])]

    def take_probe(self, session: Session, now: datetime) -> bool:
        """True for the one sender who may probe now with the mail it has claimed."""
        won = session.scalars(
            update(Service)
            .where(
                Service.name.in_([self.name, self.own]),
                or_(Service.at <= now, Service.at > _latest(now)),
            )
            .values(at=now + FIRST_PAUSE * self.scale)
            .returning(Service.name)
        ).all()
        return len(won) == len(self._rows(session))

    def trip(self, session: Session, trouble: ServerTrouble | SendError, now: datetime) -> None:
        """Pause, longer each time. `service.at` is when to probe."""
        if isinstance(trouble, SendError):
            trouble = ServerTrouble(trouble, trouble.fault)
        if trouble.fault is Fault.LOCAL and self.host is not None:
            self._trip_own(session, trouble, now)
            return
        why, fault = trouble.error.words, trouble.fault
        opened = self._open(session, self.name, trouble, now)
        if trouble.at_once or now - opened >= ALERT_AFTER * self.scale:
            keep_alert(session, ALARMS[self.channel], now=now, why=why, fault=fault)
        else:  # it may be open already, for another reason
            update_alert(session, ALARMS[self.channel], why=why, fault=fault)

    def reset(self, session: Session, now: datetime) -> None:
        """The server took a mail from this machine: all is well again."""
        closed = delete(Service).where(Service.name.in_(self._names))
        session.execute(closed.execution_options(synchronize_session="auto"))
        close_alert(session, ALARMS[self.channel], now=now)
        if self.host is not None:
            close_alert(session, ALARMS[self.channel], self.host, now=now)

    def watch(self, session: Session, now: datetime) -> None:
        """Raises the alert when a breaker has been open for too long without a probe failing."""
        shared = session.get(Service, self.name)
        if shared is not None and self._too_long(shared, now):
            self._alert(session, shared, None, now)
        of_machines = select(Service).where(Service.name.startswith(f"{self.name}@"))
        for row in session.scalars(of_machines).all():
            host = row.name.removeprefix(f"{self.name}@")
            if now - row.at > FORGOTTEN:
                session.execute(delete(Service).where(Service.name == row.name))
                close_alert(session, ALARMS[self.channel], host, now=now)
            elif shared is None and self._too_long(row, now):
                self._alert(session, row, host, now)

    @property
    def _names(self) -> list[str]:
        return [self.name] if self.host is None else [self.name, self.own]

    def _rows(self, session: Session) -> list[Service]:
        found = select(Service).where(Service.name.in_(self._names))
        return list(session.scalars(found.execution_options(populate_existing=True)))

    def _trip_own(self, session: Session, trouble: ServerTrouble, now: datetime) -> None:
        """This machine pauses; all do, once it failed again and no other had a mail accepted."""
        opened = self._open(session, self.own, trouble, now)
        again = session.get_one(Service, self.own).data["times"] > 1
        shared = session.get(Service, self.name)
        if shared is not None:  # others may have a way: they need not wait for this machine
            values = {"at": min(shared.at, now), "data": shared.data}
            put(session, Service, {"name": self.name}, values)
        elif again and not accepted_since(session, opened, self.channel):
            self._open(session, self.name, replace(trouble, mails=()), now)
        if now - opened >= ALERT_AFTER * self.scale:
            alone = session.get(Service, self.name) is None
            row = session.get_one(Service, self.own)
            self._alert(session, row, self.host if alone else None, now)

    def _open(self, session: Session, name: str, trouble: ServerTrouble, now: datetime) -> datetime:
        """Opens this row's breaker, or keeps it open for longer; returns since when it is."""
        row = session.get(Service, name)
        times = row.data["times"] + 1 if row else 1
        opened = min(now, datetime.fromisoformat(row.data["opened_at"])) if row else now
        longest = SUSPECTED_PAUSE if trouble.fault is Fault.EVERYONE else LONGEST_PAUSE
        pause = min(FIRST_PAUSE * 2 ** min(times - 1, 10), longest) * self.scale
        met = [*(row.data.get("mails", []) if row else []), *trouble.mails]
        data: dict[str, Any] = {
            "times": times,
            "opened_at": opened.isoformat(),
            "why": str(trouble.error.words),
            "fault": trouble.fault,
            "login_refused": trouble.fault.is_login,
            "mails": list(dict.fromkeys(met))[-KEPT:],
        }
        put(session, Service, {"name": name}, {"at": now + pause, "data": data})
        return opened

    def _too_long(self, row: Service, now: datetime) -> bool:
        return now - datetime.fromisoformat(row.data["opened_at"]) >= ALERT_AFTER * self.scale

    def _alert(self, session: Session, row: Service, host: str | None, now: datetime) -> None:
        facts = {"why": Both.of(row.data["why"]), "fault": row.data.get("fault")}
        keep_alert(session, ALARMS[self.channel], host, now=now, **facts)


def watch(session: Session, now: datetime, scale: float) -> None:
    """`Breaker.watch` for each channel."""
    for channel in ALARMS:
        Breaker(channel, scale=scale).watch(session, now)


def _latest(now: datetime) -> datetime:
    """No failure up to now sets a later probe; one that is later was set by a clock ahead."""
    return now + LONGEST_PAUSE + SKEW
