"""The rule, run by the real plan over whatever happens: properties over random weeks of events."""

import contextlib
import itertools
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from app import reminders
from app.config import load
from app.members import changes, defaults
from app.members.days import LEAVE, WORKDAYS, NoSuchDays
from app.members.snooze import NotNow, snooze_today
from app.models import DecisionRow, Member, OutboxMail, Report, Task
from app.people.settings import Person, organisation, people
from app.people.values import ValuesRefused
from app.rules import hours
from app.rules.decision import Verdict
from app.rules.hours import Rhythm
from app.rules.workdays import DAY, Span, week_of
from app.services import Services, make
from tests.conftest import CORE, sato, suzuki, task
from tests.databases import sqlite_copy

START = datetime(2026, 4, 20, tzinfo=UTC)  # a Monday, 09:00 in Tokyo; Golden Week is near
HOUR = timedelta(hours=1)
EMAILS = (sato().email, suzuki().email)
LONGEST_GAP = 5 * 24  # hours; further back than 7 days nothing is decided afterwards

Do = tuple[str, Any]


@dataclass
class World:
    """Two members, a clock that goes forward, and what must be true of it all the time."""

    services: Services
    now: datetime = START
    started: dict[str, date] = field(default_factory=dict)  # the first date owed to who is active
    seen: set[int] = field(default_factory=set)  # ids of decisions looked at
    # Since which instant which values hold, by address: settings themselves have no history.
    held: dict[str, list[tuple[datetime, Rhythm]]] = field(default_factory=dict)

    def people(self) -> list[Person]:
        with self.services.db.read() as session:
            members = session.scalars(select(Member).where(Member.active.is_(True))).all()
            good, broken = people(session, organisation(session, self.services.config), members)
        assert not broken
        return good

    def start(self, emails: tuple[str, ...]) -> None:
        for one in self.people():
            if one.member.email in emails:
                self.started[one.member.email] = hours.first_date(one.rhythm, self.now)

    def tick(self) -> None:
        reminders.plan(self.services, self.now)
        again = reminders.plan(self.services, self.now)
        assert (again.decided, again.ids) == (0, [])
        for one in self.people():
            self.check_next(one)
            self.check_all_decided(one)
        self.check_new(self.people())

    def remember(self) -> None:
        """Notes from when on the settings hold that hold now."""
        for one in self.people():
            known = self.held.setdefault(one.member.email, [])
            if not known or known[-1][1] != one.rhythm:
                known.append((self.now, one.rhythm))

    def check_next(self, one: Person) -> None:
        """The next instant lies ahead, and no date whose hour comes before it is left out."""
        assert one.member.next_due_at is not None
        assert one.member.next_due_at > self.now
        assert hours.dates_due(one.rhythm, one.member.decided_through, self.now) == []
        first = one.member.decided_through + DAY
        assert one.member.next_due_at == hours.hour(one.rhythm, first)

    def check_all_decided(self, one: Person) -> None:
        """Each date that is over, and today once its hour has come, has its one decision."""
        rows = self.decisions(one.member.id)
        dates = [row.local_date for row in rows]
        assert len(dates) == len(set(dates))
        day, today = self.started[one.member.email], self.now.astimezone(one.rhythm.zone).date()
        while day <= today and hours.hour(one.rhythm, day) <= self.now:
            assert day in dates, f"{one.member.email} {day}"
            day += DAY

    def check_new(self, people: list[Person], *, by_hand: bool = False) -> None:
        """What was decided just now, with the settings of its hour. What was decided to be sent:
        today, in time, on no day off, not in quiet hours; and weekly members had no other one in
        their week. `people` are those to whom it happened, as they were then.
        """
        for one in people:
            rows = self.decisions(one.member.id)
            for row in rows:
                if row.id in self.seen:
                    continue
                if not by_hand:
                    self.check_facts(one, row)
                if row.verdict != Verdict.SEND:
                    continue
                assert row.local_date == self.now.astimezone(one.rhythm.zone).date()
                assert one.calendar.day_off(row.local_date) is None
                assert hours.quiet_until(one.rhythm, self.now) is None
                if row.facts["frequency"] == "weekly":
                    assert [row.id] == [
                        other.id
                        for other in rows
                        if other.verdict == Verdict.SEND and same_week(other, row, rows)
                    ]
            self.seen |= {row.id for row in rows}

    def check_facts(self, one: Person, row: DecisionRow) -> None:
        """A date is decided with the settings that held when its hour came, however late: the
        first ones of which the hour came before they were changed.
        """
        held = self.held[one.member.email]
        for (_, rhythm), (until, _) in itertools.pairwise([*held, (self.now, held[-1][1])]):
            if hours.hour(rhythm, row.local_date) <= until:
                assert row.facts["frequency"] == rhythm.frequency
                assert row.facts["timezone"] == rhythm.zone.key
                assert begins(row) == rhythm.week_begins
                assert row.at == hours.hour(rhythm, row.local_date)
                break
        else:
            raise AssertionError(f"{row.local_date} was decided before its hour")

    def decisions(self, member_id: int) -> list[DecisionRow]:
        with self.services.db.read() as session:
            return list(
                session.scalars(
                    select(DecisionRow)
                    .where(DecisionRow.user_id == member_id)
                    .order_by(DecisionRow.local_date)
                )
            )

    # --- what may happen --------------------------------------------------------------------------

    def do(self, email: str, what: str, value: Any) -> None:
        """What a happening's name says; "nothing" does nothing."""
        before = self.people()
        getattr(self, f"do_{what}", lambda *_: None)(email, value)
        self.check_new(before, by_hand=what in {"snooze", "remind"})  # these ignore the hour
        for one in before:
            if what == "defaults" or (what in {"set", "active"} and one.member.email == email):
                self.check_all_decided(one)  # up to now, and as it was before
        self.remember()

    def do_set(self, email: str, value: dict[str, str]) -> None:
        changes.set_member(self.services, email, value, "test", self.now)

    def do_defaults(self, _email: str, value: dict[str, str]) -> None:
        defaults.set_settings(self.services, value, "test", self.now)

    def do_active(self, email: str, value: str) -> None:
        was = {one.member.email for one in self.people()}
        changes.set_member(self.services, email, {"active": value}, "test", self.now)
        if value == "yes" and email not in was:
            self.held.pop(email, None)
            self.start((email,))

    def do_leave(self, email: str, value: tuple[int, int | None]) -> None:
        first = self.now.date() + value[0] * DAY
        last = None if value[1] is None else first + value[1] * DAY
        LEAVE.add(self.services, email, Span(first, last), "test", self.now)

    def do_back(self, email: str, _value: Any) -> None:
        with contextlib.suppress(NoSuchDays):
            day = self.now.date()
            LEAVE.remove(self.services, email, Span(day, None), "test", self.now)

    def do_workday(self, email: str, value: tuple[str, int, int]) -> None:
        what, first, length = value
        day = self.now.date() + first * DAY
        owner = email if what == "own" else None
        with contextlib.suppress(ValuesRefused):  # on leave of theirs
            WORKDAYS.add(self.services, owner, Span(day, day + length * DAY), "test", self.now)

    def do_no_workday(self, email: str, value: str) -> None:
        owner = email if value == "own" else None
        days = Span(self.now.date(), self.now.date() + 9 * DAY)
        with contextlib.suppress(NoSuchDays):
            WORKDAYS.remove(self.services, owner, days, "test", self.now)

    def do_report(self, email: str, _value: Any) -> None:
        with self.services.db.write() as session:
            member = session.scalars(select(Member).where(Member.email == email)).one()
            task_id = session.scalars(select(Task.id).where(Task.assignee_id == member.id)).one()
            session.add(
                Report(
                    task_id=task_id,
                    reporter_id=member.id,
                    counts_for=self.now.date(),
                    percent=10,
                    status="on_track",
                    text="",
                    created_at=self.now,
                )
            )

    def do_snooze(self, email: str, value: time) -> None:
        with contextlib.suppress(NotNow):
            found = snooze_today(self.services, email, value, "test", self.now)
            with self.services.db.read() as session:
                mail = session.get_one(OutboxMail, found.mail_id)
            (one,) = (one for one in self.people() if one.member.email == email)
            assert mail.not_before > self.now
            assert hours.quiet_until(one.rhythm, mail.not_before) is None
            assert mail.expires_at > mail.not_before
            self.seen |= {row.id for row in self.decisions(one.member.id)}

    def do_remind(self, email: str, _value: Any) -> None:
        reminders.remind(self.services, now=self.now, email=email)


