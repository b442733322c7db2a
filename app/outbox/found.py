"""What reading a mail again, right before it is sent, can find."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from app.config import Config
from app.models import State
from app.outbox.lease import Claimed
from app.util.message import MailMessage


@dataclass(frozen=True, slots=True)
class Letter:
    """What is to be sent now. `taken_back`: decisions (id, reason) that it no longer tells of."""

    message: MailMessage
    task_refs: list[str]
    taken_back: Sequence[tuple[int, str]] = ()


@dataclass(frozen=True, slots=True)
class Stop:
    """The mail ends here."""

    state: State
    reason: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Not now: quiet hours."""

    until: datetime


def from_us(letter: MailMessage, config: Config, mail: Claimed) -> MailMessage:
    """The letter with the sender fields of these settings and the mail's own Message-ID."""
    return replace(
        letter,
        mail_from=config.mail_from,
        reply_to=config.mail_reply_to,
        return_path=config.mail_return_path,
        message_id=mail.message_id,
    )
