"""Nudging: a lead asks a member for a report now, with limits on how often."""

from dataclasses import replace
from datetime import date, datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app import audit
from app.access import sent_forms
from app.members.changes import decide_before, locked
from app.members.snooze import NotNow, asked_mail, check_day
from app.models import REMINDERS, Member, OutboxMail, State
from app.outbox.enqueue import enqueue
from app.people.settings import Person, organisation, person
from app.refused import Code
from app.reminders import brake
from app.reports.progress import open_tasks
from app.rules import decision, hours
from app.rules.unreported import unreported
from app.rules.workdays import DAY
from app.services import Services

COOL_DOWN = timedelta(minutes=45)  # between two reminders of a member, of whatever origin


def nudge(
    services: Services, member_id: int, who: str, now: datetime, form_key: str | None = None
) -> int:
    """One asked_reminder for the member now; returns the mail's id.

    Raises NotNow with the reason: a day off or without reminders, quiet hours, nothing unreported,
    a reminder that waits or went out or comes by itself within 45 minutes, the fourth of a day. With
    an unusual number of them it waits for an admin's word (app/reminders/brake.py).
    """
    with services.db.read() as session:
        email = session.get_one(Member, member_id).email
    decide_before(services, email, now)
    with services.db.write() as session:
        if (known := sent_forms.made_before(session, form_key, now)) is not None:
            return known
        member = locked(session, email)
        one = person(session, organisation(session, services.config), member)
        day = one.today(now)
        check_day(one, day)
        _check_hour(one, day, now)
        tasks = open_tasks(session, [member.id], day).get(member.id, ())
        if not unreported(tasks, one.calendar, day):
            raise NotNow(
                Code.NOTHING_UNREPORTED,
                "報告を待っているタスクはありません。",
                "No task is waiting for a report.",
            )
        _check_mails(session, one, day, now)
        held = "brake" if brake.holds_asked(services, session, day, now) else None
        mail = replace(asked_mail(session, one, day, now), held=held)
        ids = enqueue(session, services, [mail], now=now)
        audit.note(session, who=who, what="nudge", now=now, email=member.email, mail=ids[0])
        sent_forms.made(session, form_key, ids[0])
    services.publish(ids)
    return ids[0]


def _check_hour(one: Person, day: date, now: datetime) -> None:
    quiet_end = hours.quiet_until(one.rhythm, now)
    if quiet_end is not None:
        ends = f"{quiet_end.astimezone(one.rhythm.zone):%H:%M}"
        raise NotNow(
            Code.QUIET_HOURS,
            f"いまは本人が通知を控えている時間帯です({ends} まで)。そのあとにお試しください。",
            f"These are the member's quiet hours (until {ends}). Try again after that.",
        )
    at = hours.hour(one.rhythm, day)
    undecided = day > one.member.decided_through
    if undecided and now <= at < now + COOL_DOWN and _comes_by_itself(one, day):
        hour = f"{at.astimezone(one.rhythm.zone):%H:%M}"
        raise NotNow(
            Code.COMES_BY_ITSELF,
            f"{hour} に自動のリマインダーを送る予定です。",
            f"The automatic reminder is sent at {hour} anyway.",
        )


def _comes_by_itself(one: Person, day: date) -> bool:
    return decision.day_reason(one.rhythm, one.calendar, day) is None


def _check_mails(session: Session, one: Person, day: date, now: datetime) -> None:
    """One that waits still, or one that went out a moment ago."""
    went_out = func.coalesce(OutboxMail.accepted_at, OutboxMail.created_at)
    mails = session.execute(
        select(OutboxMail.ended, OutboxMail.not_before, went_out.label("at")).where(
            OutboxMail.user_id == one.member.id,
            OutboxMail.local_date.between(day - DAY, day),  # a moment ago may be yesterday
            REMINDERS,
            OutboxMail.state.not_in([State.CANCELLED, State.SUPPRESSED, State.EXPIRED]),
        )
    ).all()
    zone = one.rhythm.zone
    for mail in mails:
        if not mail.ended:
            hour = f"{max(mail.not_before, now).astimezone(zone):%H:%M}"
            raise NotNow(
                Code.ALREADY_WAITING,
                f"送信を待っているリマインダーがあります({hour} 以降に送ります)。",
                f"A reminder is waiting to be sent already (from {hour} on).",
            )
    last = max((mail.at for mail in mails), default=None)
    if last is not None and now < last + COOL_DOWN:
        sent, again = (f"{at.astimezone(zone):%H:%M}" for at in (last, last + COOL_DOWN))
        raise NotNow(
            Code.ALREADY_NUDGED,
            f"{sent} にリマインダーを送ったばかりです。{again} 以降にもう一度お試しください。",
            f"A reminder went out at {sent}. Try again from {again} on.",
        )
