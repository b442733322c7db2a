"""PURE. What people type about a week and its holidays -> a value, or UnusableValue."""

from app.refused import UnusableValue
from app.rules.workdays import regions
from app.util.parse import parse_choice, shown, similar

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")  # Monday 0, as date.weekday()
NONE = "none"  # no weekend at all, no public holidays


def parse_weekday(text: str) -> int:
    """The number of "mon". Raises UnusableValue."""
    return WEEKDAYS.index(parse_choice(text, WEEKDAYS))


def parse_weekend(text: str) -> str:
    """ "sat,sun" in the order of the week; "" for none. A week needs a workday.

    Raises UnusableValue.
    """
    if text == NONE:
        return ""
    days = {parse_choice(word, WEEKDAYS) for word in text.split(",")}
    if len(days) == len(WEEKDAYS):
        raise UnusableValue(
            "すべての曜日を休みにはできません。sat,sun のように書いてください。",
            "A week needs a workday. Write it like sat,sun.",
        )
    return ",".join(day for day in WEEKDAYS if day in days)


def parse_region(text: str) -> str:
    """Whose public holidays: "JP", "GB-ENG" in whatever case; "" for none.

    Raises UnusableValue.
    """
    if text.lower() == NONE:
        return ""
    known = {region.lower(): region for region in regions()}
    if text.lower() in known:
        return known[text.lower()]
    close = similar(text.upper()[:20], sorted(regions())) or ["JP"]
    raise UnusableValue(
        f"「{shown(text)}」の祝日は分かりません。{close[0]} のような国の2文字(地域まで書くなら "
        f"GB-ENG、DE-BY の形)か、{NONE}(祝日も働く)を書いてください。",
        f'There are no holidays known for "{shown(text)}". Write a country\'s two letters '
        f"like {close[0]}, with a region as in GB-ENG or DE-BY, or {NONE} (holidays are "
        "workdays).",
    )
