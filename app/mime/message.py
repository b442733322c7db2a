"""PURE. A mail as fields, the checks of each field, and the bytes that go on the wire.

The bytes are written here rather than by email.message: that turns a lone CR in a text into a
line end, picks random boundaries, and takes 1 to 3 ms a mail. The tests read every letter back
with the standard library's parser.
"""

import base64
import hashlib
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import encode_rfc2231, format_datetime
from functools import lru_cache

from app.locale import Both
from app.mime.address import Mailbox, UnusableMessage, check_line, read_mailbox, refused
from app.mime.encoding import base64_lines, encoded

__all__ = [
    "Attachment",
    "Envelope",
    "MailMessage",
    "UnusableMessage",
    "build",
    "width",
]

# RFC 5322 2.1.1: a line should have at most 78 and must have at most 998 octets.
FOLD_AT = 78
MAX_LINE = 998
# RFC 2047 2: a line that holds an encoded word has at most 76, the word itself at most 75.
ENCODED_LINE = 76
# A display name wider than this is cut (a kanji is two columns wide), so that the address
# behind it stays in sight in every mail program.
MAX_NAME_WIDTH = 64
MAX_FILE_NAME = 80

_ENCODED_WORD_FRAME = len("=?utf-8?b?") + len("?=")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_FIELD_NAME = re.compile(r"[!-9;-~]{1,70}")  # RFC 5322 2.2: printable ASCII without the colon
_MESSAGE_ID = re.compile(r"<[!-;=?A-~]+@[!-;=?A-~]+>")
_MEDIA_TYPE = re.compile(r"[a-z]+/[a-z0-9][a-z0-9.+-]*")
_CONTENT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*@[A-Za-z0-9._-]+")
# Fields that the program writes itself, or that would name further recipients.
_OWN_FIELDS = re.compile(
    r"to|cc|bcc|from|sender|reply-to|return-path|subject|date|message-id|mime-version"
    r"|received|(?:content|resent)-.*",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Attachment:
    """A file in the mail; with `content_id` ("board@example.jp") a picture the HTML part shows."""

    name: str
    content: bytes
    content_type: str = "application/octet-stream"
    content_id: str | None = None


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
    attachments: Sequence[Attachment] = ()


@dataclass(frozen=True)
class Envelope:
    """What the SMTP session sends. `data`: CRLF lines of ASCII, not dot-stuffed, no final dot."""

    sender: str
    recipient: str
    data: bytes


def build(message: MailMessage, *, date: datetime, allow_localhost: bool = False) -> Envelope:
    """The envelope of `message`, the same bytes every time. Needs mail_from and message_id.

    RFC 5322, 2045 to 2047, 2231. A text without a last line end gets one; display names wider
    than 64 columns (a kanji is two) are cut and end in "…". `date` is aware. `allow_localhost`
    takes addresses at localhost. Raises UnusableMessage.
    """

    to = read_mailbox("to", message.to, allow_localhost=allow_localhost)
    mail_from = _own_mailbox("mail_from", message.mail_from or "", allow_localhost)
    path = mail_from
    if message.return_path:
        path = _own_mailbox("return_path", message.return_path, allow_localhost)
    lines = [
        f"Date: {_date(date)}",
        _own_mailbox_line("From", mail_from),
        _mailbox_line("To", to),
        _subject_line(message.subject),
        f"Message-ID: {_message_id(message.message_id)}",
    ]
    if message.reply_to:
        reply_to = _own_mailbox("reply_to", message.reply_to, allow_localhost)
        lines.append(_own_mailbox_line("Reply-To", reply_to))
    lines.extend(_extra_line(name, value) for name, value in message.headers.items())
    lines.append("MIME-Version: 1.0")
    head = "".join(f"{line}\r\n" for line in lines).encode("ascii")
    return Envelope(path.address, to.address, head + _body(message))


def width(text: str) -> int:
    """Columns that `text` takes in a fixed-width font: wide and ambiguous East Asian letters 2."""
    return sum(map(_columns, text))


@lru_cache(maxsize=8192)  # asked for each letter of each mail
def _columns(char: str) -> int:
    if unicodedata.combining(char) or unicodedata.category(char) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WFA" else 1


# --- header lines -------------------------------------------------------------------------
# What many mails share is kept: these caches save half of the time `build` takes.


@lru_cache(maxsize=16)
def _date(date: datetime) -> str:
    if date.utcoffset() is None:
        raise ValueError("build() needs an aware date")
    return format_datetime(date)


def _message_id(value: str | None) -> str:
    given = check_line("message_id", value or "")
    if _MESSAGE_ID.fullmatch(given) and len(given) <= MAX_LINE - len("Message-ID: "):
        return given
    raise refused(
        "message_id",
        given,
        Both("Message-ID の形ではありません。", "It is no Message-ID."),
        Both(
            "<reminder.17.2026-11-24.0@example.jp> の形で渡してください。",
            "Give one like <reminder.17.2026-11-24.0@example.jp>.",
        ),
    )


@lru_cache(maxsize=64)
def _subject_line(subject: str) -> str:
    value = check_line("subject", subject)
    line = f"Subject: {value}"
    # Plain only if a reader gets back exactly this: no encoded word in it, no outer blanks.
    plain = value.isascii() and "=?" not in value and value == value.strip() and "\t" not in value
    if plain and len(line) <= FOLD_AT:
        return line
    return "Subject: " + "\r\n ".join(_encoded_words(value, len("Subject: ")))


@lru_cache(maxsize=16)
def _own_mailbox(field: str, value: str, allow_localhost: bool) -> Mailbox:
    return read_mailbox(field, value, allow_localhost=allow_localhost)


@lru_cache(maxsize=16)
def _own_mailbox_line(label: str, mailbox: Mailbox) -> str:
    return _mailbox_line(label, mailbox)


def _mailbox_line(label: str, mailbox: Mailbox) -> str:
    start = f"{label}: "
    name = _shortened(mailbox.name)
    if not name:
        return f"{start}{mailbox.address}"
    if not name.isascii() or "=?" in name or "\t" in name:
        phrase = "\r\n ".join(_encoded_words(name, len(start)))
    elif _ATOMS.fullmatch(name):
        phrase = name
    else:
        phrase = '"' + re.sub(r'(["\\])', r"\\\1", name) + '"'
    line = f"{start}{phrase} <{mailbox.address}>"
    last = len(line) - (line.rfind("\n") + 1)
    limit = ENCODED_LINE if "=?" in phrase else FOLD_AT
    return line if last <= limit else f"{start}{phrase}\r\n <{mailbox.address}>"


def _shortened(name: str) -> str:
    if width(name) <= MAX_NAME_WIDTH:
        return name
    kept, columns = 0, width("…")
    for char in name:
        columns += _columns(char)
        if columns > MAX_NAME_WIDTH:
            break
        kept += 1
    return name[:kept].rstrip("\u200d ") + "…"  # no joiner that would join to the dots


def _encoded_words(text: str, used: int) -> Iterator[str]:
    """`text` as RFC 2047 words, one a line; `used` columns of the first line are taken.

    Whole characters only: a word that ends inside one cannot be decoded by itself.
    """
    room = (ENCODED_LINE - used - _ENCODED_WORD_FRAME) // 4 * 3
    chunk = b""
    for char in text:
        letter = char.encode()
        if len(chunk) + len(letter) > room:
            yield _encoded_word(chunk)
            chunk, room = b"", (ENCODED_LINE - 1 - _ENCODED_WORD_FRAME) // 4 * 3
        chunk += letter
    yield _encoded_word(chunk)


def _encoded_word(chunk: bytes) -> str:
    return f"=?utf-8?b?{base64.b64encode(chunk).decode()}?="


@lru_cache(maxsize=64)
def _extra_line(name: str, value: str) -> str:
    where = f"headers[{name!a}]"
    if not _FIELD_NAME.fullmatch(name) or _OWN_FIELDS.fullmatch(name):
        raise refused(
            where,
            name,
            Both("追加できるヘッダー名ではありません。", "It is no header name that can be added."),
            Both(
                "半角の英数字とハイフンの名前にし、宛先や件名などは専用の項目で渡してください。",
                "Use ASCII letters and hyphens; recipients, subject and the like have own fields.",
            ),
        )
    check_line(where, value)
    lines = _folded(f"{name}: ", value.strip())
    # Such fields are structured (RFC 2369, 8058): an encoded word would not be decoded there.
    if value.isascii() and "\t" not in value and max(map(len, lines)) <= MAX_LINE:
        return "\r\n".join(lines)
    raise refused(
        where,
        value,
        Both(
            "半角英数字でない文字があるか、長すぎます。",
            "It holds more than ASCII, or is too long.",
        ),
        Both(
            f"半角英数字で、空白なしに {MAX_LINE} 文字を超えないようにしてください。",
            f"Use ASCII, with a blank at least every {MAX_LINE} characters.",
        ),
    )


def _folded(start: str, value: str) -> list[str]:
    """`value` broken before blanks where a line passes 78 columns; joined, they restore it."""
    if " " not in value:  # most are one address
        return [start + value]
    first, *rest = re.split(r"(?<=[^ ])(?= +[^ ])", value)
    lines = [start + first]
    for piece in rest:
        if len(lines[-1]) + len(piece) <= FOLD_AT:
            lines[-1] += piece
        else:
            lines.append(piece)
    return lines


# --- bodies -------------------------------------------------------------------------------


def _body(message: MailMessage) -> bytes:
    """Everything after the message's own header lines, from Content-Type on."""
    seed = message.message_id or ""
    parts = [_text("text", "plain", message.text)]
    files = list(message.attachments)
    if message.html is not None:
        shown = [file for file in files if file.content_id]
        files = [file for file in files if not file.content_id]
        html = _text("html", "html", message.html)
        parts.append(_multipart("related", [html, *map(_file, shown)], seed))
    letter = _multipart("alternative", parts, seed)
    return _multipart("mixed", [letter, *map(_file, files)], seed)


def _multipart(subtype: str, parts: list[bytes], seed: str) -> bytes:
    """`parts` under one roof; a single part needs none.

    The boundary follows from the Message-ID and cannot occur in a part: quoted-printable writes
    "=" as "=3D", base64 has no "_".
    """
    if len(parts) == 1:
        return parts[0]
    boundary = "=_" + hashlib.sha256(f"{subtype} {seed}".encode()).hexdigest()[:32]
    head = f'Content-Type: multipart/{subtype};\r\n boundary="{boundary}"\r\n\r\n'
    inner = b"".join(b"--%b\r\n%b\r\n" % (boundary.encode(), part) for part in parts)
    return head.encode() + inner + f"--{boundary}--\r\n".encode()


def _text(name: str, subtype: str, text: str) -> bytes:
    try:
        encoding, body = encoded(text)
    except UnicodeEncodeError as error:
        raise refused(
            name,
            error.object[error.start : error.end],
            Both("文字として壊れています。", "It holds half of a character (a lone surrogate)."),
            Both("元のデータを確認してください。", "Check where the text comes from."),
        ) from None
    head = f"Content-Type: text/{subtype}; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}"
    return f"{head}\r\n\r\n".encode() + body


def _file(file: Attachment) -> bytes:
    name = _file_name(file.name)
    shown = f"; filename={_quoted(name)}" if name.isascii() else _rfc2231(name)
    place = "inline" if file.content_id else "attachment"
    lines = [
        f"Content-Type: {_media_type(file.content_type)}",
        "Content-Transfer-Encoding: base64",
        f"Content-Disposition: {place}{shown}",
    ]
    if file.content_id:
        lines.append(f"Content-ID: <{_content_id(file.content_id)}>")
    head = "".join(f"{line}\r\n" for line in lines).encode()
    return head + b"\r\n" + base64_lines(file.content)


def _file_name(given: str) -> str:
    """The last part of a path without leading dots, at most 80 characters."""
    name = re.split(r"[/\\]", check_line("attachments", given))[-1].lstrip(". ").rstrip()
    return name[:MAX_FILE_NAME] or "file"


def _quoted(name: str) -> str:
    return '"' + re.sub(r'(["\\])', r"\\\1", name) + '"'


def _rfc2231(name: str) -> str:
    return f";\r\n filename*={encode_rfc2231(name, 'utf-8')}"


def _media_type(given: str) -> str:
    if _MEDIA_TYPE.fullmatch(given) and not given.startswith(("multipart/", "message/")):
        return given
    raise refused(
        "attachments",
        given,
        Both("添付できる種類ではありません。", "It is no type of content that can be attached."),
        Both("image/png のように書いてください。", "Write one such as image/png."),
    )


def _content_id(given: str) -> str:
    if _CONTENT_ID.fullmatch(given):
        return given
    raise refused(
        "attachments",
        given,
        Both("Content-ID の形ではありません。", "It is no Content-ID."),
        Both("board@example.jp のように書いてください。", "Write one such as board@example.jp."),
    )
