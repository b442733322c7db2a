"""The connections of a channel: one mail on each, marked in doubt together, answered together.

A round writes and reads on all connections in turn, so that their waits overlap. The marks
"in doubt" of a round and the answers of the round before share one commit: at any moment at most
one mail per connection has a dot whose answer is not recorded.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from sqlalchemy.orm import Session

from app.channel import Connection, Fault, SendError, printable
from app.db import DatabaseDown
from app.models import Setting, State
from app.outbox import log_records, repeated_refusals
from app.outbox.channels import Channel
from app.outbox.lease import PAUSE, Claimed, SentBytes, give_all_back
from app.outbox.refusals import BreakerKnows, RefusedMail, Sender, record_refusals, state_after
from app.outbox.settle import record_accepted, settle
from app.services import Services
from app.util import crash_points

SETTLE_FOR = 60.0  # seconds to try to record an answer while the database is away
SLOWEST = 30.0  # seconds between rounds, at most, for a server that asks to slow down


@dataclass(frozen=True, slots=True)
class Job:
    """A mail ready for the wire. `prepared`: what the channel made of it."""

    mail: Claimed
    prepared: Any
    subject: str
    task_refs: list[str]
    packed: bytes


Pair = tuple[Connection, Job]


class ConnectionPool:
    """The connections of a channel, and the answers not yet recorded."""

    def __init__(self, services: Services, channel: Channel, clock: Callable[[], datetime]) -> None:
        self.services = services
        self.channel = channel
        self.clock = clock
        self.scale = services.config.test_time_scale
        self._each_round = services.db.each_by_itself()
        self.connections = channel.connections()
        self.fault: SendError | None = None  # the server's: no further mail need be tried
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

    def __exit__(self, *_: object) -> None:
        try:
            self._each_round.close()
        finally:
            self.channel.keep(self.connections)

    def round(self, jobs: Sequence[Job], following: Sequence[Job] = ()) -> None:
        """One mail on each connection, to its answer. The answers are recorded with the next round.

        Those of the next round, if there will be one, are offered to the server with the dots.
        """
        if self._pause:
            time.sleep(self._pause * self.scale)
        self._began = time.monotonic()
        pairs = self._connected(list(zip(self.connections, jobs, strict=False)))
        pairs = self._each(pairs, self._offer)
        pairs = self._each(pairs, self._agree)
        pairs = self._each(pairs, lambda connection, _: connection.write_body())
        crash_points.point("body_sent")
        pairs = self._marked(pairs)
        ahead = {} if self._pause else dict(zip(self.connections, following, strict=False))
        pairs = self._each(
            pairs, lambda connection, _: connection.write_dot(_prepared(ahead.get(connection)))
        )
        crash_points.point("dot")
        self._each(pairs, self._hear)
        self._heard = self.clock()
        crash_points.point("reply")
        # Perhaps not the recipients' fault: to be judged now.
        if self._in_a_row >= repeated_refusals.IN_A_ROW:
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
        sender = Sender(self.channel, self.services.host, now, self.scale)
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

    def _each(self, pairs: Sequence[Pair], step: Callable[[Connection, Job], object]) -> list[Pair]:
        """The pairs for which the step went well."""
        well: list[Pair] = []
        for connection, job in pairs:
            try:
                step(connection, job)
            except SendError as error:
                self._refused(job.mail, error)
            else:
                well.append((connection, job))
        return well

    def _connected(self, pairs: Sequence[Pair]) -> list[Pair]:
        """All connect at once: one after the other, a far server would take seconds."""
        closed = [one for one, job in pairs if not one.is_ready_for(job.prepared)]
        if len(closed) < 2:  # it connects by itself
            return list(pairs)
        with ThreadPoolExecutor(len(closed)) as pool:
            opened = dict(zip(closed, pool.map(_open, closed), strict=True))

        def check(connection: Connection, _: Job) -> None:
            if (error := opened.get(connection)) is not None:
                raise error

        return self._each(pairs, check)

    def _offer(self, connection: Connection, job: Job) -> None:
        # One connection found the server away: the others need not wait too.
        if self.fault is not None:
            raise self.fault
        connection.offer(job.prepared)

    def _agree(self, connection: Connection, _: Job) -> None:
        if self.fault is not None:  # a mail offered ahead hears of it only here
            connection.abandon()
            raise self.fault
        connection.agree()

    def _hear(self, connection: Connection, job: Job) -> None:
        answer = connection.read_answer()
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
            for connection, job in pairs:
                connection.abandon()
                log_records.attempt(job.mail, State.SENDING, reason="database", began=self._began)
            self._release([job.mail for _, job in pairs])
            self.record()
            raise
        self.recorded()
        left = [(connection, job) for connection, job in pairs if job.mail.id not in marked]
        for connection, _ in left:
            connection.abandon()
        if left:
            self._leave([job.mail for _, job in left])
        return [(connection, job) for connection, job in pairs if job.mail.id in marked]

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

    def _refused(self, mail: Claimed, error: SendError) -> None:
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


def _prepared(job: Job | None) -> Any:
    return None if job is None else job.prepared


def _open(connection: Connection) -> SendError | None:
    try:
        connection.open()
    except SendError as error:
        return error
    return None
