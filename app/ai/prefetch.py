"""Asking ahead: each minute, for which leads the week is to be summed up before their hour."""

from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.ai import recap_store
from app.ai.recap_lookup import is_on, iso_week
from app.db import put
from app.digest.plan import past_digests
from app.digest.schedule import decide
from app.models import Member, Service
from app.people.settings import Organisation, Person, organisation, people
from app.rules.decision import Decision, Verdict
from app.rules.week import week_before
from app.services import Services

AHEAD = timedelta(minutes=60)
LOOKED = "ai_looked"  # the name in `service`: up to which hour leads were looked for
MOST = 200  # questions put on the queue in one minute; the others wait for the next


def ahead(services: Services, now: datetime) -> list[tuple[int, str]]:
    """Whom to ask about now, as (lead's id, week): digests within the hour, and what waits.

    Costs one look at a setting where recaps are off, and nothing where no server is named.
    """
    if not (services.config.ai_base_url and services.config.ai_model):
        return []
    until = now + AHEAD
    with services.db.read() as session:
        defaults = organisation(session, services.config)
        if not is_on(services.config, defaults):
            return []
        seen = session.get(Service, LOOKED)
        # Leads whose hour comes into sight: each is looked at once a day.
        leads = select(Member).where(
            Member.active.is_(True),
            Member.led_through.is_not(None),
            Member.next_due_at > (max(now, seen.at) if seen is not None else now),
            Member.next_due_at <= until,
        )
        found = session.scalars(leads.order_by(Member.id)).all()
        good, _broken = people(session, defaults, found)
        coming = [(one.member.id, _next(session, defaults, one, now)) for one in good]
    with services.db.write() as session:
        for lead_id, digest in coming:
            if digest.verdict is Verdict.SEND:
                week = iso_week(week_before(digest.local_date)[0])
                recap_store.want(session, lead_id, week, now=now, needed_by=digest.at)
        put(session, Service, {"name": LOOKED}, {"at": until, "data": {}})
    return recap_store.open_now(services, now, MOST)


def _next(session: Session, defaults: Organisation, one: Person, now: datetime) -> Decision:
    """What the lead's next hour brings, as far as one knows before it."""
    day = (one.member.next_due_at or now).astimezone(one.rhythm.zone).date()
    past = past_digests(session, one.member.id, day)
    return decide(one, defaults, day, now=now, past=past)
