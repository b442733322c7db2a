"""Which days are workdays in Japan, at a company, and for one member."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.workdays import (
    DAY,
    Calendar,
    Company,
    DayOff,
    Span,
    merge,
    move_by_workdays,
    public_holidays,
    unite,
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


@given(days, days, st.lists(st.tuples(days, st.integers(0, 40)), max_size=4))
def test_counting_agrees_with_looking_at_each_day(
    after: date, through: date, leave: list[tuple[date, int]]
) -> None:
    spans = merge(Span(first, first + timedelta(days=length)) for first, length in leave)
    calendar = Calendar(Company(WEEKEND, "JP", (NEW_YEAR,)), spans)
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
