"""The right moment, by examples: holidays, clock changes, days in the middle; by the real plan."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
from sqlalchemy import event, select, update
from sqlalchemy.pool import QueuePool

from app import outbox, reminders
from app.models import DaysOff, DecisionRow, ExtraWorkday, Member, OutboxMail, Report, Task
from app.people.lookup import NoSuchMember
from app.people.values import ValuesRefused
from app.rules.workdays import DAY
from app.services import Services
from app.why.reminder import explain
from tests.conftest import NOW, TODAY, People, suzuki, task
from tests.databases import on_sqlite

pytestmark = (
    pytest.mark.pages
)  # long stories: their statements are in other tests, on both databases

HOUR = timedelta(hours=1)
SUZUKI = suzuki().email


def tokyo_nine(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


@pytest.fixture
def alone(services: Services) -> Member:
    """鈴木さん alone, with a task that nobody ever reports on."""
    with services.db.write() as session:
        member = suzuki()
        session.add(member)
        session.flush()
        session.add(task("T-1", member, start_on=date(2026, 1, 5)))
    return member


def start(services: Services, day: date, **values: Any) -> None:
    """The first decision will be that of `day`; and these settings hold."""
    with services.db.write() as session:
        session.execute(
            update(Member).values(decided_through=day - DAY, next_due_at=None, **values)
        )


def days(services: Services) -> dict[date, str | None]:
    """What was decided: the reason, or None for a reminder."""
    with services.db.read() as session:
        rows = session.scalars(select(DecisionRow).order_by(DecisionRow.local_date))
        return {row.local_date: row.reason for row in rows}


def live_through(services: Services, first: date, last: date, **values: Any) -> str:
    """Plans each morning from `first` to `last`; a sign a day: M mail, H holiday, w weekend,
    c closed, l leave, - not this weekday.
    """
    start(services, first, **values)
    day = first
    while day <= last:
        reminders.plan(services, tokyo_nine(day))
        day += DAY
    signs = {None: "M", "holiday": "H", "weekend": "w", "company_closed": "c", "on_leave": "l"}
    return "".join(signs.get(reason, "-") for reason in days(services).values())


# --- Japanese holidays ------------------------------------------------------------------------------


def test_golden_week_2026_has_its_substitute_holiday(services: Services, alone: Member) -> None:
    # 29 April 昭和の日 (Wed); 3 May 憲法記念日 is a Sunday, so 6 May (Wed) is off in its place.
    found = live_through(services, date(2026, 4, 27), date(2026, 5, 10))
    assert found == "MMHMMwH" + "HHHMMww"


def test_golden_week_sunday_is_a_holiday_before_it_is_a_weekend(
    services: Services, alone: Member
) -> None:
    live_through(services, date(2026, 5, 2), date(2026, 5, 3))
    assert list(days(services).values()) == ["weekend", "holiday"]


def test_silver_week_2026_has_a_day_between_two_holidays(services: Services, alone: Member) -> None:
    # 敬老の日 on Monday 21, 秋分の日 on Wednesday 23: the Tuesday between them is off as well.
    assert live_through(services, date(2026, 9, 18), date(2026, 9, 28)) == "MwwHHHMMwwM"


def test_labour_thanksgiving_day_on_a_monday_makes_nobody_late(
    services: Services, alone: Member
) -> None:
    with services.db.write() as session:
        task_id = session.scalars(select(Task.id)).one()
        session.add(
            Report(
                task_id=task_id,
                reporter_id=alone.id,
                counts_for=date(2026, 11, 20),
                percent=10,
                status="on_track",
                text="",
                created_at=NOW,
            )
        )
    assert live_through(services, date(2026, 11, 21), date(2026, 11, 25)) == "wwH-M"
    assert days(services)[TODAY] == "nothing_unreported"


def test_new_year_is_as_long_as_the_company_closes(services: Services, alone: Member) -> None:
    with services.db.write() as session:
        closed = (date(2026, 12, 29), date(2027, 1, 3))
        session.add(DaysOff(user_id=None, first_day=closed[0], last_day=closed[1], name="年末年始"))
    found = live_through(services, date(2026, 12, 28), date(2027, 1, 12))
    assert found == "Mcccccc" + "MMMMMww" + "HM"


def test_weekly_mail_of_silver_week_waits_until_thursday(services: Services, alone: Member) -> None:
    found = live_through(services, date(2026, 9, 14), date(2026, 9, 27), notify_frequency="weekly")
    assert found == "M----ww" + "HHHM-ww"


def test_a_week_that_is_all_holiday_has_no_weekly_mail(services: Services, alone: Member) -> None:
    with services.db.write() as session:
        week = (date(2026, 5, 7), date(2026, 5, 8))
        session.add(DaysOff(user_id=alone.id, first_day=week[0], last_day=week[1]))
    found = live_through(services, date(2026, 5, 4), date(2026, 5, 11), notify_frequency="weekly")
    assert found == "HHHllwwM"


# --- regions, extra workdays, other weeks -----------------------------------------------------------


def works(services: Services, owner: int | None, first: date, last: date | None = None) -> None:
    with services.db.write() as session:
        session.add(ExtraWorkday(user_id=owner, first_day=first, last_day=last or first))


def happens(services: Services, first: date, last: date, **values: Any) -> str:
    """`live_through`, and what `simulate` had said of it is what came."""
    start(services, first, **values)
    ahead = list(reminders.simulate(services, first, last))
    found = live_through(services, first, last)
    assert days(services) == {one.local_date: one.reason for one in ahead}
    return found


@pytest.mark.parametrize(
    ("holidays", "first", "expected"),
    [
        ("GB-ENG", date(2026, 4, 3), "HwwHM"),  # Good Friday to Easter Monday, in London
        ("GB-SCT", date(2026, 4, 3), "HwwMM"),  # in Edinburgh Monday is none
        ("DE-BY", date(2026, 6, 3), "MHMww"),  # Fronleichnam, in Munich
        ("DE-BE", date(2026, 6, 3), "MMMww"),  # not in Berlin
        ("CN", date(2026, 2, 13), "MMwHH"),  # a Saturday that the law makes a workday
        ("", date(2026, 11, 20), "MwwMM"),
    ],
)
def test_a_members_own_holidays_are_those_that_count(
    services: Services, alone: Member, holidays: str, first: date, expected: str
) -> None:
    assert happens(services, first, first + 4 * DAY, holidays=holidays) == expected


def test_obon_in_osaka_is_a_closure_whose_holidays_are_japans(
    services: Services, alone: Member
) -> None:
    with services.db.write() as session:
        days = {"first_day": date(2026, 8, 13), "last_day": date(2026, 8, 14)}
        session.add(DaysOff(user_id=None, name="お盆休み", **days))
    found = happens(services, date(2026, 8, 10), date(2026, 8, 17))
    assert found == "MHMccwwM"  # 山の日 is the 11th


def test_on_a_working_saturday_everybody_is_reminded(services: Services, alone: Member) -> None:
    works(services, None, date(2026, 12, 5))
    assert happens(services, date(2026, 12, 4), date(2026, 12, 7)) == "MMwM"
    with services.db.read() as session:
        facts = session.scalars(select(DecisionRow).order_by(DecisionRow.local_date)).all()[1].facts
        before = session.scalars(select(DecisionRow).order_by(DecisionRow.local_date)).first()
    assert before is not None
    silent = before.facts["tasks"][0][1]
    assert facts["tasks"] == [["T-1", silent + 1]]  # it counts as a workday, too


def test_who_works_on_a_holiday_of_the_others_is_reminded_alone(
    services: Services, team: People
) -> None:
    with services.db.write() as session:
        session.add_all(task(f"T-{one.id}", one) for one in (team.sato, team.suzuki))
    works(services, team.suzuki.id, date(2026, 11, 23))
    found = reminders.simulate(services, date(2026, 11, 23), date(2026, 11, 23))
    assert {one.email: one.reason for one in found if one.email != team.tanaka.email} == {
        team.sato.email: "holiday",
        SUZUKI: None,
    }


def test_weeks_that_begin_on_sunday_have_their_weekly_mail_on_sunday(
    services: Services, alone: Member
) -> None:
    """Two weeks from Sunday to Saturday, each with one mail, though one ISO week has two."""
    cairo = {"weekend": "fri,sat", "holidays": "", "notify_frequency": "weekly", "weekly_day": 6}
    with services.db.write() as session:
        session.add(
            DaysOff(user_id=None, first_day=date(2026, 11, 22), last_day=date(2026, 11, 22))
        )
    found = happens(services, date(2026, 11, 22), date(2026, 12, 5), **cairo)
    assert found == "cM---ww" + "M----ww"


def test_a_weekday_in_the_weekend_is_the_last_workday_of_that_week(
    services: Services, alone: Member
) -> None:
    fridays = {"weekend": "fri,sat", "holidays": "", "notify_frequency": "weekly", "weekly_day": 4}
    assert happens(services, date(2026, 11, 22), date(2026, 11, 28), **fridays) == "----Mww"


# --- clock changes ----------------------------------------------------------------------------------


def new_york(services: Services, day: date, hour: str) -> None:
    start(
        services,
        day,
        timezone="America/New_York",
        notify_at=time.fromisoformat(hour),
        weekend="",
    )


def planned(services: Services, moments: Sequence[datetime]) -> list[int]:
    return [len(reminders.plan(services, moment).ids) for moment in moments]


def test_an_hour_that_a_clock_change_skips_comes_at_the_first_instant_after_it(
    services: Services, alone: Member
) -> None:
    new_york(services, date(2026, 3, 8), "02:30")
    gap_ends = datetime(2026, 3, 8, 7, tzinfo=UTC)  # 03:00 EDT
    moments = [gap_ends - HOUR / 60, gap_ends, gap_ends + HOUR]
    assert planned(services, moments) == [0, 1, 0]
    with services.db.read() as session:
        member = session.scalars(select(Member)).one()
    assert member.next_due_at == datetime(2026, 3, 9, 6, 30, tzinfo=UTC)  # 02:30 EDT


def test_an_hour_that_exists_twice_brings_one_mail(services: Services, alone: Member) -> None:
    new_york(services, date(2026, 11, 1), "01:30")
    first = datetime(2026, 11, 1, 5, 30, tzinfo=UTC)  # 01:30 EDT; 01:30 EST is an hour later
    moments = [first - HOUR / 60, first, first + HOUR, first + 2 * HOUR]
    assert planned(services, moments) == [0, 1, 0, 0]
    with services.db.read() as session:
        member = session.scalars(select(Member)).one()
    assert member.next_due_at == datetime(2026, 11, 2, 6, 30, tzinfo=UTC)  # 01:30 EST


# --- looking ahead ----------------------------------------------------------------------------------


def next_mail(services: Services, now: datetime) -> str | None:
    at: str | None = explain(services, SUZUKI, None, now).facts["next_mail_at"]
    return at


def test_why_names_the_next_date_and_hour_on_which_a_mail_can_come(
    services: Services, alone: Member
) -> None:
    start(services, TODAY)
    assert next_mail(services, NOW - HOUR) == "2026-11-24T09:00:00+09:00"
    reminders.plan(services, NOW)
    assert next_mail(services, NOW) == "2026-11-24T09:00:00+09:00"  # it waits to be sent
    with services.db.write() as session:
        session.execute(update(OutboxMail).values(state="accepted", accepted_at=NOW))
    assert next_mail(services, NOW) == "2026-11-25T09:00:00+09:00"
    with services.db.write() as session:
        session.execute(update(Member).values(paused_until=date(2026, 12, 31)))
        session.add(DaysOff(user_id=None, first_day=date(2026, 12, 29), last_day=date(2027, 1, 3)))
    assert next_mail(services, NOW) == "2027-01-04T09:00:00+09:00"
    assert "2027年1月4日(月) 09:00" in explain(services, SUZUKI, None, NOW).paragraph.ja


@pytest.mark.parametrize(
    "values", [{"active": False}, {"notify_frequency": "none"}, {"suppressed_reason": "550"}]
)
def test_why_says_when_no_mail_can_come(
    services: Services, alone: Member, values: dict[str, Any]
) -> None:
    start(services, TODAY, **values)
    assert next_mail(services, NOW) is None
    assert "60日" in explain(services, SUZUKI, None, NOW).paragraph.ja


def test_a_change_of_settings_is_simulated_and_leaves_no_trace(
    services: Services, alone: Member
) -> None:
    first, last = date(2026, 11, 24), date(2026, 11, 30)
    change = {"notify_frequency": "weekly", "weekly_day": "thu", "notify_at": "08:30"}
    found = list(reminders.compare(services, first, last, SUZUKI, change))
    assert [one.after.verdict for one in found] == ["skip", "skip", "send", *["skip"] * 4]
    assert [one.differs for one in found] == [True, True, True, True, False, False, True]
    with services.db.read() as session:
        assert session.scalars(select(Member)).one().notify_frequency is None
    live_through(services, first, last, notify_frequency="weekly", weekly_day=3)
    assert days(services) == {one.after.local_date: one.after.reason for one in found}


def test_a_change_of_the_organisation_spares_who_has_their_own(
    services: Services, team: People
) -> None:
    with services.db.write() as session:
        session.add_all(task(f"T-{one.id}", one) for one in (team.sato, team.suzuki))
        session.execute(update(Member).where(Member.id == team.sato.id).values(weekend="sat,sun"))
    change = {"weekend": "none", "holidays": "none"}
    monday, sunday = date(2026, 11, 23), date(2026, 11, 22)
    found = reminders.compare(services, sunday, monday, None, change)
    assert [one.after.email[:4] for one in found if one.after.verdict == "send"] == [
        "suzu",
        "sato",
        "suzu",
    ]


def test_a_simulation_refuses_what_it_cannot_do_by_name(services: Services, alone: Member) -> None:
    with pytest.raises(ValuesRefused, match="400"):
        list(reminders.simulate(services, TODAY, TODAY + 400 * DAY))
    assert len(list(reminders.simulate(services, TODAY, TODAY + 399 * DAY))) == 400
    with pytest.raises(ValuesRefused, match="notify_at") as refused:
        list(reminders.compare(services, TODAY, TODAY, None, {"notify_at": "25:00"}))
    assert refused.tb  # it keeps what was running, and must not keep a connection in use
    pool = services.db.engine.pool
    assert isinstance(pool, QueuePool)
    assert pool.checkedout() == 0
    with pytest.raises(ValuesRefused, match="paused_until"):  # a member's own, not everybody's
        list(reminders.compare(services, TODAY, TODAY, None, {"paused_until": "2026-12-01"}))
    with pytest.raises(NoSuchMember):
        list(reminders.simulate(services, TODAY, TODAY, "nobody@example.jp"))


def test_a_weekly_reminder_by_hand_is_no_second_one_west_of_the_date_line(
    services: Services, alone: Member
) -> None:
    monday_night = datetime(2026, 11, 30, 23, tzinfo=UTC)  # Tuesday 08:00 in Tokyo
    start(services, date(2026, 12, 1), notify_frequency="weekly", weekly_day=1)
    assert len(reminders.plan(services, monday_night + HOUR).ids) == 1
    with services.db.write() as session:
        session.execute(update(Member).values(timezone="Pacific/Honolulu", weekly_day=0))
    (again,) = reminders.remind(services, now=monday_night + 2 * HOUR, email=SUZUKI)
    assert (again.local_date, again.reason) == (date(2026, 11, 30), "already_sent")


# --- the cost of a tick -----------------------------------------------------------------------------


@on_sqlite
def test_a_tick_walks_through_no_table_of_members_tasks_decisions_or_mails(
    services: Services, alone: Member
) -> None:
    """SQLite tells how it will look; a condition written a little otherwise takes no index."""
    start(services, TODAY)
    reminders.plan(services, NOW - timedelta(days=1))  # the first one notes the time zone data
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        asked.append((statement, values))

    event.listen(services.db.engine, "before_cursor_execute", note)
    reminders.plan(services, NOW)
    outbox.sweep(services, NOW)
    event.remove(services.db.engine, "before_cursor_execute", note)
    with services.db.engine.connect() as connection:
        scans = [
            (row[3], statement)
            for statement, values in asked
            if statement.startswith(("SELECT", "UPDATE")) and isinstance(values, tuple)
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
            if row[3] in {f"SCAN {name}" for name in ("users", "tasks", "decisions", "outbox")}
        ]
    assert scans == []
