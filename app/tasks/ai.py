"""Jobs of the queue `ai`. No mail waits for any of them."""

import logging
from collections.abc import Iterable

from celery import shared_task

from app import clock
from app.ai import recap, recap_store
from app.monitoring.status import note_heartbeat
from app.queue.publishing import AWAY
from app.tasks.worker import services

log = logging.getLogger(__name__)

HEARTBEAT = "ai"  # a row to look at; alarms go by the worker's own, `worker-ai@host`
MESSAGE_EXPIRES = 55  # seconds; the next tick asks again for what is still wanted


@shared_task(name="app.tasks.ai.heartbeat")
def heartbeat() -> str:
    """Shows that the ai queue is worked on; what was kept long enough goes. Returns when, ISO 8601."""
    now = clock.now()
    recap_store.purge(services(), now)
    note_heartbeat(services(), HEARTBEAT, now)
    return now.isoformat()


@shared_task(name="app.tasks.ai.summarize_week")
def summarize_week(team_id: int, iso_week: str) -> str:
    """Has the week of a lead's team summed up: the lead's id, and a week like 2026-W47."""
    return recap.summarize(services(), team_id, iso_week, clock.now)


def ask_for(wanted: Iterable[tuple[int, str]]) -> None:
    """Puts these on the queue; Redis away costs nothing but the recap."""
    for team_id, iso_week in wanted:
        try:
            summarize_week.apply_async(
                (team_id, iso_week),
                retry=False,
                expires=MESSAGE_EXPIRES * services().config.test_time_scale,
            )
        except AWAY as error:
            log.warning("Redis is away, recaps wait: %s", type(error).__name__)
            return
