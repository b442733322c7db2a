"""SMTP_PRESET: what a provider asks for, as defaults. A setting that is named goes before them.

The figures are those of docs/mail-providers.md, with their sources.
"""

from collections.abc import Mapping

from pydantic import BaseModel

from app.util import parse

USERNAME = "{SMTP_USERNAME}"  # the mailbox itself
_ENCRYPTED = {"SMTP_PORT": "587", "SMTP_SECURITY": "starttls"}
# The provider refuses another sender than the mailbox (Microsoft) or writes the mailbox in its place
# (Google), unless it was allowed to send as that one.
_AS_THE_MAILBOX = {"MAIL_FROM": f"Task Progress <{USERNAME}>", "MAIL_RETURN_PATH": USERNAME}

PRESETS: Mapping[str, Mapping[str, str]] = {
    # 3 connections at a time: the mail worker has two senders (-c 2), the timer is the third.
    "microsoft365": {
        "SMTP_HOST": "smtp.office365.com",
        **_ENCRYPTED,
        "SMTP_CONNECTIONS": "1",
        "SMTP_RATE_PER_MINUTE": "30",
        **_AS_THE_MAILBOX,
    },
    "google": {
        "SMTP_HOST": "smtp.gmail.com",
        **_ENCRYPTED,
        "SMTP_CONNECTIONS": "1",
        **_AS_THE_MAILBOX,
    },
    "google-relay": {"SMTP_HOST": "smtp-relay.gmail.com", **_ENCRYPTED},
    # One a second is what an account in the sandbox may.
    "ses": {
        "SMTP_HOST": "email-smtp.ap-northeast-1.amazonaws.com",
        **_ENCRYPTED,
        "SMTP_RATE_PER_MINUTE": "60",
    },
}


def read_preset(text: str) -> str:
    """SMTP_PRESET: one of the names."""
    return parse.parse_choice(text, tuple(PRESETS))


def defaults(values: Mapping[str, str]) -> dict[str, str]:
    """What the preset named in `values` gives where they say nothing themselves."""
    user = values.get("SMTP_USERNAME")
    preset = PRESETS.get(values.get("SMTP_PRESET", ""), {})
    return {
        name: text.replace(USERNAME, user or "")
        for name, text in preset.items()
        if not values.get(name) and (user or USERNAME not in text)
    }


def compare(config: BaseModel) -> tuple[list[str], list[str]]:
    """What stands as the preset has it, and what goes before it, as NAME=value."""
    preset = PRESETS.get(getattr(config, "smtp_preset", None) or "", {})
    user = getattr(config, "smtp_username", None) or ""
    given: list[str] = []
    own: list[str] = []
    for name, text in preset.items():
        value = str(getattr(config, name.lower()) or "")
        (given if value == text.replace(USERNAME, user) else own).append(f"{name}={value}")
    return given, own
