"""The roster: all members page by page; a member's id and address."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from app.mime.address import address_key
from app.models import Member, Team
from app.people.lookup import NoSuchMember, find, with_address
from app.services import Services

STATES = ("active", "inactive", "suppressed")


@dataclass(frozen=True, slots=True)
class RosterRow:
    """One member as the list shows them."""

    id: int
    email: str
    name: str
    role: str
    team: str | None
    active: bool
    suppressed: bool


ROWS = select(
    Member.id,
    Member.email,
    Member.name,
    Member.role,
    Team.name,
    Member.active,
    Member.suppressed_reason.is_not(None),
).outerjoin(Team, Team.id == Member.team_id)  # fmt: skip


def roster(
    services: Services,
    *,
    limit: int | None = None,
    search: str = "",
    team_id: int | None = None,
    state: str = "",
    after: str = "",
) -> Sequence[RosterRow]:
    """Members by address, all or at most `limit`, those behind the address `after`.

    `search`: part of a name or address; `state`: one of STATES.
    """
    address = func.lower(Member.email)
    query = ROWS
    if after:
        query = query.where(address > after.lower())
    if team_id is not None:
        query = query.where(Member.team_id == team_id)
    if state == "suppressed":
        query = query.where(Member.suppressed_reason.is_not(None))
    elif state:
        query = query.where(Member.active.is_(state == "active"))
    wanted = search.strip().lower()
    if wanted:
        # Japanese names are written with a blank, with a wide one, or without.
        bare = "".join(wanted.split())
        part = address_key(wanted) if "@" in wanted else wanted
        name = func.replace(func.replace(func.lower(Member.name), " ", ""), "\u3000", "")
        query = query.where(
            or_(address.contains(part, autoescape=True), name.contains(bare, autoescape=True))
        )
    with services.db.read() as session:
        return [RosterRow(*row) for row in session.execute(query.order_by(address).limit(limit))]


def address_of(services: Services, member_id: int) -> str:
    """The member's address. Raises NoSuchMember."""
    with services.db.read() as session:
        return member_with(session, member_id).email


def id_of(services: Services, email: str) -> int | None:
    """The id of the member with this address; None where no member has it."""
    with services.db.read() as session:
        return session.scalar(with_address(email).with_only_columns(Member.id))


def known_id(services: Services, email: str) -> int:
    """The id of the member with this address. Raises NoSuchMember with the one it may mean."""
    with services.db.read() as session:
        return find(session, email).id


def unknown(services: Services, email: str) -> NoSuchMember | None:
    """That no member has this address, with the one it may mean; None where one has, or none is."""
    with services.db.read() as session:
        if session.scalar(select(Member.id).limit(1)) is None:
            return None
        try:
            find(session, email)
        except NoSuchMember as error:
            return error
    return None


def member_with(session: Session, member_id: int) -> Member:
    """The member. Raises NoSuchMember."""
    member = session.get(Member, member_id)
    if member is None:
        raise NoSuchMember(str(member_id))
    return member
