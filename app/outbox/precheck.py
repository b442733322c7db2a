"""The answers that reading a mail again can give right before it is sent: Send, Skip or Defer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from app.mime.message import MailMessage
from app.models import State
from app.outbox.lease import Claimed
from app.services import Services


@dataclass(frozen=True, slots=True)
class Send:
    """What is to be sent now. `taken_back`: decisions (id, reason) that it no longer tells of."""

    message: MailMessage
    task_refs: list[str]
    taken_back: Sequence[tuple[int, str]] = ()


@dataclass(frozen=True, slots=True)
class Skip:
    """The mail ends here."""

    state: State
    reason: str


@dataclass(frozen=True, slots=True)
class Defer:
    """Not now: quiet hours."""

    until: datetime


Found = Send | Skip | Defer | Exception
# Of each claimed mail what is found now; the letters hand it in (app/letters), the outbox knows none.
ReadAgain = Callable[[Services, Session, Sequence[Claimed], datetime], list[Found]]
