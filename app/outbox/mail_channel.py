"""Mail as a channel of the outbox: bytes by app/mime, connections by app/smtp."""

from collections.abc import Sequence
from dataclasses import replace

from app.channel import MAIL
from app.mime.message import Envelope, MailMessage, build
from app.outbox import compression
from app.outbox.lease import Claimed
from app.services import Services
from app.smtp import fault
from app.smtp.session import SmtpSession
from app.smtp.settings import SmtpSettings
from app.util.rate import Rate


class MailChannel:
    """The channel `mail`; see `Channel`."""

    name = MAIL
    pack = staticmethod(compression.pack)
    unpack = staticmethod(compression.unpack)
    fault_of = staticmethod(fault.judge_again)
    same_refusal = staticmethod(fault.same_refusal)

    def __init__(self, services: Services) -> None:
        config = services.config
        self.missing = "SMTP_HOST" if config.smtp_host is None else None
        self.rate = Rate(config.smtp_rate_per_minute, services.limits)
        self._config = config
        self._idle = services.idle

    def prepare(self, mail: Claimed, message: MailMessage) -> Envelope:
        """The bytes of `complete`."""
        return build(
            self.complete(mail, message),
            date=mail.date_header,
            allow_localhost=self._config.rehearsal_allowed,
        )

    def complete(self, mail: Claimed, message: MailMessage) -> MailMessage:
        """The message with the sender of these settings and the mail's own Message-ID."""
        return replace(
            message,
            mail_from=self._config.mail_from,
            reply_to=self._config.mail_reply_to,
            return_path=self._config.mail_return_path,
            message_id=mail.message_id,
        )

    def connections(self) -> Sequence[SmtpSession]:
        """SMTP_CONNECTIONS of them, those that are still open first."""
        return self._idle.take(
            SmtpSettings.from_config(self._config), self._config.smtp_connections
        )

    def keep(self, connections: Sequence[SmtpSession]) -> None:
        """For the next delivery, if it comes soon."""
        self._idle.keep(connections)
