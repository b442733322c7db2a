"""PURE. What people and spreadsheets write -> a date, a time, a number or one of a few words.

The one reader of such values in files, commands and pages. It takes every form that has one
meaning, and refuses with a sentence what has two (docs/decisions/0025): it never guesses.
"""

import re
from collections.abc import Iterable
from datetime import date, time, timedelta
from typing import NamedTuple

from app.locale import Both
from app.refused import UnusableValue
from app.util.parse import MAX_LINE, narrow, shown, similar

FIRST_DAY, LAST_DAY = date(1990, 1, 1), date(2199, 12, 31)  # beyond: a slip of the finger

# --- dates ------------------------------------------------------------------------------------

_LONGEST = 60  # characters of a date or time in whatever form
_YEAR_FIRST = re.compile(r"([0-9]{4})(?:([-/.])([0-9]{1,2})\2|年([0-9]{1,2})月)([0-9]{1,2})日?")
_EIGHT_DIGITS = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})")
_ERA = re.compile(
    r"([MTSHR]|明治|大正|昭和|平成|令和)\.?(元|[0-9]{1,2})"
    r"(?:([-/.])([0-9]{1,2})\3|年([0-9]{1,2})月)([0-9]{1,2})日?",
    re.IGNORECASE,
)
# The day before year 1 of each era, as a year, and its first day; each ends where the next begins.
_ERAS = {
    "M": (1867, date(1868, 1, 25)),
    "T": (1911, date(1912, 7, 30)),
    "S": (1925, date(1926, 12, 25)),
    "H": (1988, date(1989, 1, 8)),
    "R": (2018, date(2019, 5, 1)),
}
_ERA_LETTERS = {"明治": "M", "大正": "T", "昭和": "S", "平成": "H", "令和": "R"}
# Days since 1899-12-30 (ECMA-376 18.17.4.1). Of five digits: six could be a date without century.
_SERIAL = re.compile(r"([0-9]{5})(\.[0-9]{1,15})?")
_SERIAL_ZERO = date(1899, 12, 30)
_MIDNIGHT = re.compile(r"(?: +|T)0?0:00(?::00(?:\.0+)?)?")
_ANY_TIME = re.compile(r"(?: +|T)[0-9]{1,2}:[0-9]{2}.*")
_WEEKDAY = re.compile(r" *(?:\(([月火水木金土日])(?:曜日?)?\)|([月火水木金土日])曜日?)")
_WEEKDAYS = "月火水木金土日"
_NO_YEAR = re.compile(r"[0-9]{1,2}(?:[-/.][0-9]{1,2}|月[0-9]{1,2}日?)")
_YEAR_UNCLEAR = re.compile(r"[0-9]{1,2}([-/.])[0-9]{1,2}\1(?:[0-9]{2}|[0-9]{4})|[0-9]{6}")


def read_date(text: str) -> date:
    """A date as 2026-11-24, 2026/11/24, 2026年11月24日, 20261124, R8.11.24 or Excel's 46350.

    A weekday behind it must be that date's, a time 0:00. Raises UnusableValue; what lacks the
    year, or does not show which part is the year, is asked for it.
    """
    plain = re.sub(r" *([年月日]) *", r"\1", narrow(text)) if len(text) <= _LONGEST else ""
    day_text = _MIDNIGHT.sub("", plain) if _MIDNIGHT.search(plain) else plain
    if _ANY_TIME.search(day_text):
        raise UnusableValue(*_with_time(text))
    named = _WEEKDAY.search(day_text)
    day = _day(day_text[: named.start()] if named and named.end() == len(day_text) else day_text)
    if day is None:
        raise UnusableValue(*_no_date(text, day_text))
    if not FIRST_DAY <= day <= LAST_DAY:
        raise UnusableValue(
            f"「{shown(text)}」は範囲の外です。{FIRST_DAY} から {LAST_DAY} までの日を書いてください。",
            f'"{shown(text)}" is out of range. Write a day from {FIRST_DAY} to {LAST_DAY}.',
        )
    if named and (named[1] or named[2]) != _WEEKDAYS[day.weekday()]:
        raise UnusableValue(*_wrong_weekday(text, day))
    return day


def _day(text: str) -> date | None:
    """The date in one of the forms with one meaning; None for any other, or a day that is none."""
    if found := _ERA.fullmatch(text):
        return _of_era(found)
    if found := _YEAR_FIRST.fullmatch(text):
        return _valid(int(found[1]), found[3] or found[4], found[5])
    if found := _EIGHT_DIGITS.fullmatch(text):
        return _valid(int(found[1]), found[2], found[3])
    found = _SERIAL.fullmatch(text)
    if found is None or (found[2] and found[2].strip(".0")):
        return None
    return _SERIAL_ZERO + timedelta(days=int(found[1]))


