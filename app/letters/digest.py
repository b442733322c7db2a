"""The two mails about a team, read again right before they are sent."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import compose
from app.ai import stored
from app.compose.text import Locale
from app.digest.facts import week_of
from app.digest.rule import rhythm_of_digest
from app.digest.silences import below, local_date, silences, steps_of
from app.links import StopLink
from app.models import DecisionRow, Kind, Member, Report, State, Task
from app.outbox.lease import Claimed
from app.outbox.precheck import Letter, Stop
from app.outbox.rows import from_us, origin
from app.people.settings import Organisation, Person, organisation, people
from app.reports.progress import details, open_tasks
from app.rules.due import Frequency, Reason, Rhythm, unreported
from app.rules.escalation import Step
from app.services import Services


def week_letter(
    services: Services, session: Session, mail: Claimed, one: Person, now: datetime
) -> Letter | Stop:
    """The lead's week as of now."""
    defaults = organisation(session, services.config)
    rhythm = rhythm_of_digest(one, defaults)
    reason = _no_longer(one, rhythm, mail, wanted=one.weekly_digest)
    if reason is not None:
        return Stop(State.SUPPRESSED, reason)
    as_of = now + timedelta(seconds=mail.clock_shift)
    week = week_of(session, defaults, one, mail.local_date, as_of)
    if not week.says_something:
        return Stop(State.SUPPRESSED, Reason.NOTHING_UNREPORTED)
    config = services.config
    locale: Locale = "en" if one.locale.startswith("en") else "ja"
    by_ai = None
    if stored.is_on(config, defaults):
        by_ai = stored.found(session, one.member.id, week, locale)
    facts = compose.DigestFacts(
        member_id=one.member.id,
        name=one.member.name,
        email=mail.to_addr,
        locale=locale,
        local_date=mail.local_date,
        n=mail.n,
        as_of=as_of.astimezone(one.rhythm.zone),
        everybody=one.member.role == "admin",
        week=week,
        team_url=services.links.team_url,
        stop_url=services.links.stop_url(StopLink(one.member.id, Kind.WEEKLY_DIGEST)),
        reply_to_shown=config.mail_reply_to or config.mail_from,
        message_origin=origin(config, services.installation.id()),
        recap=by_ai,
        recap_by="count" if by_ai is None else "ai",
    )
    return Letter(from_us(compose.weekly_digest(facts), services.config, mail), [])


def told_letter(
    services: Services, session: Session, mail: Claimed, one: Person, now: datetime
) -> Letter | Stop:
    """Who is silent still, of those whom this mail was to tell of; a report takes one out."""
    reason = _no_longer(one, one.rhythm, mail, wanted=one.member.escalations is not False)
    if reason is not None:
        return Stop(State.SUPPRESSED, reason)
    defaults = organisation(session, services.config)
    rows = session.scalars(
        select(DecisionRow)
        .where(
            DecisionRow.told_id == one.member.id,
            DecisionRow.told_on == mail.local_date,
            DecisionRow.verdict == "send",
        )
        .order_by(DecisionRow.user_id)
    ).all()
    as_of = now + timedelta(seconds=mail.clock_shift)
    still = _still(session, defaults, one, rows, as_of)
    gone = [(row.id, why) for row, why in still if isinstance(why, Reason)]
    silent = [why for _, why in still if not isinstance(why, Reason)]
    if not silent:
        return Stop(State.SUPPRESSED, gone[0][1] if gone else Reason.REPORTED_MEANWHILE)
    config = services.config
    facts = compose.EscalationFacts(
        member_id=one.member.id,
        name=one.member.name,
        email=mail.to_addr,
        locale="en" if one.locale.startswith("en") else "ja",
        local_date=mail.local_date,
        n=mail.n,
        silent=silent,
        team_url=services.links.team_url,
        stop_url=services.links.stop_url(StopLink(one.member.id, Kind.ESCALATION)),
        reply_to_shown=config.mail_reply_to or config.mail_from,
        message_origin=origin(config, services.installation.id()),
    )
    letter = from_us(compose.escalation(facts), services.config, mail)
    return Letter(letter, [], taken_back=gone)


def _no_longer(one: Person, rhythm: Rhythm, mail: Claimed, *, wanted: bool) -> str | None:
    if rhythm.suppressed:
        return Reason.ADDRESS_SUPPRESSED
    off_all = one.rhythm.frequency is Frequency.NONE and mail.kind == Kind.ESCALATION
    if off_all or not wanted:
        return Reason.OPTED_OUT
    if rhythm.paused_until is not None and mail.local_date < rhythm.paused_until:
        return Reason.PAUSED
    off = one.calendar.day_off(mail.local_date)
    return Reason(off.value) if off else None


def _still(
    session: Session,
    defaults: Organisation,
    lead: Person,
    rows: Sequence[DecisionRow],
    as_of: datetime,
) -> list[tuple[DecisionRow, compose.SilentLine | Reason]]:
    """For each row its line in the letter, or why there is none any more."""
    roles = {member.id: step for member, step in below(session, lead.member)}
    members = session.scalars(select(Member).where(Member.id.in_([row.user_id for row in rows])))
    good, _broken = people(session, defaults, members.all())
    known = {one.member.id: one for one in good}
    found = silences(session, [(one, local_date(one, as_of)) for one in good])
    steps = steps_of(defaults)
    answers: list[tuple[DecisionRow, compose.SilentLine | Reason]] = []
    for row in rows:
        step, long = Step(row.facts["step"]), found.get(row.user_id)
        if row.user_id not in known or roles.get(row.user_id) is not step:
            answers.append((row, Reason.INACTIVE))
        elif (
            long is None
            or long.workdays < (steps.after(step) or 1)
            or long.since > date.fromisoformat(row.facts["since"])
        ):
            answers.append((row, Reason.REPORTED_MEANWHILE))
        else:
            answers.append((row, _line(session, known[row.user_id], step, as_of)))
    return answers


def _line(session: Session, one: Person, step: Step, as_of: datetime) -> compose.SilentLine:
    """A silent member: the number that is the same everywhere, and the last word of theirs."""
    day = local_date(one, as_of)
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
    return compose.SilentLine(
        member_id=one.member.id,
        name=one.member.name,
        workdays=late[0].silent,
        tasks=[known[task.ref].task.title for task in late if task.ref in known],
        last_on=last.counts_for if last else None,
        last_title=title,
        last_text=last.text if last else None,
        lead_name=manager.name if manager is not None and step is Step.MANAGER else None,
    )
