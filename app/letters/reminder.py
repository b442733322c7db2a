"""The reminder: the tasks that its reader has not reported on, as of now."""

from datetime import date

from app.compose.reminder import ReminderFacts, TaskLine, reminder
from app.letters.context import LetterContext
from app.links import ReportLink
from app.models import Kind, State
from app.outbox.precheck import Defer, Send, Skip
from app.reports.progress import TaskDetail
from app.rules.decision import Reason
from app.rules.unreported import Unreported

NEVER = date.max


def letter(case: LetterContext) -> Send | Skip | Defer:
    """Skipped when all was reported meanwhile, or when its reader shall get none any more."""
    reason = case.no_longer(case.reader.rhythm)
    if reason is not None:
        return Skip(State.SUPPRESSED, reason)
    quiet = case.quiet()
    if quiet is not None:
        return quiet
    which = case.reader.member.id, case.mail.local_date
    late = case.batch.late[which]
    if not late:
        return Skip(State.SUPPRESSED, Reason.REPORTED_MEANWHILE)
    known = case.batch.known[which]
    lines = [_line(case.reader.member.id, task, known[task.ref]) for task in late]
    # What is due first comes first, then the longest silent.
    lines.sort(key=lambda line: (line.due_on or NEVER, -line.silent, line.ref))
    facts = ReminderFacts(
        **case.common(Kind.REMINDER),
        kind="asked_reminder" if case.mail.kind == Kind.ASKED_REMINDER else "reminder",
        tasks=lines,
        report_url=case.services.links.report_url(ReportLink(*which, None)),
        first=case.reader.member.id in case.batch.newcomers,
        lead_notice=case.batch.notices.get(which),
    )
    return Send(reminder(facts), [line.ref for line in lines])


def _line(member_id: int, late: Unreported, detail: TaskDetail) -> TaskLine:
    task, report, reporter = detail.seen_by(member_id)
    return TaskLine(
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
