"""`/u/<token>`: change or stop the mails that carry this link, or go on with them."""

from flask import Blueprint, abort, g, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from app import clock
from app.compose.text import inert
from app.links import BadToken, StopLink
from app.members import mail_preferences
from app.members.changes import Change
from app.members.mail_preferences import KEYS, Reminders
from app.models import Kind
from app.people.choices import FREQUENCY, WEEKDAY
from app.people.lookup import NoSuchMember
from app.people.values import ValuesRefused
from app.rules.hours import Frequency
from app.services import Services
from app.util.parse import narrow
from app.web.edited import Again, Edited, fresh
from app.web.locale import show_when
from app.web.mail_link import gone
from app.web.template_helpers import show_day
from app.why.reminder import next_reminder

_WANTED = {"stop": False, "restore": True}
_MAX_FIELD = 40  # characters; what browsers send for an hour or a date is shorter


def pages(services: Services) -> Blueprint:
    """The page to change and stop mails, also for the one-click stop of mail programs (RFC 8058).

    There is no CSRF token: the token in the address is the capability, no cookie is used, and
    a mail program has no form to take one from (see app/web/mail_link.py).
    """
    blueprint = Blueprint("stop", __name__)
    blueprint.register_error_handler(NoSuchMember, gone)

    @blueprint.route("/u/<token>", methods=["GET", "POST"])
    def stop(token: str) -> ResponseReturnValue:
        link = services.links.read_stop(token)
        if link.kind in mail_preferences.TEAM_MAILS:
            return _team_mails(services, link)
        if link.kind != Kind.REMINDER:
            raise BadToken
        member_id = link.member_id
        wish = _wish() if request.method == "POST" else ""
        reminders = mail_preferences.reminders(
            services, member_id, _WANTED.get(wish), now=clock.now()
        )
        g.locale = "en" if reminders.locale.startswith("en") else "ja"
        if wish == "change":
            return _change(services, member_id, reminders)
        if wish == "undo":
            typed = {key: _narrow(request.form[key]) for key in KEYS if key in request.form}
            try:
                mail_preferences.undo(services, member_id, typed, now=clock.now())
            except ValuesRefused:  # only a hand-made one
                abort(400)
        if reminders.frequency is Frequency.NONE:
            return _page("stop.html", reminders, wish=wish)
        return _form(services, member_id, reminders, wish=wish)

    @blueprint.route("/u/", methods=["GET", "POST"], strict_slashes=False)
    def without_token() -> ResponseReturnValue:
        raise BadToken

    return blueprint


def _team_mails(services: Services, link: StopLink) -> ResponseReturnValue:
    """The same for a mail about a team: this kind stops, or comes again."""
    wish = _wish() if request.method == "POST" else ""
    wanted = _WANTED.get(wish)
    found = mail_preferences.team_mails(
        services, link.member_id, link.kind, wanted, now=clock.now()
    )
    g.locale = "en" if found.locale.startswith("en") else "ja"
    return render_template(
        "stop_team.html", name=inert(found.name), kind=link.kind, wanted=found.wanted
    )


def _wish() -> str:
    """What was asked for: one of our own buttons, else to stop.

    RFC 8058 has `List-Unsubscribe=One-Click` in the body, but providers also send it as JSON, in
    other letters, cut, or not at all: a post to this address that names no button of its
    page wants the mails to stop.
    """
    try:
        form = request.form
    except HTTPException:  # too large, or not what its header says
        return "stop"
    wish = form.get("action", "")
    if wish in ("restore", "change", "undo") and "List-Unsubscribe" not in form:
        return wish
    return "stop"


def _narrow(text: str) -> str:
    return narrow(text[:_MAX_FIELD])


def _change(services: Services, member_id: int, reminders: Reminders) -> ResponseReturnValue:
    edited = Edited.of(KEYS, lambda name: _narrow(request.form[name]))
    try:
        done = mail_preferences.change_rhythm(
            services, member_id, edited.typed, now=clock.now(), was=edited.was
        )
    except ValuesRefused as error:
        again = edited.again(mail_preferences.rhythm_of(services, member_id, clock.now()), error)
        return _form(services, member_id, reminders, form=again, wish="change"), again.status
    return _form(services, member_id, reminders, done=done, wish="change")


def _form(
    services: Services,
    member_id: int,
    reminders: Reminders,
    *,
    wish: str,
    form: Again | None = None,
    done: list[Change] | None = None,
) -> str:
    now = clock.now()
    holds = mail_preferences.rhythm_of(services, member_id, now)
    form = form or fresh(holds)

    def coming(**changes: str) -> str:
        """When the next mail can come, were it so; "" when none is in sight."""
        at = next_reminder(services, member_id, now, changes)
        return show_when(at, str(at.tzinfo)) if at else ""

    return _page(
        "mails.html",
        reminders,
        wish=wish,
        holds=holds,
        typed=form.typed,
        was=form.was,
        faults=form.faults,
        done=done,
        coming=coming,
        frequencies=FREQUENCY,
        weekdays=WEEKDAY,
    )


def _page(template: str, reminders: Reminders, **words: object) -> str:
    return render_template(
        template,
        name=inert(reminders.name),
        frequency=reminders.frequency,
        show_day=show_day,
        **words,
    )