def _valid(year: int, month: str, day: str) -> date | None:
    try:
        return date(year, int(month), int(day))
    except ValueError:
        return None


def _of_era(found: re.Match[str]) -> date | None:
    """The date of a Japanese era; UnusableValue where the era had ended, or not begun."""
    letter = _ERA_LETTERS.get(found[1], found[1].upper())
    year = 1 if found[2] == "元" else int(found[2])
    day = _valid(_ERAS[letter][0] + year, found[4] or found[5], found[6]) if year else None
    if day is None:
        return None
    begun = [name for name, (_, first) in _ERAS.items() if first <= day]
    if letter not in begun[-1:]:
        raise UnusableValue(
            f"「{shown(found[0])}」は、その元号にない日です。{day} のように西暦で書いてください。",
            f'"{shown(found[0])}" is not in that era. Write the western year, like {day}.',
        )
    return day


def _no_date(text: str, plain: str) -> Both:
    """Why it is no date: the year is missing, it does not show which part is the year, or else."""
    quoted = shown(text)
    if _NO_YEAR.fullmatch(plain):
        return Both(
            f"「{quoted}」には年がありません。2026/11/24 のように、年から書いてください。",
            f'"{quoted}" has no year. Write the year too, first, like 2026-11-24.',
        )
    if _YEAR_UNCLEAR.fullmatch(plain):
        return Both(
            f"「{quoted}」は、どれが年か分かりません。2026/11/24 のように、4桁の年から書いてください。",
            f'"{quoted}" does not show which part is the year. Write four digits of it first, '
            "like 2026-11-24.",
        )
    if (serial := _SERIAL.fullmatch(plain)) and serial[2]:
        return _with_time(text)
    return Both(
        f"「{quoted}」は日付として読めません。2026-11-24 のように、実在する日を書いてください。",
        f'"{quoted}" is not a date. Write a day that exists, like 2026-11-24.',
    )


def _wrong_weekday(text: str, day: date) -> Both:
    own = _WEEKDAYS[day.weekday()]
    return Both(
        f"「{shown(text)}」の曜日が日付と合いません。{day} は{own}曜日です。どちらかを直してください。",
        f'"{shown(text)}": the weekday does not fit, {day} is a {day:%A}. Mend one of them.',
    )


def _with_time(text: str) -> Both:
    return Both(
        f"「{shown(text)}」には時刻が付いています。2026-11-24 のように、日付だけを書いてください。",
        f'"{shown(text)}" has a time of day. Write the date alone, like 2026-11-24.',
    )


# --- times ------------------------------------------------------------------------------------

_CLOCK = re.compile(
    r"(?:(AM|PM|午前|午後) ?)?([0-9]{1,2}):([0-9]{2})(?::00(?:\.0+)?)?(?: ?(AM|PM))?", re.IGNORECASE
)
_HOURS = re.compile(r"(午前|午後)? ?([0-9]{1,2}) ?時(?: ?([0-9]{1,2}) ?分| ?(半))?")
_FRACTION = re.compile(r"0?\.[0-9]{1,18}")  # of a day, as Excel stores a time
_DAY = 24 * 60 * 60


def read_time(text: str) -> time:
    """A time of day as 9:00, 09:00:00, 9時, 9時30分, 午後3:00, 3:00 PM or Excel's 0.375.

    Raises UnusableValue with the nearest time that would be taken: "25:00", "9:5".
    """
    plain = narrow(text) if len(text) <= _LONGEST else ""
    minutes = _minutes(plain)
    if minutes is not None:
        return time(*divmod(minutes, 60))
    near = _nearest_time(text)
    raise UnusableValue(
        f"「{shown(text)}」は時刻として読めません。{near} のように、時と分で書いてください。",
        f'"{shown(text)}" is not a time. Write hours and minutes, for example {near}.',
    )


def _minutes(text: str) -> int | None:
    if found := _CLOCK.fullmatch(text):
        hour = _of_24(int(found[2]), (found[1] or found[4] or "").upper())
        twice = found[1] and found[4]
        return None if hour is None or twice else _minute_of_day(hour, int(found[3]))
    if found := _HOURS.fullmatch(text):
        hour = _of_24(int(found[2]), found[1] or "")
        minute = 30 if found[4] else int(found[3] or 0)
        return None if hour is None else _minute_of_day(hour, minute)
    if _FRACTION.fullmatch(text):
        minute, rest = divmod(round(float(text) * _DAY), 60)
        return minute if not rest and minute < 24 * 60 else None
    return None