def same_week(one: DecisionRow, other: DecisionRow, rows: list[DecisionRow]) -> bool:
    """The working week of either, or an ISO week in which the weekend became another."""
    iso = week_of(one.local_date)
    changed = len({begins(row) for row in rows if iso.covers(row.local_date)}) > 1
    return (
        week_of(one.local_date, begins(one)).covers(other.local_date)
        or week_of(other.local_date, begins(other)).covers(one.local_date)
        or (changed and iso.covers(other.local_date))
    )


def begins(row: DecisionRow) -> int:
    return int(row.facts.get("week_begins", 0))


@contextlib.contextmanager
def world(start: datetime = START) -> Iterator[World]:
    """A fast one: a database file of its own that nothing waits for to reach the disk."""
    with tempfile.TemporaryDirectory() as folder:
        services = make(
            load(
                {
                    "DATABASE_URL": sqlite_copy(Path(folder) / "db.sqlite3"),
                    "DATA_DIR": folder,
                    "MAIL_FROM": "app@example.jp",
                    "SECRET_KEY": "a made-up key for tests only: 0123456789 abcdef",
                },
                Path(folder),
            )
        )
        with services.db.write() as session:
            both = [
                one(decided_through=start.date() - DAY, created_at=start - DAY)
                for one in (sato, suzuki)
            ]
            session.add_all(both)
            session.flush()
            session.add_all(
                task(f"T-{one.id}", one, start_on=start.date() - 20 * DAY) for one in both
            )
        made = World(services)
        made.now = start - HOUR
        made.start(EMAILS)
        made.remember()
        yield made
        services.db.close()


