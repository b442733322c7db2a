"""Repair of what a clock that ran ahead has stored, once it was set back.

Nothing here takes a mail back that may be out, and nothing sends one twice: decisions stay, with
the mark `provisional`, and their day decides anew only where no mail of theirs is left
(app/outbox/early_decisions.py). So it does no harm either if it is this moment's clock that is wrong.
"""

import logging
from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, String, and_, cast, func, or_, select, update
from sqlalchemy.orm import Session

from app.alerts import Alarm, raise_alert
from app.clock_trust.judge import HOUR
from app.db import among, database_now, update_each
from app.models import OPEN, Alert, DecisionRow, Kind, Member, OutboxMail, Service, State
from app.outbox import end_ready
from app.outbox.early_decisions import SET_ASIDE
from app.outbox.settle import IN_DOUBT_SECONDS
from app.people.settings import Person, organisation, people
from app.rules.hours import LOOK_BACK, first_date
from app.rules.workdays import DAY
from app.services import Services

log = logging.getLogger(__name__)

LONGEST_WAIT = timedelta(hours=50)  # to a member's next hour, in whatever zones
BATCH = 500  # members per transaction
_WESTERNMOST = timedelta(hours=12)
_PLANNED = (Kind.REMINDER, Kind.WEEKLY_DIGEST, Kind.ESCALATION)


def put_back(services: Services, now: datetime) -> dict[str, int]:
    """Puts back every stored instant and date that lies where no right clock can have put it.

    Returns how many of each; an alert tells of them.
    """
    found: Counter[str] = Counter()
    with services.db.write() as session:
        found["decisions"] = _decisions(session, now)
    after = 0
    while True:
        with services.db.write() as session:
            ids, number = _members(services, session, after, now)
            found["members"] += number
        if not ids:
            break
        after = ids[-1]
    with services.db.write() as session:
        found["mails"] = _mails(session, now) + _leases(session, services.config.test_time_scale)
        found["signs"] = _heartbeats(session, now)
        facts: dict[str, Any] = {name: number for name, number in found.items() if number}
        if facts:
            log.error("put back, as the clock ran ahead: %s", facts)
            raise_alert(session, Alarm.CLOCK_BACK, now=now, **facts)
    return facts


def may_be_ahead(session: Session, now: datetime) -> bool:
    """A quick look, each minute: whether anything is stored that no right clock can have put."""
    looks = (
        select(Member.id).where(Member.active, Member.next_due_at > now + LONGEST_WAIT),
        select(OutboxMail.id).where(_leased_too_long()),
    )
    return any(session.scalar(one.limit(1)) is not None for one in looks)


def _leased_too_long() -> ColumnElement[bool]:
    return and_(OPEN, OutboxMail.lease_until > database_now(HOUR.total_seconds()))


# --- members ------------------------------------------------------------------------------


def _members(
    services: Services, session: Session, after: int, now: datetime
) -> tuple[list[int], int]:
    """The next batch: their ids, and how many of them had to be put back."""
    members = session.scalars(
        select(Member)
        .where(
            Member.active,
            Member.id > after,
            or_(
                Member.decided_through > (now - _WESTERNMOST).date(),
                Member.next_due_at > now + LONGEST_WAIT,
                Member.id.in_(_decided_early(now)),
            ),
        )
        .order_by(Member.id)
        .limit(BATCH)
        .with_for_update()
    ).all()
    good, _broken = people(session, organisation(session, services.config), members)
    ids = [one.id for one in members]
    early = set(session.scalars(_decided_early(now).where(among(DecisionRow.user_id, ids))))
    by_today: dict[date, list[Person]] = {}
    for one in good:
        today = one.today(now)
        far = one.member.next_due_at
        late = far is not None and far > now + LONGEST_WAIT
        if one.member.decided_through > today or late or one.member.id in early:
            by_today.setdefault(today, []).append(one)
    rows = []
    for today, some in by_today.items():
        decided = _decided(session, some, today, now)
        rows += [_row(one, decided.get(one.member.id), today) for one in some]
    update_each(session, Member, rows)
    return ids, len(rows)


