"""The channels that messages leave by, and what the outbox asks of each.

A second one is a folder here with a class like `MailChannel`, and a line in `channels` and ALARMS
(docs/architecture.md has the recipe). Its keys, guards, breaker and rate are its own.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from app.alerts import Alarm
from app.channel import MAIL, Connection, Fault
from app.mime.message import MailMessage
from app.outbox.lease import Claimed
from app.outbox.mail_channel import MailChannel
from app.services import Services
from app.util.rate import Rate


class Channel(Protocol):
    """One channel of this process, with its settings."""

    name: str  # as in `outbox.channel`
    missing: str | None  # the setting without which nothing can be sent, where it is not set
    rate: Rate

    def prepare(self, mail: Claimed, message: MailMessage) -> Any:
        """What the connections take: all of the message. Raises UnusableMessage."""

    def pack(self, prepared: Any) -> bytes:
        """The same as it is stored right before it may be out: what is sent again is this."""

    def unpack(self, stored: bytes) -> Any:
        """What `pack` stored, now or in an earlier version."""

    def connections(self) -> Sequence[Connection]:
        """As many as are used at once; they connect when they are used. Raises SendError."""

    def keep(self, connections: Sequence[Any]) -> None:
        """These connections are not used now."""

    def fault_of(self, said: str) -> Fault:
        """Whose fault an answer is, as `SendError.said` had it."""

    def same_refusal(self, said: str) -> str:
        """What two refusals have in common when they are the same: no address, no case number."""


Channels = Callable[[Services], Sequence[Channel]]


# The alert that a channel's breaker raises.
ALARMS = {MAIL: Alarm.MAIL_SERVER}


def channels(services: Services) -> Sequence[Channel]:
    """Every channel that messages are sent by."""
    return (MailChannel(services),)
