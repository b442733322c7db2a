"""PURE. What people type about a week and its holidays -> a value, or UnusableValue."""

import re

from app.people import choices
from app.refused import UnusableValue
from app.rules.workdays import regions
from app.util.parse import narrow, shown, similar

WEEKDAYS = tuple(one.value for one in choices.WEEKDAY.words)  # Monday 0, as date.weekday()
NONE = "none"  # no weekend at all, no public holidays
_NONE = {NONE, "なし"}
_SHORT_DAYS = re.compile("[月火水木金土日]{1,7}")
_BETWEEN = re.compile(r" *[,、・/] *")
_LONGEST = 200  # characters of seven weekdays, however they are written


def parse_weekday(text: str) -> int:
    """The number of "mon", "月", "Monday". Raises UnusableValue."""
    return WEEKDAYS.index(choices.WEEKDAY.read(text))


def parse_weekend(text: str) -> str:
    """ "sat,sun" or "土日" in the order of the week; "" for none. A week needs a workday.

    Raises UnusableValue.
    """
    plain = narrow(text)
    if plain.lower() in _NONE:
        return ""
    words = plain if _SHORT_DAYS.fullmatch(plain) else _BETWEEN.split(plain[:_LONGEST])
    days = {choices.WEEKDAY.read(word) for word in words}
    if len(days) == len(WEEKDAYS):
        raise UnusableValue(
            "すべての曜日を休みにはできません。sat,sun のように書いてください。",
            "A week needs a workday. Write it like sat,sun.",
        )
    return ",".join(day for day in WEEKDAYS if day in days)


def parse_region(text: str) -> str:
    """Whose public holidays: "JP", "GB-ENG" in whatever case, "日本"; "" for none.

    Raises UnusableValue.
    """
    plain = narrow(text).lower()
    known = {"日本": "JP"} | dict.fromkeys(_NONE, "") | {one.lower(): one for one in regions()}
    if plain in known:
        return known[plain]
    close = similar(text.upper()[:20], sorted(regions())) or ["JP"]
    raise UnusableValue(
        f"「{shown(text)}」の祝日は分かりません。{close[0]} のような国の2文字(地域まで書くなら "
        f"GB-ENG、DE-BY の形)か、{NONE}(祝日も働く)を書いてください。",
        f'There are no holidays known for "{shown(text)}". Write a country\'s two letters '
        f"like {close[0]}, with a region as in GB-ENG or DE-BY, or {NONE} (holidays are "
        "workdays).",
    )
