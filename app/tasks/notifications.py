"""DOOR. The mail queue: each job calls one use case; running one twice does no harm."""

import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from celery import current_app, shared_task

from app import clock, digest, outbox, reminders, timekeeping
from app.ai import early
from app.maintenance import behind, purge
from app.monitoring import alert_mails, checks, heartbeat_url, status
from app.queue import publishing
from app.tasks import turns
from app.tasks.ai import ask_for
from app.tasks.worker import services
from app.util import log_stream

log = logging.getLogger(__name__)

# A mail whose id was queued this recently is left to that message; the sweep takes the others.
ON_THE_QUEUE = timedelta(seconds=30)

# Seconds in which a delivery begins further mails; then it gives its process to what waits on the
# queue, and is poked again. A tick's message lives for 50 s. The last mail may take 90 s to its dot
# and 600 s to the answer, all below the hard limit of a job (JOB_SECONDS).
SEND_WITHIN = 20.0

# Seconds of deciding in one tick; then its other work is done, and another tick goes on. With one
# process a sign-in mail waits so long.
PLAN_WITHIN = 5.0
PLANNING = "planning"  # the turn: two ticks at once would leave no process to send
PLANNING_LASTS = timedelta(seconds=30)  # of one that dies in its turn

_alarm = publishing.Alarm()


def _may_work(now: datetime) -> bool:
    """Asked before anything is planned: of the clock, and of a database that was put back."""
    if not timekeeping.may_work(services(), now):
        return False
    behind.mark_if_behind(services(), now)
    return True


def _over(seconds: float) -> Callable[[], bool]:
    end = time.monotonic() + seconds * services().config.test_time_scale
    return lambda: time.monotonic() > end


@shared_task(name="app.tasks.notifications.daily_progress_reminder", ignore_result=True)
def daily_progress_reminder(*, only_due: bool = False) -> None:
    """Reminds everybody who has not been today; `only_due`: only those whose hour has come."""
    now = clock.now()
    if not _may_work(now):
        return
    if only_due:
        reminders.plan(services(), now, publish=services().publish)
    else:
        reminders.remind(services(), now=now)


@shared_task(name="app.tasks.notifications.weekly_progress_digest", ignore_result=True)
def weekly_progress_digest(*, only_due: bool = False) -> None:
    """Sends each lead the week, today's if it was not sent; `only_due`: only where it is time."""
    now = clock.now()
    if not _may_work(now):
        return
    if only_due:
        services().publish(digest.plan(services(), now).ids)
    else:
        services().publish(digest.digests_now(services(), now))


@shared_task(name=publishing.TICK, ignore_result=True)
def tick() -> None:
    """Each minute: decide for those whose hour has come, sweep, and queue what is to be sent."""
    now = clock.now()
    with heartbeat_url.told_of(services(), now):
        believed = _may_work(now)
        left = believed and _work(now)
        checks.look(services(), now)
        alert_mails.tell(services(), now)
        if believed:
            purge.forget_bodies(services(), now)
    if left:
        publishing.tick_again(current_app)
    if believed:
        _ask_the_ai(now)


def _work(now: datetime) -> bool:
    """Decides, sweeps and signs; True when members or leads are left over."""
    left = _decide(now)
    fresh = ON_THE_QUEUE * services().config.test_time_scale
    services().publish(outbox.sweep(services(), now, fresh=fresh))
    status.sign_of_life(services(), status.TICK, now, log_written=log_stream.written())
    return left


def _decide(now: datetime) -> bool:
    """Decides for PLAN_WITHIN; True when members or leads are left over."""
    lasts = PLANNING_LASTS * services().config.test_time_scale
    with turns.of(services(), PLANNING, now, lasts) as mine:
        if not mine:
            return False
        over = _over(PLAN_WITHIN)
        digest.look_for_leads(services(), now)
        planned = reminders.plan(services(), now, publish=services().publish, stopped=over)
        # After the reminders: none waits for it.
        led = digest.plan(services(), now, stopped=over)
        services().publish(led.ids)
        return planned.left or led.left


def _ask_the_ai(now: datetime) -> None:
    """Last of all, when every mail of this minute is on its way; whatever breaks, only that does."""
    try:
        ask_for(early.ahead(services(), now))
    except Exception as error:  # noqa: BLE001 - a recap is never worth a tick
        log.warning("no recap can be asked for: %s", type(error).__name__)


@shared_task(name=publishing.DELIVER, ignore_result=True)
def deliver(ids: list[int]) -> None:
    """Sends what is ready, these outbox mails first (but for those that somebody waits for).

    With a clock in doubt only alerts and sign-in links.
    """
    now = clock.now()
    if timekeeping.doubted(services(), now) is not None:
        outbox.deliver(services(), outbox.urgent(services(), now), clock.now, _over(SEND_WITHIN))
        return
    behind.mark_if_behind(services(), now)
    outcome = outbox.send(services(), clock.now, _over(SEND_WITHIN), first=ids)
    if outcome.more:
        publishing.poke(current_app)
        return
    now = clock.now()
    hour = outbox.next_hour(services(), now)
    if hour is not None and hour - now <= publishing.ALARM_WITHIN:
        _alarm.set(current_app, hour - now)