# --- what happens -----------------------------------------------------------------------------------

clocks = st.sampled_from(["00:00", "02:30", "07:00", "09:00", "12:15", "18:00", "23:30"])
zones = st.sampled_from(
    ["Asia/Tokyo", "America/New_York", "Pacific/Kiritimati", "Pacific/Honolulu", "Europe/Berlin"]
)
own = st.fixed_dictionaries(
    {},
    optional={
        "notify_at": clocks | st.just(""),
        "timezone": zones | st.just(""),
        "notify_frequency": st.sampled_from(["daily", "weekly", "weekly", "none", ""]),
        "weekly_day": st.sampled_from(["mon", "wed", "fri", "sun", ""]),
        "weekend": st.sampled_from(["none", "sun", "fri,sat", "tue,wed", ""]),
        "holidays": st.sampled_from(["JP", "DE-BY", "GB-ENG", "CN", "none", ""]),
        "paused_until": st.sampled_from(["2026-04-24", "2026-05-08", ""]),
    },
)
quiet = st.tuples(clocks, clocks).map(
    lambda two: {"quiet_hours_start": two[0], "quiet_hours_end": two[1]}
)
no_quiet = st.just({"quiet_hours_start": "", "quiet_hours_end": ""})
shared = st.fixed_dictionaries(
    {},
    optional={
        "notify_at": clocks,
        "timezone": zones,
        "notify_frequency": st.sampled_from(["daily", "weekly"]),
        "holidays": st.sampled_from(["JP", "US-CA", "HU", "none"]),
        "catch_up_until": clocks,
        "catch_up_hours": st.sampled_from(["1", "3", "24"]),
    },
)
extra = st.tuples(st.sampled_from(["own", "company"]), st.integers(0, 8), st.integers(0, 2))
happenings: st.SearchStrategy[Do] = st.one_of(
    st.just(("nothing", None)),
    st.tuples(st.just("set"), own),
    st.tuples(st.just("set"), quiet | no_quiet),
    st.tuples(st.just("defaults"), shared | quiet | no_quiet),
    st.tuples(st.just("active"), st.sampled_from(["yes", "no"])),
    st.tuples(st.just("leave"), st.tuples(st.integers(-2, 3), st.none() | st.integers(0, 9))),
    st.just(("back", None)),
    st.tuples(st.just("workday"), extra),
    st.tuples(st.just("no_workday"), st.sampled_from(["own", "company"])),
    st.just(("report", None)),
    st.tuples(st.just("snooze"), clocks.map(time.fromisoformat)),
    st.just(("remind", None)),
)
steps = st.lists(
    st.tuples(
        st.sampled_from(EMAILS),
        happenings,
        st.integers(0, LONGEST_GAP) | st.integers(0, 6),  # hours until the next
        st.booleans(),  # whether it ticks meanwhile
    ),
    max_size=12,
)


