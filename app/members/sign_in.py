"""Sign-in by mailed link: asked for, opened, used once within 15 minutes."""

import ipaddress
from dataclasses import dataclass
from datetime import datetime, timedelta

from limits import RateLimitItemPerMinute
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app import audit
from app.access import sessions
from app.links import SIGN_IN_MINUTES, BadToken
from app.locale import Both
from app.members.changes import begin as begin_member
from app.mime.address import bare
from app.models import Kind, Member, OutboxMail, Role, SignInLink
from app.outbox.enqueue import NewMail, enqueue
from app.people.lookup import with_address
from app.people.settings import organisation, today_of
from app.refused import Code, Refused
from app.services import Services

# How many sign-in mails a member gets within these times, from whatever origin. They are counted
# in the outbox: Redis may be emptied, and one person has several spellings of an address.
MAILS = ((timedelta(minutes=1), 1), (timedelta(hours=1), 5), (timedelta(days=1), 10))
# How far the clocks of two machines may differ. What is dated later was made while a clock ran ahead:
# such a mail does not count, and such a link signs no member in.
AHEAD = timedelta(minutes=5)
ASKS = RateLimitItemPerMinute(60)  # by network: an office asks from one
_HOME_BITS = 64  # of IPv6: what one customer is given (RFC 6177)


class LinkGone(Refused):
    """The link does not sign in."""

    def __init__(self, code: Code) -> None:
        super().__init__(code, _GONE[code])


_GONE = {
    Code.BAD_LINK: Both("このリンクは使えません", "This link does not work"),
    Code.LINK_USED: Both("このリンクはもう使われています", "This link was used already"),
    Code.LINK_EXPIRED: Both("このリンクの期限は切れています", "This link has expired"),
}


@dataclass(frozen=True, slots=True)
class Opened:
    """A link that is still good: whose it is."""

    member_id: int
    name: str
    locale: str


def refuse_too_many(services: Services, address: str) -> None:
    """Raises Refused when many sign-in mails were asked for from the network of this address."""
    if not services.limits.take(ASKS, f"sign-in-from:{_network(address)}"):
        raise Refused(Code.TOO_MANY_SIGN_INS, _SLOW_DOWN, retry_after=60)


_SLOW_DOWN = Both(
    "同じ場所からのサインインの依頼が続いたため、受け付けを止めています。1分ほど待って、"
    "もう一度お試しください。",
    "Too many sign-in links were asked for from your network. Wait a minute and try again.",
)


def ask(services: Services, email: str, next_path: str, now: datetime) -> None:
    """Mails a link to the active member with this address, unless there were MAILS already.

    Does nothing for others. The visitor may not learn which it was: call it where no visitor waits
    for its end, and say the same in every case.
    """
    with services.db.read() as session:  # no writer waits for what comes to nothing
        member = _active(session, email)
        if member is None or not _may_have_one(session, member, now):
            return
    with services.db.write() as session:
        member = _active(session, email)
        if member is None:
            return
        session.refresh(member, with_for_update=True)  # two who ask at once: one mail
        if not _may_have_one(session, member, now):
            return
        link = _new_link(session, member, next_path, now)
        ids = enqueue(session, services, [_mail(services, session, member, link)], now=now)
        audit.note(session, who=member.email, what="sign_in.asked", now=now, member=member.id)
    services.publish(ids)


def opened(services: Services, token: str, now: datetime) -> Opened:
    """Whom the link would sign in; changes nothing. Raises LinkGone."""
    with services.db.read() as session:
        link, member = _good(services, session, token, now)
        defaults = organisation(session, services.config)
        return Opened(link.user_id, member.name, member.locale or defaults.locale)


def use(
    services: Services, token: str, now: datetime, replaces: str | None = None
) -> tuple[str, str]:
    """Signs in; returns the session's key and the page that was asked for. Raises LinkGone.

    `replaces`: the key that the browser had until now; that session ends.
    """
    with services.db.write() as session:
        link, member = _good(services, session, token, now)
        mine = session.scalars(
            update(SignInLink)
            .where(SignInLink.id == link.id, SignInLink.used_at.is_(None))
            .values(used_at=now)
            .returning(SignInLink.id)
        ).one_or_none()
        if mine is None:  # a second browser was quicker
            raise LinkGone(Code.LINK_USED)
        return sessions.begin(session, member, now, replaces), link.next_path


def make_admin(services: Services, email: str, who: str, now: datetime) -> str:
    """Makes the member an admin (a new one where no member has this address, a deactivated one
    active again); returns a sign-in link.

    `email` is one address as `read_mailbox` takes it.
    """
    with services.db.write() as session:
        # Before the new row: a query would flush it while it is half made.
        defaults = organisation(session, services.config)
        member = session.scalars(with_address(email)).first()
        before = member.role if member else None
        if member is None:
            email = bare(email)
            name = email.partition("@")[0]
            member = Member(email=email, name=name, created_at=now, active=False)
            session.add(member)
        member.role = Role.ADMIN
        if not member.active:
            member.active = True
            begin_member(member, defaults, now)
        session.flush()
        data = {"member": member.id, "before": before}
        audit.note(session, who=who, what="member.admin", now=now, **data)
        return services.links.sign_in_url(_new_link(session, member, "/", now).id)


def _active(session: Session, email: str) -> Member | None:
    return session.scalars(with_address(email).where(Member.active.is_(True))).first()


def _may_have_one(session: Session, member: Member, now: datetime) -> bool:
    longest = MAILS[-1][0]
    mails = select(OutboxMail.created_at).where(
        OutboxMail.user_id == member.id,
        OutboxMail.local_date >= (now - longest - timedelta(days=1)).date(),  # for the index
        OutboxMail.kind == Kind.SIGN_IN,
        OutboxMail.created_at > now - longest,
        OutboxMail.created_at <= now + AHEAD,
    )
    made = session.scalars(mails).all()
    return all(sum(at > now - time for at in made) < most for time, most in MAILS)


def _network(address: str) -> str:
    """The network that one customer has: an IPv4 address, or the first half of an IPv6 one."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if found.version == 4:
        return str(found)
    mapped = found.ipv4_mapped
    return str(mapped or ipaddress.ip_network((found, _HOME_BITS), strict=False))


def _new_link(session: Session, member: Member, next_path: str, now: datetime) -> SignInLink:
    link = SignInLink(
        user_id=member.id,
        next_path=next_path,
        created_at=now,
        expires_at=now + timedelta(minutes=SIGN_IN_MINUTES),
    )
    session.add(link)
    session.flush()
    return link


def _mail(services: Services, session: Session, member: Member, link: SignInLink) -> NewMail:
    return NewMail(
        kind=Kind.SIGN_IN,
        user_id=member.id,
        to_addr=member.email,
        local_date=today_of(member, organisation(session, services.config), link.created_at),
        not_before=link.created_at,
        expires_at=link.expires_at,
        n=link.id,
    )


def _good(
    services: Services, session: Session, token: str, now: datetime
) -> tuple[SignInLink, Member]:
    try:
        link = session.get(SignInLink, services.links.read_sign_in(token))
    except BadToken:
        raise LinkGone(Code.BAD_LINK) from None
    member = session.get(Member, link.user_id) if link is not None else None
    if link is None or member is None or not member.active:
        raise LinkGone(Code.BAD_LINK)
    if link.used_at is not None:
        raise LinkGone(Code.LINK_USED)
    if link.expires_at <= now or link.created_at > now + AHEAD:
        raise LinkGone(Code.LINK_EXPIRED)
    return link, member
