"""Finding the member that somebody probably meant."""

from difflib import get_close_matches

from sqlalchemy import select

from app.models import Member
from app.services import Services


def nearest(services: Services, email: str) -> str | None:
    """The member's address that looks most like `email`, or None where nothing does."""
    with services.db.read() as session:
        addresses = {one.lower(): one for one in session.scalars(select(Member.email))}
    close = get_close_matches(email.strip().lower(), addresses, n=1)
    return addresses[close[0]] if close else None
