"""PURE. Which days are workdays: weekends, public holidays, closures, leave, extra workdays; counting them.

Everything it needs is an argument, today's date too.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum
from functools import cache, lru_cache

import holidays as holidays_library

DAY = timedelta(days=1)


def dates(first: date, last: date) -> Iterator[date]:
    """Each date from `first` to `last`, both included."""
    while first <= last:
        yield first
        first += DAY


class DayOff(StrEnum):
    """Why a date is no workday, in the order in which the reason is given."""

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


@lru_cache(maxsize=1024)
def public_holidays(region: str, year: int) -> Mapping[date, str]:
    """The public holidays of `region` (see `regions`; "" = none) in `year`, with names.

    Source for Japan: 国民の祝日に関する法律, Article 3 (substitute holidays and the day between
    two holidays included), as kept by the `holidays` library.
    """
    return dict(_of_law(region, year)) if region else {}


@lru_cache(maxsize=1024)
def lawful_workdays(region: str, year: int) -> frozenset[date]:
    """The weekend days of `year` that the law of `region` makes workdays, for a bridge day's sake.

    China, Hungary, Latvia, Taiwan and others publish them with their holidays.
    """
    if not region:
        return frozenset()
    # The library's set also holds some days of other years.
    return frozenset(day for day in _of_law(region, year).weekend_workdays if day.year == year)


def _of_law(region: str, year: int) -> holidays_library.HolidayBase:
    country, _, part = region.partition("-")
    return holidays_library.country_holidays(
        country, subdiv=part or None, years=year, language=_language(country)
    )


@cache
def _language(country: str) -> str | None:
    """The language of a country's holiday names: without one the library takes the shell's."""
    plain = holidays_library.country_holidays(country)
    if country == "JP" or "en_US" not in plain.supported_languages:
        return plain.default_language
    return "en_US"


@cache
def regions() -> frozenset[str]:
    """All whose public holidays are known: countries (ISO 3166-1 alpha-2, "GB"), and their parts.

    A part is the country, a hyphen and the part's code: ISO 3166-2 where it has one ("GB-ENG",
    "DE-BY", "US-CA"), else the library's name ("DE-Augsburg").
    """
    known = holidays_library.list_supported_countries(include_aliases=False)
    parts = (f"{country}-{part}" for country, some in known.items() for part in some)
    return frozenset([*known, *parts])


@dataclass(frozen=True, eq=False)
class Company:
    """The days that are the same for all members with one weekend and the holidays of one region.

    `extra` are workdays whatever the weekday or holiday (土曜出勤日); a closure stands above them.
    """

    weekend: frozenset[int]  # date.weekday(): Monday 0 to Sunday 6
    region: str = "JP"
    closures: tuple[Span, ...] = ()
    extra: tuple[Span, ...] = ()
    _years: dict[int, Sequence[int]] = field(default_factory=dict, repr=False)

    def day_off(self, day: date) -> DayOff | None:
        """Why the company does not work on `day`, or None on a workday."""
        if any(span.covers(day) for span in self.closures):
            return DayOff.COMPANY_CLOSED
        if any(span.covers(day) for span in self.extra):
            return None
        if day in public_holidays(self.region, day.year):
            return DayOff.HOLIDAY
        if day.weekday() in self.weekend and day not in lawful_workdays(self.region, day.year):
            return DayOff.WEEKEND
        return None

    def name_of(self, day: date) -> str:
        """What the day off is called: a closure's or a holiday's name, else ""."""
        for span in self.closures:
            if span.covers(day):
                return span.name
        return public_holidays(self.region, day.year).get(day, "")

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

    def _workdays_of_year(self, year: int) -> Sequence[int]:
        # Counting is asked for each task of each member: a sorted list and two look-ups a year
        # keep that cheap however long a member has been silent.
        days = self._years.get(year)
        if days is None:
            days = _workdays_of(self.weekend, self.region, self.closures, self.extra, year)
            self._years[year] = days
        return days


# Each call of a program makes its own Company, of what is stored now. The same days have the same
# workdays, so this remembers nothing that could become wrong.
@lru_cache(maxsize=256)
def _workdays_of(
    weekend: frozenset[int],
    region: str,
    closures: tuple[Span, ...],
    extra: tuple[Span, ...],
    year: int,
) -> tuple[int, ...]:
    company = Company(weekend, region, closures, extra)
    every = dates(date(year, 1, 1), date(year, 12, 31))
    return tuple(day.toordinal() for day in every if company.day_off(day) is None)


@dataclass(frozen=True, slots=True)
class Calendar:
    """One member's days: the company's, and the member's own leave and extra workdays.

    Both are merged (see `merge`). Leave stands above an extra workday, that above all else.
    """

    company: Company
    leave: tuple[Span, ...] = ()
    extra: tuple[Span, ...] = ()

    def day_off(self, day: date) -> DayOff | None:
        """Why `day` is no workday of this member, or None on a workday."""
        if self.on_leave(day):
            return DayOff.ON_LEAVE
        if any(span.covers(day) for span in self.extra):
            return None
        return self.company.day_off(day)

    def on_leave(self, day: date) -> bool:
        """True when `day` lies in the member's leave."""
        return any(span.covers(day) for span in self.leave)

    def is_workday(self, day: date) -> bool:
        """True when the member works on `day`."""
        return self.day_off(day) is None

    def next_workday(self, after: date) -> date | None:
        """The first workday after `after`; None where none comes within a year."""
        year = dates(after + DAY, after + 366 * DAY)
        return next((day for day in year if self.is_workday(day)), None)

    def workdays(self, after: date, through: date) -> int:
        """How many of the member's workdays lie after `after`, up to and including `through`."""
        asked = Span(after + DAY, through)
        total = self.company.workdays(after, through)
        for away in self.leave:
            total -= self._company_works(_overlap(asked, away))
        for extra in self.extra:
            within = _overlap(asked, extra)
            total += self._company_rests(within)
            total -= sum(self._company_rests(_overlap(within, away)) for away in self.leave)
        return total

    def _company_works(self, days: Span | None) -> int:
        return self.company.workdays(days.first - DAY, days.last) if days and days.last else 0

    def _company_rests(self, days: Span | None) -> int:
        if days is None or days.last is None:
            return 0
        return (days.last - days.first).days + 1 - self._company_works(days)


