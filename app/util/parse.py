"""PURE. Text a person typed -> a value, or UnusableValue, a sentence in both languages.

Used for the environment, and for what has one spelling: time zones, whole numbers, choices. Every
reader is strict: it never guesses, it names the nearest value it would take. Dates, times,
numbers and words that people write are read by app/util/dates_and_numbers.py.
"""

import re
import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches
from functools import cache
from zoneinfo import available_timezones

from app.refused import UnusableValue

# Characters of the longest single line that means anything. What only shorter text can be (an
# address, a date, a name in a list) is looked at no further: Unicode normalisation and the search
# for similar words take the square of the length, and int() refuses 4,300 digits by an exception.
MAX_LINE = 1_000
_MAX_WORD = 320  # of what is compared with a list: an address is the longest (RFC 5321 4.5.3.1)

_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
_DECIMAL = re.compile(r"[+-]?[0-9]{1,18}(?:\.[0-9]{1,18})?")
_TIME_ZONE_HABITS = {"jst": "Asia/Tokyo", "gmt+9": "Asia/Tokyo", "utc+9": "Asia/Tokyo"}
_NO_PLACES = frozenset({"localtime", "Factory"})  # files that lie among the time zones


def shown(text: str) -> str:
    """`text` as a message may quote it: at most 60 characters, control characters escaped."""
    short = text if len(text) <= 60 else text[:59] + "…"
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in short)


def narrow(text: str) -> str:
    """`text` with full-width letters and digits made narrow (NFKC), without blanks around it.

    What is too long to be one line of a form stays as it is: its reader refuses it.
    """
    return unicodedata.normalize("NFKC", text).strip() if len(text) <= MAX_LINE else text


def similar(text: str, known: Iterable[str], n: int = 1) -> list[str]:
    """At most `n` of `known` that look like `text`, the most similar first."""
    return get_close_matches(text, known, n=n) if len(text) <= _MAX_WORD else []


@cache
def time_zone_names() -> frozenset[str]:
    """Every IANA time zone name this machine knows."""
    return frozenset(available_timezones() - _NO_PLACES)


def parse_timezone(text: str) -> str:
    """An IANA time zone name, exactly as IANA spells it, such as Asia/Tokyo.

    Raises UnusableValue with the nearest name: "JST", "", "../../etc", "asia/tokyo".
    """
    if text in time_zone_names():
        return text
    near = _nearest_timezone(text)
    raise UnusableValue(
        f"「{shown(text)}」というタイムゾーンはありません。{near} ではありませんか。",
        f'There is no time zone "{shown(text)}". Did you mean {near}?',
    )


def _nearest_timezone(text: str) -> str:
    """The valid name that looks most like `text`; Asia/Tokyo where nothing does."""
    wanted = narrow(text).casefold().replace(" ", "_")
    if wanted in _TIME_ZONE_HABITS:
        return _TIME_ZONE_HABITS[wanted]
    names = {name.casefold(): name for name in sorted(time_zone_names())}
    places = {name.rsplit("/", 1)[-1]: full for name, full in names.items()}
    for known in (names, places):
        if wanted in known:
            return known[wanted]
    close = similar(wanted, names)
    return names[close[0]] if close else "Asia/Tokyo"


def parse_whole(text: str, low: int, high: int) -> int:
    """A whole number from `low` to `high`, in ASCII digits. Raises UnusableValue."""
    if _WHOLE.fullmatch(text) and low <= int(text) <= high:
        return int(text)
    raise UnusableValue(
        f"「{shown(text)}」は使えません。{low} から {high} までの整数を半角で書いてください。",
        f'"{shown(text)}" cannot be used. Write a whole number from {low} to {high}.',
    )


def parse_decimal(text: str, low: float, high: float) -> float:
    """A number above or equal `low`, up to `high`; no inf, no nan, no 1e9. UnusableValue."""
    if _DECIMAL.fullmatch(text) and low <= float(text) <= high:
        return float(text)
    raise UnusableValue(
        f"「{shown(text)}」は使えません。{low:g} から {high:g} までの数を半角で書いてください。",
        f'"{shown(text)}" cannot be used. Write a number from {low:g} to {high:g}.',
    )


def parse_choice(text: str, choices: tuple[str, ...]) -> str:
    """One of `choices`, spelt exactly so. Raises UnusableValue."""
    if text in choices:
        return text
    listed = " | ".join(choices)
    raise UnusableValue(
        f"「{shown(text)}」は使えません。{listed} のどれかを書いてください。",
        f'"{shown(text)}" cannot be used. Write one of {listed}.',
    )
