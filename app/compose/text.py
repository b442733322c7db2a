"""PURE. Text in letters: dates, headers, and what people wrote shown as data."""

import re
import unicodedata
from datetime import date
from functools import lru_cache
from typing import Literal

from markupsafe import escape

from app.compose.line_breaking import clings, within
from app.locale import Both
from app.mime.headers import emoji, width

Locale = Literal["ja", "en"]

WEEKDAYS = tuple(map(Both, "月火水木金土日", ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")))
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
        return f"{year}{day.month}月{day.day}日({WEEKDAYS[day.weekday()].ja})"
    year = f" {day.year}" if with_year else ""
    return f"{WEEKDAYS[day.weekday()].en} {day.day} {_MONTHS[day.month - 1]}{year}"


def date_words(day: date, with_year: bool = True) -> Both:
    """The same in both languages, for sentences that are said in either."""
    return Both(show_date(day, "ja", with_year), show_date(day, "en", with_year))


def inert(text: str) -> str:
    """`text` on one line, with only what can be seen.

    White space of any kind becomes one space. Control characters, lone surrogates, unassigned
    characters and invisible format characters (zero-width spaces, marks that turn the writing
    direction) are dropped; the two joiners stay, because emoji and some scripts need them. What is
    written of parts (か and ゛, as a Mac names files) is put together, kanji variants stay as they are.
    """
    text = composed(text)
    if not text.isprintable():
        spaced = (" " if c.isspace() else c for c in text)
        text = "".join(c for c in spaced if c in _JOINERS or _visible(c)).strip(_JOINERS + " ")
    return " ".join(text.split())


def composed(text: str) -> str:
    """`text` in Unicode's form NFC, but each kanji as it was written."""
    if _WHOLE(text) or unicodedata.is_normalized("NFC", text):
        return text
    return _COMPOSABLE.sub(lambda found: unicodedata.normalize("NFC", found.group()), text)


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
    while 0 < end < len(text) and clings(text, end):
        end -= 1
    return text[:end].rstrip() + "…"


# Letters of which NFC makes nothing else, alone or together; asked for each text of each mail.
_WHOLE = re.compile("[ -\u02ff\u3000-\u3029\u3030-\u3098\u309b-\ua66e\uff01-\uffef]*").fullmatch
# All but the compatibility kanji, of which NFC would make others: 神 and 福 in a person's name. In
# pieces, as the time of one grows with its square; each ends before a whole character where it can.
_ONE = "[^\uf900-\ufaff\U0002f800-\U0002fa1f]{1,200}"
_COMPOSABLE = re.compile(f"{_ONE}(?![\u0300-\u036f\u1160-\u11ff\u3099\u309a])|{_ONE}")
_LOOKED_AT = 1000
_MOST_BYTES = 5  # of one character as HTML writes it: &#34;
_JOINERS = "\u200c\u200d"
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Cn", "Zl", "Zp"})


def _visible(char: str) -> bool:
    return unicodedata.category(char) not in _UNSEEN or emoji(char)


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
