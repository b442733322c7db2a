"""The parts of a mail as a page shows them; broken mails give what can be read of them."""

from base64 import b64encode
from collections.abc import Callable
from email.message import EmailMessage, MIMEPart
from typing import cast


def text_of(message: EmailMessage) -> str | None:
    """The plain text part, or None."""
    return _content(message.get_body(("plain",)))


def html_of(message: EmailMessage) -> str | None:
    """The HTML part with its inline pictures (cid:) put in as data: addresses, or None."""
    html = _content(message.get_body(("html",)))
    for part in message.walk() if html else ():
        content_id = str(part.get("Content-ID", "")).strip("<> ")
        if html and content_id and part.get_content_maintype() == "image":
            picture = b64encode(cast("bytes", part.get_payload(decode=True))).decode()
            address = f"data:{part.get_content_type()};base64,{picture}"
            html = html.replace(f"cid:{content_id}", address)
    return html


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
