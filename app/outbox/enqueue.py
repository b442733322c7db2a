"""The rows of the outbox: a mail is committed before anything is queued. Also its Message-ID."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache

from sqlalchemy.orm import Session

from app.channel import MAIL, key_of
from app.compose import message_id
from app.config import Config
from app.db import insert_new
from app.mime.address import read_mailbox
from app.models import OutboxMail, State
from app.outbox.early_decisions import EARLY
from app.services import Services

# The end of a longer one is taken: the whole Message-ID must fit its column.
MAX_DOMAIN = 160


@dataclass(frozen=True, slots=True)
class NewMail:
    """One mail to send. Instants are the real clock's; its Date is `clock_shift` after `not_before`."""

    kind: str
    user_id: int
    to_addr: str
    local_date: date
    not_before: datetime
    expires_at: datetime
    decision_id: int | None = None
    n: int = 0
    held: str | None = None
    clock_shift: timedelta = timedelta()
    resend_of: int | None = None
    channel: str = MAIL

    @property
    def number(self) -> int:
        """Its number among those of its kind, member and date; a rehearsal's takes no real one's."""
        return EARLY if self.clock_shift and not self.n else self.n

    @property
    def dedupe_key(self) -> str:
        """`kind:user_id:local_date:n`, UNIQUE in the database; another channel's has its name at the end."""
        key = f"{self.kind}:{self.user_id}:{self.local_date.isoformat()}:{self.number}"
        return key_of(key, self.channel)


def enqueue(
    session: Session, services: Services, mails: Sequence[NewMail], *, now: datetime
) -> list[int]:
    """Stores the mails that are not there yet; returns their ids. Commit, then publish them."""
    return [mail_id for mail_id, _ in enqueue_decided(session, services, mails, now=now)]


def enqueue_decided(
    session: Session, services: Services, mails: Sequence[NewMail], *, now: datetime
) -> list[tuple[int, int | None]]:
    """`enqueue` that returns of each new mail its id and that of its decision."""
    end = origin(services.config, services.installation.id_in(session))
    rows = [
        {
            "dedupe_key": mail.dedupe_key,
            "decision_id": mail.decision_id,
            "resend_of": mail.resend_of,
            "user_id": mail.user_id,
            "channel": mail.channel,
            "kind": mail.kind,
            "local_date": mail.local_date,
            "n": mail.number,
            "to_addr": mail.to_addr,
            "message_id": message_id(mail.kind, mail.user_id, mail.local_date, mail.number, end),
            "date_header": mail.not_before + mail.clock_shift,
            "state": State.READY,
            "held": mail.held,
            "clock_shift": round(mail.clock_shift.total_seconds()),
            "not_before": mail.not_before,
            "expires_at": mail.expires_at,
            "created_at": now,
            "updated_at": now,
        }
        for mail in mails
    ]
    returning = (OutboxMail.id, OutboxMail.decision_id)
    new = insert_new(session, OutboxMail, rows, returning=returning)
    return [(row.id, row.decision_id) for row in new]


def origin(config: Config, installation: str) -> str:
    """How Message-IDs end: the installation and the sender's domain, in ASCII.

    No other installation makes the same, also where two send under one domain (RFC 5322 3.6.4).
    """
    return f"{installation}@{_domain(config.mail_from or '')}"


@lru_cache(maxsize=4)
def _domain(mail_from: str) -> str:
    if not mail_from:
        return "localhost.localdomain"
    domain = read_mailbox("MAIL_FROM", mail_from, allow_localhost=True).address.rpartition("@")[2]
    return domain[-MAX_DOMAIN:].lstrip(".-")
