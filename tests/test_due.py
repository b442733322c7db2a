"""The rule: what is unreported, when a mail may come, and the decision with its reason."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.rules import hours
from app.rules.decision import Decision, Past, Reason, Verdict, decide, weekly_target
from app.rules.hours import (
    Frequency,
    QuietHours,
    Rhythm,
    dates_due,
    first_date,
    hour,
    instant,
    quiet_until,
    too_late,
)
from app.rules.silence import silent_for
from app.rules.unreported import OpenTask, counts_for, unreported
from app.rules.workdays import DAY, Calendar, Company, Span, week_begins, week_of

TOKYO = ZoneInfo("Asia/Tokyo")
NEW_YORK = ZoneInfo("America/New_York")
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")
CAIRO = ZoneInfo("Africa/Cairo")
ZONES = [TOKYO, NEW_YORK, LORD_HOWE, CAIRO, ZoneInfo("Europe/Berlin")]

COMPANY = Company(frozenset({5, 6}), "JP", (Span(date(2026, 12, 29), date(2027, 1, 3)),))
CALENDAR = Calendar(COMPANY)
SATO = Rhythm(TOKYO)
FRIDAY, MONDAY, TUESDAY = date(2026, 11, 20), date(2026, 11, 23), date(2026, 11, 24)
WEDNESDAY, THURSDAY = date(2026, 11, 25), date(2026, 11, 26)


def tokyo(day: date, hour: int, minute: int = 0) -> datetime:
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=TOKYO)


def task(
    last: date | None = None,
    *,
    start: date = date(2026, 11, 2),
    every: str = "daily",
    assigned: date | None = None,
    added: date | None = None,
    ref: str = "T-1",
) -> OpenTask:
    return OpenTask(ref, start, assigned, every, last, added)


def decided(
    rhythm: Rhythm = SATO,
    day: date = TUESDAY,
    *,
    calendar: Calendar = CALENDAR,
    tasks: Sequence[OpenTask] = (task(),),
    now: datetime | None = None,
    past: Sequence[Past] = (),
) -> Decision:
    return decide(rhythm, calendar, day, tasks, now=now or hours.hour(rhythm, day), past=past)


# --- unreported ---------------------------------------------------------------------------


def test_a_report_for_the_last_workday_is_recent_enough_after_a_holiday_monday() -> None:
    assert unreported([task(FRIDAY)], CALENDAR, TUESDAY) == []


def test_one_workday_without_a_report_makes_a_daily_task_unreported() -> None:
    late = unreported([task(date(2026, 11, 19))], CALENDAR, TUESDAY)
    assert [(one.ref, one.silent) for one in late] == [("T-1", 1)]


def test_a_weekly_task_may_be_five_workdays_old() -> None:
    weekly = task(date(2026, 11, 16), every="weekly")
    assert unreported([weekly], CALENDAR, TUESDAY) == []
    assert unreported([weekly], CALENDAR, WEDNESDAY)[0].silent == 1


def test_a_task_that_starts_today_is_not_unreported_today_but_tomorrow() -> None:
    started = task(start=TUESDAY)
    assert unreported([started], CALENDAR, TUESDAY) == []
    assert len(unreported([started], CALENDAR, WEDNESDAY)) == 1


def test_silence_before_the_task_came_to_the_member_does_not_count() -> None:
    inherited = task(date(2026, 11, 4), assigned=TUESDAY)
    assert unreported([inherited], CALENDAR, TUESDAY) == []
    assert unreported([inherited], CALENDAR, WEDNESDAY)[0].silent == 1


def test_a_task_of_last_month_that_was_imported_yesterday_is_unreported_and_silent_for_no_day() -> (
    None
):
    """On a Sunday, say: the first mail comes on Monday, and calls nobody silent."""
    sunday = WEDNESDAY + 4 * DAY
    (found,) = unreported([task(added=sunday)], CALENDAR, sunday + DAY)
    assert found.silent == 0
    assert silent_for([task(added=sunday)], CALENDAR, sunday + DAY) == 0
    (found,) = unreported([task(added=sunday)], CALENDAR, sunday + 4 * DAY)
    assert found.silent == 3  # Tuesday to Thursday; Monday's report may come until Tuesday noon


def test_a_report_from_before_the_import_does_not_make_the_silence_longer_than_the_import_is_ago() -> (
    None
):
    (found,) = unreported([task(date(2026, 11, 4), added=FRIDAY)], CALENDAR, WEDNESDAY)
    assert found.silent == 2  # Friday, Tuesday and Wednesday, less the one that a report may be old


def test_a_task_that_came_here_today_is_no_reason_to_be_silent_about_a_recent_report() -> None:
    assert unreported([task(FRIDAY, added=TUESDAY)], CALENDAR, TUESDAY) == []


def test_leave_does_not_make_a_task_unreported() -> None:
    on_leave = Calendar(COMPANY, (Span(TUESDAY, THURSDAY),))
    assert unreported([task(FRIDAY)], on_leave, date(2026, 11, 27)) == []


def test_the_longest_silent_task_comes_first() -> None:
    late = unreported([task(date(2026, 11, 19), ref="B"), task(ref="A")], CALENDAR, TUESDAY)
    assert [one.ref for one in late] == ["A", "B"]


@pytest.mark.parametrize(
    ("made", "counts"),
    [
        (tokyo(TUESDAY, 11, 59), FRIDAY),  # answers the morning's mail about the workday before
        (tokyo(TUESDAY, 12), TUESDAY),
        (tokyo(TUESDAY, 23, 59), TUESDAY),
        (tokyo(date(2026, 11, 22), 10), FRIDAY),  # on a Sunday morning
        (tokyo(date(2026, 11, 22), 15), date(2026, 11, 22)),
    ],
)
def test_a_report_before_noon_counts_for_the_workday_before(made: datetime, counts: date) -> None:
    assert counts_for(made, TOKYO, CALENDAR) == counts


def test_who_reports_every_morning_is_reminded_once_each_workday() -> None:
    last = FRIDAY
    for day in (WEDNESDAY, THURSDAY, date(2026, 11, 27)):
        assert decided(day=day, tasks=[task(last)]).verdict is Verdict.SEND
        last = counts_for(tokyo(day, 9, 5), TOKYO, CALENDAR)
        assert unreported([task(last)], CALENDAR, day) == []


def test_who_reports_every_evening_is_never_reminded() -> None:
    last = FRIDAY
    for day in (TUESDAY, WEDNESDAY, THURSDAY):
        assert decided(day=day, tasks=[task(last)]).reason is Reason.NOTHING_UNREPORTED
        last = counts_for(tokyo(day, 18), TOKYO, CALENDAR)


# --- the hour -----------------------------------------------------------------------------


def test_the_hour_is_nine_in_tokyo_by_default() -> None:
    assert hours.hour(SATO, TUESDAY) == datetime(2026, 11, 24, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("at", "start", "end", "hour"),
    [
        (time(23), time(22), time(7), time(7)),
        (time(6), time(22), time(7), time(7)),
        (time(7), time(22), time(7), time(7)),
        (time(9), time(22), time(7), time(9)),
        (time(9), time(8), time(10), time(10)),
        (time(8), time(8), time(10), time(10)),
        (time(22), time(22), time(7), time(7)),
        (time(23, 30), time(22), time(7), time(7)),
        (time(18), time(12), time(20), time(20)),
        (time(23), time(22), time(0), time(0)),
        (time(9), time(9), time(9), time(9)),  # start = end: none
        (time(10), time(9), time(9), time(10)),
        (time(0), time(0), time(0), time(0)),
    ],
)
def test_quiet_hours_move_the_hour_to_their_end_on_the_same_date(
    at: time, start: time, end: time, hour: time
) -> None:
    rhythm = Rhythm(TOKYO, notify_at=at, quiet=QuietHours(start, end))
    assert hours.hour(rhythm, TUESDAY) == datetime.combine(TUESDAY, hour, TOKYO)


def test_an_hour_that_the_clock_change_skips_becomes_the_first_instant_after_it() -> None:
    gap = Rhythm(NEW_YORK, notify_at=time(2, 30))
    assert hours.hour(gap, date(2026, 3, 8)) == datetime(2026, 3, 8, 7, 0, tzinfo=UTC)  # 03:00 EDT
    half = Rhythm(LORD_HOWE, notify_at=time(2, 15))
    after = hours.hour(half, date(2026, 10, 4)).astimezone(LORD_HOWE)
    assert after.time() == time(2, 30)  # half an hour is skipped there


def test_midnight_that_does_not_exist_in_cairo_becomes_one_o_clock() -> None:
    at = hour(Rhythm(CAIRO, notify_at=time(0)), date(2026, 4, 24)).astimezone(CAIRO)
    assert (at.date(), at.time()) == (date(2026, 4, 24), time(1))


def test_an_hour_that_exists_twice_happens_at_its_first_occurrence() -> None:
    twice = Rhythm(NEW_YORK, notify_at=time(1, 30))
    assert hours.hour(twice, date(2026, 11, 1)) == datetime(2026, 11, 1, 5, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("at", "quiet", "limit"),
    [
        (time(9), None, time(18)),
        (time(17), None, time(20)),
        (time(9), QuietHours(time(12), time(13)), time(12)),
        (time(9), QuietHours(time(17), time(8)), time(17)),
        (time(9), QuietHours(time(22), time(7)), time(18)),
        (time(9), QuietHours(time(12), time(12)), time(18)),
        (time(9), QuietHours(time(12), time(20)), time(12)),
        (time(13), QuietHours(time(12), time(19, 30)), time(22, 30)),
    ],
)
def test_catching_up_ends_at_six_or_three_hours_later_or_with_quiet_hours(
    at: time, quiet: QuietHours | None, limit: time
) -> None:
    rhythm = Rhythm(TOKYO, notify_at=at, quiet=quiet)
    assert too_late(rhythm, TUESDAY) == datetime.combine(TUESDAY, limit, TOKYO)


def test_nothing_is_carried_over_midnight() -> None:
    late = Rhythm(TOKYO, notify_at=time(23, 30))
    assert too_late(late, TUESDAY) == tokyo(WEDNESDAY, 0)


def test_quiet_hours_around_now_end_on_the_right_date() -> None:
    rhythm = Rhythm(TOKYO, quiet=QuietHours(time(22), time(7)))
    assert quiet_until(rhythm, tokyo(TUESDAY, 23)) == tokyo(WEDNESDAY, 7)
    assert quiet_until(rhythm, tokyo(WEDNESDAY, 3)) == tokyo(WEDNESDAY, 7)
    assert quiet_until(rhythm, tokyo(WEDNESDAY, 7)) is None


def test_an_hour_moved_by_a_clock_change_into_quiet_hours_waits_for_their_end() -> None:
    rhythm = Rhythm(NEW_YORK, notify_at=time(2, 30), quiet=QuietHours(time(2, 45), time(5)))
    at = hours.hour(rhythm, date(2026, 3, 8)).astimezone(NEW_YORK)  # 02:30 becomes 03:00
    assert at.time() == time(5)


def test_quiet_hours_that_end_in_an_hour_that_comes_twice_end_again_in_its_second_run() -> None:
    rhythm = Rhythm(NEW_YORK, quiet=QuietHours(time(22), time(1, 30)))
    first = datetime(2026, 11, 1, 5, 30, tzinfo=UTC)  # 01:30 EDT; 01:30 EST is an hour later
    minutes = timedelta(minutes=20)
    assert quiet_until(rhythm, first - minutes) == first
    assert quiet_until(rhythm, first) is None
    second = first + timedelta(hours=1)
    assert quiet_until(rhythm, second - minutes) == second
    assert quiet_until(rhythm, second) is None


def test_a_member_who_joins_after_the_hour_starts_with_the_next_date() -> None:
    nine, second = tokyo(TUESDAY, 9), timedelta(seconds=1)
    assert first_date(SATO, nine - second) == TUESDAY
    assert first_date(SATO, nine) == TUESDAY  # at the hour is not after it
    assert first_date(SATO, nine + second) == WEDNESDAY


def test_dates_on_which_nothing_ran_come_back_seven_days_and_no_further() -> None:
    dates = dates_due(SATO, date(2026, 11, 1), tokyo(TUESDAY, 9))
    assert (dates[0], dates[-1], len(dates)) == (date(2026, 11, 17), TUESDAY, 8)
    assert dates_due(SATO, MONDAY, tokyo(TUESDAY, 8, 59)) == []


@given(
    st.sampled_from(ZONES),
    st.dates(date(2026, 1, 1), date(2027, 12, 31)),
    st.times().map(lambda t: t.replace(second=0, microsecond=0)),
    st.none()
    | st.builds(
        QuietHours,
        st.times().map(lambda t: t.replace(second=0, microsecond=0)),
        st.times().map(lambda t: t.replace(second=0, microsecond=0)),
    ),
)
def test_the_hour_lies_on_its_date_outside_quiet_hours_and_before_it_is_too_late(
    zone: ZoneInfo, day: date, at: time, quiet: QuietHours | None
) -> None:
    rhythm = Rhythm(zone, notify_at=at, quiet=quiet)
    hour = hours.hour(rhythm, day)
    local = hour.astimezone(zone)
    assert local.date() == day
    if quiet is not None and quiet.start != quiet.end:
        assert not quiet.cover(local.time()) or _skipped(zone, day, quiet.end)
    assert hour < hours.hour(rhythm, day + timedelta(days=1))
    assert too_late(rhythm, day) <= instant(zone, day + timedelta(days=1), time(0))


def clock_changes(zone: ZoneInfo) -> list[date]:
    """The dates of 2026 that are longer or shorter than 24 hours."""
    every = (date(2026, 1, 1) + timedelta(days=n) for n in range(365))
    return [
        day
        for day in every
        if instant(zone, day + timedelta(days=1), time(0)) - instant(zone, day, time(0))
        != timedelta(days=1)
    ]


@pytest.mark.parametrize("zone", [NEW_YORK, LORD_HOWE, CAIRO, ZoneInfo("Europe/Berlin")], ids=str)
def test_on_the_days_of_a_clock_change_every_quarter_of_an_hour_comes_once_and_on_its_date(
    zone: ZoneInfo,
) -> None:
    changes = clock_changes(zone)
    assert len(changes) == 2
    for day in changes:
        instants = []
        for quarter in range(96):
            rhythm = Rhythm(zone, notify_at=time(quarter // 4, quarter % 4 * 15))
            at = hours.hour(rhythm, day)
            assert at.astimezone(zone).date() == day
            assert at < too_late(rhythm, day) <= instant(zone, day + DAY, time(0))
            instants.append(at)
            second = timedelta(seconds=1)
            assert dates_due(rhythm, day - DAY, at - second) == []
            assert dates_due(rhythm, day - DAY, at) == [day]
            assert dates_due(rhythm, day, at + timedelta(hours=1)) == []  # its second run
        assert instants == sorted(instants)


def _skipped(zone: ZoneInfo, day: date, wall: time) -> bool:
    return instant(zone, day, wall).astimezone(zone).time() != wall


# --- the decision -------------------------------------------------------------------------


def test_an_unreported_task_on_a_workday_sends() -> None:
    decision = decided()
    assert (decision.verdict, decision.reason) == (Verdict.SEND, None)
    assert [one.ref for one in decision.tasks] == ["T-1"]


ALL_AT_ONCE = replace(
    SATO,
    suppressed=True,
    frequency=Frequency.NONE,
    paused_until=date(2027, 1, 10),
)
NEW_YEARS_DAY = date(2027, 1, 1)  # a Friday, a holiday and inside the company's closure


@pytest.mark.parametrize(
    ("rhythm", "day", "calendar", "reason"),
    [
        (ALL_AT_ONCE, NEW_YEARS_DAY, CALENDAR, Reason.ADDRESS_SUPPRESSED),
        (replace(ALL_AT_ONCE, suppressed=False), NEW_YEARS_DAY, CALENDAR, Reason.FREQUENCY_NONE),
        (replace(SATO, paused_until=date(2027, 1, 10)), NEW_YEARS_DAY, CALENDAR, Reason.PAUSED),
        (SATO, NEW_YEARS_DAY, Calendar(COMPANY, (Span(NEW_YEARS_DAY),)), Reason.ON_LEAVE),
        (SATO, NEW_YEARS_DAY, CALENDAR, Reason.COMPANY_CLOSED),
        (SATO, MONDAY, CALENDAR, Reason.HOLIDAY),
        (SATO, date(2026, 11, 22), CALENDAR, Reason.WEEKEND),
    ],
)
def test_of_several_reasons_the_first_in_the_stated_order_is_told(
    rhythm: Rhythm, day: date, calendar: Calendar, reason: Reason
) -> None:
    assert decided(rhythm, day, calendar=calendar).reason is reason


def test_a_pause_ends_on_its_date() -> None:
    paused = replace(SATO, paused_until=TUESDAY)
    assert decided(paused, FRIDAY).reason is Reason.PAUSED
    assert decided(paused, TUESDAY).verdict is Verdict.SEND


def test_too_late_is_expired_but_only_where_a_mail_would_have_gone() -> None:
    evening = tokyo(TUESDAY, 18)
    assert decided(now=evening).reason is Reason.EXPIRED
    assert decided(now=evening - timedelta(seconds=1)).verdict is Verdict.SEND
    assert decided(now=evening, tasks=[]).reason is Reason.NOTHING_UNREPORTED


# --- weekly -------------------------------------------------------------------------------

WEEKLY = replace(SATO, frequency=Frequency.WEEKLY)


def past(day: date, reason: Reason | None, frequency: Frequency = Frequency.WEEKLY) -> Past:
    return Past(day, Verdict.SKIP if reason else Verdict.SEND, reason, frequency)


def test_weekly_mail_waits_for_the_first_workday_after_a_holiday_monday() -> None:
    assert decided(WEEKLY, MONDAY).reason is Reason.HOLIDAY
    assert decided(WEEKLY, TUESDAY, past=[past(MONDAY, Reason.HOLIDAY)]).verdict is Verdict.SEND
    after = [past(MONDAY, Reason.HOLIDAY), past(TUESDAY, None)]
    assert decided(WEEKLY, WEDNESDAY, past=after).reason is Reason.NOT_THIS_WEEKDAY


def test_weekly_mail_comes_before_its_weekday_when_the_rest_of_the_week_is_off() -> None:
    fridays = replace(WEEKLY, weekly_day=4)
    off = Calendar(COMPANY, (Span(date(2026, 11, 27), date(2026, 11, 30)),))
    assert decided(fridays, THURSDAY, calendar=off).verdict is Verdict.SEND
    assert decided(fridays, THURSDAY).reason is Reason.NOT_THIS_WEEKDAY


def test_a_week_without_any_workday_has_no_weekly_mail() -> None:
    off = Calendar(COMPANY, (Span(date(2026, 11, 23), date(2026, 11, 29)),))
    assert weekly_target(WEEKLY, off, TUESDAY) is None
    assert decided(WEEKLY, TUESDAY, calendar=off).reason is Reason.ON_LEAVE


def test_a_missed_weekly_mail_comes_on_the_next_workday_of_the_week() -> None:
    missed = [past(MONDAY, Reason.HOLIDAY), past(TUESDAY, Reason.EXPIRED)]
    assert decided(WEEKLY, WEDNESDAY, past=missed).verdict is Verdict.SEND


def test_nothing_unreported_on_the_weekly_day_ends_the_week() -> None:
    ended = [past(MONDAY, Reason.HOLIDAY), past(TUESDAY, Reason.NOTHING_UNREPORTED)]
    assert decided(WEEKLY, WEDNESDAY, past=ended).reason is Reason.NOT_THIS_WEEKDAY


def test_another_weekday_chosen_after_the_weeks_mail_brings_no_second_one() -> None:
    sent = [past(TUESDAY, None)]
    thursdays = replace(WEEKLY, weekly_day=3)
    assert decided(thursdays, THURSDAY, past=sent).reason is Reason.ALREADY_SENT


def test_a_member_who_joins_after_the_weekly_day_waits_for_the_next_week() -> None:
    assert decided(WEEKLY, THURSDAY).reason is Reason.NOT_THIS_WEEKDAY


def test_a_closure_lifted_after_the_weekly_day_does_not_cost_the_weeks_mail() -> None:
    closed = [past(date(2026, 11, 16), Reason.COMPANY_CLOSED)]
    assert decided(WEEKLY, date(2026, 11, 17), past=closed).verdict is Verdict.SEND


@pytest.mark.parametrize("ended", ["nothing_unreported", "reported_meanwhile", "cancelled"])
def test_a_week_that_ended_on_its_weekday_stays_ended_whatever_weekday_is_chosen_then(
    ended: str,
) -> None:
    history = [past(TUESDAY, Reason(ended))]
    thursdays = replace(WEEKLY, weekly_day=3)
    assert decided(thursdays, THURSDAY, past=history).reason is Reason.ALREADY_SENT


def test_a_reminder_of_the_week_that_another_program_sent_is_the_weeks_reminder() -> None:
    thursdays = replace(WEEKLY, weekly_day=3)
    history = [past(TUESDAY, Reason.ALREADY_SENT)]
    assert decided(thursdays, THURSDAY, past=history).reason is Reason.ALREADY_SENT


def test_a_reminder_that_came_late_in_its_week_does_not_come_again() -> None:
    history = [past(TUESDAY, Reason.EXPIRED), past(WEDNESDAY, None)]
    assert decided(WEEKLY, THURSDAY, past=history).reason is Reason.NOT_THIS_WEEKDAY


def test_daily_made_weekly_does_not_make_up_for_a_day_on_which_nothing_was_unreported() -> None:
    history = [
        past(TUESDAY, Reason.NOTHING_UNREPORTED, Frequency.DAILY),
        past(WEDNESDAY, Reason.EXPIRED, Frequency.DAILY),
    ]
    assert decided(WEEKLY, THURSDAY, past=history).reason is Reason.NOT_THIS_WEEKDAY


def test_daily_made_weekly_on_the_day_of_its_mail_has_had_the_weeks_mail() -> None:
    sent = [past(TUESDAY, None, Frequency.DAILY)]
    assert decided(WEEKLY, WEDNESDAY, past=sent).reason is Reason.NOT_THIS_WEEKDAY
    fridays = replace(WEEKLY, weekly_day=4)
    assert decided(fridays, date(2026, 11, 27), past=sent).reason is Reason.ALREADY_SENT


def test_weekly_made_daily_in_the_middle_of_a_week_is_daily_from_then_on() -> None:
    assert decided(SATO, WEDNESDAY, past=[past(TUESDAY, None)]).verdict is Verdict.SEND


def test_a_missed_day_before_the_weekday_is_no_reason_to_come_before_it() -> None:
    history = [past(TUESDAY, Reason.EXPIRED, Frequency.DAILY)]
    fridays = replace(WEEKLY, weekly_day=4)
    assert decided(fridays, WEDNESDAY, past=history).reason is Reason.NOT_THIS_WEEKDAY
    assert decided(fridays, date(2026, 11, 27), past=history).verdict is Verdict.SEND


def test_a_day_off_that_was_not_the_weekday_moves_nothing() -> None:
    monday = date(2026, 11, 30)
    history = [past(monday, Reason.PAUSED), past(monday + DAY, Reason.COMPANY_CLOSED)]
    assert decided(WEEKLY, monday + 2 * DAY, past=history).reason is Reason.NOT_THIS_WEEKDAY


# --- weeks that begin on another day ----------------------------------------------------------

# Weekend on Friday and Saturday: the week begins on Sunday.
FRIDAYS_OFF = Calendar(Company(frozenset({4, 5}), ""))
SUNDAYS = replace(WEEKLY, weekly_day=6, week_begins=6)
SUNDAY = date(2026, 11, 29)


def sundays(day: date, rhythm: Rhythm = SUNDAYS, past: Sequence[Past] = ()) -> Decision:
    return decided(rhythm, day, calendar=FRIDAYS_OFF, past=past)


def from_sunday(day: date, reason: Reason | None = None) -> Past:
    return replace(past(day, reason), week_begins=6)


def test_each_sunday_is_of_a_new_week_where_the_week_begins_on_sunday() -> None:
    late = [from_sunday(SUNDAY - 7 * DAY, Reason.EXPIRED), from_sunday(SUNDAY - 6 * DAY)]
    assert sundays(SUNDAY, past=late).verdict is Verdict.SEND  # Monday's was of the week before
    mondays = replace(WEEKLY, week_begins=6)
    assert sundays(SUNDAY, mondays).reason is Reason.NOT_THIS_WEEKDAY
    assert sundays(SUNDAY + DAY, mondays).verdict is Verdict.SEND


def test_a_weekday_in_the_weekend_becomes_the_last_workday_of_that_week() -> None:
    fridays = replace(WEEKLY, weekly_day=4, week_begins=6)
    thursday = SUNDAY + 4 * DAY
    assert sundays(thursday, fridays).verdict is Verdict.SEND
    assert sundays(thursday + DAY, fridays).reason is Reason.WEEKEND


def test_what_was_missed_at_the_end_of_a_week_does_not_come_on_sunday() -> None:
    thursdays = replace(WEEKLY, weekly_day=3, week_begins=6)
    missed = [from_sunday(SUNDAY - 3 * DAY, Reason.EXPIRED)]
    assert sundays(SUNDAY, thursdays, missed).reason is Reason.NOT_THIS_WEEKDAY


def test_another_weekend_in_the_middle_of_a_week_brings_no_second_mail_in_either_week() -> None:
    monday = SUNDAY + DAY
    # Sent on Sunday, the first day of its week; then the weekend becomes Saturday and Sunday.
    assert decided(WEEKLY, monday, past=[from_sunday(SUNDAY)]).reason is Reason.ALREADY_SENT
    # Sent on Monday; then the weekend becomes Friday and Saturday: Sunday is of the same ISO week.
    sent = [past(monday, None), *(past(monday + n * DAY, Reason.HOLIDAY) for n in range(1, 6))]
    assert sundays(SUNDAY + 7 * DAY, past=sent).reason is Reason.ALREADY_SENT


def test_another_weekend_in_an_iso_week_brings_no_second_mail_in_it_though_both_weeks_are_new() -> (
    None
):
    monday, next_sunday = SUNDAY + DAY, SUNDAY + 7 * DAY
    from_thursday = replace(WEEKLY, weekly_day=6, week_begins=3)  # weekend: Tuesday, Wednesday
    off = Calendar(Company(frozenset({1, 2}), ""))
    sent = from_sunday(monday)  # of the week that ends on Saturday
    between = [replace(past(next_sunday - n * DAY, Reason.PAUSED), week_begins=3) for n in (1, 2)]
    assert decided(from_thursday, next_sunday, calendar=off, past=[sent, *between]).reason is (
        Reason.ALREADY_SENT
    )
    assert decided(from_thursday, next_sunday, calendar=off, past=between).verdict is Verdict.SEND


weeks = st.lists(st.sampled_from(["runs", "down", "closed"]), min_size=21, max_size=21)
weekends = st.sampled_from([{5, 6}, {4, 5}, {4, 5}, {6}, {1, 2}, set()]).map(frozenset)


@settings(max_examples=400)
@given(
    weeks,
    st.lists(weekends, min_size=3, max_size=3),
    st.lists(st.integers(0, 20), max_size=2).map(sorted),
    st.lists(st.integers(0, 6), min_size=21, max_size=21),
    st.lists(st.booleans(), min_size=21, max_size=21),
)
def test_a_weekly_member_never_gets_two_mails_in_their_own_week_whatever_the_weekend_becomes(
    ran: list[str],
    some: list[frozenset[int]],
    changed_on: list[int],
    weekdays: list[int],
    extra: list[bool],
) -> None:
    """Nor in an ISO week in which the weekend changed."""
    first = date(2026, 11, 30)
    history: list[Past] = []
    sent: list[tuple[date, int]] = []
    for n in range(21):
        day = first + n * DAY
        weekend = some[sum(n >= change for change in changed_on)]
        begins = week_begins(weekend)
        rhythm = replace(WEEKLY, weekly_day=weekdays[n], week_begins=begins)
        closed = (Span(day, day),) if ran[n] == "closed" else ()
        works = (Span(day, day),) if extra[n] else ()
        calendar = Calendar(Company(weekend, "", closed), extra=works)
        now = too_late(rhythm, day) if ran[n] == "down" else hours.hour(rhythm, day)
        week = [one for one in history if one.local_date >= day - 6 * DAY]
        decision = decide(rhythm, calendar, day, [task()], now=now, past=week)
        if decision.verdict is Verdict.SEND:
            for other, then in sent:
                assert not week_of(day, begins).covers(other)
                assert not week_of(other, then).covers(day)
                iso = [one.week_begins for one in history if week_of(day).covers(one.local_date)]
                if {*iso, begins} != {begins}:
                    assert not week_of(day).covers(other)
            sent.append((day, begins))
        history.append(
            Past(day, decision.verdict, decision.reason, rhythm.frequency, rhythm.week_begins)
        )


one_week = st.lists(st.sampled_from(["runs", "down", "closed"]), min_size=7, max_size=7)


@given(
    one_week,
    st.integers(0, 6),
    st.lists(st.integers(0, 6), min_size=7, max_size=7),
    st.lists(st.sampled_from([Frequency.DAILY, Frequency.WEEKLY]), min_size=7, max_size=7),
)
def test_a_weekly_member_never_gets_two_mails_in_an_iso_week(
    week: list[str], first: int, weekdays: list[int], frequencies: list[Frequency]
) -> None:
    """Whatever ran, was closed, or was changed on the way."""
    monday = date(2026, 11, 30)
    history: list[Past] = []
    weekly_sends = 0
    closed = [monday + timedelta(days=n) for n in range(7) if week[n] == "closed"]
    calendar = Calendar(Company(frozenset({5, 6}), "JP", tuple(Span(day, day) for day in closed)))
    for n in range(first, 7):
        day = monday + timedelta(days=n)
        rhythm = replace(SATO, frequency=frequencies[n], weekly_day=weekdays[n])
        now = too_late(rhythm, day) if week[n] == "down" else hours.hour(rhythm, day)
        decision = decide(rhythm, calendar, day, [task()], now=now, past=history)
        sent = decision.verdict is Verdict.SEND
        if sent and rhythm.frequency is Frequency.WEEKLY:
            assert not any(one.verdict is Verdict.SEND for one in history)
            weekly_sends += 1
        history.append(Past(day, decision.verdict, decision.reason, rhythm.frequency))
    assert weekly_sends <= 1
