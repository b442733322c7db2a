"""`/settings`: how and when mails come, leave, what is stored, and signed-in browsers."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import date, timedelta
from typing import Any

from flask import Blueprint, Response, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from app import clock
from app.access import sessions
from app.compose import show_date
from app.compose.colours import AWAY, NOT_YET, STUCK
from app.locale import Both
from app.members import changes, defaults
from app.members.days import LEAVE, WORKDAYS, NoSuchDays
from app.people import values
from app.people.values import ValuesRefused
from app.refused import UnusableValue
from app.reminders.forecast import Forecast
from app.rules.decision import DAY_OFF, Reason
from app.rules.workdays import Span
from app.services import Services
from app.util.dates_and_numbers import read_date
from app.util.parse import narrow
from app.web.access import myself, signed_in
from app.web.edited import Again, Edited, fresh
from app.web.locale import current, forget_choice, show_when, t
from app.web.nav import NavEntry
from app.web.template_helpers import options
from app.why.preview import SettingsPreview, preview

# This page alone runs a script of ours, which asks for the preview while the member types.
_POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_STOPPED = {Reason.ADDRESS_SUPPRESSED, Reason.FREQUENCY_NONE, Reason.PAUSED}
_SQUARE = 52
_LEGEND = {
    "off": (AWAY, Both("休みの日", "a day off")),
    "none": (NOT_YET, Both("送るものがない", "nothing to send")),
    "stopped": (STUCK, Both("止めている", "stopped")),
}

NAV = NavEntry(6, Both("設定", "Settings"), "all")


def pages(services: Services) -> Blueprint:
    """The settings of the signed-in member."""
    blueprint = Blueprint("settings", __name__)

    @blueprint.route("/settings", methods=["GET", "POST"])
    @signed_in
    def index() -> ResponseReturnValue:
        if request.method == "GET":
            return _page(services)
        edited, email = Edited.of(values.MEMBER_SETTINGS, _narrow), myself().email
        if request.form.get("action") == "check":
            return _page(services, edited.again(_stored(services), ValuesRefused([])))
        try:
            changes.set_member(services, email, edited.typed, email, clock.now(), edited.was)
        except ValuesRefused as error:
            return _page(services, edited.again(_stored(services), error))
        response = make_response(redirect(url_for("settings.index", saved=1), 303))
        forget_choice(response)
        return response

    @blueprint.post("/settings/preview")
    @signed_in
    def look_ahead() -> ResponseReturnValue:
        typed = {key: _narrow(key) for key in values.MEMBER_SETTINGS if key in request.form}
        return render_template("_preview.html", **_preview(services, typed))

    @blueprint.route("/settings/leave", methods=["GET", "POST"])
    @signed_in
    def days_off() -> ResponseReturnValue:
        if request.method == "GET":
            return _leave_page(services)
        email = myself().email
        kind = WORKDAYS if request.form.get("kind") == "workday" else LEAVE
        change = kind.remove if request.form.get("action") == "remove" else kind.add
        try:
            with suppress(NoSuchDays):  # another tab was quicker: it is as it should be
                change(services, email, _span(), email, clock.now())
        except ValuesRefused as error:
            return _leave_page(services, dict(error.faults)), 422
        return redirect(url_for("settings.days_off"), 303)

    return blueprint


# --- when mails come ------------------------------------------------------------------------------


def _narrow(name: str) -> str:
    """A field of the form, with full-width digits made narrow."""
    return narrow(request.form[name])


def _stored(services: Services) -> dict[str, str]:
    own = changes.own_settings(services, myself().email)["own"]
    return {key: own[key] or "" for key in values.MEMBER_SETTINGS}


def _page(services: Services, form: Again | None = None) -> Response:
    """The form as it was typed, or as it is stored."""
    form = form or fresh(_stored(services))
    seen = _preview(services, form.typed)
    faults = {**seen.pop("faults"), **form.faults}
    shown = render_template(
        "settings.html",
        typed=form.typed,
        was=form.was,
        fields=[*values.MEMBER_SETTINGS],
        faults=faults,
        everybody={one["key"]: one["value"] for one in defaults.show_settings(services)},
        options=options,
        saved="saved" in request.args,
        browsers=sessions.number(services, myself(), clock.now()),
        **seen,
    )
    response = make_response(shown, (form.status if form.faults else 422) if faults else 200)
    response.headers["Content-Security-Policy"] = _POLICY
    return response


def _preview(services: Services, typed: Mapping[str, str]) -> dict[str, Any]:
    """What the values of the form would bring, saved or not; or what is wrong with them."""
    try:
        found = preview(services, myself().email, typed, clock.now())
    except ValuesRefused as error:
        return {"faults": dict(error.faults), "next_mail": None, "squares": [], "mails": 0}
    return {
        "faults": {},
        "next_mail": show_when(found.next_at, found.timezone) if found.next_at else None,
        "squares": _squares(found),
        "legend": [(one.sign, t(*words)) for one, words in _LEGEND.values()],
        "mails": sum(day.verdict == "send" for day in found.days),
    }


def _squares(found: SettingsPreview) -> list[dict[str, object]]:
    """Where each day stands in the picture, its colour, its mark and its words."""
    start = found.today - timedelta(days=found.today.weekday())
    squares = []
    for day in found.days:
        week, weekday = divmod((day.local_date - start).days, 7)
        kind, mark, words = _look(day)
        squares.append(
            {
                "x": weekday * _SQUARE,
                "y": week * _SQUARE + 24,
                "kind": kind,
                "mark": mark,
                "day": day.local_date.day,
                "title": f"{show_date(day.local_date, current())}: {words}",
            }
        )
    return squares


def _look(day: Forecast) -> tuple[str, str, str]:
    if day.at is not None:
        return "send", f"{day.at:%H:%M}", t("{at} にメール", "a mail at {at}", at=f"{day.at:%H:%M}")
    stopped = "stopped" if day.reason in _STOPPED else "none"
    kind = "off" if day.reason in DAY_OFF else stopped
    sign, words = _LEGEND[kind]
    return kind, sign.sign, t(*words)


# --- leave ----------------------------------------------------------------------------------------


def _leave_page(services: Services, faults: Mapping[str, Both] | None = None) -> str:
    today = clock.now().astimezone(myself().zone).date()
    return render_template(
        "leave.html",
        spans=LEAVE.owned(services, myself().email, today),
        workdays=WORKDAYS.owned(services, myself().email, today),
        faults=faults or {},
        typed=request.form,
        show_date=lambda day: show_date(day, current(), with_year=day.year != today.year),
    )


def _span() -> Span:
    """Raises ValuesRefused with all faults."""
    faults: list[tuple[str, Both]] = []
    first = _date("first", faults, needed=True)
    last = first if not request.form.get("last", "").strip() else _date("last", faults)
    if request.form.get("open_ended"):
        last = None
    name = request.form.get("name", "").strip()
    if len(name) > 200 or not name.isprintable():
        faults.append(("name", _NAME))
    if first is not None and last is not None and last < first:
        faults.append(("last", _ORDER))
    if faults or first is None:
        raise ValuesRefused(faults)
    return Span(first, last, name)


def _date(name: str, faults: list[tuple[str, Both]], *, needed: bool = False) -> date | None:
    text = request.form.get(name, "").strip()
    if not text and not needed:
        return None
    try:
        return read_date(text)
    except UnusableValue as error:
        faults.append((name, error.sentence if text else _EMPTY))
        return None


_EMPTY = Both("日付を入力してください。", "Choose a date.")
_ORDER = Both("最初の日より前です。", "It is before the first day.")
_NAME = Both("1行で200文字までにしてください。", "Make it one line of at most 200 characters.")
