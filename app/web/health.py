"""`/healthz`: 200 when this process can work, else 503 with the reasons, as JSON."""

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from app.services import Services


def pages(services: Services) -> Blueprint:
    """The health page."""
    blueprint = Blueprint("health", __name__)

    @blueprint.get("/healthz")
    def healthz() -> ResponseReturnValue:
        reasons = [] if _database_answers(services) else ["database"]
        status = "unavailable" if reasons else "ok"
        return jsonify(status=status, reasons=reasons), 503 if reasons else 200

    return blueprint


def _database_answers(services: Services) -> bool:
    try:
        services.db.engine.connect().close()  # a pooled one is tried before it is handed out
    except Exception:  # noqa: BLE001 - whatever the driver raises, health must answer
        return False
    return True
