"""Where the mail server is, what it asks for, and how long each step may take."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

from app.config import Config
from app.locale import Both
from app.oauth.account import OAuthAccount
from app.smtp.errors import MailSendError, Phase

# Seconds. The lease of a mail is 100 s before its dot and 660 s after it.
BEFORE_DOT = 90.0
DOT_ANSWER = 600.0  # RFC 5321 4.5.3.2.6: less would double mails at slow servers
QUIT_WAIT = 2.0  # for QUIT, whose answer is ignored
IDLE = 2.0  # a connection waits this long for the next mail (Postfix's own limit is the same)
OLDEST = 300.0  # then a connection is closed and opened anew (as Postfix does)


@dataclass(frozen=True)
class SmtpSettings:
    """Where and how to send, and how long to wait. `time_scale` multiplies every wait."""

    host: str
    port: int = 587
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    security: Literal["auto", "ssl", "starttls", "none"] = "auto"
    timeout: float = 30.0  # SMTP_TIMEOUT, seconds an operation may take, unscaled
    oauth: OAuthAccount | None = None  # in place of a password
    time_scale: float = 1.0
    pipelining: Literal["auto", "off"] = "auto"
    # Authorities besides those this machine trusts (SSL_CERT_FILE and SSL_CERT_DIR may name others)
    ca_file: Path | None = None
    # None: made of these for each connection
    ssl_context: ssl.SSLContext | None = field(default=None, repr=False)

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """What the environment says. Raises MailSendError where it names no server."""
        if config.smtp_host is None:
            raise MailSendError(
                Phase.CONNECT, Both("SMTP_HOST が設定されていません。", "SMTP_HOST is not set.")
            )
        password = config.smtp_password
        return cls(
            host=config.smtp_host,
            port=config.smtp_port,
            username=config.smtp_username,
            password=password.get_secret_value() if password else None,
            oauth=OAuthAccount.from_config(config),
            security=config.smtp_security,
            timeout=config.smtp_timeout,
            pipelining=config.smtp_pipelining,
            ca_file=config.smtp_ca_file,
            time_scale=config.test_time_scale,
        )

    @property
    def operation(self) -> float:
        """Seconds one operation may take: connecting, a handshake, a command, a reply."""
        return self.timeout * self.time_scale

    @property
    def before_dot(self) -> float:
        """Seconds everything before the final dot may take together."""
        return BEFORE_DOT * self.time_scale

    @property
    def dot_answer(self) -> float:
        """Seconds the server may take to answer the final dot."""
        return DOT_ANSWER * self.time_scale

    @property
    def quit_wait(self) -> float:
        """Seconds the server may take to answer QUIT."""
        return QUIT_WAIT * self.time_scale

    @property
    def idle(self) -> float:
        """Seconds a connection may lie unused."""
        return IDLE * self.time_scale

    @property
    def oldest(self) -> float:
        """Seconds after which no further mail begins on a connection."""
        return OLDEST * self.time_scale

    @property
    def speaks_ssl_first(self) -> bool:
        """Whether TLS starts with the connection, before the server's greeting."""
        return self.security == "ssl" or (self.security == "auto" and self.port == 465)

    @property
    def needs_tls(self) -> bool:
        """Whether nothing may be sent in the clear: a login never is."""
        return self.security in {"ssl", "starttls"} or self.username is not None
