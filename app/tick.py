"""One tick: what the product does each minute, in order. The worker's job and the command call it.

    look for leads -> plan reminders -> plan digests and escalations -> sweep -> heartbeat
    -> checks -> alert mails -> forget the text of old mails -> ask for recaps

What is due is decided before anything is swept; the heartbeat says that both were done; and alarms
are looked for even while a clock in doubt lets nothing be decided.
"""

import logging
import math
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta

from app import clock_trust, digest, outbox, reminders
from app.ai import prefetch
from app.letters import read_again
from app.maintenance import purge, rollback
from app.members import token_notices
from app.models import TICK
from app.monitoring import alert_mails, checks, heartbeat_url, status
from app.outbox import Clock, Delivery, never
from app.reminders import Planned
from app.services import Services

log = logging.getLogger(__name__)

_ALWAYS = nullcontext(enter_result=True)

Recaps = Iterable[tuple[int, str]]  # a lead's id, and a week like 2026-W47


@dataclass(frozen=True, slots=True)
class Ticked:
    """What one tick did.

    `planned`: None while the clock of this machine is in doubt. `left`: members or leads whose hour
    has come are not decided yet, and another tick shall go on.
    """

    planned: Planned | None
    left: bool = False


def run(
    services: Services,
    now: datetime,
    *,
    my_turn: AbstractContextManager[bool] = _ALWAYS,
    within: float | None = None,
    fresh: timedelta = timedelta(),
    heartbeats: Sequence[str] = (TICK,),
    log_written: Callable[[], bool] | None = None,
    ask_for: Callable[[Recaps], None] | None = None,
) -> Ticked:
    """Decides for those whose hour has come, and does what else each minute brings.

    Nothing is decided unless it is `my_turn`, nor anything further after `within` seconds. What was
    queued less than `fresh` ago is left to its message. `heartbeats`: the parts whose heartbeat
    this tick renews.
    """
    with heartbeat_url.ping(services, now):
        ticked = Ticked(None)
        if may_work(services, now):
            with my_turn as mine:
                ticked = decide(services, now, within=within) if mine else Ticked(Planned())
            services.publish(outbox.sweep(services, now, fresh=fresh))
            data = {} if log_written is None else {"log_written": log_written()}
            for name in heartbeats:
                status.note_heartbeat(services, name, now, **data)
        checks.run(services, now)
        alert_mails.notify_admins(services, now)
        token_notices.notify_owners(services, now)
        if ticked.planned is not None:
            purge.forget_bodies(services, now)
            purge.forget_calls(services, now)
            purge.forget_uploads(services, now)
    if ticked.planned is not None and ask_for is not None:
        # Last of all, when every mail of this minute is on its way; whatever breaks, only that does.
        try:
            ask_for(prefetch.ahead(services, now))
        except Exception as error:  # noqa: BLE001 - a recap is never worth a tick
            log.warning("no recap can be asked for: %s", type(error).__name__)
    return ticked


def may_work(services: Services, now: datetime) -> bool:
    """Asked before anything is planned: may the clock be believed? Marks a database that was put
    back.
    """
    if not clock_trust.may_work(services, now):
        return False
    rollback.mark_if_behind(services, now)
    return True


def rehearse(services: Services, moment: datetime, real_now: datetime) -> Ticked:
    """Decides as of `moment`, an instant that is played; everything else sees the real clock."""
    ticked = decide(services, moment, real_now=real_now)
    services.publish(outbox.sweep(services, real_now))
    return ticked


def decide(
    services: Services,
    now: datetime,
    *,
    real_now: datetime | None = None,
    within: float | None = None,
) -> Ticked:
    """The decisions alone: reminders, then the mails about teams, for which no reminder waits."""
    end = time.monotonic() + (math.inf if within is None else within)

    def stopped() -> bool:
        return time.monotonic() > end

    digest.find_leads(services, now)
    planned = reminders.plan(
        services, now, real_now=real_now, publish=services.publish, stopped=stopped
    )
    led = digest.plan(services, now, real_now=real_now, stopped=stopped)
    services.publish(led.ids)
    return Ticked(planned, planned.left or led.left)


def deliver(
    services: Services,
    clock: Clock,
    stopped: Callable[[], bool] = never,
    *,
    first: Sequence[int] = (),
) -> Delivery:
    """Sends what is ready, `first` before the rest (but for what a person waits for).

    With a clock in doubt only alerts and sign-in links.
    """
    now = clock()
    if clock_trust.doubted(services, now) is None:
        rollback.mark_if_behind(services, now)
        return outbox.send(services, read_again, clock, stopped, first=first)
    urgent = outbox.urgent(services, now)
    return Delivery(outbox.deliver(services, read_again, urgent, clock, stopped), more=False)
