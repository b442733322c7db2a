"""Which days are workdays: weekends, public holidays, company closures, leave; and counting them.

A quiet room: everything it needs comes as an argument, nothing here asks for today's date.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum
from functools import cache, lru_cache

import holidays as holidays_library

DAY = timedelta(days=1)


class DayOff(StrEnum):
    """Why a date is no workday, in the order in which the reason is told."""

    ON_LEAVE = "on_leave"
    COMPANY_CLOSED = "company_closed"
    HOLIDAY = "holiday"
    WEEKEND = "weekend"


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Days from `first` to `last`, both included; `last` None means "until further notice"."""

    first: date
    last: date | None = None
    name: str = ""

    def covers(self, day: date) -> bool:
        """True when `day` lies in the span."""
        return self.first <= day and (self.last is None or day <= self.last)


@lru_cache(maxsize=256)
def public_holidays(country: str, year: int) -> Mapping[date, str]:
    """The public holidays of `country` (ISO 3166-1 alpha-2; "" = none) in `year`, with names.

    Source for Japan: 国民の祝日に関する法律, Article 3 (substitute holidays and the day between
    two holidays included), as kept by the `holidays` library.
    """
    if not country:
        return {}
    # Without a language the library names the days in that of the shell.
    language = "ja" if country == "JP" else None
    return dict(holidays_library.country_holidays(country, years=year, language=language))


@cache
def countries() -> tuple[str, ...]:
    """The countries (ISO 3166-1 alpha-2) whose public holidays are known, in order."""
    known = holidays_library.list_supported_countries(include_aliases=False)
    return tuple(sorted(code for code in known if len(code) == 2))


@dataclass(frozen=True, eq=False)
class Company:
    """The days that are the same for everybody with one weekend: weekend, holidays, closures."""

    weekend: frozenset[int]  # date.weekday(): Monday 0 to Sunday 6
    country: str = "JP"
    closures: tuple[Span, ...] = ()
    _years: dict[int, list[int]] = field(default_factory=dict, repr=False)

    def day_off(self, day: date) -> DayOff | None:
        """Why the company does not work on `day`, or None on a workday."""
        if any(span.covers(day) for span in self.closures):
            return DayOff.COMPANY_CLOSED
        if day in public_holidays(self.country, day.year):
            return DayOff.HOLIDAY
        if day.weekday() in self.weekend:
            return DayOff.WEEKEND
        return None

    def name_of(self, day: date) -> str:
        """What the day off is called: a closure's or a holiday's name, else ""."""
        for span in self.closures:
            if span.covers(day):
                return span.name
        return public_holidays(self.country, day.year).get(day, "")

    def workdays(self, after: date, through: date) -> int:
        """How many workdays lie after `after`, up to and including `through`."""
        if through <= after:
            return 0
        total = 0
        for year in range(after.year, through.year + 1):
            days = self._workdays_of_year(year)
            total += bisect_right(days, through.toordinal())
            total -= bisect_right(days, after.toordinal())
        return total

    def _workdays_of_year(self, year: int) -> list[int]:
        # Counting is asked for each task of each member: a sorted list and two look-ups a year
        # keep that cheap however long somebody has been silent.
        days = self._years.get(year)
        if days is None:
            first, last = date(year, 1, 1).toordinal(), date(year, 12, 31).toordinal()
            every = (date.fromordinal(n) for n in range(first, last + 1))
            days = [day.toordinal() for day in every if self.day_off(day) is None]
            self._years[year] = days
        return days


@dataclass(frozen=True, slots=True)
class Calendar:
    """One member's days: the company's, and the member's own leave (merged, see `merge`)."""

    company: Company
    leave: tuple[Span, ...] = ()

    def day_off(self, day: date) -> DayOff | None:
        """Why `day` is no workday of this member, or None on a workday."""
        if any(span.covers(day) for span in self.leave):
            return DayOff.ON_LEAVE
        return self.company.day_off(day)

    def is_workday(self, day: date) -> bool:
        """True when the member works on `day`."""
        return self.day_off(day) is None

    def workdays(self, after: date, through: date) -> int:
        """How many of the member's workdays lie after `after`, up to and including `through`."""
        total = self.company.workdays(after, through)
        for span in self.leave:
            first = max(span.first - DAY, after)
            last = through if span.last is None else min(span.last, through)
            total -= self.company.workdays(first, last)
        return total


def merge(spans: Iterable[Span]) -> tuple[Span, ...]:
    """The same days as `spans`, as spans that neither overlap nor touch, in order."""
    merged: list[Span] = []
    for span in sorted(spans, key=lambda one: one.first):
        before = merged[-1] if merged else None
        if before is None or (before.last is not None and before.last + DAY < span.first):
            merged.append(span)
        elif before.last is not None and (span.last is None or span.last > before.last):
            merged[-1] = Span(before.first, span.last, before.name)
    return tuple(merged)


def unite(spans: Iterable[Span]) -> list[Span]:
    """Overlapping spans as one, named after the earliest and longest; neighbours stay two."""
    united: list[Span] = []
    for span in sorted(spans, key=lambda one: (one.first, -(one.last or date.max).toordinal())):
        if united and united[-1].covers(span.first):
            whole = united[-1]
            ends = [end for end in (whole.last, span.last) if end is not None]
            last = max(ends) if len(ends) == 2 else None
            united[-1] = Span(whole.first, last, whole.name)
        else:
            united.append(span)
    return united


def move_by_workdays(company: Company, day: date, anchor: date, target: date) -> date:
    """Where `day` lies when the workday `anchor` is moved to the workday `target`.

    The workday n workdays from `anchor` becomes the workday n workdays from `target`; a day off
    goes with the workday before it.
    """
    while company.day_off(day) is not None:
        day -= DAY
    steps = company.workdays(anchor, day) - company.workdays(day, anchor)
    direction = DAY if steps > 0 else -DAY
    while steps:
        target += direction
        if company.day_off(target) is None:
            steps -= direction.days
    return target


def workday_on_or_after(company: Company, day: date) -> date:
    """`day`, or the next day on which the company works."""
    while company.day_off(day) is not None:
        day += DAY
    return day
