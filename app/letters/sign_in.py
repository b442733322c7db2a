"""The sign-in mail: sent whatever the hour, because its reader is waiting."""

from app import compose
from app.letters.case import LetterContext
from app.links import SIGN_IN_MINUTES
from app.outbox.precheck import Send


def letter(case: LetterContext) -> Send:
    """The number of a sign-in mail is the id of its link."""
    until = case.mail.expires_at.astimezone(case.one.rhythm.zone)
    facts = compose.SignInFacts(
        name=case.one.member.name,
        email=case.mail.to_addr,
        locale=case.locale,
        url=case.services.links.sign_in_url(case.mail.n),
        minutes=SIGN_IN_MINUTES,
        until=f"{until:%H:%M}",
    )
    return Send(case.from_us(compose.sign_in(facts)), [])
