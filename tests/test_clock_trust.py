"""A clock that is wrong: what is doubted, what is put back, and what an admin can say."""

import re
from collections.abc import Callable
from datetime import date, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, select, update

from app import clock, clock_trust, outbox, reminders
from app.alerts import open_alerts
from app.clock_trust.judge import ClockReading, Doubt, Witness, judge
from app.clock_trust.trust import PREFIX
from app.db import Database
from app.locale import Both
from app.models import (
    TICK,
    Alert,
    DecisionRow,
    Kind,
    Member,
    OutboxMail,
    Role,
    Service,
    State,
    Task,
)
from app.monitoring import alert_mails, checks, status, status_lines
from app.monitoring.watchdog import NO_TICK_FOR, Watchdog
from app.outbox.breaker import Breaker, Gate
from app.queue import db_lock
from app.services import Services
from app.smtp.errors import MailSendError, Phase
from tests import sending
from tests.conftest import NOW, TODAY, People, task
from tests.databases import on_sqlite
from tests.smtp_server import SmtpServer

pytestmark = (
    pytest.mark.pages
)  # long stories: their statements are in other tests, on both databases

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
MONTH = timedelta(days=30)
MINUTE = timedelta(minutes=1)


def at(moment: datetime) -> Callable[[], datetime]:
    """A clock that stands still."""
    return lambda: moment


# --- the judge ------------------------------------------------------------------------------


def reading(hours: float, *, wall: float = 0, database: float = 0) -> ClockReading:
    """`hours` after the start; wall and database are so many hours ahead of the right time."""
    right = NOW + hours * HOUR
    return ClockReading(right + wall * HOUR, hours * 3600, right + database * HOUR)


BEFORE = reading(0)


def test_a_clock_that_goes_on_is_believed() -> None:
    assert judge(reading(24 * 90), BEFORE) is None
    assert judge(reading(5, wall=0.9, database=0.9), BEFORE) is None


def test_a_clock_that_jumped_ahead_is_not_believed_and_a_clock_that_jumped_along_is_no_witness() -> (
    None
):
    alone = judge(reading(1, wall=720, database=720), BEFORE)  # SQLite: one clock for both
    assert alone == Doubt(Witness.BOOT, MONTH)
    assert judge(reading(1, wall=720), BEFORE) == Doubt(Witness.BOOT, MONTH)


def test_a_clock_set_right_is_believed_where_the_database_kept_in_step_and_agrees() -> None:
    behind = reading(0, wall=-9)
    assert judge(reading(1), behind) is None
    assert judge(reading(1, wall=9, database=9), reading(0)) is not None


def test_a_clock_that_was_set_back_is_believed() -> None:
    assert judge(reading(1, wall=-9, database=-9), BEFORE) is None
    assert judge(reading(1, wall=-9), BEFORE) is None


def test_a_machine_that_starts_believes_its_clock_unless_the_database_contradicts() -> None:
    assert judge(reading(0, wall=720, database=720), None) is None
    assert judge(reading(0, wall=720), None) == Doubt(Witness.DATABASE, MONTH)
    assert judge(reading(0, wall=-720), None) is None


def test_the_one_of_two_machines_whose_clock_goes_on_is_believed_though_the_database_is_wrong() -> (
    None
):
    assert judge(reading(1, database=-720), BEFORE) is None
    assert judge(reading(1, database=720), BEFORE) is None


def test_days_asleep_or_off_are_no_fault() -> None:
    assert judge(reading(24 * 5), BEFORE) is None  # the time since the start goes on in sleep
    started_anew = ClockReading(NOW + 5 * DAY, 12.0, NOW + 5 * DAY)
    assert judge(started_anew, None) is None


# --- what is kept of it ----------------------------------------------------------------------


def jump(db: Database, by: timedelta, *, database_too: bool = True) -> None:
    """The wall clock of this machine was set ahead by so much since the believed reading.

    Told the other way round: the reading lies so much further back.
    """
    with db.write() as session:
        row = session.get_one(Service, PREFIX + clock.boot_id())
        known = dict(row.data["believed"])
        for name in ("wall", "database") if database_too else ("wall",):
            known[name] = (datetime.fromisoformat(known[name]) - by).isoformat()
        row.data = row.data | {"believed": known}