def _decided_early(now: datetime) -> Select[int]:
    """Members whose days decide anew."""
    since = (now - _WESTERNMOST).date() - LOOK_BACK
    return select(DecisionRow.user_id).where(
        DecisionRow.local_date >= since,
        DecisionRow.slot == "reminder",
        DecisionRow.decided_at > now + HOUR,
    )


def _decided(
    session: Session, some: Sequence[Person], today: date, now: datetime
) -> dict[int, date]:
    """The last date of each for which the right clock had decided."""
    rows = session.execute(
        select(DecisionRow.user_id, func.max(DecisionRow.local_date))
        .where(
            among(DecisionRow.user_id, [one.member.id for one in some]),
            DecisionRow.slot == "reminder",
            DecisionRow.local_date <= today,
            DecisionRow.decided_at <= now + HOUR,
            DecisionRow.provisional.is_(False),
        )
        .group_by(DecisionRow.user_id)
    )
    return dict(iter(rows))


def _row(one: Person, decided: date | None, today: date) -> dict[str, object]:
    member = one.member
    if decided is None:  # new here: nothing was decided before its first date
        first = member.active_since or first_date(one.rhythm, member.created_at)
        decided = min(today, first - DAY)
    through = max(decided, today - LOOK_BACK - DAY)
    led = None if member.led_through is None else min(member.led_through, through)
    return {"id": member.id, "decided_through": through, "next_due_at": None, "led_through": led}


# --- decisions, mails, heartbeats ---------------------------------------------------------


def _decisions(session: Session, now: datetime) -> int:
    """What was decided ahead of its time is provisional."""
    marked = session.execute(
        update(DecisionRow)
        .where(
            DecisionRow.local_date >= (now - _WESTERNMOST).date() - LOOK_BACK,
            DecisionRow.decided_at > now + HOUR,
            DecisionRow.provisional.is_(False),
        )
        .values(provisional=True)
        .returning(DecisionRow.id)
    )
    return len(marked.all())


def _mails(session: Session, now: datetime) -> int:
    """Mails planned ahead of their time that certainly did not go out make way for their day.

    Those of before that a clock ahead put off are due again.
    """
    early = session.execute(
        update(OutboxMail)
        .where(
            OutboxMail.created_at > now + HOUR,
            OutboxMail.kind.in_(_PLANNED),
            OutboxMail.n == 0,
            OutboxMail.doubts == 0,
            OutboxMail.state.in_([State.READY, State.EXPIRED]),
            OutboxMail.dedupe_key.not_like(f"%{SET_ASIDE}%"),
        )
        .values(dedupe_key=OutboxMail.dedupe_key + SET_ASIDE + cast(OutboxMail.id, String))
        .returning(OutboxMail.id, OutboxMail.state)
    ).all()
    ready = [one.id for one in early if one.state == State.READY]
    end_ready(session, among(OutboxMail.id, ready), why="clock_ran_ahead", now=now)
    put_off = session.execute(
        update(OutboxMail)
        .where(
            OPEN,
            OutboxMail.state == State.READY,
            OutboxMail.created_at <= now + HOUR,
            OutboxMail.updated_at > now + HOUR,
            OutboxMail.not_before > now,
        )
        .values(not_before=now, updated_at=now)
        .returning(OutboxMail.id)
    ).all()
    return len(early) + len(put_off)


def _leases(session: Session, scale: float) -> int:
    """A lease longer than any, since the database's clock was set back: one of the usual length.

    Its holder may be at work still, so it is not ended at once.
    """
    again = session.execute(
        update(OutboxMail)
        .where(_leased_too_long())
        .values(lease_until=database_now(IN_DOUBT_SECONDS * scale))
        .returning(OutboxMail.id)
    )
    return len(again.all())


def _heartbeats(session: Session, now: datetime) -> int:
    """Heartbeats, the breaker, and when alerts were raised and mailed: they were at most now."""
    columns = (Service.at, Alert.opened_at, Alert.mailed_at, Alert.over_mailed_at)
    number = 0
    for column in columns:
        changed = session.execute(
            update(column.class_).where(column > now + HOUR).values({column: now}).returning(column)
        )
        number += len(changed.all())
    return number
