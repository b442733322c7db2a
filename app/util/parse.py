"""PURE. Text a person typed -> a value, or UnusableValue, a sentence in both languages.

Used wherever such text comes in: the environment, imported files, the settings page. Every
reader is strict: it never guesses, it names the nearest value it would take.
"""

import math
import re
import unicodedata
from collections.abc import Iterable
from datetime import time
from difflib import get_close_matches
from functools import cache
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit
from zoneinfo import available_timezones

from app.refused import UnusableValue

REDIS_SCHEMES = ("redis", "rediss", "redis+socket")

# Characters of the longest single line that means anything. What only shorter text can be (an
# address, a date, a name in a list) is looked at no further: Unicode normalisation and the search
# for similar words take the square of the length, and int() refuses 4,300 digits by an exception.
MAX_LINE = 1_000
_MAX_WORD = 320  # of what is compared with a list: an address is the longest (RFC 5321 4.5.3.1)

_TIME = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]")
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


def parse_time(text: str) -> time:
    """A time of day written HH:MM (24 hours, ASCII digits, both parts with two of them).

    Raises UnusableValue with the nearest time that would be taken: "25:00", "9:5", "９：００".
    """
    if _TIME.fullmatch(text):
        return time(int(text[:2]), int(text[3:]))
    near = _nearest_time(text)
    raise UnusableValue(
        f"「{shown(text)}」は時刻として読めません。半角の HH:MM で、たとえば {near} のように"
        "書いてください。",
        f'"{shown(text)}" is not a time. Write HH:MM in plain digits, for example {near}.',
    )


def _nearest_time(text: str) -> str:
    """The valid HH:MM nearest to what was meant; 09:00 where nothing can be made out."""
    found = re.search(r"([0-9]{1,2})(?::([0-9]{1,2}))?", narrow(text[:MAX_LINE]))
    if found is None:
        return "09:00"
    return f"{min(int(found[1]), 23):02}:{min(int(found[2] or 0), 59):02}"


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
    if _DECIMAL.fullmatch(text) and math.isfinite(float(text)) and low <= float(text) <= high:
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


def mask_url(url: str) -> str:
    """`url` without user name and password, also where they break its grammar."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return "***"
    if "@" in rest:
        rest = "***@" + rest.rpartition("@")[2]
    elif not re.fullmatch(r"[^:/?#]*(?::[0-9]+)?(?:[/?].*)?", rest):
        rest = "***"  # perhaps a password whose @ was forgotten
    rest = rest.replace("%2C", ",")  # as SQLAlchemy writes several hosts
    rest = re.sub(r"((?:password|token|key)=)[^&#]*", r"\1***", rest, flags=re.IGNORECASE)
    return shown(f"{scheme}://{rest}")


def parse_web_url(text: str) -> str:
    """An http or https address without user, query and fragment; returned without a last slash.

    A host in other letters is returned as its A-label (RFC 5890), as browsers name it in Host.
    Raises UnusableValue.
    """
    parts = _split(text)
    host = _wire_host(parts.hostname) if parts and parts.hostname else None
    if (
        parts is None
        or host is None
        or parts.scheme not in {"http", "https"}
        or any(c in text for c in "@?# ")
    ):
        raise UnusableValue(
            f"「{mask_url(text)}」は使えません。https://progress.example.jp の形で書いてください。",
            f'"{mask_url(text)}" cannot be used. Write it like https://progress.example.jp.',
        )
    if host != parts.hostname:
        port = f":{parts.port}" if parts.port else ""
        text = parts._replace(netloc=f"{host}{port}").geturl()
    return text.rstrip("/")


def _wire_host(host: str) -> str | None:
    """The host in ASCII; None where a label is empty or longer than 63 letters (RFC 1035, 2.3.4)."""
    try:
        return host.encode("idna").decode("ascii")
    except UnicodeError:
        return None


def parse_redis_url(text: str) -> str:
    """The URL of a Redis: redis://, rediss:// (certificate verified) or redis+socket://.

    A rediss:// without ssl_cert_reqs gets ssl_cert_reqs=required: kombu would verify nothing,
    Celery's result backend would stop. Raises UnusableValue; no message holds a password.
    """
    scheme = text.partition("://")[0]
    if "://" not in text or scheme not in REDIS_SCHEMES:
        raise _bad_redis(
            text,
            "redis:// か rediss:// か redis+socket:// で始めてください",
            "start it with redis://, rediss:// or redis+socket://",
        )
    if "#" in text or text.count("@") > 1:
        raise _bad_redis(
            text,
            "パスワードの中の @ は %40、# は %23 と書いてください",
            "write @ in a password as %40 and # as %23",
        )
    parts = _split(text)
    well_formed = parts is not None and (
        bool(parts.path) if scheme == "redis+socket" else _names_a_server(parts)
    )
    if parts is None or not well_formed:
        raise _bad_redis(
            text,
            "redis://:パスワード@ホスト:6379/0 の形で書いてください。パスワードの中の記号は % で"
            "表してください(@ は %40、/ は %2F)",
            "write it like redis://:password@host:6379/0, with signs in the password as % codes "
            "(@ is %40, / is %2F)",
        )
    query = dict(parse_qsl(parts.query))
    if scheme == "rediss" and "ssl_cert_reqs" not in query:
        query["ssl_cert_reqs"] = "required"
        return parts._replace(query=urlencode(query)).geturl()
    return text


def _names_a_server(parts: SplitResult) -> bool:
    return bool(parts.hostname) and bool(re.fullmatch(r"/?|/[0-9]{1,3}", parts.path))


def _bad_redis(text: str, ja: str, en: str) -> UnusableValue:
    shape = mask_url(text)
    return UnusableValue(f"「{shape}」は使えません。{ja}。", f'"{shape}" cannot be used: {en}.')


def _split(text: str) -> SplitResult | None:
    """The parts of a URL, or None where host or port make no sense."""
    try:
        parts = urlsplit(text)
        if parts.port == 0 or re.search(r"\s", text):
            return None
    except ValueError:
        return None
    return parts
