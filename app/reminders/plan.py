"""Planning: the decisions of all members whose hour has come, and the mails that follow."""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnExpressionArgument, or_, select, update
from sqlalchemy.orm import Session

from app.alerts import Alarm, close_alerts, raise_alert
from app.db import among, put, update_each
from app.models import DecisionRow, Member, Setting
from app.outbox import log_records, restored
from app.outbox.early_decisions import insert_decisions
from app.outbox.enqueue import NewMail, enqueue_decided
from app.people.settings import Person, organisation, people
from app.reminders import brake
from app.reminders.decide_batch import WEEK_BEGINS, decide_all
from app.rules import hours
from app.rules.decision import Decision, Reason, Verdict
from app.rules.hours import Frequency
from app.rules.workdays import DAY
from app.services import Publish, Services, publish_nothing
from app.util import zones

log = logging.getLogger(__name__)

BATCH = 500  # members per transaction
ZONES = "time_zone_data"  # settings key: the version with which hours were computed


@dataclass
class Planned:
    """What one planning did."""

    ids: list[int] = field(default_factory=list)  # mails that may be sent now
    decided: int = 0
    held: int = 0  # mails that wait for an admin's confirmation
    left: bool = False  # stopped before all were decided


def plan(
    services: Services,
    now: datetime,
    *,
    real_now: datetime | None = None,
    only: int | None = None,
    publish: Publish = publish_nothing,
    stopped: Callable[[], bool] = lambda: False,
) -> Planned:
    """Decides for every active member whose hour has come, up to 7 days back; commits in batches.

    `publish` hears of each batch's mails once they are committed: the first leave while the last
    are being decided.

    Running it twice, or twice at once, changes nothing: the first decision of a member and local
    date stands. `real_now` is the clock's instant when `now` is a rehearsal's; `only` is the id
    of the one member to look at. After `stopped()` the others are left to the next planning.
    """
    shift = now - (real_now or now)
    planned = Planned()
    if only is None:
        _compute_hours_anew(services, now - shift)
    due_ids = _due_ids(services, now, only)
    if only is not None and not due_ids:  # what is held is the tick's
        return planned
    holding = brake.must_count(services, now, len(due_ids))
    for start in range(0, len(due_ids), BATCH):
        if stopped():
            planned.left = True
            break
        with services.db.write() as session:
            members = _members_due(session, now, due_ids[start : start + BATCH])
            ids = _plan_batch(
                session, services, members, now, planned, holding=holding, shift=shift
            )
        planned.ids += ids
        publish(ids)
    if holding and not planned.left:  # an unusual number is seen when all are counted
        settled = brake.settle(services, now)
        planned.ids += settled.released
        planned.held = settled.held
        publish(settled.released)
    return planned


def _compute_hours_anew(services: Services, now: datetime) -> None:
    """Looks at every member where newer time zone data than before are in use: hours may have moved.

    Programs with older data, on another machine, change nothing: else the two would take turns.
    """
    version = zones.version()
    with services.db.read() as session:
        row = session.get(Setting, ZONES)
        if row is not None and row.value >= version:
            return
    with services.db.write() as session:
        session.execute(update(Member).where(Member.active).values(next_due_at=None))
        values = {"value": version, "changed_by": "plan", "changed_at": now}
        put(session, Setting, {"key": ZONES}, values)


def _due(now: datetime) -> tuple[ColumnExpressionArgument[bool], ...]:
    # `active`, not `active IS true`: PostgreSQL takes the index of active members only so.
    return (Member.active, or_(Member.next_due_at.is_(None), Member.next_due_at <= now))


def is_due(member: Member, now: datetime) -> bool:
    """The same of a member in hand."""
    return member.active and (member.next_due_at is None or member.next_due_at <= now)


def _due_ids(services: Services, now: datetime, only: int | None) -> list[int]:
    # All at once and in order here: asking the database for the next batch in the order of ids
    # makes SQLite walk through all members.
    with services.db.read() as session:
        wanted = select(Member.id).where(*_due(now))
        return sorted(session.scalars(wanted if only is None else wanted.where(Member.id == only)))


def _members_due(session: Session, now: datetime, ids: Sequence[int]) -> Sequence[Member]:
    # Two planners at once share the members between them; a member skipped here is being
    # decided, or changes settings right now and comes with the next tick.
    return session.scalars(
        select(Member)
        .where(among(Member.id, ids), *_due(now))
        .order_by(Member.id)
        .with_for_update(skip_locked=True)
    ).all()


