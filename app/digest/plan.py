"""Planning the mails about a team: each lead's digest, and the escalations to them.

A lead's date is settled once their own reminder of that date was decided (`decided_through`): so
hour, time zone, catch-up and the first date are those of reminders, and nothing here delays one.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

from sqlalchemy import ColumnElement, and_, func, or_, select, update
from sqlalchemy.orm import Session

from app.alerts import Alarm, close_alert, raise_alert
from app.db import DatabaseDown, put
from app.digest.escalate import PlanningContext, escalate, written
from app.digest.schedule import decide
from app.digest.silences import below
from app.digest.team_week import week_of
from app.models import LEAD_IS_DUE, Audit, DecisionRow, Kind, Member, Role, Service
from app.outbox import log_records
from app.outbox.early_decisions import STANDS
from app.outbox.enqueue import NewMail, enqueue
from app.people.settings import Person, organisation, people
from app.rules import hours
from app.rules.decision import DAY_OFF, Decision, Past, Reason, Verdict
from app.rules.hours import Frequency
from app.rules.workdays import DAY, dates
from app.services import Services

log = logging.getLogger(__name__)

LEADS = "leads"  # the name in `service`: up to which change leads were looked for
LOOK_AGAIN = timedelta(hours=1)
# Of a digest, days that are not its day leave no row.
_NO_ROW = DAY_OFF | {Reason.NOT_THIS_WEEKDAY, Reason.ALREADY_SENT}


@dataclass
class Led:
    """What one planning did."""

    ids: list[int] = field(default_factory=list)  # mails that may be sent
    left: bool = False  # stopped before all were settled


def plan(
    services: Services,
    now: datetime,
    *,
    real_now: datetime | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> Led:
    """Settles the open dates of each lead that `find_leads` found, at most 7 days back; one lead's
    trouble stops no other.

    Running it twice, or twice at once, changes nothing. `real_now` is the clock's instant when
    `now` is a rehearsal's. After `stopped()` the others are left to the next planning.
    """
    led = Led()
    leads = _leads(rehearsed=real_now not in {None, now})
    with services.db.read() as session:
        ids = sorted(session.scalars(select(Member.id).where(leads)))
    for lead_id in ids:
        if stopped():
            led.left = True
            break
        with _others_go_on(services, lead_id, now):
            _settle(services, lead_id, now, now - (real_now or now), led)
    return led


def digests_now(services: Services, now: datetime) -> list[int]:
    """Each lead's digest at once, whatever the hour and weekday; at most one a local date.

    A decision that exists stands, and a day off is one. Returns the new mails' ids.
    """
    with services.db.read() as session:
        leads = select(Member.id).where(Member.active.is_(True), Member.led_through.is_not(None))
        ids = sorted(session.scalars(leads))
    made: list[int] = []
    for lead_id in ids:
        with _others_go_on(services, lead_id, now), services.db.write() as session:
            defaults = organisation(session, services.config)
            context = PlanningContext(session, services, defaults, now, timedelta())
            for one in people(session, defaults, [session.get_one(Member, lead_id)])[0]:
                day = one.today(now)
                decision = decide(one, context.defaults, day, now=now, any_weekday=True)
                if decision.verdict is Verdict.SEND and _says_something(context, one, day):
                    made += store(context, one, replace(decision, at=now))
    return made


def find_leads(services: Services, now: datetime) -> None:
    """A member who became a lead or an admin has dates to settle from now on.

    Looked for once an hour, and whenever something was changed.
    """
    with services.db.read() as session:
        newest = session.scalar(select(func.max(Audit.id))) or 0
        seen = session.get(Service, LEADS)
        if seen is not None and seen.data["audit"] == newest and now - seen.at < LOOK_AGAIN:
            return
    # Also of those who are not active: their own managers are notified in their place.
    leads = select(Member.manager_id).where(Member.manager_id.is_not(None))
    with services.db.write() as session:
        session.execute(
            update(Member)
            .where(Member.led_through.is_not(None), Member.active.is_(False))
            .values(led_through=None)
        )
        session.execute(
            update(Member)
            .where(
                Member.active.is_(True),
                Member.led_through.is_(None),
                or_(Member.role == Role.ADMIN, Member.id.in_(leads)),
            )
            .values(led_through=Member.decided_through)
        )
        put(session, Service, {"name": LEADS}, {"at": now, "data": {"audit": newest}})


def _leads(*, rehearsed: bool) -> ColumnElement[bool]:
    """Whose dates are to be settled; a rehearsal looks at every lead."""
    return and_(Member.active, Member.led_through.is_not(None)) if rehearsed else LEAD_IS_DUE


@contextmanager
def _others_go_on(services: Services, lead_id: int, now: datetime) -> Iterator[None]:
    """Whatever this lead's facts break on becomes an alert. Raises DatabaseDown."""
    try:
        yield
    except DatabaseDown:
        raise
    except Exception as error:
        log.exception("the mails about the team of member %s cannot be planned", lead_id)
        with services.db.write() as session:
            lead = session.get(Member, lead_id)
            to = lead.email if lead is not None else None
            fault = type(error).__name__
            raise_alert(session, Alarm.TEAM, lead_id, now=now, fault=fault, to=to)


