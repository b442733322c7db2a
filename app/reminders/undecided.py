"""Active members who should have today's decision and have none."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, exists, func, or_, select, true
from sqlalchemy.orm import Session

from app.locale import Both
from app.models import DecisionRow, Member
from app.outbox.early_decisions import STANDS
from app.people.settings import organisation, people
from app.rules import hours
from app.services import Services

WITHIN = timedelta(minutes=10)  # after the hour
AT_MOST = 500  # looked at of each time zone: enough to say that something is wrong


def undecided(services: Services, session: Session, now: datetime) -> int:
    """How many have no decision of their local date 10 minutes after their hour."""
    defaults = organisation(session, services.config)
    names = select(func.coalesce(Member.timezone, defaults.timezone)).where(Member.active)
    number = 0
    for name in session.scalars(names.distinct()):
        try:
            zone = ZoneInfo(name)
        except (KeyError, OSError, ValueError):  # an alert of its own tells of this member
            continue
        ours = func.coalesce(Member.timezone, defaults.timezone) == name
        stands = true() if services.config.local_mailbox else STANDS
        good, _broken = people(session, defaults, _without(session, ours, stands, zone, now))
        for one in good:
            today = one.today(now)
            number += one.began < today and hours.hour(one.rhythm, today) + WITHIN < now
    return number


def _without(
    session: Session,
    ours: ColumnElement[bool],
    stands: ColumnElement[bool],
    zone: ZoneInfo,
    now: datetime,
) -> list[Member]:
    """Members of this zone without a decision of today, and whose next hour does not explain it."""
    today = now.astimezone(zone).date()
    decided = exists().where(
        DecisionRow.user_id == Member.id,
        DecisionRow.slot == "reminder",
        DecisionRow.local_date == today,
        stands,
    )
    tomorrow = hours.end_of(today, zone)
    wrong = or_(
        Member.next_due_at.is_(None),
        Member.next_due_at <= now - WITHIN,
        Member.next_due_at >= tomorrow,
    )
    return list(
        session.scalars(select(Member).where(Member.active, ours, wrong, ~decided).limit(AT_MOST))
    )


def sentence(number: int) -> Both:
    """For `status`."""
    return Both(
        f"時刻から10分たっても今日の決定がないメンバーが{number}人います。",
        f"Members without a decision of today 10 minutes after their hour: {number}.",
    )
