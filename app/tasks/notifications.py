"""DOOR. The mail queue: each job calls one use case; running one twice does no harm."""

import logging
import time
from datetime import datetime, timedelta

from celery import shared_task

from app import clock, digest, outbox, reminders, status
from app.ai import early
from app.alerts import heartbeat, tell, watch
from app.care import purge
from app.celery_wiring import DELIVER, services
from app.tasks.ai import ask_for
from app.util import log_stream

log = logging.getLogger(__name__)

# A mail whose id was queued this recently is left to that message; the sweep takes the others.
ON_THE_QUEUE = timedelta(seconds=30)

# Seconds in which a delivery begins further mails; the last one may take 90 s to its dot and 600 s
# to the answer, all below the hard limit of a job (JOB_SECONDS).
BEGIN_WITHIN = 120.0


@shared_task(name="app.tasks.notifications.daily_progress_reminder", ignore_result=True)
def daily_progress_reminder(*, only_due: bool = False) -> None:
    """Reminds everybody who has not been today; `only_due`: only those whose hour has come."""
    now = clock.now()
    if only_due:
        reminders.plan(services(), now, publish=services().publish)
    else:
        reminders.remind(services(), now=now)


@shared_task(name="app.tasks.notifications.weekly_progress_digest", ignore_result=True)
def weekly_progress_digest(*, only_due: bool = False) -> None:
    """Sends each lead the week, today's if it was not sent; `only_due`: only where it is time."""
    now = clock.now()
    if only_due:
        services().publish(digest.plan(services(), now).ids)
    else:
        services().publish(digest.digests_now(services(), now))


@shared_task(name="app.tasks.notifications.tick", ignore_result=True)
def tick() -> None:
    """Each minute: decide for those whose hour has come, sweep, and queue what is to be sent."""
    now = clock.now()
    with heartbeat.told_of(services(), now):
        digest.look_for_leads(services(), now)
        reminders.plan(services(), now, publish=services().publish)
        # After the reminders: none waits for it.
        services().publish(digest.plan(services(), now).ids)
        fresh = ON_THE_QUEUE * services().config.test_time_scale
        services().publish(outbox.sweep(services(), now, fresh=fresh))
        status.sign_of_life(services(), status.TICK, now, log_written=log_stream.written())
        watch.look(services(), now)
        tell.tell(services(), now)
        purge.forget_bodies(services(), now)
    _ask_the_ai(now)


def _ask_the_ai(now: datetime) -> None:
    """Last of all, when every mail of this minute is on its way; whatever breaks, only that does."""
    try:
        ask_for(early.ahead(services(), now))
    except Exception as error:  # noqa: BLE001 - a recap is never worth a tick
        log.warning("no recap can be asked for: %s", type(error).__name__)


@shared_task(name=DELIVER, ignore_result=True)
def deliver(ids: list[int]) -> None:
    """Sends these outbox mails, as far as they are still to be sent."""
    over = time.monotonic() + BEGIN_WITHIN * services().config.test_time_scale
    outbox.deliver(services(), ids, clock.now, lambda: time.monotonic() > over)
