"""Finding a member by address, or the member that a mistyped one probably means."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, Select, case, func, or_, select
from sqlalchemy.orm import Session

from app.config import Config
from app.db import same_address
from app.locale import Both
from app.mime.address import address_key
from app.models import Member, OutboxMail
from app.people.settings import Person, organisation, person
from app.refused import Code, Refused
from app.services import Services
from app.util.parse import shown, similar

_COMPARED = 2_000  # addresses that are compared letter by letter, which takes 25 µs each


class NoSuchMember(Refused):
    """No member has this address, or this id. `near`: an address that looks like it."""

    def __init__(self, who: str, near: str | None = None) -> None:
        ja, en = (f"{near} ではありませんか。", f" Did you mean {near}?") if near else ("", "")
        sentence = Both(
            f"「{shown(who)}」というメンバーはいません。{ja}",
            f'There is no member "{shown(who)}".{en}',
        )
        super().__init__(Code.NO_SUCH_MEMBER, sentence)


def find(session: Session, email: str) -> Member:
    """The member with this address, however it is written. Raises NoSuchMember."""
    member = session.scalars(with_address(email)).first()
    if member is None:
        raise NoSuchMember(email, nearest(session, email))
    return member


def with_address(email: str) -> Select[Member]:
    """The member with this address. Of two that older versions let in, the one written like that."""
    otherwise = func.lower(Member.email) != email.strip().lower()
    return select(Member).where(same_address(Member.email, email)).order_by(otherwise, Member.id)


def active_member(session: Session, member_id: int, *, lock: bool = False) -> Member:
    """The member with this id. Raises NoSuchMember for a deleted or inactive one."""
    member = session.get(Member, member_id, with_for_update=lock)
    if member is None or not member.active:
        raise NoSuchMember(str(member_id))
    return member


def active_person(session: Session, config: Config, member_id: int) -> Person:
    """The same with rhythm and calendar. Raises NoSuchMember; ValueError as `person` does."""
    member = active_member(session, member_id)
    return person(session, organisation(session, config), member)


def check_known(services: Services, email: str | None) -> None:
    """Raises NoSuchMember for an address that no member has, and the outbox holds no mail to."""
    with services.db.read() as session:
        if email is not None and not any(
            session.scalar(select(column).where(same_address(column, email)).limit(1))
            for column in (Member.email, OutboxMail.to_addr)
        ):
            raise NoSuchMember(email, nearest(session, email))


def nearest(session: Session, email: str) -> str | None:
    """The member's address that looks most like `email`, or None where nothing does.

    The part before the @ has to look alike, too: that of the company does in any case.
    """
    wanted = address_key(email)
    name = wanted.partition("@")[0]
    some = session.scalars(
        select(Member.email).order_by(*_by_likeness(wanted, name)).limit(_COMPARED)
    )
    addresses = {address_key(one): one for one in some}
    for close in similar(wanted, addresses, n=5):
        if similar(name, [close.partition("@")[0]]):
            return addresses[close]
    return None


def _by_likeness(wanted: str, name: str) -> list[ColumnElement[Any]]:
    """Roughly, as the database can sort: beginning or end of the name alike, then the length."""
    stored = func.lower(Member.email)
    alike = [
        or_(
            stored.startswith(name[:letters], autoescape=True),
            stored.contains(f"{name[-letters:]}@", autoescape=True),
        )
        for letters in (6, 3)
    ]
    length = func.abs(func.length(stored) - len(wanted))
    return [case((alike[0], 0), (alike[1], 1), else_=2), length]


def no_such_member(email: str) -> Both:
    """For an unknown address, in a file or a form that names a member."""
    return Both(
        f"「{shown(email)}」というメンバーはいません。アドレスを直すか、"
        "先にメンバーを取り込んでください。",
        f'There is no member "{shown(email)}". Mend the address, or import the members first.',
    )


def no_such_team(name: str, known: Iterable[str]) -> Both:
    """For an unknown name of a team; `known`: the names that there are."""
    close = similar(name, list(known))
    ja = f"「{close[0]}」ではありませんか。" if close else ""
    en = f'Did you mean "{close[0]}"? ' if close else ""
    return Both(
        f"「{shown(name)}」というチームはありません。{ja}新しいチームは メンバーの"
        "取り込みで作れます。",
        f'There is no team "{shown(name)}". {en}A new one comes with an import of members.',
    )


OWN_MANAGER = Both(
    "本人が自分の上司になっています。空にするか、別の人にしてください。",
    "It names the member as their own manager. Leave it empty, or name somebody else.",
)
