"""What a refusal means for the mail that met it, and for all others.

Judged first by what the server says (`Fault`), then by what became of others meanwhile:
the same refusal for three recipients in a row is no matter of theirs, and a mail that is refused
as before although others were accepted in between is itself the reason. See docs/decisions/0016.
"""

import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import and_, func, select, update
from sqlalchemy.orm import Session

from app.alerts import Alarm, raise_alert
from app.channel import Fault, SendError, both_of
from app.db import same_address
from app.models import MailEvent, Member, OutboxMail, State
from app.outbox import repeated_refusals
from app.outbox.breaker import Breaker, ServerTrouble
from app.outbox.channels import Channel
from app.outbox.lease import (
    Claimed,
    LeaseLost,
    accepted_since,
    defer,
    end_with_alert,
    give_back,
    record,
)

log = logging.getLogger(__name__)

RETRY_MINUTES = (1, 5, 10, 30)  # after a temporary refusal; the last one again and again
SUPPRESS_AFTER = 3  # days on which the address was refused for good

# The account's own: never one mail's fault, however often it meets them.
_NEVER_ITS_OWN = frozenset({Fault.LOGIN, Fault.OAUTH, Fault.QUOTA})


@dataclass(frozen=True, slots=True)
class RefusedMail:
    """A mail that was not accepted, when, and how many mails this delivery had accepted by then.

    `tried`: the server said it of this mail; else it was only not offered after another's refusal.
    """

    mail: Claimed
    error: SendError
    at: datetime
    after: int
    tried: bool = True


@dataclass(frozen=True, slots=True)
class Sender:
    """Who records, of which channel, and when."""

    channel: Channel
    host: str
    now: datetime
    scale: float

    @property
    def breaker(self) -> Breaker:
        """The channel's, as this sender sees it."""
        return Breaker(self.channel.name, self.host, self.scale)


@dataclass(frozen=True, slots=True)
class BreakerKnows:
    """How far the breaker knows what this delivery met.

    acknowledged: the breaker has recorded that the server takes mails. proved: one was accepted
    after the last refusal, so no streak goes on. counted: how many were accepted when the last
    refusal came. tripped: this delivery has opened the breaker.
    """

    acknowledged: bool = False
    proved: bool = False
    counted: int = 0
    tripped: bool = False


def state_after(mail: Claimed, error: SendError) -> State:
    """The state in which a refusal leaves the mail, as far as the answer alone tells."""
    if error.in_doubt:
        return State.IN_DOUBT
    if error.fault.stops_all or not error.permanent:
        return State.READY
    return State.UNKNOWN if mail.doubts else State.FAILED  # the copy before may be out


def record_refusals(
    session: Session,
    refusals: Sequence[RefusedMail],
    accepted: int,
    standing: BreakerKnows,
    by: Sender,
) -> BreakerKnows:
    """Writes down what became of these mails, and tells breaker and streak what it shows.

    `accepted`: how many this delivery had accepted by now. Returns what stands once it is committed.
    """
    troubles: list[ServerTrouble] = []
    for one in refusals:
        standing = _proven(session, one.after, standing, by)
        try:
            trouble = _recorded(session, one, by)
        except LeaseLost:
            log.warning("mail %s: another sender has it", one.mail.id)
            continue
        troubles += [trouble] if trouble else []
        if one.tried and not one.error.in_doubt:
            standing = replace(standing, proved=False, counted=one.after)
    standing = _proven(session, accepted, standing, by)
    if not troubles or standing.tripped:
        return standing
    worst = max(troubles, key=lambda one: (one.at_once, one.fault is not Fault.LOCAL))
    met = tuple(mail for one in troubles for mail in one.mails)
    by.breaker.trip(session, replace(worst, mails=met), by.now)
    return replace(standing, tripped=True)


def _proven(session: Session, accepted: int, standing: BreakerKnows, by: Sender) -> BreakerKnows:
    """A mail was accepted after the last refusal: the server is well, and no streak goes on."""
    if standing.proved or accepted <= standing.counted:
        return standing
    if not standing.acknowledged:
        by.breaker.reset(session, by.now)
    repeated_refusals.forget(session, by.channel.name)
    return replace(standing, acknowledged=True, proved=True)


def _recorded(session: Session, one: RefusedMail, by: Sender) -> ServerTrouble | None:
    mail, error, now = one.mail, one.error, by.now
    if error.in_doubt:
        return None  # the lease runs out, then it is sent once more with the same bytes
    if not one.tried:
        give_back(session, mail, now=now)
        return None
    words = error.said
    trouble = _trouble(session, one, words, by)
    if trouble is not None:
        give_back(session, mail, now=now, response=words)
        if error.of_one:
            record(session, mail.id, repeated_refusals.RETURNED, words, now=one.at)
    elif error.permanent:
        _end(session, mail, error, words, by)
    else:
        _defer(session, mail, words, now, by.scale)
    return trouble


