"""What reading a mail again, right before it is sent, can find."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from app.mime.message import MailMessage
from app.models import State


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
