"""PURE. A mail as fields, the checks of each field, and the bytes that go on the wire.

The bytes are written here rather than by email.message: that turns a lone CR in a text into a
line end, picks random boundaries, and takes 1 to 3 ms a mail. The tests read every letter back
with the standard library's parser.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from app.mime.address import UnusableMessage, read_mailbox, refused
from app.mime.body_encoding import encoded
from app.mime.headers import (
    date_value,
    extra_line,
    mailbox_line,
    message_id_value,
    own_mailbox,
    own_mailbox_line,
    subject_line,
    width,
)

__all__ = ["Envelope", "MailMessage", "UnusableMessage", "build", "width"]


@dataclass(frozen=True)
class MailMessage:
    """One mail to exactly one recipient. What is left None comes from the environment.

    `to`, `mail_from`, `reply_to` and `return_path` are mailboxes: "花子 <hanako@example.jp>".
    Nothing is checked here; `build` does.
    """

    to: str
    subject: str
    text: str
    html: str | None = None
    mail_from: str | None = None
    reply_to: str | None = None
    return_path: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    message_id: str | None = None


@dataclass(frozen=True)
class Envelope:
    """What the SMTP session sends. `data`: CRLF lines of ASCII, not dot-stuffed, no final dot."""

    sender: str
    recipient: str
    data: bytes


def build(message: MailMessage, *, date: datetime, allow_localhost: bool = False) -> Envelope:
    """The envelope of `message`, the same bytes every time. Needs mail_from and message_id.

    RFC 5322, 2045 to 2047. A text without a last line end gets one; display names wider
    than 64 columns (a kanji is two) are cut and end in "…". `date` is aware. `allow_localhost`
    takes addresses at localhost. Raises UnusableMessage.
    """

    to = read_mailbox("to", message.to, allow_localhost=allow_localhost)
    mail_from = own_mailbox("mail_from", message.mail_from or "", allow_localhost=allow_localhost)
    path = mail_from
    if message.return_path:
        path = own_mailbox("return_path", message.return_path, allow_localhost=allow_localhost)
    lines = [
        f"Date: {date_value(date)}",
        own_mailbox_line("From", mail_from),
        mailbox_line("To", to),
        subject_line(message.subject),
        f"Message-ID: {message_id_value(message.message_id)}",
    ]
    if message.reply_to:
        reply_to = own_mailbox("reply_to", message.reply_to, allow_localhost=allow_localhost)
        lines.append(own_mailbox_line("Reply-To", reply_to))
    lines.extend(extra_line(name, value) for name, value in message.headers.items())
    lines.append("MIME-Version: 1.0")
    head = "".join(f"{line}\r\n" for line in lines).encode("ascii")
    return Envelope(path.address, to.address, head + _body(message))


def _body(message: MailMessage) -> bytes:
    """Everything after the message's own header lines, from Content-Type on."""
    text = _text("text", "plain", message.text)
    if message.html is None:
        return text
    # It follows from the Message-ID, and cannot occur in a part: quoted-printable writes "=" as
    # "=3D", base64 has no "_".
    seed = f"alternative {message.message_id or ''}"
    boundary = b"=_%b" % hashlib.sha256(seed.encode()).hexdigest()[:32].encode()
    head = b'Content-Type: multipart/alternative;\r\n boundary="%b"\r\n\r\n' % boundary
    html = _text("html", "html", message.html)
    parts = b"".join(b"--%b\r\n%b\r\n" % (boundary, part) for part in (text, html))
    return b"%b%b--%b--\r\n" % (head, parts, boundary)


def _text(name: str, subtype: str, text: str) -> bytes:
    try:
        encoding, body = encoded(text)
    except UnicodeEncodeError as error:
        raise refused(
            name,
            error.object[error.start : error.end],
            "文字として壊れています。",
            "It holds half of a character (a lone surrogate).",
            "元のデータを確認してください。",
            "Check where the text comes from.",
        ) from None
    head = f"Content-Type: text/{subtype}; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}"
    return f"{head}\r\n\r\n".encode() + body
