"""Deciding for many members at once: reads what `rules.decision.decide` needs, and asks it."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.models import DecisionRow
from app.outbox.early_decisions import STANDS
from app.people.settings import Person
from app.reports.progress import open_tasks
from app.rules import decision, hours
from app.rules.decision import Decision, Past, Reason, Verdict
from app.rules.hours import Frequency
from app.rules.unreported import OpenTask
from app.rules.workdays import DAY
from app.util.grouped import grouped

WEEK_BEGINS = "week_begins"  # in a decision's facts, where the week did not begin on Monday
A_WEEK = 6 * DAY  # so far another decision may be of the same week as one


def past_of_week(
    session: Session, member_ids: Sequence[int], day: date, *, later: bool = False
) -> dict[int, list[Past]]:
    """Each member's reminder decisions of the 6 days before `day`: those of its week among them.

    With `later` also of the 6 days after it: west over the date line a date may come again.
    """
    rows = session.execute(
        select(
            DecisionRow.user_id,
            DecisionRow.local_date,
            DecisionRow.verdict,
            DecisionRow.reason,
            DecisionRow.facts,
        ).where(
            DecisionRow.user_id.in_(member_ids),
            DecisionRow.slot == "reminder",
            DecisionRow.local_date >= day - A_WEEK,
            DecisionRow.local_date <= (day + A_WEEK if later else day),
            DecisionRow.local_date != day,
            STANDS,
        )
    )
    return grouped(
        (
            member_id,
            Past(
                local_date,
                Verdict(verdict),
                Reason(reason) if reason else None,
                Frequency(facts["frequency"]),
                facts.get(WEEK_BEGINS, 0),
            ),
        )
        for member_id, local_date, verdict, reason, facts in rows
    )


def decide_all(
    session: Session,
    people: Iterable[Person],
    day: date,
    now: datetime | None,
    past: Mapping[int, Sequence[Past]] | None = None,
    *,
    tasks: Mapping[int, Sequence[OpenTask]] | None = None,
) -> list[tuple[Person, Decision]]:
    """The decisions of these members for the local date `day`, as seen at `now`.

    `now` None means each member's own hour; `past` (by member id) takes the place of the recorded
    decisions of the week, `tasks` that of those read now. Reads reports up to `day`; writes nothing.
    """
    members = list(people)
    ids = [one.member.id for one in members]
    if past is None:
        weekly = [one.member.id for one in members if one.rhythm.frequency is Frequency.WEEKLY]
        past = past_of_week(session, weekly, day) if weekly else {}
    if tasks is None:
        tasks = open_tasks(session, ids, day)
    return [
        (
            one,
            decision.decide(
                one.rhythm,
                one.calendar,
                day,
                tasks.get(one.member.id, []),
                now=now or hours.hour(one.rhythm, day),
                past=past.get(one.member.id, ()),
            ),
        )
        for one in members
    ]
