"""Who asks for a token, where, and how it proves who it is."""

import json
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Self

from app.config import Config
from app.config.mail_account import GOOGLE, MICROSOFT
from app.oauth import assertion
from app.util.http import HttpClient

MICROSOFT_URL = "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token"
GOOGLE_URL = "https://oauth2.googleapis.com/token"
SCOPES = {
    MICROSOFT: "https://outlook.office365.com/.default",
    GOOGLE: "https://mail.google.com/",
}


@dataclass(frozen=True)
class OAuthAccount:
    """An application that may log in to a mailbox. `user`: the mailbox; `url`: the token endpoint."""

    user: str
    url: str
    scope: str | None
    client_id: str | None = None
    client_secret: str | None = field(default=None, repr=False)
    certificate_file: Path | None = None
    service_account_file: Path | None = None
    http: HttpClient = field(default_factory=HttpClient, repr=False)
    time_scale: float = 1.0

    @classmethod
    def from_config(cls, config: Config) -> Self | None:
        """What the settings say; None where the login is by password."""
        provider = config.smtp_oauth_provider
        if config.smtp_auth != "xoauth2" or provider is None:
            return None
        url = {MICROSOFT: MICROSOFT_URL.format(tenant=config.smtp_oauth_tenant)}.get(
            provider, provider
        )
        file = config.smtp_oauth_service_account_file
        if provider == GOOGLE and file is not None:
            url = _named_in(file) or GOOGLE_URL
        secret = config.smtp_oauth_client_secret
        return cls(
            user=config.smtp_username or "",
            url=url,
            scope=config.smtp_oauth_scope or SCOPES.get(provider),
            client_id=config.smtp_oauth_client_id,
            client_secret=secret.get_secret_value() if secret else None,
            certificate_file=config.smtp_oauth_certificate_file,
            service_account_file=file if provider == GOOGLE else None,
            http=config.http,
            time_scale=config.test_time_scale,
        )

    def form(self, now: float) -> dict[str, str]:
        """What is posted to the endpoint. `now`: seconds since 1970, of the machine's own clock.

        Raises OSError, ValueError (a key that cannot be used).
        """
        if self.service_account_file is not None:
            signed = assertion.of_service_account(
                self.service_account_file, self.user, self.scope or "", self.url, now
            )
            return {"grant_type": assertion.GRANT, "assertion": signed}
        form = {"grant_type": "client_credentials", "client_id": self.client_id or ""}
        if self.scope:
            form["scope"] = self.scope
        if self.certificate_file is not None:
            form["client_assertion_type"] = assertion.TYPE
            form["client_assertion"] = assertion.of_certificate(
                self.certificate_file, self.client_id or "", self.url, now
            )
        else:
            form["client_secret"] = self.client_secret or ""
        return form


def _named_in(file: Path) -> str | None:
    """The token endpoint that a service account's file names; a file that is gone is told later."""
    try:
        return str(json.loads(file.read_text(encoding="utf-8"))["token_uri"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def secret_ends(config: Config) -> date | None:
    """The day after which no token comes any more: SMTP_OAUTH_SECRET_EXPIRES, or the certificate's."""
    file = config.smtp_oauth_certificate_file
    if config.smtp_auth != "xoauth2":
        return None
    if config.smtp_oauth_secret_expires is None and file is not None:
        with suppress(OSError, ValueError):  # a file that went away: the next token tells
            return assertion.certificate_ends(file)
    return config.smtp_oauth_secret_expires
