"""`/settings`: how and when mails come, and in which browsers one is signed in."""

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from app import clock
from app.access import sessions
from app.services import Services
from app.web.access import myself, signed_in


def pages(services: Services) -> Blueprint:
    """The settings of whoever is signed in."""
    blueprint = Blueprint("settings", __name__)

    @blueprint.get("/settings")
    @signed_in
    def index() -> ResponseReturnValue:
        browsers = sessions.number(services, myself(), clock.now())
        return render_template("settings.html", browsers=browsers)

    return blueprint
