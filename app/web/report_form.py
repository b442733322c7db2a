"""The report form: what it is filled with, what was typed, and what is wrong with it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import cast

from flask import request

from app.compose.text import inert
from app.links import ReportLink
from app.locale import Both
from app.models import STATUSES, StatusWord
from app.refused import UnusableValue
from app.reports.from_mail import SHOWN, FilledReport, Form, PageTask
from app.reports.progress import ShownReport
from app.util.dates_and_numbers import read_percent
from app.util.parse import shown
from app.web import form_key

MAX_TEXT = 2_000  # characters of one report
_LOOKED_AT = 10 * MAX_TEXT  # with blanks and line breaks that do not count
_REF_LENGTH = 60


@dataclass(frozen=True, slots=True)
class Wish:
    """What the address asks for: one task (None: all of them), and the choice to fill in.

    The token says whose tasks they may be, so these need no signature: they only fill a form.
    """

    task_id: int | None
    choice: str
    one_task: bool

    @classmethod
    def of(cls, link: ReportLink, args: Mapping[str, str]) -> "Wish":
        """`?t=TASK_ID&c=CHOICE`; what makes no sense counts as not given.

        What is stuck to the end of a link (see app/web/mail_link.py) is no part of either.
        """
        asked, choice = (_before_what_is_stuck(args.get(name, "")) for name in ("t", "c"))
        task_id = int(asked) if is_id(asked) else None
        return cls(task_id, choice, task_id is not None or link.ref is not None)


def _before_what_is_stuck(text: str) -> str:
    found = re.match(r"\w*", text, re.ASCII)
    return found[0] if found else ""


@dataclass
class Typed:
    """The fields of one task as they stand in the form, and what is wrong with them."""

    percent: str = ""
    status: str = ""
    text: str = ""
    errors: dict[str, Both] = field(default_factory=dict)
    entry: FilledReport | None = None


def sent_form(now: datetime) -> Form:
    """The form that was sent; one without a key counts as opened now."""
    key = form_key.sent()
    return Form(key, form_key.opened(key, now) if key else now)


def refs() -> list[str]:
    """The tasks of the form that was sent."""
    sent = dict.fromkeys(request.form.getlist("ref"))
    return [ref for ref in sent if len(ref) <= _REF_LENGTH and "\0" not in ref][:SHOWN]


def is_id(text: str) -> bool:
    """True for what can be the number of a row."""
    return re.fullmatch("[0-9]{1,18}", text) is not None


def lost(settled: Sequence[str]) -> int:
    """How many tasks were filled in that cannot be reported on any more: not theirs, cancelled."""
    return sum(ref not in settled and bool(request.form.get(f"status:{ref}")) for ref in refs())


# --- a fresh form -------------------------------------------------------------------------------


def filled(wish: Wish, tasks: Sequence[PageTask]) -> dict[str, Typed]:
    """The fields of a fresh form.

    One task: as the choice says, or as last reported, so that two taps are enough. All tasks:
    empty, or one tap would report on tasks that were not looked at.
    """
    if wish.one_task and tasks:
        return {tasks[0].detail.task.ref: _chosen(wish.choice, tasks[0].detail.report)}
    return {one.detail.task.ref: Typed() for one in tasks}


def _chosen(choice: str, last: ShownReport | None) -> Typed:
    """The fields for one of the mail's choices; "same", or anything else, is as last reported."""
    percent = str(last.percent) if last else ""
    if re.fullmatch("[0-9]{1,3}", choice) and int(choice) <= 100:
        # There is a choice for "blocked", so who takes a number is not; there is none for "at risk".
        return Typed(choice, "at_risk" if last and last.status == "at_risk" else "on_track")
    if choice == "done":
        return Typed("100", "done")
    if choice == "blocked":
        return Typed(percent or "0", "blocked")
    return Typed(percent, last.status if last and last.status != "done" else "")


# --- a form that was sent -----------------------------------------------------------------------


def read(task: PageTask) -> Typed:
    """One task's fields; with an entry when they can be recorded, empty when all are."""
    ref = task.detail.task.ref
    names = ("percent", "status", "text")
    percent_typed, status, words = (request.form.get(f"{name}:{ref}", "") for name in names)
    typed = Typed(percent_typed, status, words)
    text = _text(typed)
    if task.state == "cancelled" or not (typed.status or typed.percent.strip() or text):
        return typed
    if typed.status not in STATUSES:
        typed.errors["status"] = _CHOOSE
    if len(text) > MAX_TEXT:
        typed.errors["text"] = Both(
            f"{MAX_TEXT:,}文字までにしてください。いまは{len(text):,}文字です。",
            f"Make it at most {MAX_TEXT:,} characters; it has {len(text):,}.",
        )
    percent = _percent(typed, task.detail.report)
    if percent is not None and not typed.errors:
        typed.entry = FilledReport(ref, percent, cast("StatusWord", typed.status), text)
    return typed


def _text(typed: Typed) -> str:
    """The report's text with only what can be seen; one far too long stays as it is."""
    if len(typed.text) > _LOOKED_AT:
        return typed.text
    return "\n".join(inert(line) for line in re.split(r"\r\n?|\n", typed.text)).strip()


def _percent(typed: Typed, last: ShownReport | None) -> int | None:
    """A whole number from 0 to 100; full-width digits and a % sign are fine.

    Left empty it is 100 for `done`, else as last reported.
    """
    text = typed.percent.strip()
    if not text and typed.status == "done":
        return 100
    if not text and last is not None:
        return last.percent
    try:
        return read_percent(text)
    except UnusableValue:
        typed.errors["percent"] = _bad_percent(typed.percent)
        return None


_CHOOSE = Both("状況を一つ選んでください。", "Choose one of these.")


def _bad_percent(text: str) -> Both:
    if not text.strip():
        return Both(
            "進捗を0から100までの整数で書いてください。", "Write a whole number from 0 to 100."
        )
    return Both(
        f"「{shown(text)}」は使えません。0から100までの整数で書いてください(例: 50)。",
        f'"{shown(text)}" cannot be used. Write a whole number from 0 to 100, such as 50.',
    )
