"""What a letter is made from: one claimed mail, its reader, and what was read for its batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db import among
from app.letters.notice import notices
from app.mime.message import MailMessage
from app.models import Member, State
from app.outbox.lease import Claimed
from app.outbox.precheck import Defer, Skip
from app.outbox.rows import from_us, origin
from app.people.settings import Person, organisation, people
from app.reports.progress import TaskDetail, open_details
from app.rules import due
from app.rules.due import Reason, Unreported
from app.services import Services


class Batch:
    """What the letters of a batch are made of, read at once."""

    def __init__(
        self, services: Services, session: Session, mails: Sequence[Claimed], now: datetime
    ) -> None:
        ids = {mail.user_id for mail in mails if mail.user_id is not None}
        members = session.scalars(select(Member).where(among(Member.id, ids))).all()
        defaults = organisation(session, services.config)
        good, self.broken = people(session, defaults, members)
        self.people = {one.member.id: one for one in good}
        self.defaults = defaults
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


@dataclass(frozen=True, slots=True)
class LetterContext:
    """One mail that is about to be sent, to an active member whom MAIL_ONLY_TO allows."""

    services: Services
    session: Session
    batch: Batch
    mail: Claimed
    one: Person
    now: datetime  # the real clock's

    @property
    def as_of(self) -> datetime:
        """The instant of which the letter speaks: a rehearsal's clock is shifted."""
        return self.now + timedelta(seconds=self.mail.clock_shift)

    @property
    def locale(self) -> Literal["ja", "en"]:
        """The language of the letter."""
        return "en" if self.one.locale.startswith("en") else "ja"

    @property
    def reply_to_shown(self) -> str | None:
        """The address that an answer to the letter reaches."""
        return self.services.config.mail_reply_to or self.services.config.mail_from

    def from_us(self, letter: MailMessage) -> MailMessage:
        """The letter with the sender's fields and the mail's own Message-ID."""
        return from_us(letter, self.services.config, self.mail)

    def quiet(self) -> Skip | Defer | None:
        """A mail waits through quiet hours, or expires in them; a rehearsal does neither."""
        if self.mail.clock_shift:
            return None
        quiet_end = due.quiet_until(self.one.rhythm, self.now)
        if quiet_end is None:
            return None
        if quiet_end >= self.mail.expires_at:
            return Skip(State.EXPIRED, Reason.EXPIRED)
        return Defer(quiet_end)