def _minute_of_day(hour: int, minute: int) -> int | None:
    return hour * 60 + minute if hour < 24 and minute < 60 else None


def _of_24(hour: int, half: str) -> int | None:
    """The hour of a day of 24; None where the half does not go with it (午後12時 may be two)."""
    if not half:
        return hour
    if half in {"AM", "PM"}:
        return hour % 12 + (12 if half == "PM" else 0) if 1 <= hour <= 12 else None
    return hour + (12 if half == "午後" else 0) if hour < 12 else None


def _nearest_time(text: str) -> str:
    """The valid HH:MM nearest to what was meant; 09:00 where nothing can be made out."""
    found = re.search(r"([0-9]{1,2})(?::([0-9]{1,2}))?", narrow(text[:MAX_LINE]))
    if found is None:
        return "09:00"
    return f"{min(int(found[1]), 23):02}:{min(int(found[2] or 0), 59):02}"


# --- numbers and words ------------------------------------------------------------------------

_NUMBER = re.compile(r"([+-]?[0-9]{1,18})(?:\.0{1,15})?")


def read_whole(text: str, low: int, high: int, *, percent: bool = False) -> int:
    """A whole number from `low` to `high`: 80, 80.0, ８０; with `percent` also 80%.

    Raises UnusableValue.
    """
    plain = narrow(text)
    found = _NUMBER.fullmatch(plain.removesuffix("%").rstrip() if percent else plain)
    if found and low <= int(found[1]) <= high:
        return int(found[1])
    raise UnusableValue(
        f"「{shown(text)}」は使えません。{low} から {high} までの整数を書いてください。",
        f'"{shown(text)}" cannot be used. Write a whole number from {low} to {high}.',
    )


def read_percent(text: str) -> int:
    """A whole number from 0 to 100: 80, 80.0, 80%, ８０. Raises UnusableValue."""
    return read_whole(text, 0, 100, percent=True)


def squeezed(text: str) -> str:
    """`text` as words and headings are compared: half-width, one case, no blanks, no - and _."""
    return re.sub(r"[\s_-]+", "", narrow(text)).casefold()


class Word(NamedTuple):
    """One value of a few: how it is stored, what people call it, and what else means it."""

    value: str
    name: Both
    also: tuple[str, ...] = ()


class Words:
    """A few values, each with the words for it in both languages."""

    def __init__(self, *words: Word) -> None:
        self.words = words
        self._values = {
            text: word.value
            for word in words
            for said in (word.value, *word.name, *word.also)
            for text in (said, squeezed(said))
        }

    def read(self, text: str) -> str:
        """The value that `text` names. Raises UnusableValue with all of them."""
        value = self._values.get(text) or self._values.get(squeezed(text))
        if value is not None:
            return value
        close = similar(squeezed(text), self._values)
        near = self._values[close[0]] if close else None
        ja = " | ".join(f"{one.value}({one.name.ja})" for one in self.words)
        en = " | ".join(one.value for one in self.words)
        raise UnusableValue(
            f"「{shown(text)}」は使えません。{f'{near} ではありませんか。' if near else ''}"
            f"次のどれかを書いてください: {ja}",
            f'"{shown(text)}" cannot be used. {f"Did you mean {near}? " if near else ""}'
            f"Write one of {en}.",
        )

    def name(self, value: str) -> Both:
        """What people call a value; of an unknown one, itself."""
        return next((one.name for one in self.words if one.value == value), Both(value, value))


YES_NO = Words(
    Word("yes", Both("はい", "Yes"), ("true", "有効", "する", "送る", "使う", "y", "on")),
    Word(
        "no", Both("いいえ", "No"), ("false", "無効", "しない", "送らない", "使わない", "n", "off")
    ),
)


def read_yes(text: str) -> bool:
    """True for yes, TRUE, はい, 有効; False for no, FALSE, いいえ, 無効. Raises UnusableValue."""
    return YES_NO.read(text) == "yes"


def written_as(value: object) -> str:
    """A value as a file of ours and a command have it: the other way round of reading."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value.isoformat("minutes") if isinstance(value, time) else str(value)


def is_hidden(text: str, value: object) -> bool:
    """Whether a person cannot see `value` in the `text` it was read from: 46350, R8.11.24, 0.375."""
    if isinstance(value, date):
        return str(value.year) not in narrow(text)
    return isinstance(value, time) and value.hour not in _numbers(text)


def _numbers(text: str) -> Iterable[int]:
    whole = re.split(r"[:時]", narrow(text))[0]
    return {int(one) for one in re.findall(r"[0-9]{1,2}", whole)} if "." not in whole else set()
