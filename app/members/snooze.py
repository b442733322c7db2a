"""Snoozing: a reminder later today because the member asked, or none before a date."""

from dataclasses import dataclass
from datetime import date, datetime, time

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app import audit
from app.access import sent_forms
from app.compose.text import date_words
from app.locale import Both
from app.members.changes import decide_before, locked, plan_anew
from app.models import REMINDERS, DecisionRow, Kind, OutboxMail, State
from app.outbox import end_ready, restored
from app.outbox.enqueue import NewMail, enqueue
from app.outbox.reasons import REASONS, TRIAL
from app.people.settings import Person, organisation, person
from app.refused import Code, Refused
from app.reminders.decide_batch import decide_all
from app.reminders.plan import store
from app.rules import decision
from app.rules.decision import ASKED_AT_MOST, Reason, Verdict
from app.rules.hours import end_of, instant, quiet_begins, quiet_until
from app.services import Services

SNOOZED = "snoozed_until"  # in a decision's facts: the hour to which the member put the reminder


class NotNow(Refused):
    """The wish for a reminder, or for none, cannot be granted."""

    def __init__(self, code: Code, ja: str, en: str) -> None:
        super().__init__(code, Both(ja, en))


@dataclass(frozen=True, slots=True)
class Snoozed:
    """What was arranged: a mail from `at` on, or reminders again from the date `until` on."""

    at: datetime | None = None  # in the member's zone
    mail_id: int | None = None
    until: date | None = None


def snooze_today(  # noqa: PLR0917 - whose, until when, by whom, when
    services: Services,
    email: str,
    until: time,
    who: str,
    now: datetime,
    form_key: str | None = None,
) -> Snoozed:
    """One reminder at `until` o'clock today, at most 3 a day; it takes the place of today's other
    ones.

    The automatic reminder of today, unless it is on its way already, is `cancelled`, and so is
    an earlier snooze. Raises NoSuchMember; NotNow in quiet hours, for an hour that has passed, on
    a day without reminders, and for the fourth time.
    """
    decide_before(services, email, now)
    with services.db.write() as session:
        member = locked(session, email)
        one = person(session, organisation(session, services.config), member)
        day = one.today(now)
        at = instant(one.rhythm.zone, day, until)
        if (known := sent_forms.made_before(session, form_key, now)) is not None:
            return Snoozed(at=at.astimezone(one.rhythm.zone), mail_id=known)
        check_day(one, day)
        _check(one, until, at, now)
        if day > member.decided_through:
            # Before the hour: decided now, as `remind` does, or the hour would bring a second mail.
            decisions = decide_all(session, [one], day, None)
            if decisions[0][1].verdict is Verdict.SEND:
                store(session, services, decisions, now=now)
        _cancel(session, member.id, day, until, now)
        ids = enqueue(session, services, [asked_mail(session, one, day, at)], now=now)
        about = {"email": member.email, "until": at.isoformat()}
        audit.note(session, who=who, what="snooze", now=now, **about)
        sent_forms.made(session, form_key, ids[0])
    return Snoozed(at=at.astimezone(one.rhythm.zone), mail_id=ids[0])


def snooze_until(
    services: Services, email: str, until: date | None, who: str, now: datetime
) -> Snoozed:
    """No reminder before the date `until`; None is the member's next workday.

    Raises NoSuchMember; NotNow for a date that is not in the future, and for one that would end
    a pause earlier: who means that says so in the settings.
    """
    decide_before(services, email, now)
    with services.db.write() as session:
        member = locked(session, email)
        one = person(session, organisation(session, services.config), member)
        today = one.today(now)
        day = until or _next_workday(one, today)
        if day <= today:
            shown = date_words(day)
            raise NotNow(
                Code.ALREADY_PAST,
                f"{shown.ja}はもう来ています。明日以降の日付を指定してください。",
                f"{shown.en} has come already. Say a date from tomorrow on.",
            )
        before = member.paused_until
        if before is not None and before > day:
            shown = date_words(before, with_year=False)
            raise NotNow(
                Code.ALREADY_PAUSED,
                f"リマインダーはすでに止まっていて、{shown.ja}に再開します。"
                "早めるには、設定の「再開する日」を変えてください。",
                f"Reminders are paused already; they resume on {shown.en}. "
                'To resume earlier, change "Resume on" in the settings.',
            )
        member.paused_until = day
        plan_anew(member)
        was = before.isoformat() if before else None
        about = {"email": member.email, "before": was, "until": day.isoformat()}
        audit.note(session, who=who, what="snooze", now=now, **about)
    return Snoozed(until=day)


