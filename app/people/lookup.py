"""Finding the member that a mistyped address probably means."""

from sqlalchemy import select

from app.db import same_address
from app.locale import Both
from app.mime.address import address_key
from app.models import Member, OutboxMail
from app.services import Services
from app.util.parse import shown, similar


def has_mail_or_member(services: Services, email: str) -> bool:
    """True for a member's address, and for one that the outbox holds a mail to."""
    with services.db.read() as session:
        return any(
            session.scalar(select(column).where(same_address(column, email)).limit(1))
            for column in (Member.email, OutboxMail.to_addr)
        )


def nearest(services: Services, email: str) -> str | None:
    """The member's address that looks most like `email`, or None where nothing does.

    The part before the @ has to look alike, too: that of the company does in any case.
    """
    with services.db.read() as session:
        addresses = {address_key(one): one for one in session.scalars(select(Member.email))}
    wanted = address_key(email)
    name = wanted.partition("@")[0]
    for close in similar(wanted, addresses, n=5):
        if similar(name, [close.partition("@")[0]]):
            return addresses[close]
    return None


def no_such_member(email: str) -> Both:
    """For an unknown address."""
    return Both(
        f"「{shown(email)}」というメンバーはいません。アドレスを直すか、"
        "先に members を取り込んでください。",
        f'There is no member "{shown(email)}". Mend the address, or import the members first.',
    )


OWN_MANAGER = Both(
    "本人が自分の上司になっています。空にするか、別の人にしてください。",
    "It names the member as their own manager. Leave it empty, or name somebody else.",
)
