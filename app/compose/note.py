"""PURE. A note: a letter of a title, a sentence and one button, in the look of all letters.

A kind of mail that says no more than that needs no template of its own: its sentences stand in
app/letters, beside the question whether it may still be sent.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from app.compose.rendering import Fixed, parts
from app.compose.text import Locale, automatic_headers, shorten
from app.locale import Both
from app.mime.address import write_mailbox
from app.mime.message import MailMessage

NAME = 100  # columns shown of a name


@dataclass(frozen=True, slots=True)
class NoteFacts:
    """Everything the letter says. `foot`: paragraphs below the line, each of some sentences."""

    name: str
    email: str
    locale: Locale
    subject: Both
    preheader: Both
    title: Both
    body: Both
    button: Both
    url: str
    foot: Sequence[Sequence[Both]]


def shown_name(name: str) -> str:
    """A member's name as notes show it."""
    return shorten(name, NAME)


def note(facts: NoteFacts) -> MailMessage:
    """The letter without the sender fields."""
    name, subject = shown_name(facts.name), facts.subject.to(facts.locale)
    words = {"locale": Fixed(facts.locale), "subject": subject} | _words(facts, name)
    letter = parts("note", words, {facts.url})
    return MailMessage(
        to=write_mailbox(name, facts.email),
        subject=subject,
        text=letter.text,
        html=letter.html,
        headers=automatic_headers(),
    )


def _words(facts: NoteFacts, name: str) -> dict[str, object]:
    locale = facts.locale
    hello = Both(f"{name}さん", f"Hello {name},") if name else Both("こんにちは。", "Hello,")
    return {
        "space": Fixed(Both("", " ").to(locale)),
        "preheader": facts.preheader.to(locale),
        "greeting": hello.to(locale),
        "title": facts.title.to(locale),
        "body": facts.body.to(locale),
        "button": facts.button.to(locale),
        "url": facts.url,
        "foot": tuple(tuple(one.to(locale) for one in sentences) for sentences in facts.foot),
    }
