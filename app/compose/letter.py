"""PURE. What the letters about a date have in common: whom they are for, and what heads them."""

from dataclasses import dataclass
from datetime import date

from app.compose.rendering import Parts
from app.compose.text import Locale, automatic_headers, message_id
from app.mime.address import write_mailbox
from app.mime.message import MailMessage


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterFacts:
    """What each of them says; `n` is the mail's number of that date.

    `stop_url` changes or stops such mails (a page, and RFC 8058's one-click POST).
    `reply_to_shown` is the address a reply goes to (None: the sender's), `message_origin` how
    Message-IDs end.
    """

    member_id: int
    name: str
    email: str
    locale: Locale
    local_date: date
    n: int
    stop_url: str
    reply_to_shown: str | None
    message_origin: str

    def letter(self, kind: str, name: str, subject: str, said: Parts, **more: str) -> MailMessage:
        """The mail that says it, to `name`, without the sender fields."""
        numbered = (kind, self.member_id, self.local_date, self.n, self.message_origin)
        return MailMessage(
            to=write_mailbox(name, self.email),
            subject=subject,
            text=said.text,
            html=said.html,
            headers=automatic_headers(self.stop_url) | more,
            message_id=message_id(*numbered),
        )
