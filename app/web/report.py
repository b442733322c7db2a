"""`/r/<token>`: report progress from the mail."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from flask import Blueprint, abort, g, render_template, request
from flask.typing import ResponseReturnValue

from app import clock, reports
from app.auth import BadToken, ReportLink
from app.compose import show_date
from app.compose.text import inert
from app.members.settings import NoSuchMember
from app.models import STATUSES, Report, StatusWord
from app.parse import shown
from app.reports import Entry, PageTask, ReportPage
from app.services import Services
from app.web.locale import current, t
from app.words import Both

MAX_TEXT = 2_000  # characters of one report
# Room for a text far beyond the limit: it is refused with words, and comes back as it was typed.
_MAX_FORM = 2_000_000
_REF_LENGTH = 60


def pages(services: Services) -> Blueprint:
    """The report page.

    There is no CSRF token: the token in the address is the capability, and no cookie is used, so
    another site cannot send this form in somebody's name.
    """
    blueprint = Blueprint("report", __name__)

    @blueprint.route("/r/<token>", methods=["GET", "POST"])
    def report(token: str) -> ResponseReturnValue:
        now = clock.now()
        request.max_content_length = request.max_form_memory_size = _MAX_FORM
        sent = request.method == "POST"
        try:
            link = services.links.read_report(token)
            page = reports.page(services, link, now, _refs(link) if sent else ())
        except BadToken:
            abort(404)
        except NoSuchMember:
            return render_template("report_closed.html", why="gone"), 410
        g.locale = "en" if page.person.locale.startswith("en") else "ja"
        if link.expired(now):
            return render_template("report_closed.html", why="expired"), 410
        if not sent:
            return _form(services, link, page, _as_before(link, page.tasks))
        typed = {one.detail.task.ref: _read(one) for one in page.tasks}
        entries = [one.entry for one in typed.values() if one.entry is not None]
        if not entries or any(one.errors for one in typed.values()):
            takes_reports = any(one.state != "cancelled" for one in page.tasks)
            return _form(services, link, page, typed), 422 if takes_reports else 409
        return _done(services, link, page, reports.write(services, link, entries, now))

    return blueprint


# --- what was typed -----------------------------------------------------------------------------


@dataclass
class Typed:
    """The fields of one task as they stand in the form, and what is wrong with them."""

    percent: str = ""
    status: str = ""
    text: str = ""
    errors: dict[str, Both] = field(default_factory=dict)
    entry: Entry | None = None


def _refs(link: ReportLink) -> list[str]:
    """The tasks of the form that was sent; a link to one task reports on that one only."""
    if link.ref is not None:
        return [link.ref]
    refs = dict.fromkeys(request.form.getlist("ref"))
    return [ref for ref in refs if len(ref) <= _REF_LENGTH and "\0" not in ref][: reports.SHOWN]


def _lost(link: ReportLink, settled: Sequence[str]) -> int:
    """How many tasks were filled in that cannot be reported on any more: not theirs, cancelled."""
    return sum(
        ref not in settled and bool(request.form.get(f"status:{ref}")) for ref in _refs(link)
    )


def _as_before(link: ReportLink, tasks: Sequence[PageTask]) -> dict[str, Typed]:
    """The fields of a fresh form.

    One task: as last reported, so that two taps are enough when nothing changed. All tasks:
    empty, or one tap would report on tasks nobody looked at.
    """
    typed = {one.detail.task.ref: Typed() for one in tasks}
    last = tasks[0].detail.report if tasks and link.ref is not None else None
    if last is not None and link.ref is not None:
        status = "" if last.status == "done" else last.status
        typed[link.ref] = Typed(str(last.percent), status)
    return typed


def _read(task: PageTask) -> Typed:
    """One task's fields; with an entry when they can be recorded, empty when all are."""
    ref = task.detail.task.ref
    form = request.form
    typed = Typed(
        form.get(f"percent:{ref}", ""), form.get(f"status:{ref}", ""), form.get(f"text:{ref}", "")
    )
    text = "\n".join(inert(line) for line in re.split(r"\r\n?|\n", typed.text)).strip()
    if task.state == "cancelled" or not (typed.status or typed.percent.strip() or text):
        return typed
    if typed.status not in STATUSES:
        typed.errors["status"] = _CHOOSE
    if len(text) > MAX_TEXT:
        typed.errors["text"] = _too_long(len(text))
    percent = _percent(typed, task.detail.report)
    if percent is not None and not typed.errors:
        typed.entry = Entry(ref, percent, cast("StatusWord", typed.status), text)
    return typed


def _percent(typed: Typed, last: Report | None) -> int | None:
    """A whole number from 0 to 100; full-width digits and a % sign are fine.

    Left empty it is 100 for `done`, else as last reported.
    """
    text = unicodedata.normalize("NFKC", typed.percent).strip().removesuffix("%").rstrip()
    if not text and typed.status == "done":
        return 100
    if not text and last is not None:
        return last.percent
    if re.fullmatch("[0-9]{1,3}", text) and int(text) <= 100:
        return int(text)
    typed.errors["percent"] = _bad_percent(typed.percent)
    return None


_CHOOSE = Both("状況を一つ選んでください。", "Choose one of these.")


def _too_long(length: int) -> Both:
    return Both(
        f"{MAX_TEXT:,}文字までにしてください。いまは{length:,}文字です。",
        f"Make it at most {MAX_TEXT:,} characters; it has {length:,}.",
    )


def _bad_percent(text: str) -> Both:
    if not text.strip():
        return Both(
            "進捗を0から100までの整数で書いてください。", "Write a whole number from 0 to 100."
        )
    return Both(
        f"「{shown(text)}」は使えません。0から100までの整数で書いてください(例: 50)。",
        f'"{shown(text)}" cannot be used. Write a whole number from 0 to 100, such as 50.',
    )


# --- what is shown ------------------------------------------------------------------------------


def _form(
    services: Services, link: ReportLink, page: ReportPage, typed: Mapping[str, Typed]
) -> str:
    return render_template(
        "report.html",
        **_common(services, link, page),
        page=page,
        typed=typed,
        one_task=link.ref is not None,
        sent=request.method == "POST",
        faulty=any(one.errors for one in typed.values()),
        lost=_lost(link, [ref for ref, one in typed.items() if one.entry or one.errors]),
        max_text=MAX_TEXT,
    )


def _done(
    services: Services, link: ReportLink, page: ReportPage, written: reports.Written
) -> ResponseReturnValue:
    lost = _lost(link, [one.task.ref for one in written.tasks])
    shown = render_template(
        "report_done.html", **_common(services, link, page), written=written, lost=lost
    )
    # Nothing written: the tasks went away between reading and writing.
    return shown, 200 if written.tasks else 409


def _common(services: Services, link: ReportLink, page: ReportPage) -> dict[str, object]:
    def url(ref: str | None = None) -> str:
        """The page of one task, or of all; the links expire with the mail they came from."""
        address = services.links.report_url(ReportLink(link.member_id, link.local_date, ref))
        return f"{address}?lang={current()}" if "lang" in request.args else address

    return {
        "name": inert(page.person.member.name),
        "today": page.today,
        "url": url,
        "inert": inert,
        "show_date": lambda day: show_date(day, current(), with_year=day.year != page.today.year),
        "say": lambda both: t(*both),
    }
