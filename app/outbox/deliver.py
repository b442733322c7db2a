"""Delivering: claim, read again and compose, guard, and hand over to the connections.

The send protocol is row before wire: claim, commit -> read again, compose -> Redis guard -> MAIL,
RCPT, DATA, body -> in doubt, commit -> final dot -> answer, commit. No database, no dot.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy.orm import Session

from app.db import DatabaseDown
from app.identity import known_settings
from app.mime.message import UnusableMessage
from app.models import State
from app.outbox import log_records
from app.outbox.breaker import Breaker, Gate
from app.outbox.channels import Channel, Channels
from app.outbox.channels import channels as all_channels
from app.outbox.claim import IDS_AT_ONCE, NamedMails, NextMails, Source
from app.outbox.connections import ConnectionPool, Job
from app.outbox.lease import (
    CLAIMS_AT_MOST,
    Claimed,
    LeaseLost,
    end,
    end_with_alert,
    give_all_back,
    give_back,
    take_back_decision,
)
from app.outbox.precheck import Defer, ReadAgain, Send, Skip
from app.outbox.probe import claim_probe
from app.rules.decision import Reason
from app.services import Services
from app.util import crash_points

log = logging.getLogger(__name__)

# Mails claimed at once. Claiming and reading for all of them together is a quarter of a mail's
# time with 16 over one connection, a twelfth with 128; all of them wait behind a mail that hangs.
AT_MOST = 128
ROUNDS = 8  # at least as many as the connections send in so many rounds
FRESH_SECONDS = 5.0  # a claim older than this is given back: its lease must outlast the dot
SHARE_WAIT = 0.25  # seconds between two looks whether the rate allows the next mail

Clock = Callable[[], datetime]


def never() -> bool:
    """The sender is never asked to stop."""
    return False


class Delivery(NamedTuple):
    """What became of one delivery."""

    accepted: int
    more: bool  # it was stopped while it still found mails to send


def send(
    services: Services,
    read_again: ReadAgain,
    clock: Clock,
    stopped: Callable[[], bool] = never,
    *,
    first: Sequence[int] = (),
    channels: Channels = all_channels,
) -> Delivery:
    """Sends all that is ready, the urgent mails first, until nothing is or until `stopped()`.

    Any number of senders may do so at once: each mail is claimed before anything happens. With a
    rate each waits for its share. A channel ends early when its server is at fault or sending is
    paused.
    """

    def everything(pool: ConnectionPool) -> bool:
        queue = NextMails(pool.channel.name, pool.scale, first)
        return _Sender(services, read_again, pool, clock, stopped).send_all(queue)

    return _by_each(services, clock, channels, everything)


def deliver(
    services: Services,
    read_again: ReadAgain,
    ids: Sequence[int],
    clock: Clock,
    stopped: Callable[[], bool] = never,
    *,
    channels: Channels = all_channels,
) -> int:
    """Sends these mails alone; returns how many were accepted.

    Another sender with the same ids does no harm. Ends early when `stopped()`, when the server is at
    fault, or when the rate is used up: what is left stays ready.
    """

    def these(pool: ConnectionPool) -> bool:
        sender = _Sender(services, read_again, pool, clock, stopped)
        parts = range(0, len(ids), IDS_AT_ONCE)
        return all(sender.work_through(ids[start : start + IDS_AT_ONCE]) for start in parts)

    return _by_each(services, clock, channels, these).accepted


def _by_each(
    services: Services, clock: Clock, channels: Channels, work: Callable[[ConnectionPool], bool]
) -> Delivery:
    """The work by one channel after the other."""
    accepted, more = 0, False
    for channel in channels(services):
        if channel.missing is not None:
            log.error("%s is not set: mails stay ready", channel.missing)
            continue
        with ConnectionPool(services, channel, clock) as pool:
            try:
                more |= work(pool)
            finally:
                pool.record()
        accepted += pool.accepted
    return Delivery(accepted, more)


@dataclass
class _Sender:
    """One delivery by one channel."""

    services: Services
    read_again: ReadAgain
    pool: ConnectionPool
    clock: Clock
    stopped: Callable[[], bool]
    limited: bool = False  # the rate allows no further mail at this moment
    began: bool = False  # a round went out

    @property
    def channel(self) -> Channel:
        return self.pool.channel

    def send_all(self, queue: NextMails) -> bool:
        """Sends until nothing is ready; True when it was stopped before that."""
        while not self.stopped():
            mails = self.claim(queue)
            if not mails:
                return False
            if not self.work(mails) and not self._waited():
                return self._is_well()
        return True

    def _waited(self) -> bool:
        """Waits until the rate allows a mail; False when it was not the rate that ended the work.

        Nothing is claimed meanwhile: an urgent mail that comes is the next one.
        """
        if not self.limited:
            return False
        while not self.channel.rate.room(1) and not self.stopped():
            time.sleep(SHARE_WAIT)
        self.limited = False
        return True

    def work_through(self, ids: Sequence[int]) -> bool:
        """Sends these mails; False when no further mail need be tried now."""
        named = NamedMails(self.channel.name, self.pool.scale, ids)
        while not self.stopped():
            mails = self.claim(named)
            if not mails:
                return True
            if not self.work(mails):
                return False
        return False

    def claim(self, source: Source) -> list[Claimed]:
        """The next mails to work on; [] when there are none, or nothing may be sent now.

        A database that is away here ends the delivery, which then records for a minute (`record`).
        """
        with self.services.db.write() as session:
            self.pool.record_in(session)  # first: the breaker must hear of an accepted probe
            mails = self._claimed(session, source, self.clock())
        self.pool.recorded()
        crash_points.point("claimed")
        return mails

    def _claimed(self, session: Session, source: Source, now: datetime) -> list[Claimed]:
        if not known_settings.may_send(session, self.services, now):
            return []
        breaker = Breaker(self.channel.name, self.services.host, self.pool.scale)
        gate = breaker.gate(session, now)
        if gate is Gate.OPEN:
            return []
        if gate is Gate.HALF_OPEN:
            met = breaker.mails(session)
            name, ids = self.channel.name, source.ids
            mails = claim_probe(session, name, ids, met, now=now, scale=self.pool.scale)
            if mails and not breaker.take_probe(session, now):
                give_all_back(session, mails, now=now)
                return []
        else:
            wanted = max(AT_MOST, ROUNDS * len(self.pool.connections))
            at_most = self.channel.rate.most_in(round(FRESH_SECONDS), wanted)
            mails = source.claim(session, now=now, at_most=at_most)
        for mail in mails:
            if mail.claims > CLAIMS_AT_MOST:
                end_with_alert(session, mail, State.DEAD, now=now, reason="claimed_too_often")
                log_records.ended(session, mail, State.DEAD, "claimed_too_often")
        return mails

    def work(self, mails: Sequence[Claimed]) -> bool:
        """Sends the mails in rounds of one per connection; False when sending must stop for now."""
        jobs = self._guarded(self._composed([m for m in mails if m.claims <= CLAIMS_AT_MOST]))
        width = self.channel.rate.most_in(1, len(self.pool.connections))
        stop_at = time.monotonic() + FRESH_SECONDS * self.pool.scale
        took = 0.0  # seconds, of the last round
        while jobs:
            # The first round goes out however long its letters took: a slow machine would else
            # make them again and again.
            goes_on = self._is_well() and not (self.began and self.stopped())
            number = self.channel.rate.take(min(width, len(jobs))) if goes_on else 0
            self.limited = goes_on and not number
            if not number:
                self._give_back(jobs)
                return False
            group, jobs = jobs[:number], jobs[number:]
            self.began = True
            began = time.monotonic()
            # What will be given back, or wait, after this round must not be offered with it.
            last = began + took > stop_at
            ahead = 0 if last else self.channel.rate.room(width)
            self.pool.round(group, jobs[:ahead])
            took = time.monotonic() - began
            if jobs and (last or time.monotonic() > stop_at):
                self._give_back(jobs)  # to be claimed anew
                break
        return self._may_go_on()

    def _may_go_on(self) -> bool:
        return self._is_well() and not self.stopped()

    def _is_well(self) -> bool:
        return self.pool.fault is None and not self.pool.paused

    # --- what to send ---------------------------------------------------------------------

    def _composed(self, mails: Sequence[Claimed]) -> list[Job]:
        """The mails that are still to be sent, ready for the wire; the others end or wait."""
        now = self.clock()
        with self.services.db.read() as session:
            letters = self.read_again(self.services, session, mails, now)
        jobs: list[Job] = []
        others: list[tuple[Claimed, Skip | Defer | Exception]] = []
        for mail, letter in zip(mails, letters, strict=True):
            try:
                if isinstance(letter, Send):
                    jobs.append(self._built(mail, letter))
                else:
                    others.append((mail, letter))
            except Exception as error:  # noqa: BLE001 - whatever a mail broke on, the others go on
                others.append((mail, error))
        if others:
            self._not_sent(others, now)
        # Bytes that may be out already: their decisions stand.
        told = [
            one
            for mail, letter in zip(mails, letters, strict=True)
            if isinstance(letter, Send) and mail.sent_bytes is None
            for one in letter.taken_back
        ]
        if told:
            with self.services.db.write() as session:
                for decision_id, reason in told:
                    take_back_decision(session, [decision_id], reason)
        return jobs

    def _built(self, mail: Claimed, letter: Send) -> Job:
        if mail.sent_bytes is not None:  # in doubt before: the same bytes again
            subject, refs = mail.subject or "", list(mail.task_refs or [])
            known = self.channel.unpack(mail.sent_bytes)
            return Job(mail, known, subject, refs, mail.sent_bytes)
        prepared, message = self.channel.prepare(mail, letter.message), letter.message
        packed = self.channel.pack(prepared)
        return Job(mail, prepared, message.subject, letter.task_refs, packed)

    def _not_sent(
        self, others: Sequence[tuple[Claimed, Skip | Defer | Exception]], now: datetime
    ) -> None:
        with self.services.db.write() as session:
            for mail, why in others:
                try:
                    if isinstance(why, Defer):
                        give_back(session, mail, now=now, not_before=why.until)
                        log_records.ended(session, mail, State.READY, "quiet_hours")
                    elif isinstance(why, Exception):
                        # The words of an unusable message are ours; others could quote a person.
                        said = why.sentence if isinstance(why, UnusableMessage) else None
                        reason = str(said or f"cannot be built: {type(why).__name__}")
                        state = State.UNKNOWN if mail.doubts else State.FAILED
                        end_with_alert(session, mail, state, now=now, reason=reason, why=said)
                        log_records.ended(session, mail, state, type(why).__name__, error=why)
                    elif mail.doubts:  # a copy may be out, so it was not suppressed
                        end_with_alert(session, mail, State.UNKNOWN, now=now, reason=why.reason)
                        log_records.ended(session, mail, State.UNKNOWN, why.reason)
                    else:
                        end(session, mail, why.state, now=now, reason=why.reason)
                        log_records.ended(session, mail, why.state, why.reason)
                except LeaseLost:
                    log.warning("mail %s: another sender has it", mail.id)

    def _guarded(self, jobs: Sequence[Job]) -> list[Job]:
        """Without those whose guard `remind:…` another sender holds."""
        guards = {one: job for job in jobs if (one := job.mail.guard) is not None}
        taken = self.services.guard.take([*guards])
        if taken:
            skip = Skip(State.SUPPRESSED, Reason.ALREADY_SENT)
            self._not_sent([(guards[one].mail, skip) for one in taken], self.clock())
        lost = {guards[one].mail.id for one in taken}
        return [job for job in jobs if job.mail.id not in lost]

    def _give_back(self, jobs: Sequence[Job]) -> None:
        certain = [job.mail.guard for job in jobs if not job.mail.doubts]
        self.services.guard.release([guard for guard in certain if guard is not None])
        try:
            with self.services.db.write() as session:
                give_all_back(session, [job.mail for job in jobs], now=self.clock())
        except DatabaseDown:
            log.warning("%d mails wait for their lease to run out", len(jobs))
