"""PURE. The header lines of a mail: subject, addresses, date, Message-ID, and further ones.

A text that is not ASCII becomes encoded words (RFC 2047); lines are folded (RFC 5322 2.2.3).
"""

import base64
import re
import unicodedata
from collections.abc import Iterator
from datetime import datetime
from email.utils import format_datetime
from functools import lru_cache

from app.mime.address import Mailbox, check_line, quoted_string, read_mailbox, refused

# RFC 5322 2.1.1: a line should have at most 78 and must have at most 998 octets.
FOLD_AT = 78
MAX_LINE = 998
# RFC 2047 2: a line that holds an encoded word has at most 76, the word itself at most 75.
ENCODED_LINE = 76
# A display name wider than this is cut (a kanji is two columns wide), so that the address
# behind it stays in sight in every mail program.
MAX_NAME_WIDTH = 64

_ENCODED_WORD_FRAME = len("=?utf-8?b?") + len("?=")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_FIELD_NAME = re.compile(r"[!-9;-~]{1,70}")  # RFC 5322 2.2: printable ASCII without the colon
_MESSAGE_ID = re.compile(r"<[!-;=?A-~]+@[!-;=?A-~]+>")
# Fields that the program writes itself, or that would name further recipients.
_OWN_FIELDS = re.compile(
    r"to|cc|bcc|from|sender|reply-to|return-path|subject|date|message-id|mime-version"
    r"|received|(?:content|resent)-.*",
    re.IGNORECASE,
)


def width(text: str) -> int:
    """Columns that `text` takes in a fixed-width font: wide and ambiguous East Asian letters 2."""
    return sum(map(_columns, text))


def emoji(char: str) -> bool:
    """True in the blocks that Unicode keeps for pictures, also for those that Python does not know yet."""
    return "\U0001f000" <= char <= "\U0001faff"


@lru_cache(maxsize=8192)  # asked for each letter of each mail
def _columns(char: str) -> int:
    category = unicodedata.category(char)
    if unicodedata.combining(char) or category in {"Mn", "Me", "Cf"}:
        return 0
    # Of a picture that this Python does not know yet, some versions say narrow and some wide.
    unknown = category == "Cn" and emoji(char)
    return 2 if unknown or unicodedata.east_asian_width(char) in "WFA" else 1


# --- header lines -------------------------------------------------------------------------
# What many mails share is kept: these caches save half of the time `build` takes.


@lru_cache(maxsize=16)
def date_value(date: datetime) -> str:
    """The value of Date. Raises ValueError for a date without its zone."""
    if date.utcoffset() is None:
        raise ValueError("build() needs an aware date")
    return format_datetime(date)


def message_id_value(value: str | None) -> str:
    """The value of Message-ID. Raises UnusableMessage."""
    given = check_line("message_id", value or "")
    if _MESSAGE_ID.fullmatch(given) and len(given) <= MAX_LINE - len("Message-ID: "):
        return given
    raise refused(
        "message_id",
        given,
        "Message-ID の形ではありません。",
        "It is no Message-ID.",
        "<reminder.17.2026-11-24.0@example.jp> の形で渡してください。",
        "Give one like <reminder.17.2026-11-24.0@example.jp>.",
    )


@lru_cache(maxsize=64)
def subject_line(subject: str) -> str:
    """The subject, plain where a reader gets back exactly this, else in encoded words."""
    value = check_line("subject", subject)
    line = f"Subject: {value}"
    # Plain only if a reader gets back exactly this: no encoded word in it, no outer blanks.
    plain = value.isascii() and "=?" not in value and value == value.strip() and "\t" not in value
    if plain and len(line) <= FOLD_AT:
        return line
    return "Subject: " + "\r\n ".join(_encoded_words(value, len("Subject: ")))


def mailbox_line(label: str, mailbox: Mailbox) -> str:
    """A header with one address and its display name, cut where it is too wide."""
    start = f"{label}: "
    name = _shortened(mailbox.name)
    if not name:
        return f"{start}{mailbox.address}"
    if not name.isascii() or "=?" in name or "\t" in name:
        phrase = "\r\n ".join(_encoded_words(name, len(start)))
    elif _ATOMS.fullmatch(name):
        phrase = name
    else:
        phrase = quoted_string(name)
    line = f"{start}{phrase} <{mailbox.address}>"
    last = len(line) - (line.rfind("\n") + 1)
    limit = ENCODED_LINE if "=?" in phrase else FOLD_AT
    return line if last <= limit else f"{start}{phrase}\r\n <{mailbox.address}>"


# Of the sender's own addresses, which many mails share.
own_mailbox = lru_cache(maxsize=16)(read_mailbox)
own_mailbox_line = lru_cache(maxsize=16)(mailbox_line)


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
def extra_line(name: str, value: str) -> str:
    """A further header of the letter. Raises UnusableMessage."""
    where = f"headers[{name!a}]"
    if not _FIELD_NAME.fullmatch(name) or _OWN_FIELDS.fullmatch(name):
        raise refused(
            where,
            name,
            "追加できるヘッダー名ではありません。",
            "It is no header name that can be added.",
            "半角の英数字とハイフンの名前にし、宛先や件名などは専用の項目で渡してください。",
            "Use ASCII letters and hyphens; recipients, subject and the like have own fields.",
        )
    check_line(where, value)
    lines = _folded(f"{name}: ", value.strip())
    # Such fields are structured (RFC 2369, 8058): an encoded word would not be decoded there.
    if value.isascii() and "\t" not in value and max(map(len, lines)) <= MAX_LINE:
        return "\r\n".join(lines)
    raise refused(
        where,
        value,
        "半角英数字でない文字があるか、長すぎます。",
        "It holds more than ASCII, or is too long.",
        f"半角英数字で、空白なしに {MAX_LINE} 文字を超えないようにしてください。",
        f"Use ASCII, with a blank at least every {MAX_LINE} characters.",
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
