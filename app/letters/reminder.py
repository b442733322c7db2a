"""Read again, right before sending: is the member still to get this mail, and what does it say?"""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from functools import lru_cache

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import compose
from app.db import among
from app.letters.digest import told_letter, week_letter
from app.letters.notice import notices
from app.links import SIGN_IN_MINUTES, ReportLink, StopLink
from app.mime.address import address_key
from app.mime.message import MailMessage
from app.models import Kind, Member, State
from app.monitoring.alert_mails import how_things_stand
from app.outbox.lease import Claimed
from app.outbox.precheck import Letter, Stop, Wait
from app.outbox.rows import from_us, origin
from app.people.settings import Person, organisation, people
from app.reports.progress import TaskDetail, open_details
from app.rules import due
from app.rules.due import Frequency, Reason, Unreported
from app.services import Services

NEVER = date.max


def read_again(
    services: Services, session: Session, mails: Sequence[Claimed], now: datetime
) -> list[Letter | Stop | Wait | Exception]:
    """For each mail the letter as of now, or why there is none; what broke one breaks no other.

    `now` is the real clock's instant.
    """
    facts = _Facts(services, session, mails, now)
    found: list[Letter | Stop | Wait | Exception] = []
    for mail in mails:
        try:
            found.append(_one(services, session, facts, mail, now))
        except Exception as error:  # noqa: BLE001 - whatever a letter broke on, the others go on
            found.append(error)
    return found


class _Facts:
    """What the letters of a batch are made of, read at once."""

    def __init__(
        self, services: Services, session: Session, mails: Sequence[Claimed], now: datetime
    ) -> None:
        ids = {mail.user_id for mail in mails if mail.user_id is not None}
        members = session.scalars(select(Member).where(among(Member.id, ids))).all()
        defaults = organisation(session, services.config)
        good, self.broken = people(session, defaults, members)
        self.people = {one.member.id: one for one in good}
        self.origin = origin(services.config, services.installation.id())
        self.late: dict[tuple[int, date], list[Unreported]] = {}
        self.known: dict[tuple[int, date], dict[str, TaskDetail]] = {}
        long: list[tuple[Person, date]] = []
        for day in {mail.local_date for mail in mails}:
            tasks = open_details(session, [*self.people], day)
            for one in good:
                mine = tasks.get(one.member.id, ())
                late = due.unreported([task.open_task for task in mine], one.calendar, day)
                self.late[one.member.id, day] = late
                self.known[one.member.id, day] = {task.task.ref: task for task in mine}
                if late and late[0].silent >= defaults.escalate_notice_after > 0:
                    long.append((one, day))
        self.notices = notices(session, defaults, long, now)


def _one(
    services: Services, session: Session, facts: _Facts, mail: Claimed, now: datetime
) -> Letter | Stop | Wait:
    if now >= mail.expires_at:
        return Stop(State.EXPIRED, Reason.EXPIRED)
    if mail.user_id in facts.broken:
        raise ValueError(facts.broken[mail.user_id])
    one = facts.people.get(mail.user_id) if mail.user_id is not None else None
    if one is None or not one.member.active:
        return Stop(State.SUPPRESSED, Reason.INACTIVE)
    if not in_pilot(services.config.mail_only_to, mail.to_addr):
        return Stop(State.SUPPRESSED, Reason.NOT_IN_PILOT)
    if mail.kind in {Kind.REMINDER, Kind.ASKED_REMINDER}:
        return _reminder(services, facts, mail, one, now)
    if mail.kind in {Kind.SIGN_IN, Kind.ALERT}:  # whatever the hour
        asked = mail.kind == Kind.SIGN_IN
        letter = _sign_in(services, mail, one) if asked else _alert(services, mail, one, now)
        return Letter(letter, [])
    if mail.kind in _ABOUT_A_TEAM:
        quiet = _quiet(one, mail, now)
        return quiet or _ABOUT_A_TEAM[Kind(mail.kind)](services, session, mail, one, now)
    msg = f"no letter for {mail.kind}"
    raise ValueError(msg)


# One at a time: what they say is read for a whole team at once.
_ABOUT_A_TEAM = {Kind.WEEKLY_DIGEST: week_letter, Kind.ESCALATION: told_letter}


def in_pilot(only_to: tuple[str, ...], address: str) -> bool:
    """True when MAIL_ONLY_TO (addresses or domains) is empty or names the address."""
    if not only_to:
        return True
    allowed, key = _allowed(only_to), address_key(address)
    return key in allowed or key.rpartition("@")[2] in allowed


@lru_cache(maxsize=4)
def _allowed(only_to: tuple[str, ...]) -> frozenset[str]:
    return frozenset(address_key(entry.lstrip("@")) for entry in only_to)


def _reminder(
    services: Services, facts: _Facts, mail: Claimed, one: Person, now: datetime
) -> Letter | Stop | Wait:
    reason = _no_longer(one, mail.local_date)
    if reason is not None:
        return Stop(State.SUPPRESSED, reason)
    quiet = _quiet(one, mail, now)
    if quiet is not None:
        return quiet
    which = one.member.id, mail.local_date
    late = facts.late[which]
    if not late:
        return Stop(State.SUPPRESSED, Reason.REPORTED_MEANWHILE)
    lines = _lines(one, late, facts.known[which])
    message = _compose(services, mail, one, lines, facts)
    return Letter(message, [line.ref for line in lines])


def _sign_in(services: Services, mail: Claimed, one: Person) -> MailMessage:
    """The number of a sign-in mail is the id of its link."""
    config = services.config
    until = mail.expires_at.astimezone(one.rhythm.zone)
    facts = compose.SignInFacts(
        name=one.member.name,
        email=mail.to_addr,
        locale="en" if one.locale.startswith("en") else "ja",
        url=services.links.sign_in_url(mail.n),
        minutes=SIGN_IN_MINUTES,
        until=f"{until:%H:%M}",
    )
    return from_us(compose.sign_in(facts), config, mail)


def _alert(services: Services, mail: Claimed, one: Person, now: datetime) -> MailMessage:
    """How things stand now, whatever was the matter when it was written down."""
    config = services.config
    opened, over = how_things_stand(services, one.rhythm.zone, now)
    facts = compose.AlertFacts(
        name=one.member.name,
        email=mail.to_addr,
        locale="en" if one.locale.startswith("en") else "ja",
        open=opened,
        over=over,
        url=f"{config.app_base_url.rstrip('/')}/admin",
    )
    return from_us(compose.alert(facts), config, mail)


def _quiet(one: Person, mail: Claimed, now: datetime) -> Stop | Wait | None:
    """A mail waits through quiet hours, or expires in them; a rehearsal does neither."""
    quiet_end = None if mail.clock_shift else due.quiet_until(one.rhythm, now)
    if quiet_end is None:
        return None
    return Stop(State.EXPIRED, Reason.EXPIRED) if quiet_end >= mail.expires_at else Wait(quiet_end)


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


def _compose(
    services: Services, mail: Claimed, one: Person, lines: list[compose.TaskLine], read: _Facts
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
        report_url=services.links.report_url(ReportLink(one.member.id, mail.local_date, None)),
        stop_url=services.links.stop_url(StopLink(one.member.id, Kind.REMINDER)),
        reply_to_shown=config.mail_reply_to or config.mail_from,
        message_origin=read.origin,
        lead_told=read.notices.get((one.member.id, mail.local_date)),
    )
    return from_us(compose.reminder(facts), config, mail)
