"""Another mail address for a member: everything that goes by their id stays."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from app.access.sessions import end_all
from app.audit import RENAMED, note
from app.locale import Both
from app.members import changes
from app.models import OPEN, Kind, Member, OutboxMail, SignInLink, State
from app.outbox import end_ready, restored
from app.outbox.enqueue import NewMail, enqueue
from app.people import values
from app.people.lookup import with_address
from app.people.settings import organisation, today_of
from app.people.values import ValuesRefused
from app.services import Services

_NOTIFIED_WITHIN = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class Renamed:
    """Both addresses as they are stored; `mail_id`: the mail to the old one, None where none goes."""

    before: str
    after: str
    mail_id: int | None


def rename_address(services: Services, email: str, to: str, who: str, now: datetime) -> Renamed:
    """The member's address is another one; the old one is told, unless it takes no mail.

    What is due is decided before. Mails that wait go to the new address, sessions and sign-in links
    end, and an address that was refused is forgotten. Raises NoSuchMember, ValuesRefused.
    """
    wanted = values.read({"email": to}, values.NEW_MEMBER)["email"]
    changes.decide_before(services, email, now)
    with services.db.write() as session:
        member = changes.locked(session, email)
        _refuse_taken(session, member, wanted)
        before, takes_mail = member.email, member.active and member.suppressed_reason is None
        member.email = wanted
        _end_access(session, member, who, now)
        _readdress(session, member)
        changes.believe_address(session, member, now)
        mails = [_mail(services, session, member, before, now)] if takes_mail else []
        ids = enqueue(session, services, mails, now=now)
        note(session, who=who, what=RENAMED, now=now, email=member.email, before=before)
    services.publish(ids)
    return Renamed(before, wanted, next(iter(ids), None))


def _refuse_taken(session: Session, member: Member, wanted: str) -> None:
    other = session.scalars(with_address(wanted)).first()
    if other is not None and (other is not member or member.email == wanted):
        raise ValuesRefused([("TO", _TAKEN if other is not member else _THE_SAME)])


def _end_access(session: Session, member: Member, who: str, now: datetime) -> None:
    """The reader of the old mailbox signs in no more, and no mail brings a link that is used up."""
    end_all(session, member, who, now)
    unused = (SignInLink.user_id == member.id, SignInLink.used_at.is_(None))
    session.execute(update(SignInLink).where(*unused).values(used_at=now))
    links = (OutboxMail.user_id == member.id, OutboxMail.kind == Kind.SIGN_IN)
    end_ready(session, *links, why="address_changed", now=now)


def _readdress(session: Session, member: Member) -> None:
    """What was never sent goes to the new address; what may have arrived is left alone."""
    waiting = (
        OPEN,
        OutboxMail.user_id == member.id,
        OutboxMail.state == State.READY,
        OutboxMail.doubts == 0,
        OutboxMail.kind != Kind.ADDRESS_CHANGED,
    )
    session.execute(update(OutboxMail).where(*waiting).values(to_addr=member.email))


def _mail(
    services: Services, session: Session, member: Member, before: str, now: datetime
) -> NewMail:
    today = today_of(member, organisation(session, services.config), now)
    earlier = (
        OutboxMail.user_id == member.id,
        OutboxMail.kind == Kind.ADDRESS_CHANGED,
        OutboxMail.local_date == today,
    )
    last = session.scalar(select(func.max(OutboxMail.n)).where(*earlier))
    return NewMail(
        kind=Kind.ADDRESS_CHANGED,
        user_id=member.id,
        to_addr=before,
        local_date=today,
        not_before=now,
        expires_at=now + _NOTIFIED_WITHIN,
        n=max(restored.first_n(session, today), (last or 0) + 1),
    )


_TAKEN = Both(
    "このアドレスのメンバーがほかにいます。member list で確かめてください。",
    "Another member has this address. See member list.",
)
_THE_SAME = Both(
    "いまと同じアドレスです。新しいアドレスを書いてください。",
    "It is the address as it stands. Write the new one.",
)
