"""PURE. Text in letters: dates, what people wrote shown as data, and lines of a stated width."""

import re
import unicodedata
from datetime import date
from functools import lru_cache
from typing import Literal

from markupsafe import escape

from app.mime.message import width

Locale = Literal["ja", "en"]

LINE = 68  # columns of a letter's text part

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def message_id(kind: str, user_id: int, local_date: date, n: int, origin: str) -> str:
    """The stable Message-ID of one mail, as `<reminder.17.2026-11-24.0.7f3a9c@example.jp>`.

    Made of the mail's dedupe key, so every copy of one mail carries the same; `origin` (the
    installation and its domain) keeps it apart from all others (RFC 5322 3.6.4).
    """
    return f"<{kind}.{user_id}.{local_date.isoformat()}.{n}.{origin}>"


def automatic_headers(stop_url: str | None = None) -> dict[str, str]:
    """Of a mail that no person wrote (RFC 3834); with `stop_url`, one click stops it (RFC 8058)."""
    stop = {
        "List-Unsubscribe": f"<{stop_url}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }
    automatic = {
        "Auto-Submitted": "auto-generated",
        "X-Auto-Response-Suppress": "OOF, AutoReply",
    }
    return stop | automatic if stop_url is not None else automatic


@lru_cache(maxsize=1024)  # asked for several times a mail
def show_date(day: date, locale: Locale, with_year: bool = False) -> str:
    """A date as people write it: 11月24日(火), Tue 24 Nov; `with_year` adds the year."""
    if locale == "ja":
        year = f"{day.year}年" if with_year else ""
        return f"{year}{day.month}月{day.day}日({'月火水木金土日'[day.weekday()]})"
    weekday = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")[day.weekday()]
    year = f" {day.year}" if with_year else ""
    return f"{weekday} {day.day} {_MONTHS[day.month - 1]}{year}"


def inert(text: str) -> str:
    """`text` on one line, with only what can be seen.

    White space of any kind becomes one space. Control characters, lone surrogates, unassigned
    characters and invisible format characters (zero-width spaces, marks that turn the writing
    direction) are dropped; the two joiners stay, because emoji and some scripts need them.
    """
    if not text.isprintable():
        spaced = (" " if c.isspace() else c for c in text)
        text = "".join(c for c in spaced if c in _JOINERS or _visible(c)).strip(_JOINERS + " ")
    return " ".join(text.split())


def shorten(text: str, columns: int) -> str:
    """`text` made inert and cut, with "…", to what `columns` columns can hold.

    A full-width character takes two columns. Two columns may cost no more than three bytes as
    HTML writes them, which bounds the letter whatever the text is made of. Never cuts between a
    character and what combines with it. Looks at the first 1,000 characters only.
    """
    cut = len(text) > _LOOKED_AT
    text = inert(text[:_LOOKED_AT])
    if not cut and _MOST_BYTES * 2 * len(text) <= 3 * columns:  # whatever it is made of
        return text
    fits = _fitting(text, columns)
    if fits == len(text) and not cut:
        return text
    end = _fitting(text, columns - 2)  # "…" takes two
    while 0 < end < len(text) and _clings(text, end):
        end -= 1
    return text[:end].rstrip() + "…"


def wrap(line: str, columns: int = LINE) -> list[str]:
    """One line as several of at most `columns` columns, by the Japanese rules.

    Words of narrow letters stay whole where they fit; closing marks and small kana do not begin
    a line, opening brackets do not end one. Further lines are indented like the first.
    """
    if within(line, columns):
        return [line]
    lead = _INDENT.match(line)
    indent = lead.end() if lead else 0
    lines = [line[:indent]]
    for piece in _short_pieces(line[indent:], columns - indent):
        if not within(lines[-1] + piece.rstrip(), columns):
            lines.append(" " * indent)
        lines[-1] += piece
    return [made.rstrip() for made in lines]


def within(text: str, columns: int) -> bool:
    """Whether `text` fits into so many columns; the cheap answers first, as every line asks."""
    if text.isascii():
        return len(text) <= columns
    return 2 * len(text) <= columns or width(text) <= columns


_LOOKED_AT = 1000
_MOST_BYTES = 5  # of one character as HTML writes it: &#34;
_JOINERS = "\u200c\u200d"
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Cn", "Zl", "Zp"})
_OPENERS = "「『（([【〈《“‘"
_CLOSERS = "、。，．・：；？！」』）】〉》”’…‥％ー々ゝぁぃぅぇぉっゃゅょァィゥェォッャュョ"
_CLINGING = "\u3099\u309a\u200c\ufe00-\ufe0f\U0001f3fb-\U0001f3ff\U000e0100-\U000e01ef"
_PIECE = re.compile(
    f"[{re.escape(_OPENERS)}]*(?:[!-\u10ff]+|.)"  # a word of narrow letters, or one character
    f"(?:[{re.escape(_CLOSERS)}{_CLINGING}]|\u200d.?)* *"
)
_INDENT = re.compile(r" *(?:\d+\. )?")


def _visible(char: str) -> bool:
    return unicodedata.category(char) not in _UNSEEN


def _fitting(text: str, columns: int) -> int:
    """How many characters of `text` fit into `columns` columns and half as many bytes again."""
    if within(text, columns) and 2 * _bytes(text) <= 3 * columns:
        return len(text)
    taken = cost = 0
    for at, char in enumerate(text):
        taken += width(char)
        cost += _bytes(char)
        if taken > columns or 2 * cost > 3 * columns:
            return at
    return len(text)


def _bytes(text: str) -> int:
    return len(escape(text).encode())


def _clings(text: str, at: int) -> bool:
    """True when the character at `at` belongs to the one before it."""
    return (
        width(text[at]) == 0
        or text[at - 1] == "\u200d"
        or "\U0001f3fb" <= text[at] <= "\U0001f3ff"  # a skin tone
    )


def _short_pieces(text: str, columns: int) -> list[str]:
    """`text` as pieces that may each begin a line; a piece too long for any line is cut."""
    pieces: list[str] = []
    for piece in _PIECE.findall(text):
        rest = piece
        while width(rest.rstrip()) > columns:
            end = next(i for i in range(len(rest), 0, -1) if width(rest[:i]) <= columns)
            pieces.append(rest[:end])
            rest = rest[end:]
        pieces.append(rest)
    return pieces
