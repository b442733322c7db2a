"""`/metrics`: the figures for Prometheus; 503 with a word while the database cannot be read."""

from flask import Blueprint, Response

from app import clock
from app.locale import Both
from app.monitoring import metrics_page
from app.monitoring.metrics import MetricsReading
from app.services import Services

_DOWN = Both(
    "データベースを読めないため、数値を出せません。",
    "The database cannot be read: there are no figures.",
)


def pages(services: Services) -> Blueprint:
    """The page for Prometheus. Like `/healthz` it names no person and needs no sign-in."""
    blueprint = Blueprint("metrics", __name__)
    reading = MetricsReading(services)

    @blueprint.get("/metrics")
    def metrics() -> Response:
        facts = reading.facts(clock.now())
        if facts is None:
            words = f"{_DOWN.ja}\n{_DOWN.en}\n"
            return Response(words, status=503, mimetype="text/plain")
        return Response(metrics_page.text(facts), content_type=metrics_page.CONTENT_TYPE)

    return blueprint