def _plan_batch(
    session: Session,
    services: Services,
    members: Sequence[Member],
    now: datetime,
    planned: Planned,
    *,
    holding: bool,
    shift: timedelta,
) -> list[int]:
    """Decides for these members; returns the mails that may be sent now."""
    defaults = organisation(session, services.config)
    good, broken = people(session, defaults, members)
    alert_broken_members(session, broken, now)
    _close_resolved_alerts(session, good, now)
    by_date: dict[date, list[Person]] = defaultdict(list)
    reached: dict[int, date] = {}
    for person in good:
        member = person.member
        dates = hours.dates_due(person.rhythm, member.decided_through, now)
        for day in dates:
            by_date[day].append(person)
        if dates:
            reached[member.id] = dates[-1]
    mails: list[int] = []
    for day in sorted(by_date):  # in order: a weekly member's Tuesday looks at Monday
        decisions = decide_all(session, by_date[day], day, now)
        held = "brake" if holding else None
        mails += store(session, services, decisions, now=now - shift, held=held, clock_shift=shift)
        planned.decided += len(decisions)
    if not shift:  # a rehearsal settles no date
        through = {one.member.id: reached.get(one.member.id) for one in good}
        settled = [
            {
                "id": one.member.id,
                "decided_through": through[one.member.id] or one.member.decided_through,
                "next_due_at": next_hour(one, through[one.member.id], now),
            }
            for one in good
        ]
        update_each(session, Member, settled)
    return [] if holding else mails


def next_hour(person: Person, reached: date | None, now: datetime) -> datetime:
    """The next instant at which the member needs a decision; always after `now`."""
    through = max(person.member.decided_through, reached or date.min)
    day = through + DAY
    today = person.today(now)
    return hours.hour(person.rhythm, max(day, today - hours.LOOK_BACK))


def alert_broken_members(session: Session, broken: dict[int, str], now: datetime) -> None:
    """One alert per member whose settings make no sense; the others go on."""
    for member_id, fault in broken.items():
        log.error("member %s cannot be decided: %s", member_id, fault)
        member = session.get(Member, member_id)
        to = member.email if member is not None else None
        raise_alert(session, Alarm.MEMBER, member_id, now=now, fault=fault, to=to)


def _close_resolved_alerts(session: Session, good: Iterable[Person], now: datetime) -> None:
    """Closes what `alert_broken_members` raised, once the settings make sense again."""
    close_alerts(session, Alarm.MEMBER, [person.member.id for person in good], now=now)


def store(
    session: Session,
    services: Services,
    decisions: Iterable[tuple[Person, Decision]],
    *,
    now: datetime,
    held: str | None = None,
    clock_shift: timedelta | None = None,
) -> list[int]:
    """Writes decisions and the mails that follow from them; returns the ids of the new mails.

    A decision that exists already stands, and no mail follows. With `clock_shift` the decisions
    were made as if it were that much later: the mails' instants are those of the real clock.
    """
    shift = clock_shift or timedelta()
    restore = restored.last_restore(session)
    found = {(one.member.id, decision.local_date): (one, decision) for one, decision in decisions}
    rows = [_row(person, decision, now) for person, decision in found.values()]
    new = insert_decisions(
        session,
        services.config,
        rows,
        early=bool(shift),
        returning=(DecisionRow.id, DecisionRow.user_id, DecisionRow.local_date),
    )
    mails = []
    for decision_id, user_id, local_date in new:
        person, decision = found[user_id, local_date]
        if decision.verdict is Verdict.SEND:
            rhythm = person.rhythm
            begins = rhythm.week_begins if rhythm.frequency is Frequency.WEEKLY else None
            waits = restore and restore.hold(rhythm.zone, local_date, week_begins=begins)
            mails.append(
                NewMail(
                    kind="reminder",
                    user_id=user_id,
                    to_addr=person.member.email,
                    local_date=local_date,
                    decision_id=decision_id,
                    not_before=now,
                    expires_at=decision.expires_at - shift,
                    held=waits or held,
                    clock_shift=shift,
                )
            )
    enqueued = enqueue_decided(session, services, mails, now=now)
    written = {(row["user_id"], row["local_date"]): row for row in rows}
    log_records.decided(
        session,
        {decision_id: written[user_id, local_date] for decision_id, user_id, local_date in new},
        {decision_id: mail_id for mail_id, decision_id in enqueued if decision_id is not None},
    )
    return [mail_id for mail_id, _ in enqueued]


def _row(person: Person, decision: Decision, now: datetime) -> dict[str, Any]:
    rhythm = person.rhythm
    return {
        "user_id": person.member.id,
        "slot": "reminder",
        "local_date": decision.local_date,
        "verdict": decision.verdict,
        "reason": decision.reason,
        "facts": {
            "frequency": rhythm.frequency,
            "timezone": rhythm.zone.key,
            "notify_at": rhythm.notify_at.isoformat("minutes"),
            "tasks": [[one.ref, one.silent] for one in decision.tasks],
            **({WEEK_BEGINS: rhythm.week_begins} if rhythm.week_begins else {}),
            **({"day": name} if (name := _day_name(person, decision)) else {}),
        },
        "at": decision.at,
        "decided_at": now,
    }


def _day_name(person: Person, decision: Decision) -> str:
    if decision.reason in {Reason.HOLIDAY, Reason.COMPANY_CLOSED}:
        return person.calendar.company.name_of(decision.local_date)
    return ""
