"""Self-service from a mail, other than reporting: later, off today, a fresh mail."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import audit
from app.locale import Both
from app.members import spans
from app.members.days import LEAVE, NoSuchDays
from app.members.snooze import NotNow, asked_mail
from app.models import ENDS, Audit, Kind, Member, OutboxMail, State
from app.outbox.enqueue import enqueue
from app.outbox.reasons import REASONS, TRIAL
from app.people.lookup import active_person
from app.people.settings import Person, organisation, person
from app.reports.progress import open_tasks
from app.rules import decision, hours, unreported
from app.rules.decision import DAY_OFF, Reason
from app.rules.workdays import Span
from app.services import Services

AN_HOUR = timedelta(hours=1)
FULL_MINUTES = timedelta(minutes=5)
AFTERNOON = (time(13), time(15), time(17))
AGAIN_AFTER = timedelta(minutes=10)  # between two mails that the same person asks for


@dataclass(frozen=True, slots=True)
class Later:
    """When a member may be reminded again. `no_more_today` says why today is over, if it is."""

    person: Person
    today: date
    in_an_hour: time | None
    this_afternoon: time | None
    next_workday: date | None
    no_more_today: Both | None
    day_off: bool
    on_leave: bool


def later(services: Services, member_id: int, now: datetime) -> Later:
    """What "later" can mean for the member now. Raises NoSuchMember for one who is gone."""
    with services.db.read() as session:
        one = active_person(session, services.config, member_id)
    local = now.astimezone(one.rhythm.zone)
    today = local.date()
    reason = decision.day_reason(one.rhythm, one.calendar, today)
    over = None if reason is Reason.NOT_THIS_WEEKDAY or reason is None else REASONS[reason]
    hours = [_in_an_hour(one, now), _afternoon(one, now)] if over is None else [None, None]
    return Later(
        person=one,
        today=today,
        in_an_hour=hours[0],
        this_afternoon=hours[1],
        next_workday=one.calendar.next_workday(today),
        no_more_today=over,
        day_off=reason in DAY_OFF,
        on_leave=reason is Reason.ON_LEAVE,
    )


def off_today(services: Services, member_id: int, now: datetime) -> bool:
    """Today is a day of leave; twice is as good as once. Raises NoSuchMember.

    Returns whether `not_off` takes it back: leave that was there before it does not.
    """
    wish = later(services, member_id, now)
    if not wish.on_leave:
        email = wish.person.member.email
        LEAVE.add(services, email, Span(wish.today, wish.today), email, now)
    with services.db.read() as session:
        return _taken_on_the_day(session, wish.person, wish.today)


def not_off(services: Services, member_id: int, day: date, now: datetime) -> bool:
    """`day` is no day of leave after all; twice is as good as once. Raises NoSuchMember.

    Returns False, and changes nothing, for a day that `off_today` did not take.
    """
    with services.db.read() as session:
        one = active_person(session, services.config, member_id)
        if not _taken_on_the_day(session, one, day):
            return False
    email = one.member.email
    with suppress(NoSuchDays):
        LEAVE.remove(services, email, Span(day, day), email, now)
    return True


def _taken_on_the_day(session: Session, one: Person, day: date) -> bool:
    """Whether the member took this day alone, on the day itself: leave that is booked is older."""
    email = one.member.email
    added = select(Audit).where(Audit.who == email, Audit.what == f"{LEAVE.of_member}.add")
    taken = {"email": email} | spans.noted(Span(day, day))
    return any(
        entry.data == taken and one.today(entry.at) == day for entry in session.scalars(added)
    )


def send_again(services: Services, member_id: int, now: datetime) -> None:
    """A fresh mail with links that work, where the old ones have expired.

    Nothing where nothing is unreported, on days without reminders, for the fourth time a day, and
    within 10 minutes of the last one; the answer is the same each time.
    """
    ids: list[int] = []
    with services.db.write() as session:
        member = session.get(Member, member_id, with_for_update=True)
        if member is None or not member.active:
            return
        one = person(session, organisation(session, services.config), member)
        day = one.today(now)
        if _may_ask(session, one, day, now):
            with suppress(NotNow):  # the fourth one of a day
                ids = enqueue(session, services, [asked_mail(session, one, day, now)], now=now)
                who = member.email
                audit.note(session, who=who, what="mail.asked_again", now=now, email=who)
    services.publish(ids)


def _may_ask(session: Session, one: Person, day: date, now: datetime) -> bool:
    off = decision.day_reason(one.rhythm, one.calendar, day)
    if off not in {None, Reason.NOT_THIS_WEEKDAY} or hours.quiet_until(one.rhythm, now) is not None:
        return False
    tasks = open_tasks(session, [one.member.id], day).get(one.member.id, [])
    if not unreported.unreported(tasks, one.calendar, day):
        return False
    asked: Sequence[OutboxMail] = session.scalars(
        select(OutboxMail).where(
            OutboxMail.user_id == one.member.id,
            OutboxMail.local_date == day,
            OutboxMail.kind == Kind.ASKED_REMINDER,
            OutboxMail.state != State.CANCELLED,
            OutboxMail.reason.is_distinct_from(TRIAL),  # a program's rehearsal: no member got it
        )
    ).all()
    waiting = any(mail.state not in ENDS for mail in asked)
    lately = any(mail.created_at > now - AGAIN_AFTER for mail in asked)
    return not waiting and not lately


def _in_an_hour(one: Person, now: datetime) -> time | None:
    """An hour from now, rounded up to full five minutes."""
    at = now + AN_HOUR
    at += (
        -timedelta(minutes=at.minute, seconds=at.second, microseconds=at.microsecond) % FULL_MINUTES
    )
    return _today_at(one, now, at.astimezone(one.rhythm.zone).time())


def _afternoon(one: Person, now: datetime) -> time | None:
    """The first hour of the afternoon that is later than an hour from now."""
    hours = (_today_at(one, now + AN_HOUR, wall) for wall in AFTERNOON)
    return next((wall for wall in hours if wall is not None), None)


def _today_at(one: Person, after: datetime, wall: time) -> time | None:
    """`wall` when it comes after `after` on the same local date, and not in quiet hours."""
    at = hours.instant(one.rhythm.zone, after.astimezone(one.rhythm.zone).date(), wall)
    return wall if at > after and hours.quiet_until(one.rhythm, at) is None else None
