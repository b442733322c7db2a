"""Sending ended mails again: one by its id, or all of a date that ended in one state.

What is sent again is a new mail, read again and composed anew like any other: MAIL_ONLY_TO, a
pause and the member's own settings hold for it. It may be sent for a day from now.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Select, and_, case, exists, func, select
from sqlalchemy.orm import Session, aliased, contains_eager, defer

from app import audit
from app.access import sent_forms
from app.alerts import close_alerts
from app.alerts.catalogue import OF_DATES, OF_MAILS
from app.db import among, insert_new
from app.models import ENDS, Kind, MailEvent, Member, OutboxMail, State
from app.outbox import restored
from app.outbox.allowlist import in_pilot
from app.outbox.browse import NotPossible, find, says, wanted, whose
from app.outbox.enqueue import NewMail, enqueue
from app.outbox.lease import record
from app.outbox.reasons import TRIAL
from app.services import Services

AT_ONCE = 500  # mails of one transaction
EXPIRES = timedelta(days=1)
# A link that works once, which the member asks for anew; and what names its token by its own number.
NEVER_AGAIN = (Kind.SIGN_IN, Kind.TOKEN_NOTICE)
# Ends after which a copy is out or may be; and mails from which one may still come.
COPIES = (State.ACCEPTED, State.UNKNOWN, State.READY, State.SENDING, State.IN_DOUBT)


def may_resend(state: str, user_id: int | None, kind: str) -> bool:
    """Only a mail that has ended, to a member still known, of a kind that can be said again."""
    return state in ENDS and user_id is not None and kind not in NEVER_AGAIN


def copies_out(services: Services, mail_id: int) -> list[int]:
    """The mails of which this one is a copy, and their copies, that went out, may have, or may yet.

    Raises NoSuchMail.
    """
    with services.db.read() as session:
        mail = find(session, mail_id)
        rows = session.execute(
            select(OutboxMail.id, OutboxMail.resend_of, OutboxMail.state)
            .where(_same_mail(mail))
            .order_by(OutboxMail.id)
        ).all()
    first: dict[int, int] = {}  # the first mail of each one's chain; a copy has a higher id
    for one, copy_of, _ in rows:
        first[one] = first.get(copy_of, one) if copy_of is not None else one
    chain = first.get(mail_id)
    return [one for one, _, state in rows if first[one] == chain and state in COPIES]


def resend(
    services: Services,
    mail_id: int,
    *,
    who: str,
    now: datetime,
    form_key: str | None = None,
    trial: bool = False,
) -> int:
    """A new mail in place of one that has ended; returns its id. Raises NoSuchMail, NotPossible.

    `trial`: the copy is not sent, so the alert of the first one stays.
    """
    with services.db.write() as session:
        if (known := sent_forms.made_before(session, form_key, now)) is not None:
            return known
        mail = find(session, mail_id)
        if not may_resend(mail.state, mail.user_id, mail.kind):
            raise NotPossible(mail)
        # Of several at once, each sees the number that the one before took.
        session.execute(select(Member.id).where(Member.id == mail.user_id).with_for_update())
        last = session.scalar(select(func.max(OutboxMail.n)).where(_same_mail(mail)))
        again = _copy_of(session, mail, last or 0, now)
        ids = enqueue(session, services, [again], now=now)
        if not ids:  # `resend_all` took the same number just now
            again = replace(again, n=again.n + 1)
            ids = enqueue(session, services, [again], now=now)
        record(session, mail_id, "resent", f"{who}: {ids[0]}", now=now)
        record(session, ids[0], f"resend of {mail_id}", who, now=now)
        if not trial:
            _close_alerts_of(session, [mail], now)
        audit.note(session, who=who, what="outbox.resend", now=now, mail=mail_id)
        sent_forms.made(session, form_key, ids[0])
    services.publish(ids)
    return ids[0]


# --- many ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Which:
    """Mails of a date that ended in a state. `reason`: words of their reason or server's answer.

    `email`: only those of this member. `up_to`: none with a higher id, so that a form sent twice
    brings nothing back twice.
    """

    on: date
    state: str
    reason: str | None = None
    email: str | None = None
    up_to: int | None = None


@dataclass(frozen=True, slots=True)
class Extent:
    """What `resend_all` would do."""

    ids: Sequence[int]  # of the mails that would be sent again
    copies: int  # to the same members, of the same kind and date: out, perhaps out, or to come
    left_out: int  # in that state too, but sent again already, or their member may not get them

    @property
    def mails(self) -> int:
        """How many would be sent again."""
        return len(self.ids)


def extent(services: Services, which: Which) -> Extent:
    """How many mails `resend_all` would send again. Changes nothing."""
    copy = aliased(OutboxMail)
    with services.db.read() as session:
        found = _matching(session, which)
        all_of_them = session.scalar(select(func.count()).select_from(found.subquery())) or 0
        mine = found.join(OutboxMail.member).where(_IS_LAST, _GETS_MAIL)
        rows = session.execute(mine.with_only_columns(OutboxMail.id, _TO))
        only_to = services.config.mail_only_to
        ids = sorted(one for one, address in rows if in_pilot(only_to, address))
        copies = session.scalar(
            select(func.count(copy.id.distinct()))
            .select_from(OutboxMail)
            .join(copy, and_(_same_mail(copy), copy.state.in_(COPIES)))
            .where(among(OutboxMail.id, ids))
        )
    return Extent(ids, copies or 0, all_of_them - len(ids))


def resend_all(services: Services, which: Which, *, who: str, now: datetime) -> list[int]:
    """A new mail in place of each one that `which` names; returns the new mails' ids.

    A member gets one of each kind at most. Each part of it is committed and queued by itself, so
    a run that was interrupted goes on where it stopped. After a restore the new
    mails wait for an admin's confirmation as all others of that date do.
    """
    ids = extent(services, which).ids
    made: list[int] = []
    for start in range(0, len(ids), AT_ONCE):
        with services.db.write() as session:
            mails = session.scalars(
                select(OutboxMail)
                .options(defer(OutboxMail.sent_bytes))
                .where(*wanted(which.state, which.on))
                .join(OutboxMail.member)
                .options(contains_eager(OutboxMail.member))
                .where(among(OutboxMail.id, ids[start : start + AT_ONCE]), _IS_LAST, _GETS_MAIL)
                .order_by(OutboxMail.id)
            ).all()
            new, held = _resend(services, session, mails, which, who=who, now=now)
        made += new
        services.publish([] if held else new)
    if which.state in OF_DATES and ids and which.reason is None and which.email is None:
        with services.db.write() as session:
            close_alerts(session, OF_DATES[which.state], [which.on], now=now)
    return made


def to_bring_back(
    services: Services, days: Sequence[date], email: str | None = None
) -> list[tuple[date, str, int]]:
    """(date, state, how many) of mails that ended badly and that `resend_all` would send again."""
    found = []
    for day in days:
        for state in (State.FAILED, State.DEAD, State.UNKNOWN, State.EXPIRED):
            number = extent(services, Which(day, state, email=email)).mails
            if number:
                found.append((day, str(state), number))
    return found


def _same_mail(other: Any) -> ColumnElement[bool]:
    """A mail to the same member, of the same kind and date, as `other`: a mail, or an alias."""
    return and_(
        OutboxMail.user_id == other.user_id,
        OutboxMail.channel == other.channel,
        OutboxMail.kind == other.kind,
        OutboxMail.local_date == other.local_date,
    )


# Where a copy would go: to the member's address of today (see `_address`).
_TO = case((OutboxMail.kind == Kind.ADDRESS_CHANGED, OutboxMail.to_addr), else_=Member.email)
_later = aliased(OutboxMail)
# Sent again already, it is the copy that counts.
_IS_LAST = ~exists(
    select(_later.id)
    .where(
        _same_mail(_later),
        _later.n > 0,
        _later.id > OutboxMail.id,
        _later.reason.is_distinct_from(TRIAL),
    )
    .correlate(OutboxMail)
)
_GETS_MAIL = and_(
    Member.active.is_(True),
    Member.suppressed_reason.is_(None),
    OutboxMail.kind.not_in(NEVER_AGAIN),
)


def _matching(session: Session, which: Which) -> Any:
    query: Select[Any] = select(OutboxMail).where(*wanted(which.state, which.on))
    if which.up_to is not None:
        query = query.where(OutboxMail.id <= which.up_to)
    if which.email is not None:
        query = query.where(whose(session, which.email))
    if which.reason is not None:
        query = query.where(says(which.reason))
    return query


def _resend(
    services: Services,
    session: Session,
    mails: Sequence[OutboxMail],
    which: Which,
    *,
    who: str,
    now: datetime,
) -> tuple[list[int], str | None]:
    """The new mails of one transaction, and why they are held."""
    held = None
    last = restored.last_restore(session)
    if last is not None:
        held = last.hold(ZoneInfo(services.config.app_timezone), which.on, week_begins=None)
    copies = [replace(_copy_of(session, mail, mail.n, now), held=held) for mail in mails]
    ids = enqueue(session, services, copies, now=now)
    pairs = session.execute(
        select(OutboxMail.id, OutboxMail.resend_of).where(among(OutboxMail.id, ids))
    ).all()
    insert_new(session, MailEvent, [
        {"outbox_id": one, "at": now, "event": event, "detail": detail}
        for new, old in pairs
        for one, event, detail in (
            (old, "resent", f"{who}: {new}"),
            (new, f"resend of {old}", who),
        )
    ])  # fmt: skip
    again = {old for _, old in pairs}
    _close_alerts_of(session, [mail for mail in mails if mail.id in again], now)
    if ids:
        data = {"date": which.on.isoformat(), "state": which.state, "mails": len(ids)}
        if which.reason is not None:
            data["reason"] = which.reason
        audit.note(session, who=who, what="outbox.resend", now=now, **data)
    return ids, held


def _address(mail: OutboxMail) -> str:
    """Where the member is today; what was said to an address that was theirs stays with that."""
    if mail.member is None or mail.kind == Kind.ADDRESS_CHANGED:
        return mail.to_addr
    return mail.member.email


def _copy_of(session: Session, mail: OutboxMail, last_n: int, now: datetime) -> NewMail:
    """What is sent in place of this mail. Raises NotPossible where its member was deleted."""
    if mail.user_id is None:
        raise NotPossible(mail)
    return NewMail(
        kind=mail.kind,
        user_id=mail.user_id,
        channel=mail.channel,
        to_addr=_address(mail),
        local_date=mail.local_date,
        not_before=now,
        expires_at=now + EXPIRES,
        decision_id=mail.decision_id,
        n=max(restored.first_n(session, mail.local_date), last_n + 1),
        clock_shift=timedelta(seconds=mail.clock_shift),
        resend_of=mail.id,
    )


def _close_alerts_of(session: Session, mails: Sequence[OutboxMail], now: datetime) -> None:
    """Their alerts are closed: the copies raise alerts of their own."""
    for state in {mail.state for mail in mails} & set(OF_MAILS):
        ids = [mail.id for mail in mails if mail.state == state]
        close_alerts(session, OF_MAILS[state], ids, now=now)
