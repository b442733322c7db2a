"""Read again, right before sending: is the member still to get this mail, and what does it say?"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime

from sqlalchemy.orm import Session

from app import compose, due
from app.auth import ReportLink, StopLink
from app.due import Frequency, Reason, Unreported
from app.members.settings import Person, organisation, person
from app.models import Kind, Member, OutboxMail, State
from app.outbox.rows import mail_domain
from app.reports import TaskDetail, details, open_tasks
from app.services import Services
from app.util.message import MailMessage

NEVER = date.max


@dataclass(frozen=True, slots=True)
class Letter:
    """What is to be sent now."""

    message: MailMessage
    task_refs: list[str]


@dataclass(frozen=True, slots=True)
class Stop:
    """The mail ends here."""

    state: State
    reason: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Not now: quiet hours."""

    until: datetime


def read_again(
    services: Services, session: Session, mail: OutboxMail, now: datetime
) -> Letter | Stop | Wait:
    """The letter as of now, or why there is none. `now` is the real clock's instant.

    Raises ValueError when the member's settings or the facts make no sense.
    """
    if now >= mail.expires_at:
        return Stop(State.EXPIRED, Reason.EXPIRED)
    member = session.get(Member, mail.user_id) if mail.user_id is not None else None
    if member is None or not member.active:
        return Stop(State.SUPPRESSED, Reason.INACTIVE)
    if not in_pilot(services.config.mail_only_to, mail.to_addr):
        return Stop(State.SUPPRESSED, Reason.NOT_IN_PILOT)
    one = person(session, organisation(session, services.config), member)
    if mail.kind in {Kind.REMINDER, Kind.ASKED_REMINDER}:
        return _reminder(services, session, mail, one, now)
    msg = f"no letter for {mail.kind}"
    raise ValueError(msg)


def in_pilot(only_to: Iterable[str], address: str) -> bool:
    """True when MAIL_ONLY_TO (addresses or domains) is empty or names the address."""
    allowed = [entry.lower().lstrip("@") for entry in only_to]
    lower = address.lower()
    return not allowed or lower in allowed or lower.rpartition("@")[2] in allowed


def _reminder(
    services: Services, session: Session, mail: OutboxMail, one: Person, now: datetime
) -> Letter | Stop | Wait:
    reason = _no_longer(one, mail.local_date)
    if reason is not None:
        return Stop(State.SUPPRESSED, reason)
    quiet_end = None if mail.clock_shift else due.quiet_until(one.rhythm, now)
    if quiet_end is not None:
        if quiet_end >= mail.expires_at:
            return Stop(State.EXPIRED, Reason.EXPIRED)
        return Wait(quiet_end)
    tasks = open_tasks(session, [one.member.id], mail.local_date).get(one.member.id, [])
    late = due.unreported(tasks, one.calendar, mail.local_date)
    if not late:
        return Stop(State.SUPPRESSED, Reason.REPORTED_MEANWHILE)
    known = details(session, [task.ref for task in late], mail.local_date, one.member.id)
    lines = _lines(services, one, mail.local_date, late, known)
    return Letter(_compose(services, mail, one, lines), [line.ref for line in lines])


def _no_longer(one: Person, day: date) -> str | None:
    """Why a reminder that was decided must not go out any more."""
    rhythm = one.rhythm
    if rhythm.suppressed:
        return Reason.ADDRESS_SUPPRESSED
    if rhythm.frequency is Frequency.NONE:
        return Reason.OPTED_OUT
    if rhythm.paused_until is not None and day < rhythm.paused_until:
        return Reason.PAUSED
    return one.calendar.day_off(day)


def _lines(
    services: Services,
    one: Person,
    day: date,
    late: Iterable[Unreported],
    known: dict[str, TaskDetail],
) -> list[compose.TaskLine]:
    """The letter's tasks: what is due first comes first, then the longest silent."""
    lines = [
        _line(services, one.member.id, day, task, known[task.ref])
        for task in late
        if task.ref in known
    ]
    return sorted(lines, key=lambda line: (line.due_on or NEVER, -line.silent, line.ref))


def _line(
    services: Services, member_id: int, day: date, late: Unreported, detail: TaskDetail
) -> compose.TaskLine:
    task, report = detail.task, detail.report
    return compose.TaskLine(
        ref=task.ref,
        title=task.title,
        due_on=task.due_on,
        report_every=task.report_every,
        last_on=report.counts_for if report else None,
        last_by=detail.reporter,
        last_percent=report.percent if report else None,
        last_status=report.status if report else None,
        last_text=report.text if report else None,
        silent=late.silent,
        report_url=services.links.report_url(ReportLink(member_id, day, task.ref)),
    )


def _compose(
    services: Services, mail: OutboxMail, one: Person, lines: list[compose.TaskLine]
) -> MailMessage:
    config = services.config
    facts = compose.ReminderFacts(
        member_id=one.member.id,
        name=one.member.name,
        email=mail.to_addr,
        locale="en" if one.locale.startswith("en") else "ja",
        local_date=mail.local_date,
        kind="asked_reminder" if mail.kind == Kind.ASKED_REMINDER else "reminder",
        n=mail.n,
        tasks=lines,
        all_url=services.links.report_url(ReportLink(one.member.id, mail.local_date, None)),
        stop_url=services.links.stop_url(StopLink(one.member.id, Kind.REMINDER)),
        reply_to_shown=config.mail_reply_to or config.mail_from,
        message_domain=mail_domain(config),
    )
    return replace(
        compose.reminder(facts),
        mail_from=config.mail_from,
        reply_to=config.mail_reply_to,
        return_path=config.mail_return_path,
        message_id=mail.message_id,
    )
