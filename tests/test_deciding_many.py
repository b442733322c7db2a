"""Deciding for many at once gives each member what deciding for them alone gives."""

import random
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta

import pytest
from sqlalchemy import delete, func, select

from app import reminders
from app.models import DaysOff, DecisionRow, Member, OutboxMail, Report, Task
from app.reminders import simulate
from app.rules.workdays import DAY
from app.services import Services
from bench import members
from bench.members import TODAY

D = date(2026, 11, 24)  # Tuesday after a holiday Monday
ZONES = ("Asia/Tokyo", None, "America/New_York", "Asia/Kathmandu", "Pacific/Kiritimati", "UTC")
QUIET = ((None, None), (None, None), (time(22), time(7)), (time(8), time(10, 30)))
HOURS = (None, time(9), time(8, 30), time(0), time(22))
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


def some_member(dice: random.Random, number: int) -> Member:
    start, end = dice.choice(QUIET)
    return Member(
        id=number,
        email=f"m{number}@example.jp",
        name=f"メンバー {number}",
        timezone=dice.choice(ZONES),
        notify_at=dice.choice(HOURS),
        notify_frequency=dice.choice([None, None, "daily", "weekly", "none"]),
        weekly_day=dice.choice([None, 0, 1, 2]),
        weekend=dice.choice([None, None, "fri,sat", "tue", ""]),
        quiet_hours_start=start,
        quiet_hours_end=end,
        paused_until=dice.choice([None, None, None, D, D + DAY]),
        suppressed_reason=dice.choice([None, None, None, None, "550"]),
        decided_through=D - DAY,
        created_at=NEW_YEAR,
    )


def some_work(dice: random.Random, number: int) -> list[Task | Report | DaysOff]:
    """Up to three tasks of the member, some reported on; now and then leave."""
    made: list[Task | Report | DaysOff] = []
    for n in range(number * 10, number * 10 + dice.randrange(4)):
        start = D - dice.randrange(60) * DAY
        status = dice.choice(["open", "open", "open", "done"])
        made.append(
            Task(
                id=n,
                ref=f"T-{n} \"見積\\'%",
                title="タスク",
                assignee_id=number,
                assigned_on=dice.choice([None, D - 3 * DAY]),
                status=status,
                closed_on=D - DAY if status == "done" else None,
                start_on=start,
                report_every=dice.choice(["daily", "weekly"]),
            )
        )
        if dice.random() < 0.5:
            said = {"percent": 10, "status": "on_track", "text": "", "created_at": NEW_YEAR}
            day = D - dice.randrange(10) * DAY
            made.append(Report(task_id=n, reporter_id=number, counts_for=day, **said))
    if dice.random() < 0.3:
        first = D - dice.randrange(8) * DAY
        made.append(DaysOff(user_id=number, first_day=first, last_day=first + 3 * DAY))
    return made


@pytest.mark.parametrize("seed", range(2))
def test_a_random_team_is_decided_as_each_member_alone(services: Services, seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311 - the same team each time
    numbers = range(1, 41)
    with services.db.write() as session:
        session.add_all(some_member(dice, n) for n in numbers)
        session.flush()
        for n in numbers:
            work = some_work(dice, n)
            session.add_all(one for one in work if isinstance(one, Task))
            session.flush()
            session.add_all(one for one in work if not isinstance(one, Task))
    alone = {}
    for n in numbers:
        (one,) = simulate(services, D, D, f"m{n}@example.jp")
        at = one.at.astimezone(UTC) if one.at else None
        alone[n] = (one.verdict, one.reason, at, one.tasks)
    for hour in range(-16, 42):  # from the first hour of D on earth to its last
        now = datetime.combine(D, time(), UTC) + timedelta(hours=hour)
        assert reminders.plan(services, now).held == 0
    with services.db.read() as session:
        rows = session.scalars(select(DecisionRow).where(DecisionRow.local_date == D)).all()
    together = {
        row.user_id: (
            row.verdict,
            row.reason,
            row.at if row.verdict == "send" else None,
            [ref for ref, _ in row.facts["tasks"]] if row.verdict == "send" else [],
        )
        for row in rows
    }
    assert together == alone
    assert {row.verdict for row in rows} == {"send", "skip"}
    assert len({row.reason for row in rows}) > 4


def test_the_first_mails_of_a_large_morning_are_free_to_leave_before_the_last_are_decided(
    services: Services,
) -> None:
    members.fill(services.db, 1_100)
    heard: list[tuple[int, int]] = []  # mails of one batch, and decisions committed by then

    def publish(ids: Sequence[int]) -> None:
        with services.db.read() as session:
            committed = session.scalar(select(func.count()).where(OutboxMail.id.in_(ids)))
            decided = session.scalars(
                select(func.count()).select_from(DecisionRow).where(DecisionRow.local_date == TODAY)
            ).one()
        assert committed == len(ids)
        heard.append((len(ids), decided))

    planned = reminders.plan(services, members.NOW, publish=publish)
    assert heard == [(500, 500), (500, 1_000), (120, 1_120)]
    assert len(planned.ids) == planned.decided == 1_120


def test_mails_that_the_brake_holds_are_published_to_nobody(services: Services) -> None:
    members.fill(services.db, 600)
    with services.db.write() as session:  # without yesterday's number, 620 are unusual
        session.execute(delete(DecisionRow))
    heard: list[int] = []
    planned = reminders.plan(services, members.NOW, publish=heard.extend)
    assert (planned.held, planned.ids, heard) == (620, [], [])
