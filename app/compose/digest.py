"""PURE. The lead's week: who reported, what is stuck, what comes.

Sentences stand in `templates/mail/digest.*`; what depends on one task or member is made here, once
for the text and the HTML part.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple

from app.compose.colours import (
    DAYS,
    DUE_TODAY,
    GOOD,
    LATE,
    OVERDUE,
    STATUSES,
    STUCK,
    UNREPORTED,
    Sign,
)
from app.compose.letter import LetterFacts
from app.compose.recap import recap_of
from app.compose.rendering import rendered
from app.compose.text import WEEKDAYS, Locale, shorten, show_date
from app.locale import Both
from app.mime.message import MailMessage
from app.rules.week import Away, MemberWeek, Note, Progress, Week

ROWS = 20  # members in the picture; the others are one link away
LISTED = 8  # tasks in each list
MOVED = 10  # tasks whose progress is shown
TITLE, REF, NAME, ROW_NAME, QUOTE, PREHEADER = 50, 24, 60, 28, 90, 100

RecapBy = Literal["count", "ai"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DigestFacts(LetterFacts):
    """Everything one digest says. `as_of` is the reader's wall clock, aware.

    `recap` None is the one counted here; others say in `recap_by` where they come from.
    `team_url` is the page of the board, below it `/MEMBER_ID` a member's reports.
    """

    as_of: datetime
    everybody: bool  # an admin's digest: all teams
    week: Week
    team_url: str
    recap: Sequence[str] | None = None
    recap_by: RecapBy = "count"


def weekly_digest(facts: DigestFacts) -> MailMessage:
    """The letter of a team's week without the sender fields.

    Raises ValueError when there is nothing to say: such a letter must not exist.
    """
    if not facts.week.says_something:
        raise ValueError(str(Both("知らせることがありません。", "There is nothing to say.")))
    words = _words(facts)
    listed = [entry.url for one in words["lists"] for entry in one.entries]
    links = {facts.team_url, facts.stop_url, *listed, *(one.url for one in words["moved"])}
    said = rendered(f"digest.{facts.locale}", words, links)
    return facts.letter("weekly_digest", words["name"], words["subject"], said)


class PictureRow(NamedTuple):
    """One member in the picture."""

    team: str  # a heading, where another team begins
    name: str
    signs: str
    alt: str
    share: str


class DigestTask(NamedTuple):
    """One task of a list. `facts` are short, the dates among them; `quote` is what was said."""

    title: str
    ref: str
    who: str
    facts: tuple[str, ...]
    quote: str
    url: str


class Listed(NamedTuple):
    """One list: its mark, its name, how many there are, and the first of them."""

    mark: Sign
    name: str
    total: int
    entries: tuple[DigestTask, ...]

    @property
    def people(self) -> bool:
        """True for a list of people, False for one of tasks."""
        return self.mark is UNREPORTED

    @property
    def more(self) -> int:
        """How many are not shown."""
        return self.total - len(self.entries)


def _words(facts: DigestFacts) -> dict[str, Any]:
    week, locale = facts.week, facts.locale
    lines = recap_of(week, locale) if facts.recap is None else facts.recap
    rows = _rows(facts)
    legend = [(one.sign, said.to(locale), one.tone) for one, said in DAYS.values() if one.tone]
    return {
        "locale": locale,
        "subject": _subject(week, locale),
        "preheader": shorten(" ".join(lines), PREHEADER),
        "name": shorten(facts.name, NAME),
        "everybody": facts.everybody,
        "week": week,
        "first": show_date(week.first, locale),
        "last": show_date(week.last, locale),
        "today": show_date(facts.local_date, locale),
        "clock": f"{facts.as_of:%H:%M}",
        "recap": [shorten(line, 2 * QUOTE) for line in lines],
        "recap_by": facts.recap_by,
        "days": [WEEKDAYS[day.weekday()].to(locale)[0] for day in week.days],
        "rows": rows,
        "tones": {sign: tone for sign, _, tone in legend},
        "more_rows": sum(one.expected for one in week.members) - len(rows),
        "legend": legend,
        "lists": _lists(facts),
        "moved": [_moved(one, facts) for one in week.progress[:MOVED]],
        "more_moved": max(len(week.progress) - MOVED, 0),
        "away": [_away(one, locale) for one in week.away[:LISTED]],
        "more_away": max(len(week.away) - LISTED, 0),
        "reply_to": shorten(facts.reply_to_shown or "", NAME),
        "team_url": facts.team_url,
        "stop_url": facts.stop_url,
    }


def _subject(week: Week, locale: Locale) -> str:
    """The numbers first, then the week, so that no two weeks look alike."""
    day = week.first
    stuck = len(week.blocked)
    reported = Both(f"報告なし(対象{week.expected}人)", f"No reports (of {week.expected})")
    if week.reporters:
        reported = Both(
            f"{week.expected}人中{week.reporters}人が報告",
            f"{week.reporters} of {week.expected} reported",
        )
    return Both(
        reported.ja
        + (f"、止まっているタスク{stuck}件" if stuck else "")
        + f" {day.month}月{day.day}日の週",
        reported.en
        + (f", {stuck} blocked" if stuck else "")
        + f": week of {show_date(day, 'en').split(maxsplit=1)[1]}",
    ).to(locale)


def _rows(facts: DigestFacts) -> list[PictureRow]:
    """The members who had a day to report on; where they are many, those who need a word."""
    shown = [one for one in facts.week.members if one.expected]
    if len(shown) > ROWS:
        worst = sorted(shown, key=lambda one: (-one.silent, one.reported - one.workdays, one.name))
        kept = {one.id for one in worst[:ROWS]}
        shown = [one for one in shown if one.id in kept]
    rows: list[PictureRow] = []
    before = ""
    for one in shown:
        heading = one.team if facts.everybody and one.team != before else ""
        rows.append(_row(one, facts, shorten(heading, NAME)))
        before = one.team
    return rows


def _row(one: MemberWeek, facts: DigestFacts, heading: str) -> PictureRow:
    locale, days = facts.locale, facts.week.days
    share = f"{one.reported}/{one.workdays}"
    days_in_words = (
        Both("、", ", ")
        .to(locale)
        .join(
            f"{WEEKDAYS[day.weekday()].to(locale)} {DAYS[mark][1].to(locale)}"
            for day, mark in zip(days, one.marks, strict=True)
        )
    )
    alt = Both(
        f"{one.workdays}日中{one.reported}日報告: {days_in_words}",
        f"{one.reported} of {one.workdays} days reported: {days_in_words}",
    )
    signs = "".join(DAYS[mark][0].sign for mark in one.marks)
    return PictureRow(heading, shorten(one.name, ROW_NAME), signs, alt.to(locale), share)


_BLOCKED, _AT_RISK = STATUSES["blocked"][1], STATUSES["at_risk"][1]


def _lists(facts: DigestFacts) -> list[Listed]:
    week, locale = facts.week, facts.locale
    silent = tuple(_silent(one, facts) for one in week.silent[:LISTED])
    found = [
        _listed(STUCK, _BLOCKED, week.blocked, facts),
        _listed(LATE, _AT_RISK, week.at_risk, facts),
        Listed(UNREPORTED, Both("報告がない", "Silent").to(locale), len(week.silent), silent),
        _listed(OVERDUE, Both("期限切れ", "Overdue"), week.overdue, facts),
        _listed(DUE_TODAY, Both("今週が期限", "Due this week"), week.due, facts),
        _listed(GOOD, Both("先週完了", "Finished last week"), week.finished, facts),
    ]
    return [one for one in found if one.total]


def _listed(mark: Sign, name: Both, notes: Sequence[Note], facts: DigestFacts) -> Listed:
    in_full = name in (_BLOCKED, _AT_RISK)
    entries = tuple(_entry(note, facts, in_full=in_full) for note in notes[:LISTED])
    return Listed(mark, name.to(facts.locale), len(notes), entries)


def _entry(note: Note, facts: DigestFacts, *, in_full: bool) -> DigestTask:
    locale, last = facts.locale, note.last
    said: list[str] = []
    if in_full and note.since is not None:
        since = show_date(note.since, locale)
        said.append(Both(f"{since}から", f"since {since}").to(locale))
    if note.due_on is not None:
        due = show_date(note.due_on, locale, with_year=note.due_on.year != facts.local_date.year)
        said.append(Both(f"期限 {due}", f"due {due}").to(locale))
    if last is not None and last.status != "done":
        said.append(f"{last.percent}%")
    quote = shorten(last.text, QUOTE) if last is not None and in_full else ""
    return DigestTask(
        title=shorten(note.title, TITLE) or note.ref,
        ref=shorten(note.ref, REF),
        who=_who(note.name, locale),
        facts=tuple(said),
        quote=quote and Both(f"「{quote}」", f"“{quote}”").to(locale),
        url=_url(facts, note.member_id, last.id if last else None),
    )


def _silent(one: MemberWeek, facts: DigestFacts) -> DigestTask:
    days = "workday" if one.silent == 1 else "workdays"
    words = Both(f"{one.silent}営業日", f"for {one.silent} {days}").to(facts.locale)
    return DigestTask("", "", _who(one.name, facts.locale), (words,), "", _url(facts, one.id, None))


def _moved(one: Progress, facts: DigestFacts) -> DigestTask:
    before = Both("初回", "first").to(facts.locale) if one.before is None else f"{one.before}%"
    return DigestTask(
        title=shorten(one.title, TITLE) or one.ref,
        ref=shorten(one.ref, REF),
        who=_who(one.name, facts.locale),
        facts=(f"{before} → {one.after.percent}%",),
        quote="",
        url=_url(facts, one.member_id, one.after.id),
    )


def _away(one: Away, locale: Locale) -> tuple[str, str]:
    first, last = show_date(one.first, locale), show_date(one.last, locale)
    days = Both(f"{first}〜{last}", f"{first} to {last}").to(locale)
    return _who(one.name, locale), first if one.first == one.last else days


def _who(name: str, locale: Locale) -> str:
    shown = shorten(name, ROW_NAME)
    return Both(f"{shown}さん", shown).to(locale)


def _url(facts: DigestFacts, member_id: int, report_id: int | None) -> str:
    place = f"#report-{report_id}" if report_id is not None else ""
    return f"{facts.team_url}/{member_id}{place}"
