"""The escalation mail to a lead: who is still silent, as of now."""

from collections.abc import Sequence
from datetime import date, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.compose.escalation import EscalationFacts, SilentLine, escalation
from app.digest.silences import below, silences, steps_of
from app.letters.context import LetterContext
from app.models import DecisionRow, Kind, Member, Report, State, Task
from app.outbox.precheck import Defer, Send, Skip
from app.people.settings import Person, people
from app.reports.progress import details, open_tasks
from app.rules.decision import Reason
from app.rules.escalation import Step
from app.rules.unreported import unreported


def letter(case: LetterContext) -> Send | Skip | Defer:
    """Who is silent still, of those whom this mail was to tell of; a report takes one out."""
    quiet = case.quiet()
    if quiet is not None:
        return quiet
    wanted = case.reader.member.escalations is not False
    reason = case.no_longer(case.reader.rhythm, wanted=wanted)
    if reason is not None:
        return Skip(State.SUPPRESSED, reason)
    still = _still(case)
    gone = [(row.id, why) for row, why in still if isinstance(why, Reason)]
    silent = [why for _, why in still if not isinstance(why, Reason)]
    if not silent:
        return Skip(State.SUPPRESSED, gone[0][1] if gone else Reason.REPORTED_MEANWHILE)
    facts = EscalationFacts(
        **case.common(Kind.ESCALATION), silent=silent, team_url=case.services.links.page("/team")
    )
    return Send(escalation(facts), [], taken_back=gone)


def _still(case: LetterContext) -> list[tuple[DecisionRow, SilentLine | Reason]]:
    """For each decision its line in the letter, or why there is none any more."""
    session, lead, defaults = case.session, case.reader, case.batch.defaults
    rows = _decided(session, lead.member.id, case.mail.local_date)
    roles = {member.id: step for member, step in below(session, lead.member)}
    members = session.scalars(select(Member).where(Member.id.in_([row.user_id for row in rows])))
    good, _broken = people(session, defaults, members.all())
    known = {one.member.id: one for one in good}
    found = silences(session, [(one, one.today(case.as_of)) for one in good])
    steps = steps_of(defaults)
    answers: list[tuple[DecisionRow, SilentLine | Reason]] = []
    for row in rows:
        step, long = Step(row.facts["step"]), found.get(row.user_id)
        one = known.get(row.user_id)
        if one is None or roles.get(row.user_id) is not step:
            answers.append((row, Reason.INACTIVE))
        elif one.calendar.on_leave(one.today(case.as_of)):
            answers.append((row, Reason.ON_LEAVE))
        elif (
            long is None
            or long.workdays < (steps.after(step) or 1)
            or long.since > date.fromisoformat(row.facts["since"])
        ):
            answers.append((row, Reason.REPORTED_MEANWHILE))
        else:
            answers.append((row, _line(session, one, step, case.as_of)))
    return answers


def _decided(session: Session, lead_id: int, day: date) -> Sequence[DecisionRow]:
    """Whom the mail was to tell of when it was decided."""
    return session.scalars(
        select(DecisionRow)
        .where(
            DecisionRow.told_id == lead_id,
            DecisionRow.told_on == day,
            DecisionRow.verdict == "send",
        )
        .order_by(DecisionRow.user_id)
    ).all()


def _line(session: Session, one: Person, step: Step, as_of: datetime) -> SilentLine:
    """A silent member: the number that is the same everywhere, and the last word of theirs."""
    day = one.today(as_of)
    late = unreported(
        open_tasks(session, [one.member.id], day).get(one.member.id, ()), one.calendar, day
    )
    known = details(session, [task.ref for task in late], day)
    last = session.scalars(
        select(Report)
        .where(Report.reporter_id == one.member.id, Report.counts_for <= day)
        .order_by(Report.counts_for.desc(), Report.id.desc())
        .limit(1)
    ).one_or_none()
    title = session.scalar(select(Task.title).where(Task.id == last.task_id)) if last else None
    manager = session.get(Member, one.member.manager_id) if one.member.manager_id else None
    return SilentLine(
        member_id=one.member.id,
        name=one.member.name,
        workdays=late[0].silent,
        tasks=[known[task.ref].task.title for task in late if task.ref in known],
        last_on=last.counts_for if last else None,
        last_title=title,
        last_text=last.text if last else None,
        lead_name=manager.name if manager is not None and step is Step.MANAGER else None,
    )
