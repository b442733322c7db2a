"""`send_email` for one mail, and what else a sender needs. Knows no member, no database.

The face of two rooms: app/smtp has the session, its settings and errors; app/mime the mail and its
bytes.
"""

from dataclasses import replace
from email.utils import make_msgid
from functools import lru_cache

from app import clock
from app.channel import Answer
from app.config import Config, load
from app.mime.address import read_mailbox
from app.mime.message import MailMessage, UnusableMessage, build
from app.smtp.capabilities import Dialect
from app.smtp.errors import MailSendError, Phase
from app.smtp.session import SmtpSession
from app.smtp.settings import SmtpSettings

__all__ = [
    "Answer",
    "MailMessage",
    "MailSendError",
    "Phase",
    "SmtpSession",
    "SmtpSettings",
    "UnusableMessage",
    "send_email",
]


def send_email(message: MailMessage) -> Answer:
    """Sends one mail with the settings of the environment; returns the server's final answer.

    Missing sender fields come from MAIL_FROM, MAIL_REPLY_TO and MAIL_RETURN_PATH, a missing
    Message-ID is made. Raises UnusableMessage (a ValueError that names the field) before a byte
    is sent, MailSendError when the server did not take the mail, ConfigError.
    """
    config = load()
    complete = _completed(message, config)
    envelope = build(complete, date=clock.now(), allow_localhost=config.rehearsal_allowed)
    settings = SmtpSettings.from_config(config)
    with SmtpSession(settings, _dialect(settings)) as session:
        return session.send(envelope)


@lru_cache(maxsize=8)
def _dialect(_settings: SmtpSettings) -> Dialect:
    return Dialect()


def _completed(message: MailMessage, config: Config) -> MailMessage:
    mail_from = message.mail_from or config.mail_from or ""
    author = read_mailbox("mail_from", mail_from, allow_localhost=config.rehearsal_allowed)
    return replace(
        message,
        mail_from=mail_from,
        reply_to=message.reply_to or config.mail_reply_to,
        return_path=message.return_path or config.mail_return_path,
        message_id=message.message_id or make_msgid(domain=author.address.rpartition("@")[2]),
    )
