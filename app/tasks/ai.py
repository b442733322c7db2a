"""DOOR. The ai queue."""

from celery import shared_task

from app import ai, clock
from app.celery_wiring import services


@shared_task(name="app.tasks.ai.heartbeat")
def heartbeat() -> str:
    """Shows that the ai queue is worked on."""
    return ai.heartbeat(services(), clock.now())