def _next_workday(one: Person, today: date) -> date:
    day = one.calendar.next_workday(today)
    if day is None:
        why = Both("この先1年、営業日がありません。", "There is no workday in the year to come.")
        raise NotNow(Code.NO_WORKDAY, *why)
    return day


def check_day(one: Person, day: date) -> None:
    """Raises NotNow for a member who is not active, and on a day without reminders."""
    if not one.member.active:
        raise NotNow(Code.INACTIVE, "このメンバーは無効です。", "The member is not active.")
    reason = decision.day_reason(one.rhythm, one.calendar, day)
    if reason is not None and reason is not Reason.NOT_THIS_WEEKDAY:
        raise NotNow(
            Code.NO_REMINDER_TODAY,
            f"今日はリマインダーをお送りできません。{REASONS[reason].ja}。",
            f"There can be no reminder today: {REASONS[reason].en}.",
        )


def _check(one: Person, until: time, at: datetime, now: datetime) -> None:
    if at <= now:
        raise NotNow(
            Code.ALREADY_PAST,
            f"{until:%H:%M} はもう過ぎています。これからの時刻か、別の日にしてください。",
            f"{until:%H:%M} has passed. Choose a later hour, or another day.",
        )
    quiet = one.rhythm.quiet
    if quiet is not None and quiet_until(one.rhythm, at) is not None:
        hours = f"{quiet.start:%H:%M}-{quiet.end:%H:%M}"
        raise NotNow(
            Code.QUIET_HOURS,
            f"{until:%H:%M} は通知を控える時間帯({hours})に入っています。",
            f"{until:%H:%M} lies in the quiet hours ({hours}).",
        )


def _cancel(session: Session, member_id: int, day: date, until: time, now: datetime) -> None:
    """The reminders of today that wait still."""
    todays = (OutboxMail.user_id == member_id, OutboxMail.local_date == day, REMINDERS)
    for mail in end_ready(session, *todays, why=f"snoozed until {until:%H:%M}", now=now):
        if mail.decision_id is not None and mail.n <= 0:
            row = session.get_one(DecisionRow, mail.decision_id)
            row.facts = row.facts | {SNOOZED: f"{until:%H:%M}"}


def asked_mail(session: Session, one: Person, day: date, at: datetime) -> NewMail:
    """The next asked_reminder of the local date `day`, from `at` on.

    Raises NotNow for the fourth one of a day.
    """
    asked = session.execute(
        select(OutboxMail.n, OutboxMail.state, OutboxMail.reason, OutboxMail.resend_of).where(
            OutboxMail.user_id == one.member.id,
            OutboxMail.local_date == day,
            OutboxMail.kind == Kind.ASKED_REMINDER,
        )
    ).all()
    out = [
        mail
        for mail in asked
        if mail.state != State.CANCELLED and mail.reason != TRIAL and mail.resend_of is None
    ]
    if len(out) >= ASKED_AT_MOST:
        raise NotNow(
            Code.TOO_MANY_TODAY,
            f"今日はもう{ASKED_AT_MOST}回お送りしました。次は明日以降にしてください。",
            f"There were {ASKED_AT_MOST} today already. Try again tomorrow.",
        )
    midnight = end_of(day, one.rhythm.zone)
    decided = (
        DecisionRow.user_id == one.member.id,
        DecisionRow.slot == "reminder",
        DecisionRow.local_date == day,
    )
    return NewMail(
        kind=Kind.ASKED_REMINDER,
        user_id=one.member.id,
        to_addr=one.member.email,
        local_date=day,
        decision_id=session.scalar(select(func.max(DecisionRow.id)).where(*decided)),
        not_before=at,
        expires_at=quiet_begins(one.rhythm, at, midnight),
        n=max([restored.first_n(session, day), *(mail.n + 1 for mail in asked)]),
    )
