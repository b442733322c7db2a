"""The settings of the mail account beyond host and password: its provider, and OAuth in place of one."""

import json
import re
from collections.abc import Callable
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationInfo

from app.config import presets
from app.config.sources import relative
from app.locale import Both, of_the_system
from app.refused import UnusableValue
from app.util import parse, urls

MICROSOFT, GOOGLE = "microsoft", "google"
ELSEWHERE = "elsewhere"  # a token endpoint named by its address


def _provider(info: ValidationInfo) -> str | None:
    """Whose tokens are asked for; None where the login is by password, or that setting is refused."""
    named = info.data.get("smtp_oauth_provider")
    if info.data.get("smtp_auth") != "xoauth2" or named is None:
        return None
    return str(named) if named in {MICROSOFT, GOOGLE} else ELSEWHERE


def _needs(what: str) -> UnusableValue:
    return UnusableValue(
        f"SMTP_AUTH=xoauth2 なので必要です。{what} を書いてください(docs/mail-providers.ja.md)。",
        f"SMTP_AUTH=xoauth2 needs it: {what} (docs/mail-providers.md).",
    )


def read_provider(text: str | None, info: ValidationInfo) -> str | None:
    """SMTP_OAUTH_PROVIDER: a name, or the address of a token endpoint, which must be encrypted."""
    if text is None and info.data.get("smtp_auth") == "xoauth2":
        raise _needs("microsoft | google | https://...")
    if text is None or text in {MICROSOFT, GOOGLE}:
        return text
    if _is_encrypted(text):
        return urls.parse_web_url(text)
    raise UnusableValue(
        f"「{urls.mask_url(text)}」は使えません。microsoft か google、または https:// で始まる"
        "トークンのサーバーのアドレスを書いてください。",
        f'"{urls.mask_url(text)}" cannot be used. Write microsoft, google, or the address of a token '
        "endpoint, which begins with https://.",
    )


def _is_encrypted(url: str) -> bool:
    """Whether what is posted there cannot be read on its way."""
    return url.startswith("https://") or (url.startswith("http://") and urls.leads_home(url))


def _word(what: str, *wanted_by: str) -> BeforeValidator:
    """A word without blanks; needed for these providers."""

    def read(text: str | None, info: ValidationInfo) -> str | None:
        if text is None and _provider(info) in wanted_by:
            raise _needs(what)
        if text is None or re.fullmatch(r"[\w.:/@-]+", text, re.ASCII):
            return text
        raise UnusableValue(
            f"「{parse.shown(text)}」は使えません。{what} を書いてください。",
            f'"{parse.shown(text)}" cannot be used. Write {what}.',
        )

    return BeforeValidator(read)


def read_secret(value: SecretStr | str | None, info: ValidationInfo) -> SecretStr | str | None:
    """SMTP_OAUTH_CLIENT_SECRET: it or the certificate, not both."""
    with_certificate = info.data.get("smtp_oauth_certificate_file") is not None
    if value is not None and with_certificate:
        raise UnusableValue(
            "SMTP_OAUTH_CERTIFICATE_FILE とどちらか一方だけにしてください。",
            "Set either it or SMTP_OAUTH_CERTIFICATE_FILE, not both.",
        )
    if value is None and not with_certificate and _provider(info) in {MICROSOFT, ELSEWHERE}:
        raise _needs("SMTP_OAUTH_CLIENT_SECRET | SMTP_OAUTH_CERTIFICATE_FILE")
    return value


def _signing_file(check: Callable[[str], bool], shape: Both, *wanted_by: str) -> BeforeValidator:
    """A file with a key that signs, relative to the working folder; needed for these providers."""

    def read(text: str | None, info: ValidationInfo) -> Path | None:
        if text is None:
            if _provider(info) in wanted_by:
                raise _needs(shape.en)
            return None
        base: Path = info.context or Path()
        file = base / text
        try:
            good, why = check(file.read_text(encoding="utf-8")), shape
        except (OSError, ValueError) as error:
            good, why = False, of_the_system(error) if isinstance(error, OSError) else shape
        if not good:
            raise UnusableValue(
                f"{relative(file)} が使えません({why.ja})。",
                f"{relative(file)} cannot be used ({why.en}).",
            )
        if _provider(info) and not (find_spec("jwt") and find_spec("cryptography")):
            raise UnusableValue(
                "署名のための部品がありません。次を実行してください: make setup-oauth",
                "What signs is not installed. Run: make setup-oauth",
            )
        return file

    return BeforeValidator(read)


def _is_certificate(text: str) -> bool:
    return "BEGIN CERTIFICATE" in text and "PRIVATE KEY-----" in text


def _is_service_account(text: str) -> bool:
    found = json.loads(text)
    wanted = ("client_email", "private_key")
    if not isinstance(found, dict) or not all(isinstance(found.get(one), str) for one in wanted):
        return False
    url = found.get("token_uri")
    return url is None or (isinstance(url, str) and _is_encrypted(url))


def read_day(text: str) -> date:
    """SMTP_OAUTH_SECRET_EXPIRES: a day, as 2027-11-30."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UnusableValue(
            f"「{parse.shown(text)}」は使えません。2027-11-30 の形で書いてください。",
            f'"{parse.shown(text)}" cannot be used. Write it like 2027-11-30.',
        ) from None


_CERTIFICATE = _signing_file(
    _is_certificate, Both("秘密鍵と証明書の PEM ファイルです", "a PEM file of key and certificate")
)
_SERVICE_ACCOUNT = _signing_file(
    _is_service_account,
    Both("サービスアカウントの JSON ファイルです", "the JSON file of a service account"),
    GOOGLE,
)


class MailAccount(BaseModel):
    """These settings. A reader looks back at those above its own."""

    model_config = ConfigDict(
        frozen=True, alias_generator=str.upper, extra="ignore", hide_input_in_errors=True
    )

    smtp_preset: Annotated[str | None, BeforeValidator(presets.read_preset)] = None
    smtp_auth: Annotated[
        Literal["password", "xoauth2"],
        BeforeValidator(lambda text: parse.parse_choice(text, ("password", "xoauth2"))),
    ] = "password"
    smtp_oauth_provider: Annotated[str | None, BeforeValidator(read_provider)] = Field(
        default=None, validate_default=True
    )
    smtp_oauth_tenant: Annotated[str | None, _word("contoso.onmicrosoft.com", MICROSOFT)] = Field(
        default=None, validate_default=True
    )
    smtp_oauth_client_id: Annotated[
        str | None, _word("00000000-0000-0000-0000-000000000000", MICROSOFT, ELSEWHERE)
    ] = Field(default=None, validate_default=True)
    smtp_oauth_certificate_file: Annotated[Path | None, _CERTIFICATE] = None
    smtp_oauth_client_secret: Annotated[SecretStr | None, BeforeValidator(read_secret)] = Field(
        default=None, validate_default=True
    )
    smtp_oauth_service_account_file: Annotated[Path | None, _SERVICE_ACCOUNT] = Field(
        default=None, validate_default=True
    )
    smtp_oauth_secret_expires: Annotated[date | None, BeforeValidator(read_day)] = None
    smtp_oauth_scope: Annotated[str | None, _word("https://outlook.office365.com/.default")] = None

    @property
    def key_files(self) -> tuple[Path, ...]:
        """The files that hold a key: only the account of the programs may read them."""
        both = (self.smtp_oauth_certificate_file, self.smtp_oauth_service_account_file)
        return tuple(one for one in both if one is not None)
