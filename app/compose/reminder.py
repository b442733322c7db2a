"""PURE. The reminder: the tasks a member has not reported on, and the way to report each.

Its sentences stand in `templates/mail/reminder.*`; the few words that depend on the facts of one
task (its due date, its last report) are made here, once for the text and the HTML part.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal, NamedTuple

from app.compose.colours import DUE_TODAY, OVERDUE, STATUSES, UNREPORTED, Sign
from app.compose.letter import LetterFacts
from app.compose.rendering import Fixed, parts
from app.compose.text import Locale, shorten, show_date
from app.locale import Both
from app.mime.message import MailMessage
from app.rules.week import Status

Kind = Literal["reminder", "asked_reminder"]

SHOWN = 20  # tasks in one letter; the others are one link away
HELP_AFTER = 3  # workdays of silence after which the letter offers help
# Columns shown of what people wrote; a full-width character takes two.
TITLE, REF, NAME, REPORTER, QUOTE, PREHEADER = 80, 24, 100, 32, 90, 100


class TaskLine(NamedTuple):
    """One unreported task as its member should see it.

    `task_id` tells the mail's page which task is meant, `last_on` is the date the last report
    counts for, `last_by` its reporter's name where that is another member, `silent` the workdays
    without a report beyond what was agreed, 0 where it came to the member only now.
    """

    task_id: int
    ref: str
    title: str
    due_on: date | None
    report_every: Literal["daily", "weekly"]
    last_on: date | None
    last_by: str | None
    last_percent: int | None
    last_status: Status | None
    last_text: str | None
    silent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReminderFacts(LetterFacts):
    """Everything one reminder says. `tasks` come most urgent first.

    `report_url` is the mail's page: all tasks; with `?t=TASK_ID&c=CHOICE` one task, filled in; below
    it `/later` and `/off`. One address, signed once, serves every link of the letter but one, its
    `stop_url`. `first`: no reminder has reached this member before, so it says what it is.
    `lead_notice`: after days of silence, the lead's name and the date on which the
    lead will be notified if nothing is reported.
    """

    kind: Kind
    tasks: Sequence[TaskLine]
    report_url: str
    first: bool = False
    lead_notice: tuple[str, date] | None = None


def reminder(facts: ReminderFacts) -> MailMessage:
    """The letter that names a member's unreported tasks, without the sender fields.

    All of a month's refer to one id: a thread for each month rather than one for ever. Raises
    ValueError when there is no task to name: such a letter must not exist.
    """
    if not facts.tasks:
        raise ValueError(
            str(Both("未報告のタスクがないため、メールを作れません。", "No task is unreported."))
        )
    words = _words(facts)
    said = parts(f"reminder.{facts.locale}", words, links_of(words))
    thread = f"<reminder.{facts.member_id}.{facts.local_date:%Y-%m}.{facts.message_origin}>"
    return facts.letter(facts.kind, words["name"], words["subject"], said, References=thread)


def links_of(words: Mapping[str, Any]) -> set[str]:
    """The addresses that stand on lines of their own in the text part."""
    page = words["report_url"]
    around = (page, f"{page}/later", f"{page}/off", words["stop_url"])
    return {*around, *(card.url for card in words["cards"])}


class Marked(NamedTuple):
    """A few words with their mark and the name of their colour: never colour alone."""

    mark: str
    words: str
    tone: Fixed


class Card(NamedTuple):
    """One task in the letter, all words made."""

    title: str
    ref: str
    due: Marked
    weekly: bool
    silent: Marked | None
    last: str
    status: Marked | None
    quote: str
    url: str
    same: bool  # offers "as last time"


_UNMARKED = Sign("", "muted", "")


def _words(facts: ReminderFacts) -> dict[str, Any]:
    cards = tuple(_card(task, facts) for task in facts.tasks[:SHOWN])
    return {
        "locale": Fixed(facts.locale),
        "subject": _subject(facts),
        "preheader": _preheader(cards, facts.locale),
        "name": shorten(facts.name, NAME),
        "total": len(facts.tasks),
        "more": len(facts.tasks) - len(cards),
        "cards": cards,
        "offer_help": max(task.silent for task in facts.tasks) >= HELP_AFTER,
        "first": facts.first,
        "lead_notice": _lead_notice(facts),
        "asked": facts.kind == "asked_reminder",
        "reply_to": shorten(facts.reply_to_shown or "", NAME),
        "report_url": facts.report_url,
        "stop_url": facts.stop_url,
    }


def _lead_notice(facts: ReminderFacts) -> str:
    """The lead is notified so that two people can look at it; never as a threat."""
    if facts.lead_notice is None:
        return ""
    name, day = shorten(facts.lead_notice[0], NAME), show_date(facts.lead_notice[1], facts.locale)
    return Both(
        f"{day}になっても報告がないときは、一緒に進め方を考えられるように、"
        f"{name}さんにもお知らせします。",
        f"If there is no report by {day}, {name} will hear of it too, so that the two of you can "
        "look at it together.",
    ).to(facts.locale)


def _subject(facts: ReminderFacts) -> str:
    """Number first, then the date, so that no two days look alike or thread together."""
    total, day = len(facts.tasks), show_date(facts.local_date, facts.locale)
    return Both(
        f"未報告のタスク{total}件 {day}",
        f"{total} unreported {'task' if total == 1 else 'tasks'}, {day}",
    ).to(facts.locale)


def _preheader(cards: Sequence[Card], locale: Locale) -> str:
    """What an inbox shows after the subject: which tasks."""
    return shorten(Both("、", ", ").to(locale).join(card.title for card in cards), PREHEADER)


def _card(task: TaskLine, facts: ReminderFacts) -> Card:
    said = shorten(task.last_text or "", QUOTE)
    return Card(
        title=shorten(task.title, TITLE) or shorten(task.ref, TITLE),
        ref=shorten(task.ref, REF),
        due=_due(task.due_on, facts.local_date, facts.locale),
        weekly=task.report_every == "weekly",
        silent=_silent(task.silent, facts.locale) if task.silent else None,
        last=_last(task, facts),
        status=_status(task, facts.locale),
        quote=said and Both(f"「{said}」", f"“{said}”").to(facts.locale),
        url=f"{facts.report_url}?t={task.task_id}",
        same=task.last_percent is not None and task.last_status != "done",
    )


def _marked(mark: Sign, words: str) -> Marked:
    return Marked(mark.sign, words, Fixed(mark.tone))


def _status(task: TaskLine, locale: Locale) -> Marked | None:
    if task.last_status is None:
        return None
    mark, words = STATUSES[task.last_status]
    return _marked(mark, words.to(locale))


def _due(due_on: date | None, today: date, locale: Locale) -> Marked:
    if due_on is None:
        return _marked(_UNMARKED, Both("期限なし", "No due date").to(locale))
    day = show_date(due_on, locale, with_year=due_on.year != today.year)
    if due_on < today:
        return _marked(OVERDUE, Both(f"期限切れ {day}", f"Overdue, was due {day}").to(locale))
    if due_on == today:
        return _marked(DUE_TODAY, Both(f"今日が期限 {day}", f"Due today, {day}").to(locale))
    return _marked(_UNMARKED, Both(f"期限 {day}", f"Due {day}").to(locale))


def _silent(workdays: int, locale: Locale) -> Marked:
    days = "workday" if workdays == 1 else "workdays"
    words = Both(f"未報告 {workdays}営業日", f"Unreported for {workdays} {days}")
    return _marked(UNREPORTED, words.to(locale))


def _last(task: TaskLine, facts: ReminderFacts) -> str:
    """When the last report was, by whom if by another member, and how far the task was."""
    if task.last_on is None:
        return Both("報告はまだありません", "No report yet").to(facts.locale)
    day = show_date(
        task.last_on, facts.locale, with_year=task.last_on.year != facts.local_date.year
    )
    parts = [Both(f"前回 {day}", f"Last report {day}").to(facts.locale)]
    if by := shorten(task.last_by or "", REPORTER):
        parts.append(Both(f"{by}さん", f"by {by}").to(facts.locale))
    if task.last_percent is not None:
        parts.append(f"{task.last_percent}%")
    return Both("・", ", ").to(facts.locale).join(parts)
