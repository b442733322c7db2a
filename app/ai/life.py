"""The sign of life that shows that the ai queue is worked on."""

from datetime import datetime

from app.monitoring.status import sign_of_life
from app.services import Services

HEARTBEAT = "ai"


def heartbeat(services: Services, now: datetime) -> str:
    """Notes that the ai worker is alive; returns the instant noted, ISO 8601."""
    sign_of_life(services, HEARTBEAT, now)
    return now.isoformat()
