"""`/r/<token>`: report progress from the mail, in two taps; and take it back."""

from collections.abc import Mapping

from flask import Blueprint, g, render_template, request, url_for
from flask.typing import ResponseReturnValue

from app import clock
from app.compose import show_date
from app.compose.text import inert
from app.links import BadToken, ReportLink
from app.people.lookup import NoSuchMember
from app.reports import from_mail
from app.reports.from_mail import ReportPage, Written
from app.services import Services
from app.web import form_key, later, report_form
from app.web.locale import current, show_when
from app.web.mail_link import gone, guarded
from app.web.report_form import MAX_TEXT, Typed, Wish
from app.why.reminder import next_reminder


def pages(services: Services) -> Blueprint:
    """The report page."""
    blueprint = Blueprint("report", __name__)
    blueprint.register_error_handler(NoSuchMember, gone)

    @blueprint.route("/r/<token>", methods=["GET", "POST"])
    @guarded(services)
    def report(link: ReportLink) -> ResponseReturnValue:
        now = clock.now()
        sent, wish = request.method == "POST", Wish.of(link, request.args)
        refs = report_form.refs() if sent else ()
        page = from_mail.page(services, link, now, task_id=wish.task_id, refs=refs)
        g.locale = "en" if page.person.locale.startswith("en") else "ja"
        if not sent:
            key = form_key.new(now)
            return _form(services, link, page, wish, report_form.filled(wish, page.tasks), key)
        typed = {one.detail.task.ref: report_form.read(one) for one in page.tasks}
        entries = [one.entry for one in typed.values() if one.entry is not None]
        form = report_form.sent_form(now)
        if not entries or any(one.errors for one in typed.values()):
            takes_reports = any(one.state != "cancelled" for one in page.tasks)
            key = form.key or form_key.new(now)
            return _form(services, link, page, wish, typed, key), 422 if takes_reports else 409
        written = from_mail.write(services, link, entries, form, now)
        return _done(services, link, page, written)

    @blueprint.post("/r/<token>/undo")
    @guarded(services)
    def undo(link: ReportLink) -> ResponseReturnValue:
        now = clock.now()
        page = from_mail.page(services, link, now)
        g.locale = "en" if page.person.locale.startswith("en") else "ja"
        ids = [int(one) for one in request.form.getlist("report") if report_form.is_id(one)]
        tasks = from_mail.undo_reports(services, link, ids, now)
        return render_template(
            "report_undone.html", **_common(services, link, page), tasks=tasks
        ), 200 if tasks else 409

    @blueprint.route("/r/", methods=["GET", "POST"], strict_slashes=False)
    def without_token() -> ResponseReturnValue:
        raise BadToken

    later.add(blueprint, services)
    return blueprint


def _form(  # noqa: PLR0917 - what a form consists of
    services: Services,
    link: ReportLink,
    page: ReportPage,
    wish: Wish,
    typed: Mapping[str, Typed],
    key: str,
) -> str:
    return render_template(
        "report.html",
        **_common(services, link, page),
        page=page,
        typed=typed,
        form_key=key,
        one_task=wish.one_task,
        sent=request.method == "POST",
        faulty=any(one.errors for one in typed.values()),
        lost=report_form.lost([ref for ref, one in typed.items() if one.entry or one.errors]),
        max_text=MAX_TEXT,
    )


def _done(
    services: Services, link: ReportLink, page: ReportPage, written: Written
) -> ResponseReturnValue:
    zone = page.person.rhythm.zone.key
    next_mail = next_reminder(services, link.member_id, clock.now())
    shown = render_template(
        "report_done.html",
        **_common(services, link, page),
        written=written,
        lost=report_form.lost([one.task.ref for one in written.tasks]),
        next_mail=next_mail and show_when(next_mail, zone),
        undo_until=f"{written.undo_until.astimezone(page.person.rhythm.zone):%H:%M}",
    )
    # Nothing written: the tasks went away between reading and writing.
    return shown, 200 if written.tasks else 409


def _common(services: Services, link: ReportLink, page: ReportPage) -> dict[str, object]:
    # Not the token of the address: one that names its task cannot show the others.
    token = services.links.report_token(ReportLink(link.member_id, link.local_date))

    def url(page: str = "report.report", **asked: object) -> str:
        """A page of this mail; the links expire with the mail they came from."""
        lang = {"lang": current()} if "lang" in request.args else {}
        return url_for(page, token=token, **asked, **lang)  # type: ignore[arg-type]  # Flask's own are typed, ours go into the query

    return {
        "name": inert(page.person.member.name),
        "today": page.today,
        "url": url,
        "show_date": lambda day: show_date(day, current(), with_year=day.year != page.today.year),
    }
