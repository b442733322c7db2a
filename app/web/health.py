"""What monitors ask for: `/healthz`, 200 or 503 with the reasons, and `/metrics`, for Prometheus.

Both name no person and need no sign-in.
"""

from flask import Blueprint, Response, jsonify
from flask.typing import ResponseReturnValue

from app import clock
from app.locale import Both
from app.monitoring import checks, metrics_page
from app.monitoring.metrics_queries import MetricsReading
from app.services import Services
from app.web.origin import plain

_DOWN = Both(
    "データベースを読めないため、数値を出せません。",
    "The database cannot be read: there are no figures.",
)


def pages(services: Services) -> Blueprint:
    """The pages for monitors."""
    blueprint = Blueprint("health", __name__)
    reading = MetricsReading(services)

    @blueprint.get("/healthz")
    def healthz() -> ResponseReturnValue:
        """The names of what is the matter: `database`, or those of app/alerts/catalogue.py."""
        try:
            reasons = checks.unwell(services, clock.now())
        except Exception:  # noqa: BLE001 - whatever the driver raises, health must answer
            reasons = ["database"]
        status = "unavailable" if reasons else "ok"
        return jsonify(status=status, reasons=reasons), 503 if reasons else 200

    @blueprint.get("/metrics")
    def metrics() -> Response:
        found = reading.facts(clock.now())
        if found is None:
            return plain(_DOWN, 503)
        return Response(metrics_page.text(found), content_type=metrics_page.CONTENT_TYPE)

    return blueprint
