"""Dates, times, numbers and words as people and spreadsheets write them: taken, or refused why."""

from collections.abc import Callable
from datetime import date, time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.locale import Both
from app.people import choices
from app.people.file_records import read_ref, ref_key
from app.people.weekend_and_region import parse_region, parse_weekday, parse_weekend
from app.refused import UnusableValue
from app.util import dates_and_numbers

DAY = date(2026, 11, 24)


@pytest.mark.parametrize(
    "typed",
    [
        "2026-11-24",
        "2026/11/24",
        "2026.11.24",
        "2026年11月24日",
        "2026 年 11 月 24 日",
        "20261124",
        "２０２６／１１／２４",
        "２０２６年１１月２４日",
        "R8.11.24",
        "r8/11/24",
        "Ｒ８．１１．２４",
        "令和8年11月24日",
        "㋿8年11月24日",
        "46350",
        "46350.0",
        "2026/11/24 0:00",
        "2026-11-24T00:00:00",
        "2026年11月24日(火)",
        "2026-11-24 火曜日",
    ],
)
def test_a_date_is_taken_in_every_form_with_one_meaning(typed: str) -> None:
    assert dates_and_numbers.read_date(typed) == DAY


@pytest.mark.parametrize(
    ("typed", "day"),
    [
        ("2026/1/4", date(2026, 1, 4)),
        ("H31.4.30", date(2019, 4, 30)),
        ("令和元年5月1日", date(2019, 5, 1)),
        ("R1.5.1", date(2019, 5, 1)),
        ("32874", date(1990, 1, 1)),
    ],
)
def test_months_days_and_years_need_no_zeros(typed: str, day: date) -> None:
    assert dates_and_numbers.read_date(typed) == day


def refusal(read: Callable[[str], object], typed: str) -> Both:
    with pytest.raises(UnusableValue) as refused:
        read(typed)
    return refused.value.sentence


@pytest.mark.parametrize(
    ("typed", "ja", "en"),
    [
        ("11/24", "年がありません", "no year"),
        ("11月24日", "年がありません", "no year"),
        ("26/11/24", "どれが年か", "which part is the year"),
        ("24/11/2026", "どれが年か", "which part is the year"),
        ("24.11.2026", "どれが年か", "which part is the year"),
        ("261124", "どれが年か", "which part is the year"),
        ("2026/11/24 9:00", "時刻が付いています", "has a time"),
        ("46350.375", "時刻が付いています", "has a time"),
        ("2026年11月24日(水)", "火曜日", "Tuesday"),
        ("H31.5.1", "2019-05-01", "2019-05-01"),
        ("R1.4.30", "2019-04-30", "2019-04-30"),
        ("R0.1.1", "日付として", "not a date"),
        ("2026-W48-2", "日付として", "not a date"),
        ("2026-11", "日付として", "not a date"),
        ("2026-02-30", "日付として", "not a date"),
        ("2026/11-24", "日付として", "not a date"),
        ("٢٠٢٦-١١-٢٤", "日付として", "not a date"),
        ("tomorrow", "日付として", "not a date"),
        ("", "日付として", "not a date"),
        ("1989-12-31", "範囲の外", "out of range"),
        ("昭和60年1月1日", "範囲の外", "out of range"),
    ],
)
def test_a_date_with_two_meanings_or_none_is_refused_why(typed: str, ja: str, en: str) -> None:
    sentence = refusal(dates_and_numbers.read_date, typed)
    assert ja in sentence.ja
    assert en in sentence.en


@given(st.dates(dates_and_numbers.FIRST_DAY, dates_and_numbers.LAST_DAY))
def test_every_date_is_read_back(day: date) -> None:
    forms = (f"{day:%Y-%m-%d}", f"{day.year}/{day.month}/{day.day}", f"{day:%Y%m%d}")
    assert {dates_and_numbers.read_date(form) for form in forms} == {day}


@pytest.mark.parametrize(
    ("typed", "at"),
    [
        ("9:00", time(9)),
        ("09:00", time(9)),
        ("09:00:00", time(9)),
        ("９：００", time(9)),
        ("9時", time(9)),
        ("9時30分", time(9, 30)),
        ("9時半", time(9, 30)),
        ("午後3時", time(15)),
        ("午前9:00", time(9)),
        ("3:00 PM", time(15)),
        ("9:00:00 AM", time(9)),
        ("12:00 AM", time(0)),
        ("12:30 PM", time(12, 30)),
        ("0.375", time(9)),
        ("0.416666666666667", time(10)),
    ],
)
def test_a_time_is_taken_in_every_form_with_one_meaning(typed: str, at: time) -> None:
    assert dates_and_numbers.read_time(typed) == at


