"""`/`: what this is and where to go."""

from flask import Blueprint, render_template

from app.services import Services


def pages(services: Services) -> Blueprint:
    """The first page."""
    blueprint = Blueprint("home", __name__)

    @blueprint.get("/")
    def index() -> str:
        return render_template("home.html", mailbox=services.config.local_mailbox)

    return blueprint
