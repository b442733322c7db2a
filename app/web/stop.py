"""`/u/<token>`: stop the mails that carry this link, or go on with them."""

from flask import Blueprint, abort, g, render_template, request
from flask.typing import ResponseReturnValue

from app import clock
from app.auth import BadToken
from app.compose.text import inert
from app.members import choices
from app.members.settings import NoSuchMember
from app.models import Kind
from app.services import Services


def pages(services: Services) -> Blueprint:
    """The stop page, also for the one-click stop of mail programs (RFC 8058).

    There is no CSRF token: the token in the address is the capability, no cookie is used, and
    a mail program has no form to take one from.
    """
    blueprint = Blueprint("stop", __name__)

    @blueprint.route("/u/<token>", methods=["GET", "POST"])
    def stop(token: str) -> ResponseReturnValue:
        member_id = _member_id(services, token)
        wish = _wish() if request.method == "POST" else ""
        try:
            reminders = _act(services, member_id, wish)
        except NoSuchMember:
            return render_template("report_closed.html", why="gone"), 410
        g.locale = "en" if reminders.locale.startswith("en") else "ja"
        name = inert(reminders.name)
        return render_template("stop.html", name=name, frequency=reminders.frequency, wish=wish)

    return blueprint


def _member_id(services: Services, token: str) -> int:
    try:
        link = services.links.read_stop(token)
    except BadToken:
        abort(404)
    if link.kind != Kind.REMINDER:
        abort(404)
    return link.member_id


def _wish() -> str:
    """What was asked for: our own button, or a mail program's one click. Else 400."""
    if request.form.get("List-Unsubscribe") == "One-Click":
        return "stop"
    wish = request.form.get("action", "")
    if wish not in ("stop", "restore"):
        abort(400)
    return wish


def _act(services: Services, member_id: int, wish: str) -> choices.Reminders:
    if wish == "stop":
        return choices.stop_reminders(services, member_id, now=clock.now())
    if wish == "restore":
        return choices.restore_reminders(services, member_id, now=clock.now())
    return choices.reminders_of(services, member_id)
