"""A plan, a look ahead and a letter read the open tasks each in their way: the same tasks."""

import random
from collections.abc import Mapping, Sequence
from datetime import date, timedelta

from app.db import Database
from app.models import Report
from app.reports.progress import open_details, open_tasks, open_tasks_ahead
from tests.conftest import NOW, People, task

FIRST = date(2026, 11, 24)


def test_many_days_at_once_and_letters_say_what_each_day_says_by_itself(
    db: Database, team: People
) -> None:
    chance = random.Random(20261124)  # noqa: S311 - an example, no secret
    people = [team.sato, team.suzuki, team.tanaka]

    def day(low: int, high: int) -> date:
        return FIRST + timedelta(days=chance.randint(low, high))

    with db.write() as session:
        for n in range(60):
            status = chance.choice(["open", "open", "done", "cancelled"])
            closed_on = None if status == "open" else chance.choice([None, day(-5, 20)])
            one = task(
                f"T-{n}", chance.choice(people), start_on=day(-20, 20), status=status,
                closed_on=closed_on, report_every=chance.choice(["daily", "weekly"]),
            )  # fmt: skip
            session.add(one)
            session.flush()
            for _ in range(chance.randint(0, 3)):
                session.add(
                    Report(
                        task_id=one.id, counts_for=day(-20, 20), percent=0, status="on_track",
                        text="", created_at=NOW,
                    )
                )  # fmt: skip
    ids = [one.id for one in people]
    with db.read() as session:
        ahead = open_tasks_ahead(session, ids, FIRST, FIRST + timedelta(days=34))
        for n in range(35):
            one_day = FIRST + timedelta(days=n)
            alone = open_tasks(session, ids, one_day)
            assert _sorted(ahead(one_day)) == _sorted(alone)
            letters = open_details(session, ids, one_day)
            in_letters = {one: [task.open_task for task in letters[one]] for one in letters}
            assert _sorted(in_letters) == _sorted(alone)


def _sorted(found: Mapping[int, Sequence[object]]) -> dict[int, list[str]]:
    return {member: sorted(map(str, tasks)) for member, tasks in found.items()}