def _overlap(one: Span | None, other: Span) -> Span | None:
    """The days that are in both spans, or None."""
    if one is None:
        return None
    first = max(one.first, other.first)
    ends = [span.last for span in (one, other) if span.last is not None]
    last = min(ends) if ends else None
    return None if last is not None and last < first else Span(first, last)


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


def without(span: Span, days: Span) -> list[Span]:
    """What is left of `span` before and after `days`."""
    left = []
    if span.first < days.first:
        last = days.first - DAY if span.last is None else min(span.last, days.first - DAY)
        left.append(Span(span.first, last, span.name))
    if days.last is not None and (span.last is None or span.last > days.last):
        left.append(Span(max(span.first, days.last + DAY), span.last, span.name))
    return left


# --- the week ---------------------------------------------------------------------------


@cache
def week_begins(weekend: frozenset[int]) -> int:
    """The weekday on which the working week begins: the first workday after the weekend.

    Monday for Saturday and Sunday, for Sunday alone and for no weekend; Sunday for Friday and
    Saturday. Of a weekend in several pieces the longest ends the week; of equal ones that which
    keeps the week nearest to Monday.
    """
    runs = {day: _days_off_before(day, weekend) for day in range(7) if day not in weekend}
    return min(runs, key=lambda day: (-runs[day], day))


def _days_off_before(day: int, weekend: frozenset[int]) -> int:
    length = 0
    while (day - 1 - length) % 7 in weekend:
        length += 1
    return length


def week_of(day: date, begins: int = 0) -> Span:
    """The seven days around `day` that begin on the weekday `begins`: with Monday, the ISO week."""
    first = day - (day.weekday() - begins) % 7 * DAY
    return Span(first, first + 6 * DAY)
