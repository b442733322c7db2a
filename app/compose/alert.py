"""PURE. The alert mail: what is wrong and what is over, for an admin."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from app.compose.colours import GOOD, STUCK
from app.compose.rendering import rendered
from app.compose.text import Locale, automatic_headers, shorten, show_date
from app.locale import Both
from app.mime.address import write_mailbox
from app.mime.message import MailMessage

NAME, SUBJECT, SENTENCE = 60, 80, 400


@dataclass(frozen=True, slots=True)
class AlertLine:
    """One alert. Instants are aware, as the reader's clock shows them; `until` when it is over."""

    what: Both
    fix: Both
    since: datetime
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class AlertFacts:
    """Everything the letter says: what is open, and what was mailed before and is over.

    `more_open`, `more_over`: how many of them are not among these.
    """

    name: str
    email: str
    locale: Locale
    open: Sequence[AlertLine]
    over: Sequence[AlertLine]
    url: str
    more_open: int = 0
    more_over: int = 0


class AlertInWords(NamedTuple):
    """One alert in words."""

    what: str
    fix: str
    when: str


def alert(facts: AlertFacts) -> MailMessage:
    """The letter without the sender fields. No way to stop it: it comes with the role."""
    opened = [_shown(one, facts.locale) for one in facts.open]
    over = [_shown(one, facts.locale) for one in facts.over]
    name, subject = shorten(facts.name, NAME), _subject(facts)
    words = {
        "locale": facts.locale,
        "subject": subject,
        "preheader": "、".join(one.what for one in (opened or over)[:1]),
        "name": name,
        "stuck": STUCK,
        "good": GOOD,
        "open": opened,
        "over": over,
        "number": len(opened) + facts.more_open,
        "more": facts.more_open + facts.more_over,
        "url": facts.url,
    }
    letter = rendered(f"alert.{facts.locale}", words, {facts.url})
    return MailMessage(
        to=write_mailbox(name, facts.email),
        subject=subject,
        text=letter.text,
        html=letter.html,
        headers=automatic_headers(),
    )


def _subject(facts: AlertFacts) -> str:
    if not facts.open:
        return Both("【解消】警告はすべて解消しました", "[Over] All alerts are over").to(
            facts.locale
        )
    first = shorten(facts.open[0].what.to(facts.locale).rstrip("。."), SUBJECT)
    others = len(facts.open) + facts.more_open - 1
    more = Both(f" ほか{others}件", f" and {others} more").to(facts.locale) if others else ""
    return Both("【警告】", "[Alert] ").to(facts.locale) + first + more


def _shown(one: AlertLine, locale: Locale) -> AlertInWords:
    since = f"{show_date(one.since.date(), locale)} {one.since:%H:%M}"
    if one.until is None:
        when = Both(f"{since} から", f"Since {since}").to(locale)
    else:
        until = f"{one.until:%H:%M}"
        if one.until.date() != one.since.date():
            until = f"{show_date(one.until.date(), locale)} {until}"
        when = Both(f"{since}〜{until}", f"{since} to {until}").to(locale)
    return AlertInWords(
        what=shorten(one.what.to(locale), SENTENCE),
        fix=shorten(one.fix.to(locale), SENTENCE),
        when=when,
    )
