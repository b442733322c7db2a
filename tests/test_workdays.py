"""Which days are workdays in Japan, at a company, and for one member."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.rules.workdays import (
    DAY,
    Calendar,
    Company,
    DayOff,
    Span,
    lawful_workdays,
    merge,
    move_by_workdays,
    public_holidays,
    regions,
    unite,
    week_begins,
    week_of,
    workday_on_or_after,
)

WEEKEND = frozenset({5, 6})
JAPAN = Company(WEEKEND, "JP")
NEW_YEAR = Span(date(2026, 12, 29), date(2027, 1, 3), "年末年始休業")
days = st.dates(date(2025, 1, 1), date(2028, 12, 31))


@pytest.mark.parametrize(
    ("day", "name"),
    [
        (date(2026, 5, 6), "振替休日"),  # 5-03 was a Sunday, 5-04 and 5-05 are holidays themselves
        (date(2026, 9, 22), "国民の休日"),  # between 敬老の日 and 秋分の日
        (date(2026, 11, 23), "勤労感謝の日"),
        (date(2027, 3, 22), "振替休日"),
    ],
)
def test_substitute_holidays_are_holidays_with_their_japanese_names(day: date, name: str) -> None:
    assert JAPAN.day_off(day) is DayOff.HOLIDAY
    assert name in JAPAN.name_of(day)


def test_holiday_names_do_not_depend_on_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGUAGE", "en_US")
    public_holidays.cache_clear()
    assert public_holidays("JP", 2026)[date(2026, 11, 3)] == "文化の日"


def test_silver_week_2026_has_no_workday_between_saturday_and_wednesday() -> None:
    week = [date(2026, 9, 19) + timedelta(days=n) for n in range(6)]
    assert [JAPAN.day_off(day) for day in week] == [
        DayOff.WEEKEND,
        DayOff.WEEKEND,
        DayOff.HOLIDAY,
        DayOff.HOLIDAY,
        DayOff.HOLIDAY,
        None,
    ]


def test_a_sunday_that_is_a_holiday_is_told_as_a_holiday() -> None:
    assert JAPAN.day_off(date(2026, 5, 3)) is DayOff.HOLIDAY


def test_golden_week_2026_has_four_workdays() -> None:
    assert JAPAN.workdays(date(2026, 4, 28), date(2026, 5, 8)) == 4  # 4-30, 5-01, 5-07, 5-08


def test_the_new_year_closure_stands_above_holidays_and_weekends() -> None:
    company = Company(WEEKEND, "JP", (NEW_YEAR,))
    assert company.day_off(date(2027, 1, 1)) is DayOff.COMPANY_CLOSED
    assert company.name_of(date(2027, 1, 1)) == "年末年始休業"
    assert company.workdays(date(2026, 12, 28), date(2027, 1, 4)) == 1


def test_leave_is_told_before_every_other_reason() -> None:
    calendar = Calendar(Company(WEEKEND, "JP", (NEW_YEAR,)), (Span(date(2026, 12, 30), None),))
    assert calendar.day_off(date(2027, 1, 1)) is DayOff.ON_LEAVE


def test_no_country_means_no_public_holidays() -> None:
    assert Company(WEEKEND, "").day_off(date(2026, 11, 23)) is None


def test_leave_does_not_count_as_workdays() -> None:
    calendar = Calendar(JAPAN, (Span(date(2026, 11, 24), date(2026, 11, 26)),))
    assert calendar.workdays(date(2026, 11, 20), date(2026, 11, 27)) == 1


# --- extra workdays -------------------------------------------------------------------------------

SATURDAY = date(2026, 12, 5)


def test_a_working_saturday_is_a_workday_and_counts() -> None:
    company = Company(WEEKEND, "JP", extra=(Span(SATURDAY, SATURDAY, "土曜出勤日"),))
    assert company.day_off(SATURDAY) is None
    assert company.day_off(SATURDAY + DAY) is DayOff.WEEKEND
    assert company.workdays(date(2026, 12, 4), date(2026, 12, 7)) == 2


def test_an_extra_workday_stands_above_a_holiday_and_a_closure_above_it() -> None:
    holiday = date(2026, 11, 23)
    works = Company(WEEKEND, "JP", extra=(Span(holiday, holiday),))
    assert works.day_off(holiday) is None
    closed = Company(WEEKEND, "JP", (Span(holiday, holiday),), extra=(Span(holiday, holiday),))
    assert closed.day_off(holiday) is DayOff.COMPANY_CLOSED


def test_a_members_own_workday_stands_above_the_companys_closure_and_their_leave_above_all() -> (
    None
):
    new_year = Span(date(2026, 12, 30), date(2026, 12, 30), "当番")
    company = Company(WEEKEND, "JP", (NEW_YEAR,))
    on_duty = Calendar(company, extra=(new_year,))
    assert on_duty.is_workday(new_year.first)
    assert on_duty.workdays(date(2026, 12, 28), date(2027, 1, 4)) == 2  # 12-30 and 1-04
    away = Calendar(company, leave=(new_year,), extra=(new_year,))
    assert away.day_off(new_year.first) is DayOff.ON_LEAVE
    assert away.workdays(date(2026, 12, 28), date(2027, 1, 4)) == 1


# --- regions --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("region", "day", "off"),
    [
        ("GB-ENG", date(2026, 4, 6), True),  # Easter Monday: in London, not in Edinburgh
        ("GB-SCT", date(2026, 4, 6), False),
        ("DE-BY", date(2026, 6, 4), True),  # Fronleichnam: in Munich, not in Berlin
        ("DE-BE", date(2026, 6, 4), False),
        ("US-CA", date(2026, 3, 31), True),  # Cesar Chavez Day
        ("US", date(2026, 3, 31), False),
        ("JP", date(2026, 11, 23), True),
    ],
)
def test_a_region_has_holidays_of_its_own(region: str, day: date, off: bool) -> None:
    assert region in regions()
    assert (Company(WEEKEND, region).day_off(day) is DayOff.HOLIDAY) is off


@pytest.mark.parametrize(
    ("region", "day"),
    [("CN", date(2026, 2, 14)), ("CN", date(2026, 1, 4)), ("HU", date(2026, 8, 8))],
)
def test_a_weekend_day_that_the_law_makes_a_workday_is_one(region: str, day: date) -> None:
    assert day.weekday() in WEEKEND
    assert Company(WEEKEND, region).day_off(day) is None
    assert Company(WEEKEND, "JP").day_off(day) is DayOff.WEEKEND


def test_of_every_region_holidays_and_working_weekends_can_be_read() -> None:
    for region in regions():
        assert not set(public_holidays(region, 2026)) & lawful_workdays(region, 2026), region
        assert all(day.year == 2026 for day in lawful_workdays(region, 2026)), region


def test_an_unknown_region_is_none_of_those_that_are_known() -> None:
    assert {"JP", "GB", "GB-ENG", "DE-BY", "DE-Augsburg", "US-CA"} <= regions()
    assert not {"UK", "England", "GB-XX", "none", ""} & regions()


# --- the week -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weekend", "begins"),
    [
        ({5, 6}, 0),
        ({6}, 0),
        (set(), 0),
        ({4, 5}, 6),  # Friday and Saturday: Sunday
        ({4}, 5),
        ({5}, 6),
        ({3, 4}, 5),
        ({1, 2}, 3),  # Tuesday and Wednesday: Thursday
        ({2, 5, 6}, 0),  # the longer piece ends the week
        ({2, 6}, 0),  # of equal ones that which keeps Monday
    ],
)
def test_the_working_week_begins_on_the_first_workday_after_the_weekend(
    weekend: set[int], begins: int
) -> None:
    assert week_begins(frozenset(weekend)) == begins


@given(days, st.integers(0, 6))
def test_a_week_is_the_seven_days_around_a_day(day: date, begins: int) -> None:
    week = week_of(day, begins)
    assert week.covers(day)
    assert week.first.weekday() == begins
    assert week.last == week.first + 6 * DAY


spans = st.lists(st.tuples(days, st.integers(0, 40)), max_size=4).map(
    lambda some: merge(Span(first, first + timedelta(days=length)) for first, length in some)
)
weekends = st.sampled_from([WEEKEND, frozenset({4, 5}), frozenset({2}), frozenset()])
some_regions = st.sampled_from(["JP", "", "DE-BY", "GB-ENG", "US-CA", "CN", "HU"])


for_good = st.dates(date(2028, 1, 1), date(2028, 12, 31)).map(lambda first: (Span(first, None),))
companies = st.builds(Company, weekends, some_regions, st.just((NEW_YEAR,)), spans)


@given(days, days, st.builds(Calendar, companies, spans | for_good, spans))
def test_counting_agrees_with_looking_at_each_day(
    after: date, through: date, calendar: Calendar
) -> None:
    each = (after + timedelta(days=n) for n in range(1, (through - after).days + 1))
    assert calendar.workdays(after, through) == sum(calendar.is_workday(day) for day in each)


@given(st.lists(st.tuples(days, st.none() | st.integers(0, 30)), max_size=6), days)
def test_merging_keeps_the_days_and_leaves_no_overlap(
    given_spans: list[tuple[date, int | None]], day: date
) -> None:
    spans = [
        Span(first, None if length is None else first + timedelta(days=length))
        for first, length in given_spans
    ]
    merged = merge(spans)
    assert any(span.covers(day) for span in spans) == any(span.covers(day) for span in merged)
    assert sum(span.covers(day) for span in merged) <= 1


FIRST = date(2026, 12, 1)


def test_spans_that_touch_are_merged_for_counting_and_stay_two_for_people() -> None:
    one, other = Span(FIRST, FIRST + DAY, "帰省"), Span(FIRST + 2 * DAY, FIRST + 3 * DAY, "通院")
    assert merge([other, one]) == (Span(FIRST, FIRST + 3 * DAY, "帰省"),)
    assert unite([other, one]) == [one, other]


def test_spans_that_overlap_become_one_named_after_the_earliest_and_longest() -> None:
    short, long = Span(FIRST, FIRST + DAY, "通院"), Span(FIRST, FIRST + 4 * DAY, "帰省")
    later = Span(FIRST + 4 * DAY, FIRST + 6 * DAY, "出張")
    assert unite([later, short, long]) == [Span(FIRST, FIRST + 6 * DAY, "帰省")]
    assert unite([short, Span(FIRST + DAY, None, "休職")]) == [Span(FIRST, None, "通院")]


@given(st.integers(-40, 40), st.integers(0, 60))
def test_moving_by_workdays_keeps_the_distance_in_workdays(steps: int, target_in: int) -> None:
    anchor = date(2026, 11, 24)
    target = workday_on_or_after(JAPAN, anchor + timedelta(days=target_in))
    day = anchor
    while steps:
        day += timedelta(days=1 if steps > 0 else -1)
        if JAPAN.day_off(day) is None:
            steps += -1 if steps > 0 else 1
    moved = move_by_workdays(JAPAN, day, anchor, target)
    assert JAPAN.day_off(moved) is None
    assert JAPAN.workdays(anchor, day) == JAPAN.workdays(target, moved)
    assert JAPAN.workdays(day, anchor) == JAPAN.workdays(moved, target)
