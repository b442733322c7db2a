"""Jobs of the queue `mail`: each calls one use case; running one twice does no harm."""

import time
from collections.abc import Callable
from datetime import timedelta

from celery import current_app, shared_task

from app import clock, digest, outbox, reminders, tick
from app.queue import db_lock, publishing
from app.tasks.ai import ask_for
from app.tasks.worker import services
from app.util import log_stream

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

_alarm = publishing.NextMailTimer()


def _over(seconds: float) -> Callable[[], bool]:
    end = time.monotonic() + seconds * services().config.test_time_scale
    return lambda: time.monotonic() > end


@shared_task(name="app.tasks.notifications.daily_progress_reminder", ignore_result=True)
def daily_progress_reminder(*, only_due: bool = False) -> None:
    """Reminds all members not reminded today; `only_due`: only those whose hour has come."""
    now = clock.now()
    if not tick.may_work(services(), now):
        return
    if only_due:
        reminders.plan(services(), now, publish=services().publish)
    else:
        reminders.remind(services(), now=now)


@shared_task(name="app.tasks.notifications.weekly_progress_digest", ignore_result=True)
def weekly_progress_digest(*, only_due: bool = False) -> None:
    """Sends each lead the week, today's if it was not sent; `only_due`: only where it is time."""
    now = clock.now()
    if not tick.may_work(services(), now):
        return
    digest.find_leads(services(), now)
    if only_due:
        services().publish(digest.plan(services(), now).ids)
    else:
        services().publish(digest.digests_now(services(), now))


@shared_task(name=publishing.TICK, ignore_result=True)
def run_tick() -> None:
    """Each minute: decide for those whose hour has come, sweep, and queue what is to be sent."""
    now, scale = clock.now(), services().config.test_time_scale
    ticked = tick.run(
        services(),
        now,
        my_turn=db_lock.of(services(), PLANNING, now, PLANNING_LASTS * scale),
        within=PLAN_WITHIN * scale,
        fresh=ON_THE_QUEUE * scale,
        log_written=log_stream.written,
        ask_for=ask_for,
    )
    if ticked.left:
        publishing.tick_again(current_app)


@shared_task(name=publishing.DELIVER, ignore_result=True)
def deliver(ids: list[int]) -> None:
    """Sends what is ready, these outbox mails first (but for those that a person waits for).

    With a clock in doubt only alerts and sign-in links.
    """
    sent = tick.deliver(services(), clock.now, _over(SEND_WITHIN), first=ids)
    if sent.more:
        publishing.poke(current_app)
        return
    now = clock.now()
    hour = outbox.next_hour(services(), now)
    if hour is not None and hour - now <= publishing.ALARM_WITHIN:
        _alarm.set(current_app, hour - now)
