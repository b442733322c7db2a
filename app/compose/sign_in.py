"""PURE. The sign-in mail: one link. It has no link to stop such mails, because the reader asked for it."""

from dataclasses import dataclass

from app.compose.look import Fixed, parts
from app.compose.text import Locale, automatic_headers, shorten
from app.locale import Both
from app.mime.address import write_mailbox
from app.mime.message import MailMessage

NAME = 100  # columns shown of a name


@dataclass(frozen=True, slots=True)
class SignInFacts:
    """Everything the letter says; `until` is the hour, as its reader's clock shows it."""

    name: str
    email: str
    locale: Locale
    url: str
    minutes: int
    until: str


def sign_in(facts: SignInFacts) -> MailMessage:
    """The letter asked for on the sign-in page; `rows.from_us` adds the sender fields."""
    name = shorten(facts.name, NAME)
    subject = Both(
        f"サインインのリンク({facts.until}まで)", f"Your sign-in link (until {facts.until})"
    ).to(facts.locale)
    words = {
        "locale": Fixed(facts.locale),
        "subject": subject,
        "preheader": Both(
            "ボタンを押すと、確認のページが開きます。",
            "The button opens a page that asks you to confirm.",
        ).to(facts.locale),
        "name": name,
        "minutes": facts.minutes,
        "until": facts.until,
        "url": facts.url,
    }
    letter = parts(f"sign_in.{facts.locale}", words, {facts.url})
    return MailMessage(
        to=write_mailbox(name, facts.email),
        subject=subject,
        text=letter.text,
        html=letter.html,
        headers=automatic_headers(),
    )
