"""PURE. The escalation mail: which members have been silent for days, for a lead or the lead's manager.

It suggests helping, and demands no report: beside each name stands what is known of the last one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

from app.compose.colours import UNREPORTED
from app.compose.letter import LetterFacts
from app.compose.rendering import rendered
from app.compose.text import shorten, show_date
from app.locale import Both
from app.mime.message import MailMessage

SHOWN = 20  # people in one letter; the others are one link away
TASKS = 3  # titles of each
TITLE, NAME, WHO, QUOTE = 60, 60, 40, 120


@dataclass(frozen=True, slots=True)
class SilentLine:
    """A member who has been silent for `workdays`; `lead_name` where the reader is not the lead."""

    member_id: int
    name: str
    workdays: int
    tasks: Sequence[str]  # titles, the longest unreported first
    last_on: date | None
    last_title: str | None
    last_text: str | None
    lead_name: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EscalationFacts(LetterFacts):
    """Everything one escalation says. `team_url`/MEMBER_ID is a member's page."""

    silent: Sequence[SilentLine]
    team_url: str


def escalation(facts: EscalationFacts) -> MailMessage:
    """The letter without the sender fields. Raises ValueError without any member."""
    if not facts.silent:
        raise ValueError(str(Both("知らせる人がいません。", "There is nobody to tell of.")))
    words = _words(facts)
    links = {facts.team_url, facts.stop_url, *(one.url for one in words["people"])}
    said = rendered(f"escalation.{facts.locale}", words, links)
    return facts.letter("escalation", words["name"], words["subject"], said)


class Silent(NamedTuple):
    """One person, all words made."""

    who: str
    days: str
    lead: str
    tasks: str
    last: str
    quote: str
    url: str


def _words(facts: EscalationFacts) -> dict[str, Any]:
    locale, total = facts.locale, len(facts.silent)
    ranked = sorted(facts.silent, key=lambda one: (-one.workdays, one.name))
    people = [_silent(one, facts) for one in ranked[:SHOWN]]
    day = show_date(facts.local_date, locale)
    return {
        "locale": locale,
        "subject": Both(
            f"報告がない方が{total}人います {day}",
            f"{total} {'person has' if total == 1 else 'people have'} not reported, {day}",
        ).to(locale),
        "preheader": Both("、", ", ").to(locale).join(one.who for one in people),
        "name": shorten(facts.name, NAME),
        "total": total,
        "mark": UNREPORTED,
        "people": people,
        "more": total - len(people),
        "reply_to": shorten(facts.reply_to_shown or "", NAME),
        "team_url": facts.team_url,
        "stop_url": facts.stop_url,
    }


def _silent(one: SilentLine, facts: EscalationFacts) -> Silent:
    locale = facts.locale
    who = shorten(one.name, WHO)
    days = "workday" if one.workdays == 1 else "workdays"
    titles = [shorten(title, TITLE) for title in one.tasks[:TASKS]]
    more = len(one.tasks) - len(titles)
    others = Both(f"ほか{more}件", f"{more} more").to(locale)
    quote = shorten(one.last_text or "", QUOTE)
    lead = shorten(one.lead_name or "", WHO)
    return Silent(
        who=Both(f"{who}さん", who).to(locale),
        days=Both(f"{one.workdays}営業日", f"{one.workdays} {days}").to(locale),
        lead=lead and Both(f"リーダーは{lead}さん", f"Lead: {lead}").to(locale),
        tasks=Both("、", ", ").to(locale).join([*titles, others] if more else titles),
        last=_last(one, facts),
        quote=quote and Both(f"「{quote}」", f"“{quote}”").to(locale),
        url=f"{facts.team_url}/{one.member_id}",
    )


def _last(one: SilentLine, facts: EscalationFacts) -> str:
    if one.last_on is None:
        return Both("報告はまだありません", "No report yet").to(facts.locale)
    with_year = one.last_on.year != facts.local_date.year
    day = show_date(one.last_on, facts.locale, with_year=with_year)
    title = shorten(one.last_title or "", TITLE)
    return Both(f"最後の報告 {day}・{title}", f"Last report {day}: {title}").to(facts.locale)
