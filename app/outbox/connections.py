"""The connections to the mail server: one mail on each, marked in doubt together, answered together.

A round writes and reads on all connections in turn, so that their waits overlap. The marks
"in doubt" of a round and the answers of the round before share one commit: at any moment at most
one mail per connection has a dot whose answer is not recorded.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Self

from sqlalchemy.orm import Session

from app.db import DatabaseDown
from app.mime.message import Envelope
from app.models import Setting, State
from app.outbox import log_records, streak
from app.outbox.lease import PAUSE, Claimed, SentBytes, give_all_back
from app.outbox.refusals import BreakerKnows, RefusedMail, Sender, record_refusals, state_after
from app.outbox.settle import record_accepted, settle
from app.services import Services
from app.smtp.errors import printable
from app.smtp.fault import Fault
from app.util import crash
from app.util.mailer import MailSendError, SmtpSession, SmtpSettings

SETTLE_FOR = 60.0  # seconds to try to record an answer while the database is away
SLOWEST = 30.0  # seconds between rounds, at most, for a server that asks to slow down


@dataclass(frozen=True, slots=True)
class Job:
    """A mail ready for the wire."""

    mail: Claimed
    envelope: Envelope
    subject: str
    task_refs: list[str]
    packed: bytes


Pair = tuple[SmtpSession, Job]


class ConnectionPool:
    """SMTP_CONNECTIONS connections, and the answers not yet recorded."""

    def __init__(self, services: Services, clock: Callable[[], datetime]) -> None:
        config = services.config
        settings = SmtpSettings.from_config(config)
        self.services = services
        self.clock = clock
        self.scale = config.test_time_scale
        self._each_round = services.db.each_by_itself()
        self.sessions = services.idle.take(settings, config.smtp_connections)
        self.fault: MailSendError | None = None  # the server's: no further mail need be tried
        self.paused = False  # an admin paused since the mails were claimed
        self.accepted = 0
        self._answers: list[tuple[Claimed, str]] = []
        self._refusals: list[RefusedMail] = []
        self._in_a_row = 0  # mails refused since the last one was accepted
        self._pause = 0.0  # seconds before the next round
        self._standing = BreakerKnows()  # what the breaker knows
        self._judged: BreakerKnows | None = None  # and will have been, after this commit
        self._heard: datetime | None = None  # when the answers of the last round were there
        self._began = 0.0  # the round, by time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._each_round.close()
        finally:
            self.services.idle.keep(self.sessions)

    def round(self, jobs: Sequence[Job], following: Sequence[Job] = ()) -> None:
        """One mail on each line, to its answer. The answers are recorded with the next round.

        Those of the next round, if there will be one, are offered to the server with the dots.
        """
        if self._pause:
            time.sleep(self._pause * self.scale)
        self._began = time.monotonic()
        pairs = list(zip(self.sessions, jobs, strict=False))
        pairs = self._connected(pairs)
        pairs = self._each(pairs, self._offer)
        pairs = self._each(pairs, self._agree)
        pairs = self._each(pairs, lambda line, _: line.write_body())
        crash.point("body_sent")
        pairs = self._marked(pairs)
        ahead = {} if self._pause else dict(zip(self.sessions, following, strict=False))
        pairs = self._each(pairs, lambda line, _: line.write_dot(_envelope(ahead.get(line))))
        crash.point("dot")
        self._each(pairs, self._hear)
        self._heard = self.clock()
        crash.point("reply")
        if self._in_a_row >= streak.IN_A_ROW:  # perhaps not the recipients' fault: to be judged now
            self.record()

    def record(self) -> None:
        """Records all answers; tries for a minute, because only this process knows them."""
        give_up = time.monotonic() + SETTLE_FOR * self.scale
        while self._answers or self._refusals:
            try:
                with self.services.db.write() as session:
                    self.record_in(session)
            except DatabaseDown:
                if time.monotonic() > give_up:
                    raise
                time.sleep(1.0 * self.scale)
            else:
                self.recorded()

    def record_in(self, session: Session) -> None:
        """Records all answers in the caller's transaction; once it is committed, say `recorded`."""
        now = self.clock()
        record_accepted(session, self._answers, now=self._heard or now)
        sender = Sender(self.services.host, now, self.scale)
        self._judged = record_refusals(
            session, self._refusals, self.accepted, self._standing, sender
        )

    def recorded(self) -> None:
        """The answers are in the database: they need not be kept any longer."""
        if self._judged is not None:
            self._standing, self._judged = self._judged, None
        if self._refusals:  # by now it is known whether the fault was one mail's own
            self.fault = self._refusals[-1].error if self._standing.tripped else None
        certain = [one.mail for one in self._refusals if not one.error.in_doubt]
        self._release(certain)
        self._answers, self._refusals = [], []

    # --- steps of a round -----------------------------------------------------------------

    def _each(
        self, pairs: Sequence[Pair], step: Callable[[SmtpSession, Job], object]
    ) -> list[Pair]:
        """The pairs for which the step went well."""
        well: list[Pair] = []
        for line, job in pairs:
            try:
                step(line, job)
            except MailSendError as error:
                self._refused(job.mail, error)
            else:
                well.append((line, job))
        return well

    def _connected(self, pairs: Sequence[Pair]) -> list[Pair]:
        """All lines connect at once: one after the other, a far server would take seconds."""
        closed = [line for line, job in pairs if not line.is_ready_for(job.envelope)]
        if len(closed) < 2:  # it connects by itself
            return list(pairs)
        with ThreadPoolExecutor(len(closed)) as pool:
            opened = dict(zip(closed, pool.map(_open, closed), strict=True))

        def check(line: SmtpSession, _: Job) -> None:
            if (error := opened.get(line)) is not None:
                raise error

        return self._each(pairs, check)

    def _offer(self, line: SmtpSession, job: Job) -> None:
        if self.fault is not None:  # one line found the server away: the others need not wait too
            raise self.fault
        line.offer(job.envelope)

    def _agree(self, line: SmtpSession, _: Job) -> None:
        if self.fault is not None:  # a mail offered ahead hears of it only here
            line.abandon()
            raise self.fault
        line.agree()

    def _hear(self, line: SmtpSession, job: Job) -> None:
        answer = line.read_answer()
        # Printable: PostgreSQL takes no zero byte, and this answer must be recorded.
        self._answers.append((job.mail, f"{answer.code} {printable(answer.text)}".rstrip()))
        self.accepted += 1
        self._in_a_row = 0
        log_records.attempt(job.mail, State.ACCEPTED, code=answer.code, began=self._began)
        self._pause = self._pause / 2 if self._pause > 1 else 0.0

    def _marked(self, pairs: Sequence[Pair]) -> list[Pair]:
        """The pairs whose mail is now in doubt; the others are cut before their dot."""
        if not pairs:
            return []
        sent = [SentBytes(job.mail, job.subject, job.task_refs, job.packed) for _, job in pairs]
        try:
            if self._rare():
                with self.services.db.write() as session:
                    self.record_in(session)
                self.recorded()
            now = self._heard or self.clock()
            marked = settle(
                self.services.db, self._each_round, sent, self._answers, now=now, scale=self.scale
            )
        except DatabaseDown:
            for line, job in pairs:
                line.abandon()
                log_records.attempt(job.mail, State.SENDING, reason="database", began=self._began)
            self._release([job.mail for _, job in pairs])
            self.record()
            raise
        self.recorded()
        left = [(line, job) for line, job in pairs if job.mail.id not in marked]
        for line, _ in left:
            line.abandon()
        if left:
            self._leave([job.mail for _, job in left])
        return [(line, job) for line, job in pairs if job.mail.id in marked]

    def _rare(self) -> bool:
        """Whether there is more to record than plain acceptance."""
        first = bool(self._answers) and not self._standing.proved  # the breaker must record it
        resent = any(mail.n > 0 for mail, _ in self._answers)
        return first or resent or bool(self._refusals)

    def _leave(self, mails: Sequence[Claimed]) -> None:
        """Mails that may not have their dot: sending was paused, or another sender has them."""
        with self.services.db.write() as session:
            self.paused = session.get(Setting, PAUSE) is not None
            give_all_back(session, mails, now=self.clock())
        for mail in mails:
            log_records.attempt(mail, State.READY, reason="not_leased", began=self._began)
        self._release(mails)

    def _release(self, mails: Sequence[Claimed]) -> None:
        """Lets go of the Redis guards of mails of which certainly no copy is out."""
        guards = [mail.guard for mail in mails if not mail.doubts]
        self.services.guard.release([guard for guard in guards if guard is not None])

    def _refused(self, mail: Claimed, error: MailSendError) -> None:
        # Not the server's words: they mostly quote the address.
        reason = f"{error.phase} {error.status}" if error.status else error.phase
        state = state_after(mail, error)
        log_records.attempt(mail, state, reason=reason, code=error.code, began=self._began)
        tried = error is not self.fault
        self._refusals.append(RefusedMail(mail, error, self.clock(), self.accepted, tried))
        if error.in_doubt:
            return
        if error.fault.stops_all:
            if self.fault is None:
                log_records.cannot_send(error)
            self.fault = error
        elif error.fault is Fault.THROTTLE:
            self._pause = min(max(1.0, self._pause * 2), SLOWEST)
        else:
            self._in_a_row += 1


def _envelope(job: Job | None) -> Envelope | None:
    return None if job is None else job.envelope


def _open(line: SmtpSession) -> MailSendError | None:
    try:
        line.open()
    except MailSendError as error:
        return error
    return None
