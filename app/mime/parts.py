"""The parts of a mail as a page shows them; broken mails give what can be read of them."""

from collections.abc import Callable
from email.message import EmailMessage, MIMEPart


def text_of(message: EmailMessage) -> str | None:
    """The plain text part, or None."""
    return _content(message.get_body(("plain",)))


def html_of(message: EmailMessage) -> str | None:
    """The HTML part, or None."""
    return _content(message.get_body(("html",)))


def _content(part: MIMEPart | None) -> str | None:
    if part is None:
        return None
    raw = part.get_payload(decode=True)
    plain = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else ""
    return or_else(plain, lambda: str(part.get_content()))


def or_else(otherwise: str, look: Callable[[], str]) -> str:
    """What can be read: the email package raises many things on broken input."""
    try:
        return look()
    except Exception:  # noqa: BLE001 - one unreadable mail must not take the page down
        return otherwise