def names(db: Database) -> list[str]:
    with db.read() as session:
        return [one.name.partition(":")[0] for one in open_alerts(session)]


def minute(services: Services, now: datetime) -> list[int]:
    """What the job `tick` does with the mails of a minute, and its delivery."""
    if not clock_trust.may_work(services, now):
        return []
    reminders.plan(services, now)
    ids = outbox.sweep(services, now)
    status.note_heartbeat(services, TICK, now)
    sending.deliver(services, ids, at(now))
    return ids


@pytest.fixture
def tasks(db: Database, team: People) -> None:
    """Each of the three has an unreported task."""
    with db.write() as session:
        session.add_all(
            [task("T-1", team.sato), task("T-2", team.suzuki), task("T-3", team.tanaka)]
        )


def mailed(db: Database) -> list[tuple[int | None, date]]:
    """To whom, and for which date, reminders were accepted."""
    with db.read() as session:
        rows = session.execute(
            select(OutboxMail.user_id, OutboxMail.local_date).where(
                OutboxMail.kind == Kind.REMINDER, OutboxMail.state == State.ACCEPTED
            )
        )
        return sorted((row.user_id, row.local_date) for row in rows)


def message_ids(smtp: SmtpServer) -> list[bytes]:
    return [re.findall(rb"(?mi)^message-id: (.*)$", mail.data)[0] for mail in smtp.mails]


def dates(db: Database) -> set[date]:
    """The dates for which everybody has a decision."""
    with db.read() as session:
        everybody = session.scalar(select(func.count()).select_from(Member).where(Member.active))
        rows = session.execute(
            select(DecisionRow.local_date, func.count())
            .where(DecisionRow.slot == "reminder")
            .group_by(DecisionRow.local_date)
        )
        return {day for day, number in rows if number == everybody}


def test_a_clock_ahead_for_one_tick_decides_nothing_and_the_next_tick_goes_on(
    services: Services, db: Database, smtp: SmtpServer, tasks: None
) -> None:
    minute(services, NOW - DAY)
    jump(db, MONTH)
    assert minute(services, NOW + MONTH) == []
    assert names(db) == ["clock_in_doubt"]
    assert dates(db) == set()
    jump(db, -MONTH)
    minute(services, NOW)
    assert names(db) == []
    assert TODAY in dates(db)
    assert len(mailed(db)) == 3


def test_the_doubt_ends_with_an_admins_word_about_this_clock_and_no_other(
    services: Services, db: Database, tasks: None
) -> None:
    minute(services, NOW - DAY)
    assert clock_trust.accept(services, who="cli:taro", now=NOW) == []
    jump(db, 9 * HOUR)
    assert not clock_trust.may_work(services, NOW)
    assert [ahead for _, ahead in clock_trust.waiting(services)] == [
        pytest.approx(9 * HOUR, abs=MINUTE)
    ]
    assert len(clock_trust.accept(services, who="cli:taro", now=NOW)) == 1
    jump(db, MONTH)  # set once more, after the word
    assert not clock_trust.may_work(services, NOW)
    jump(db, -MONTH)
    assert not clock_trust.may_work(services, NOW)
    clock_trust.accept(services, who="cli:taro", now=NOW)
    assert clock_trust.may_work(services, NOW)
    assert clock_trust.waiting(services) == []
    assert names(db) == []
    assert clock_trust.may_work(services, NOW)


def test_the_doubt_about_a_machine_ends_when_it_starts_anew_with_its_clock_set_right(
    services: Services, db: Database
) -> None:
    clock_trust.may_work(services, NOW)
    jump(db, MONTH)
    assert not clock_trust.may_work(services, NOW + MONTH)
    with db.write() as session:
        row = session.get_one(Service, PREFIX + clock.boot_id())
        elsewhere = row.data | {"host": "another-machine"}
        session.add(Service(name=PREFIX + "other", at=row.at, data=elsewhere))
        row.name = PREFIX + "the-start-before"
    assert clock_trust.may_work(services, NOW)
    assert [host for host, _ in clock_trust.waiting(services)] == ["another-machine"]
    assert names(db) == []
    with db.read() as session:  # a machine of the same name may go on, and knows what it knew
        assert session.get_one(Service, PREFIX + "the-start-before").data["believed"]