def _trouble(session: Session, one: RefusedMail, words: str, by: Sender) -> ServerTrouble | None:
    """What the refusal means for all mails; None when it is about this one."""
    error, mail, same = one.error, one.mail, by.channel.same_refusal(words)
    if error.fault.stops_all:
        its_own = error.of_one and error.fault not in _NEVER_ITS_OWN
        if its_own and _is_the_reason(session, one, same, by):
            return None
        return ServerTrouble(error, error.fault, (mail.id,))
    if not error.of_one or not _counts(session, one) or _is_the_reason(session, one, same, by):
        return None
    met = repeated_refusals.add(session, mail, same, one.at)
    if not met:
        return None
    repeated_refusals.bring_back(session, by.channel, met, same, by.now)
    return ServerTrouble(error, Fault.EVERYONE, (*met, mail.id))


def _counts(session: Session, one: RefusedMail) -> bool:
    """Whether the refusal may be about all mails though it does not sound like it.

    That an address does not exist is believed, unless it took mail before: a list with the wrong
    domain is refused line by line, a server that lost its mailboxes refuses people it knew.
    """
    if one.error.fault is not Fault.ADDRESS:
        return one.error.fault is not Fault.THROTTLE
    took_mail = (
        OutboxMail.user_id == one.mail.user_id,
        OutboxMail.channel == one.mail.channel,
        same_address(OutboxMail.to_addr, one.mail.to_addr),
        OutboxMail.state == State.ACCEPTED,
    )
    return session.scalar(select(OutboxMail.id).where(*took_mail).limit(1)) is not None


def _is_the_reason(session: Session, one: RefusedMail, same: str, by: Sender) -> bool:
    """Whether this mail met the same before, and others were accepted in between."""
    before = session.execute(
        select(MailEvent.at, MailEvent.detail)
        .where(MailEvent.outbox_id == one.mail.id, MailEvent.event == repeated_refusals.RETURNED)
        .order_by(MailEvent.id.desc())
        .limit(1)
    ).one_or_none()
    if before is None or by.channel.same_refusal(before.detail or "") != same:
        return False
    return accepted_since(session, before.at, by.channel.name)


def _end(session: Session, mail: Claimed, error: SendError, words: str, by: Sender) -> None:
    state = State.UNKNOWN if mail.doubts else State.FAILED
    end_with_alert(session, mail, state, now=by.now, reason=words, response=words)
    if state is State.FAILED and error.fault is Fault.ADDRESS:
        _suppress_address(session, mail, words, by)


def _defer(session: Session, mail: Claimed, words: str, now: datetime, scale: float) -> None:
    minutes = RETRY_MINUTES[min(mail.retries, len(RETRY_MINUTES) - 1)]
    # Jitter only shortens: no mail waits longer than the table says.
    wait = timedelta(minutes=minutes) * random.uniform(0.8, 1.0)  # noqa: S311 - no secret
    defer(session, mail, now=now, not_before=now + wait * scale, response=words)


def _suppress_address(session: Session, mail: Claimed, words: str, by: Sender) -> None:
    """Stops mail to an address that was said on three different days not to exist.

    A mail that was accepted, or a suppression lifted by hand, lets the count begin anew.
    """
    session.flush()
    of_address = and_(
        OutboxMail.user_id == mail.user_id,
        OutboxMail.channel == mail.channel,
        same_address(OutboxMail.to_addr, mail.to_addr),
    )
    accepted = select(func.max(OutboxMail.id)).where(of_address, OutboxMail.state == State.ACCEPTED)
    lifted = select(Member.refusals_after).where(Member.id == mail.user_id)
    failed = session.execute(
        select(OutboxMail.local_date, OutboxMail.reason).where(
            of_address,
            OutboxMail.id > func.coalesce(accepted.scalar_subquery(), 0),
            OutboxMail.id > func.coalesce(lifted.scalar_subquery(), 0),
            OutboxMail.state == State.FAILED,
        )
    )
    judge = by.channel.fault_of
    days = {day for day, reason in failed if judge(reason or "") is Fault.ADDRESS}
    if len(days) < SUPPRESS_AFTER:
        return
    session.execute(
        update(Member)
        .where(Member.id == mail.user_id, same_address(Member.email, mail.to_addr))
        .values(suppressed_reason=words)
    )
    raise_alert(
        session, Alarm.ADDRESS, mail.user_id, now=by.now, to=mail.to_addr, why=both_of(words)
    )