def _settle(services: Services, lead_id: int, now: datetime, shift: timedelta, led: Led) -> None:
    """One lead's open dates, in one transaction."""
    with services.db.write() as session:
        member = session.scalars(
            select(Member)
            .where(Member.id == lead_id, _leads(rehearsed=bool(shift)))
            .with_for_update(skip_locked=True)
        ).one_or_none()
        if member is None or member.led_through is None:
            return  # another planner has it
        settled, through = member.led_through, member.decided_through
        if not shift:
            member.led_through = through
        close_alert(session, Alarm.TEAM, lead_id, now=now)
        defaults = organisation(session, services.config)
        good, _broken = people(session, defaults, [member])
        if not good or (member.role != Role.ADMIN and not below(session, member)):
            return
        context = PlanningContext(session, services, defaults, now, shift)
        if shift:  # a rehearsal settles no date, of the reminders neither
            through = max([through, *hours.dates_due(good[0].rhythm, through, now)])
        today = good[0].today(now)
        for day in dates(max(settled + DAY, today - hours.LOOK_BACK), through):
            led.ids += _digest(context, good[0], day)
            if day == today:
                led.ids += escalate(context, good[0])


# --- the digest ---------------------------------------------------------------------------


def _digest(context: PlanningContext, lead: Person, day: date) -> list[int]:
    past = past_digests(context.session, lead.member.id, day)
    decision = decide(lead, context.defaults, day, now=context.now, past=past)
    if decision.verdict is Verdict.SEND and not _says_something(context, lead, day):
        decision = replace(decision, verdict=Verdict.SKIP, reason=Reason.NOTHING_UNREPORTED)
    return [] if decision.reason in _NO_ROW else store(context, lead, decision)


def _says_something(context: PlanningContext, lead: Person, day: date) -> bool:
    return week_of(context.session, context.defaults, lead, day, context.now).says_something


def past_digests(session: Session, member_id: int, day: date) -> list[Past]:
    """The lead's digest decisions of the ISO week of `day`, before `day`."""
    monday = day - day.weekday() * DAY
    rows = session.execute(
        select(DecisionRow.local_date, DecisionRow.verdict, DecisionRow.reason).where(
            DecisionRow.user_id == member_id,
            DecisionRow.slot == "digest",
            DecisionRow.local_date >= monday,
            DecisionRow.local_date < day,
            STANDS,
        )
    )
    return [
        Past(on, Verdict(verdict), Reason(reason) if reason else None, Frequency.WEEKLY)
        for on, verdict, reason in rows
    ]


def store(context: PlanningContext, lead: Person, decision: Decision) -> list[int]:
    """Writes the decision and the mail that follows; a decision that exists stands."""
    row = {
        "user_id": lead.member.id,
        "slot": "digest",
        "local_date": decision.local_date,
        "verdict": decision.verdict,
        "reason": decision.reason,
        "facts": {"timezone": lead.rhythm.zone.key, "role": lead.member.role},
        "at": decision.at,
        "decided_at": context.real,
    }
    new = written(context, [row])
    if not new:
        return []
    (decision_id,) = new
    ids = [] if decision.verdict is Verdict.SKIP else _enqueue(context, lead, decision, decision_id)
    log_records.decided(context.session, new, {decision_id: ids[0]} if ids else {})
    return ids


def _enqueue(
    context: PlanningContext, lead: Person, decision: Decision, decision_id: int
) -> list[int]:
    mail = NewMail(
        kind=Kind.WEEKLY_DIGEST,
        user_id=lead.member.id,
        to_addr=lead.member.email,
        local_date=decision.local_date,
        decision_id=decision_id,
        not_before=max(context.real, decision.at - context.shift),
        expires_at=decision.expires_at - context.shift,
        held=context.held(lead, decision.local_date),
        clock_shift=context.shift,
    )
    return enqueue(context.session, context.services, [mail], now=context.real)
