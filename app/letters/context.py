"""What a letter is made from: one claimed mail, its reader, and what was read for its batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from app.db import among
from app.letters.notice import notices
from app.links import StopLink
from app.models import REMINDERS, Kind, Member, OutboxMail, State
from app.outbox.enqueue import origin
from app.outbox.lease import Claimed
from app.outbox.precheck import Defer, Skip
from app.people.settings import Person, organisation, people
from app.reports.progress import TaskDetail, open_details
from app.rules import hours, unreported
from app.rules.decision import Reason
from app.rules.hours import Frequency, Rhythm
from app.rules.unreported import Unreported
from app.services import Services

_WAS_REMINDED = exists(
    select(OutboxMail.id).where(
        OutboxMail.user_id == Member.id,
        REMINDERS,
        OutboxMail.accepted_at.is_not(None),
    )
)


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
                late = unreported.unreported([task.open_task for task in mine], one.calendar, day)
                self.late[one.member.id, day] = late
                self.known[one.member.id, day] = {task.task.ref: task for task in mine}
                if late and late[0].silent >= defaults.escalate_notice_after > 0:
                    long.append((one, day))
        newcomers = select(Member.id).where(among(Member.id, [*self.people]), ~_WAS_REMINDED)
        self.newcomers = set(session.scalars(newcomers))  # no reminder has reached them so far
        self.notices = notices(session, defaults, long, now)


@dataclass(frozen=True, slots=True)
class LetterContext:
    """One mail that is about to be sent, to an active member whom MAIL_ONLY_TO allows."""

    services: Services
    session: Session
    batch: Batch
    mail: Claimed
    reader: Person
    now: datetime  # the real clock's

    @property
    def as_of(self) -> datetime:
        """The instant of which the letter speaks: a rehearsal's clock is shifted."""
        return self.now + timedelta(seconds=self.mail.clock_shift)

    @property
    def locale(self) -> Literal["ja", "en"]:
        """The language of the letter."""
        return "en" if self.reader.locale.startswith("en") else "ja"

    def common(self, kind: Kind) -> dict[str, Any]:
        """What all letters about a date say (`compose.LetterFacts`); `kind`: which its link stops."""
        one, mail = self.reader.member, self.mail
        return {
            "member_id": one.id,
            "name": one.name,
            "email": mail.to_addr,
            "locale": self.locale,
            "local_date": mail.local_date,
            "n": mail.n,
            "stop_url": self.services.links.stop_url(StopLink(one.id, kind)),
            "reply_to_shown": self.services.config.mail_reply_to or self.services.config.mail_from,
            "message_origin": self.batch.origin,
        }

    def quiet(self) -> Skip | Defer | None:
        """A mail waits through quiet hours, or expires in them; a rehearsal does neither."""
        if self.mail.clock_shift:
            return None
        quiet_end = hours.quiet_until(self.reader.rhythm, self.now)
        if quiet_end is None:
            return None
        if quiet_end >= self.mail.expires_at:
            return Skip(State.EXPIRED, Reason.EXPIRED)
        return Defer(quiet_end)

    def no_longer(self, rhythm: Rhythm, *, wanted: bool = True) -> str | None:
        """Why a mail that was decided by `rhythm` must not go out any more."""
        if rhythm.suppressed:
            return Reason.ADDRESS_SUPPRESSED
        if rhythm.frequency is Frequency.NONE or not wanted:
            return Reason.OPTED_OUT
        if rhythm.paused_until is not None and self.mail.local_date < rhythm.paused_until:
            return Reason.PAUSED
        off = self.reader.calendar.day_off(self.mail.local_date)
        return Reason(off.value) if off else None