def test_with_a_clock_in_doubt_alerts_are_mailed_and_nothing_else(
    services: Services, db: Database, smtp: SmtpServer, team: People, tasks: None
) -> None:
    with db.write() as session:
        session.execute(update(Member).where(Member.id == team.sato.id).values(role=Role.ADMIN))
    clock_trust.may_work(services, NOW)
    reminders.plan(services, NOW)  # today's mails lie ready when the clock jumps
    jump(db, MONTH)
    for later in range(4):
        now = NOW + MONTH + later * MINUTE
        assert not clock_trust.may_work(services, now)
        checks.run(services, now)
        alert_mails.notify_admins(services, now)
        sending.deliver(services, outbox.urgent(services, now), at(now))
    assert [mail.recipient for mail in smtp.mails] == [team.sato.email]
    assert names(db) == ["clock_in_doubt"]  # and nobody's silence is judged by that clock
    with db.read() as session:
        states = session.scalars(
            select(OutboxMail.state).where(OutboxMail.kind == Kind.REMINDER)
        ).all()
    assert states == [State.READY] * 3


def test_a_clock_set_back_for_a_day_is_the_one_to_go_by(services: Services, db: Database) -> None:
    clock_trust.may_work(services, NOW)
    jump(db, -9 * HOUR)
    clock_trust.may_work(services, NOW)
    with db.write() as session:
        row = session.get_one(Service, PREFIX + clock.boot_id())
        assert row.data["back_since"] is not None
        row.data = row.data | {"back_since": row.data["back_since"] - 25 * 3600}
    clock_trust.may_work(services, NOW)
    jump(db, 9 * HOUR)
    assert not clock_trust.may_work(services, NOW)


# --- putting back ------------------------------------------------------------------------------


def started_ahead(services: Services, ahead: timedelta) -> None:
    """A machine that starts with a clock ahead has nothing to compare it with, and believes it."""
    minute(services, NOW + ahead)


@pytest.mark.pages  # weeks of it; each step has its tests on both databases
@pytest.mark.parametrize("ahead", [9 * HOUR, 3 * DAY, MONTH])
def test_once_the_clock_is_right_each_day_has_its_decision_and_its_mail(
    services: Services, db: Database, smtp: SmtpServer, tasks: None, ahead: timedelta
) -> None:
    minute(services, NOW - DAY)
    with db.write() as session:  # it starts anew
        session.execute(delete(Service))
    started_ahead(services, ahead)
    early = mailed(db)
    jump(db, -ahead)
    # Until some workdays after the last one that was decided too early.
    for half_day in range(2 * (ahead.days + 5)):
        minute(services, NOW + half_day * 12 * HOUR)
    days = {TODAY + n * DAY for n in range(ahead.days + 5)}
    assert days <= dates(db)
    assert len(mailed(db)) == len(set(mailed(db)))
    assert set(early) <= set(mailed(db))
    workdays = {day for day in days if day.weekday() < 5}
    assert workdays <= {day for _, day in mailed(db)}
    assert len(message_ids(smtp)) == len(set(message_ids(smtp)))


def test_what_was_put_back_is_told_and_heartbeats_are_of_now(
    services: Services, db: Database, smtp: SmtpServer, tasks: None
) -> None:
    started_ahead(services, MONTH)
    status.note_heartbeat(services, "beat", NOW + MONTH)
    with db.write() as session:
        session.add(Alert(name="x", detail="", data={}, opened_at=NOW, mailed_at=NOW + MONTH))
    jump(db, -MONTH)
    assert clock_trust.may_work(services, NOW)
    assert names(db) == ["clock_was_ahead", "x"] or names(db) == ["x", "clock_was_ahead"]
    with db.read() as session:
        assert session.get_one(Service, "beat").at == NOW
        assert session.scalars(select(Alert.mailed_at).where(Alert.name == "x")).one() == NOW
        assert max(session.scalars(select(Member.decided_through))) < TODAY
    clock_trust.may_work(services, NOW)
    with db.read() as session:
        told = session.scalars(select(Alert).where(Alert.name == "clock_was_ahead")).all()
    assert len(told) == 1