@pytest.mark.parametrize(
    ("typed", "nearest"),
    [
        ("25:00", "23:00"),
        ("9:5", "09:05"),
        ("09:60", "09:59"),
        ("24:00", "23:00"),
        ("9", "09:00"),
        ("", "09:00"),
        ("-9:00", "09:00"),
        ("午後12時", "12:00"),
        ("13:00 PM", "13:00"),
        ("9:00:30", "09:00"),
        ("0.3751", "00:00"),
    ],
)
def test_a_time_that_is_none_is_refused_with_the_nearest_one(typed: str, nearest: str) -> None:
    assert nearest in refusal(dates_and_numbers.read_time, typed).en


@given(st.times().map(lambda t: t.replace(second=0, microsecond=0)))
def test_every_minute_of_the_day_is_read_back(moment: time) -> None:
    assert dates_and_numbers.read_time(f"{moment:%H:%M}") == moment
    fraction = (moment.hour * 60 + moment.minute) / 1440
    assert not fraction or dates_and_numbers.read_time(f"{fraction:.15f}") == moment


@given(st.text(max_size=8))
def test_any_other_text_is_refused_with_a_time_that_is_taken(typed: str) -> None:
    try:
        dates_and_numbers.read_time(typed)
    except UnusableValue as refused:
        nearest = refused.sentence.en.removesuffix(".").rpartition(" ")[2]
        assert dates_and_numbers.read_time(nearest) is not None


@pytest.mark.parametrize("typed", ["80", "80%", "80 %", "80.0", "８０", "８０％", "80.00%"])
def test_a_percentage_is_taken_as_spreadsheets_write_it(typed: str) -> None:
    assert dates_and_numbers.read_percent(typed) == 80


@pytest.mark.parametrize("typed", ["0.8", "80.5", "101", "-1", "80%%", "", "8O", "1e1"])
def test_a_percentage_that_is_none_is_refused(typed: str) -> None:
    assert "0 から 100" in refusal(dates_and_numbers.read_percent, typed).ja


@pytest.mark.parametrize(
    ("typed", "value"),
    [(one, True) for one in ("yes", "TRUE", "True", "はい", "有効", "Ｙｅｓ")]
    + [(one, False) for one in ("no", "FALSE", "いいえ", "無効", "false")],
)
def test_yes_and_no_have_many_words(typed: str, value: bool) -> None:
    assert dates_and_numbers.read_yes(typed) is value


@pytest.mark.parametrize(
    ("words", "typed", "value"),
    [
        (choices.TASK_STATE, "完了", "done"),
        (choices.TASK_STATE, "進行中", "open"),
        (choices.TASK_STATE, "Done", "done"),
        (choices.REPORT_EVERY, "毎日", "daily"),
        (choices.REPORT_EVERY, "毎週", "weekly"),
        (choices.FREQUENCY, "毎日", "daily"),
        (choices.FREQUENCY, "送らない", "none"),
        (choices.REPORT_STATE, "On track", "on_track"),
        (choices.REPORT_STATE, "止まっている", "blocked"),
        (choices.ROLE, "管理者", "admin"),
        (choices.SCOPE, "会社", "company"),
    ],
)
def test_words_are_taken_in_both_languages(
    words: dates_and_numbers.Words, typed: str, value: str
) -> None:
    assert words.read(typed) == value


def test_a_word_that_is_none_is_refused_with_all_of_them_and_the_nearest() -> None:
    sentence = refusal(choices.TASK_STATE.read, "opened")
    assert "open(進行中) | done(完了) | cancelled(取りやめ)" in sentence.ja
    assert "Did you mean open?" in sentence.en


def test_no_word_of_a_column_means_two_values() -> None:
    for words in (
        one for one in vars(choices).values() if isinstance(one, dates_and_numbers.Words)
    ):
        said = [
            {dates_and_numbers.squeezed(text) for text in (one.value, *one.name, *one.also)}
            for one in words.words
        ]
        assert sum(map(len, said)) == len(set.union(*said))


@pytest.mark.parametrize("typed", ["sat,sun", "土日", "土, 日", "土・日", "Sunday, Saturday"])
def test_a_weekend_is_taken_as_people_write_it(typed: str) -> None:
    assert parse_weekend(typed) == "sat,sun"


def test_none_and_a_country_are_taken_in_japanese() -> None:
    assert (parse_weekend("なし"), parse_region("なし"), parse_region("日本")) == ("", "", "JP")
    assert (parse_weekday("月"), parse_weekday("Friday")) == (0, 4)


def test_what_a_person_cannot_see_in_the_text_is_known() -> None:
    assert dates_and_numbers.is_hidden("46350", DAY)
    assert dates_and_numbers.is_hidden("R8.11.24", DAY)
    assert not dates_and_numbers.is_hidden("２０２６年１１月２４日", DAY)
    assert dates_and_numbers.is_hidden("0.375", time(9))
    assert dates_and_numbers.is_hidden("午後3時", time(15))
    assert not dates_and_numbers.is_hidden("9時", time(9))


def test_refs_are_compared_half_width_and_an_exponent_is_none() -> None:
    assert ref_key("Ｔ－００１") == ref_key("T-001")
    assert read_ref("001") == "001"
    assert "文字列" in refusal(read_ref, "1.23457E+14").ja
