"""The reminder: the tasks that its reader has not reported on, as of now."""

from collections.abc import Iterable
from datetime import date

from app import compose
from app.letters.case import LetterContext
from app.links import ReportLink, StopLink
from app.mime.message import MailMessage
from app.models import Kind, State
from app.outbox.precheck import Defer, Send, Skip
from app.people.settings import Person
from app.reports.progress import TaskDetail
from app.rules.due import Frequency, Reason, Unreported

NEVER = date.max


def letter(case: LetterContext) -> Send | Skip | Defer:
    """Skipped when all was reported meanwhile, or when its reader shall get none any more."""
    reason = _no_longer(case.one, case.mail.local_date)
    if reason is not None:
        return Skip(State.SUPPRESSED, reason)
    quiet = case.quiet()
    if quiet is not None:
        return quiet
    which = case.one.member.id, case.mail.local_date
    late = case.batch.late[which]
    if not late:
        return Skip(State.SUPPRESSED, Reason.REPORTED_MEANWHILE)
    lines = _lines(case.one, late, case.batch.known[which])
    return Send(case.from_us(_compose(case, lines)), [line.ref for line in lines])


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
    one: Person, late: Iterable[Unreported], known: dict[str, TaskDetail]
) -> list[compose.TaskLine]:
    """The letter's tasks: what is due first comes first, then the longest silent."""
    lines = [_line(one.member.id, task, known[task.ref]) for task in late]
    return sorted(lines, key=lambda line: (line.due_on or NEVER, -line.silent, line.ref))


def _line(member_id: int, late: Unreported, detail: TaskDetail) -> compose.TaskLine:
    task, report, reporter = detail.seen_by(member_id)
    return compose.TaskLine(
        task_id=task.id,
        ref=task.ref,
        title=task.title,
        due_on=task.due_on,
        report_every=task.report_every,
        last_on=report.counts_for if report else None,
        last_by=reporter,
        last_percent=report.percent if report else None,
        last_status=report.status if report else None,
        last_text=report.text if report else None,
        silent=late.silent,
    )


def _compose(case: LetterContext, lines: list[compose.TaskLine]) -> MailMessage:
    mail, member = case.mail, case.one.member
    links = case.services.links
    facts = compose.ReminderFacts(
        member_id=member.id,
        name=member.name,
        email=mail.to_addr,
        locale=case.locale,
        local_date=mail.local_date,
        kind="asked_reminder" if mail.kind == Kind.ASKED_REMINDER else "reminder",
        n=mail.n,
        tasks=lines,
        report_url=links.report_url(ReportLink(member.id, mail.local_date, None)),
        stop_url=links.stop_url(StopLink(member.id, Kind.REMINDER)),
        reply_to_shown=case.reply_to_shown,
        message_origin=case.batch.origin,
        lead_told=case.batch.notices.get((member.id, mail.local_date)),
    )
    return compose.reminder(facts)