def test_a_mail_that_a_clock_ahead_put_off_is_due_again(
    services: Services, db: Database, tasks: None
) -> None:
    reminders.plan(services, NOW - MINUTE)
    reminders.plan(services, NOW)
    with db.write() as session:
        session.execute(update(OutboxMail).values(not_before=NOW + MONTH, updated_at=NOW + MONTH))
    status.note_heartbeat(services, TICK, NOW + MONTH)
    clock_trust.may_work(services, NOW)
    with db.read() as session:
        assert set(session.scalars(select(OutboxMail.not_before))) == {NOW}


def test_a_lease_that_the_databases_clock_made_endless_gets_its_usual_length(
    services: Services, db: Database, tasks: None
) -> None:
    (mail_id, *_) = reminders.plan(services, NOW).ids
    with db.write() as session:
        session.execute(
            update(OutboxMail)
            .where(OutboxMail.id == mail_id)
            .values(
                state=State.SENDING, lease_token="t", lease_until=clock.of_the_machine() + MONTH
            )
        )
    clock_trust.may_work(services, NOW)
    with db.read() as session:
        until = session.get_one(OutboxMail, mail_id).lease_until
    assert until is not None
    assert MINUTE < until - clock.of_the_machine() < 12 * MINUTE


def test_a_breaker_that_a_clock_ahead_opened_is_probed_at_once(
    services: Services, db: Database
) -> None:
    error = MailSendError(Phase.CONNECT, Both("応答なし", "no answer"))
    with db.write() as session:
        Breaker().trip(session, error, NOW + 9 * HOUR)
        assert Breaker().gate(session, NOW) is Gate.HALF_OPEN
        assert Breaker(host="h").take_probe(session, NOW)
        assert Breaker().gate(session, NOW) is Gate.OPEN


def test_a_sign_of_life_from_the_future_is_told_until_a_right_one_comes(
    services: Services, db: Database
) -> None:
    status.note_heartbeat(services, TICK, NOW)
    status.note_heartbeat(services, "beat", NOW + 9 * HOUR)
    checks.run(services, NOW)
    assert names(db) == ["heartbeat_ahead"]
    assert checks.unwell(services, NOW) == ["heartbeat_ahead:beat"]
    status.note_heartbeat(services, "beat", NOW + MINUTE)
    checks.run(services, NOW + MINUTE)
    assert names(db) == []


def test_status_is_red_when_members_have_no_decision_of_today(
    services: Services, db: Database, tasks: None
) -> None:
    reminders.plan(services, NOW - DAY)
    with db.write() as session:
        session.execute(update(Member).values(created_at=NOW - MONTH))
    facts = status.status(services, NOW + 9 * MINUTE)
    assert facts["undecided"] == 0
    facts = status.status(services, NOW + 11 * MINUTE)
    assert facts["undecided"] == 3
    worst = status_lines.lines(facts)[0]
    assert worst.mark == "bad"
    reminders.plan(services, NOW + 12 * MINUTE)
    assert status.status(services, NOW + 12 * MINUTE)["undecided"] == 0
    with db.write() as session:  # what a clock ahead leaves behind
        session.execute(delete(DecisionRow))
        session.execute(
            update(Member).values(decided_through=TODAY + MONTH, next_due_at=NOW + MONTH)
        )
    assert status.status(services, NOW + 11 * MINUTE)["undecided"] == 3


# --- rehearsals ----------------------------------------------------------------------------------


def test_a_rehearsal_silences_no_real_day(
    services: Services, db: Database, smtp: SmtpServer, tasks: None
) -> None:
    early = NOW - 2 * HOUR
    tomorrow = NOW + DAY
    rehearsed = reminders.plan(services, tomorrow, real_now=early)
    sending.deliver(services, rehearsed.ids, at(early))
    reminders.remind(services, now=early, on=TODAY + 2 * DAY, real_now=early)
    first = len(smtp.mails)
    assert first == len(rehearsed.ids) == 3
    for days in range(3):
        minute(services, NOW + days * DAY)
    real = [one for one in mailed(db) if one[1] <= TODAY + 2 * DAY]
    assert {day for _, day in real} >= {TODAY, TODAY + DAY, TODAY + 2 * DAY}
    with db.read() as session:
        by_day = session.execute(
            select(OutboxMail.local_date, func.count())
            .where(OutboxMail.state == State.ACCEPTED, OutboxMail.n == 0)
            .group_by(OutboxMail.local_date)
        )
        assert {day: number for day, number in by_day} == {
            TODAY + days * DAY: 3 for days in range(3)
        }
        provisional = select(func.count()).where(DecisionRow.provisional)
        assert session.scalar(provisional) == 0


