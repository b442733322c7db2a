"""`/healthz`: 200 while mails go out and pages work, else 503 with the reasons, as JSON."""

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from app import clock
from app.monitoring import checks
from app.services import Services


def pages(services: Services) -> Blueprint:
    """The health page."""
    blueprint = Blueprint("health", __name__)

    @blueprint.get("/healthz")
    def healthz() -> ResponseReturnValue:
        reasons = _reasons(services)
        status = "unavailable" if reasons else "ok"
        return jsonify(status=status, reasons=reasons), 503 if reasons else 200

    return blueprint


def _reasons(services: Services) -> list[str]:
    """The names of what is the matter: `database`, or those of app/alerts/catalogue.py."""
    try:
        return checks.unwell(services, clock.now())
    except Exception:  # noqa: BLE001 - whatever the driver raises, health must answer
        return ["database"]