# A merge tries the same stories each time; new ones are found at a desk.
STORIES = 6 if CORE in os.environ else 16 if "CI" in os.environ else 30
calmly = settings(
    max_examples=STORIES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@calmly
@given(steps)
def test_whatever_happens_each_date_gets_its_one_decision_and_no_mail_comes_at_a_wrong_moment(
    story: list[tuple[str, Do, int, bool]],
) -> None:
    """Never two reminders a local date nor two weekly ones a week, none in quiet hours or on a day
    off, no date left out, deciding twice changes nothing, the next instant always ahead.
    """
    with world() as now:
        now.tick()
        for email, (what, value), hours, ticking in story:
            now.do(email, what, value)
            if ticking:
                for _ in range(0, hours, 3):
                    now.now += 3 * HOUR
                    now.tick()
            else:
                now.now += hours * HOUR
            now.tick()


weekly = st.fixed_dictionaries(
    {
        "notify_frequency": st.sampled_from(["weekly", "weekly", "weekly", "daily"]),
        "weekly_day": st.sampled_from(["mon", "tue", "wed", "thu", "fri", "sun"]),
    },
    optional={
        "timezone": zones,
        "weekend": st.sampled_from(["sat,sun", "fri,sat", "fri,sat", "sun", "tue,wed"]),
    },
)


@calmly
@given(st.lists(st.tuples(weekly, st.integers(1, 2), st.booleans()), min_size=5, max_size=12))
def test_whichever_weekday_is_chosen_in_the_middle_of_a_week_it_brings_no_second_weekly_mail(
    story: list[tuple[dict[str, str], int, bool]],
) -> None:
    """`check_new` looks at the whole week of each weekly mail."""
    with world() as now:
        now.now = START + HOUR  # ten in Tokyo, each day: in time for a mail
        for values, days, ticking in story:
            now.do(EMAILS[0], "set", values)
            now.tick()
            for _ in range(days):
                now.now += 24 * HOUR
                if ticking:
                    now.tick()


# --- looking ahead ----------------------------------------------------------------------------------

# What a member may have; `simulate` looks at each date as of its own hour, so no catch-up matters.
teams = st.tuples(
    own,
    quiet | no_quiet,
    st.none() | st.tuples(st.integers(0, 9), st.integers(0, 5)),
    st.lists(extra, max_size=2),
)
changing_clocks = st.sampled_from(
    [START, datetime(2026, 3, 5, tzinfo=UTC), datetime(2026, 10, 29, tzinfo=UTC)]
)


@settings(calmly, max_examples=STORIES // 2)
@given(st.tuples(teams, teams), changing_clocks)
def test_what_is_simulated_is_what_happens_when_nobody_reports(
    both: tuple[Any, Any], start: datetime
) -> None:
    """Two weeks of a random team: Golden Week, or a clock change in New York or Berlin."""
    with world(start) as now:
        for email, (values, hours, away, works) in zip(EMAILS, both, strict=True):
            changes.set_member(now.services, email, values | hours, "test", now.now)
            if away is not None:
                first = start.date() + away[0] * DAY
                span = Span(first, first + away[1] * DAY)
                LEAVE.add(now.services, email, span, "test", now.now)
            for one in works:
                now.do_workday(email, one)
        reminders.plan(now.services, now.now)  # what the first day brought already is known
        first, last = start.date() + DAY, start.date() + 14 * DAY
        ahead = list(reminders.simulate(now.services, first, last))
        while now.now < start + 16 * 24 * HOUR:
            reminders.plan(now.services, now.now)
            soonest = min(one.member.next_due_at or now.now for one in now.people())
            assert soonest > now.now
            now.now = soonest
        happened = {
            (one.member.email, row.local_date): row
            for one in now.people()
            for row in now.decisions(one.member.id)
        }
        for one in ahead:
            row = happened[one.email, one.local_date]
            assert (row.verdict, row.reason) == (one.verdict, one.reason)
            assert one.at is None or row.at == one.at
            assert one.verdict == "skip" or one.tasks == [ref for ref, _ in row.facts["tasks"]]