def test_a_rehearsal_twice_sends_once(
    services: Services, db: Database, smtp: SmtpServer, tasks: None
) -> None:
    early = NOW - 2 * HOUR
    for _ in range(2):
        ids = reminders.plan(services, NOW + DAY, real_now=early).ids
        sending.deliver(services, ids, at(early))
    assert len(message_ids(smtp)) == len(set(message_ids(smtp))) == 3


# --- whatever the clock does ----------------------------------------------------------------------

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["set", "right", "start"]),
        st.integers(-40 * 24, 40 * 24),  # hours by which the clock is then off
        st.integers(1, 20),  # hours until the next step
    ),
    min_size=1,
    max_size=8,
)


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=STEPS)
@on_sqlite
def test_no_path_of_the_clock_doubles_a_mail_or_leaves_a_member_without_a_decision(
    services: Services,
    db: Database,
    smtp: SmtpServer,
    team: People,
    steps: list[tuple[str, int, int]],
) -> None:
    _empty(db, team)
    smtp.mails.clear()
    right, off = NOW - HOUR, timedelta()
    minute(services, right)
    for what, hours, later in [*steps, ("right", 0, 12), ("right", 0, 12), ("right", 0, 1)]:
        new = timedelta(hours=hours) if what == "set" else timedelta() if what == "right" else off
        if what == "start":
            with db.write() as session:
                session.execute(delete(Service).where(Service.name.startswith(PREFIX)))
        else:
            _known(services, db, new - off)
        off = new
        minute(services, right + off)
        if what == "right":
            clock_trust.accept(services, who="cli:taro", now=right)
        minute(services, right + off)
        right += timedelta(hours=later)
    minute(services, right)
    wanted = {TODAY + n * DAY for n in range((right - NOW).days + 1)}
    assert wanted <= dates(db)
    assert len(mailed(db)) == len(set(mailed(db)))
    assert len(message_ids(smtp)) == len(set(message_ids(smtp)))


def _known(services: Services, db: Database, by: timedelta) -> None:
    with db.read() as session:
        row = session.get(Service, PREFIX + clock.boot_id())
    if row is not None and row.data["believed"] is not None:
        jump(db, by)


def _empty(db: Database, team: People) -> None:
    """As if nothing had been decided yet."""
    with db.write() as session:
        for table in (OutboxMail, DecisionRow, Alert, Service):
            session.execute(delete(table))
        if session.scalar(select(func.count()).select_from(Task)) == 0:
            session.add_all([task(f"T-{one.id}", one) for one in (team.sato, team.suzuki)])
        session.execute(
            update(Member).values(decided_through=TODAY - DAY, next_due_at=None, led_through=None)
        )


# --- the worker's watchdog ------------------------------------------------------------------------


def test_a_watchdog_that_sees_no_tick_asks_for_one_whatever_the_clock_says() -> None:
    """A tick is known by its mark, which need not be later than the one before."""
    marks: list[object] = [None]
    asked: list[int] = []
    passed = [0.0]  # seconds
    watchdog = Watchdog(
        waiting=lambda: 0,
        free=lambda: True,
        stop=lambda _code: None,
        last_tick=lambda: marks[-1],
        ask_for_tick=lambda: asked.append(1),
        clock=lambda: passed[-1],
    )
    for mark in (NOW, NOW - 9 * HOUR, NOW + MONTH):
        marks.append(mark)
        passed.append(passed[-1] + NO_TICK_FOR + 1)
        watchdog.look_for_ticks()
    assert asked == []
    passed.append(passed[-1] + NO_TICK_FOR + 1)
    watchdog.look_for_ticks()
    watchdog.look_for_ticks()
    assert len(asked) == 1


def test_a_turn_that_a_clock_ahead_took_is_nobodys(services: Services, db: Database) -> None:
    lasts = timedelta(seconds=30)
    with db_lock.of(services, "planning", NOW + MONTH, lasts) as ahead:
        assert ahead
        with db_lock.of(services, "planning", NOW, lasts) as mine:
            assert mine
            with db_lock.of(services, "planning", NOW + timedelta(seconds=5), lasts) as second:
                assert not second
