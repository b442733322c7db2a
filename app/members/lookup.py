"""Finding the member that somebody probably meant."""

from difflib import get_close_matches

from sqlalchemy import func, select

from app.models import Member, OutboxMail
from app.services import Services


def has_mail_or_member(services: Services, email: str) -> bool:
    """True for a member's address, and for one that the outbox holds a mail to."""
    address = email.strip().lower()
    with services.db.read() as session:
        return any(
            session.scalar(select(column).where(func.lower(column) == address).limit(1))
            for column in (Member.email, OutboxMail.to_addr)
        )


def nearest(services: Services, email: str) -> str | None:
    """The member's address that looks most like `email`, or None where nothing does.

    The part before the @ has to look alike, too: that of the company does in any case.
    """
    with services.db.read() as session:
        addresses = {one.lower(): one for one in session.scalars(select(Member.email))}
    wanted = email.strip().lower()
    name = wanted.partition("@")[0]
    for close in get_close_matches(wanted, addresses, n=5):
        if get_close_matches(name, [close.partition("@")[0]]):
            return addresses[close]
    return None
