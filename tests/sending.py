"""The outbox with the letters of the product handed in, as app/tick.py does it."""

from collections.abc import Callable, Sequence

from app import outbox
from app.letters import read_again
from app.outbox import Clock, Delivery, never
from app.services import Services


def deliver(
    services: Services, ids: Sequence[int], clock: Clock, stopped: Callable[[], bool] = never
) -> int:
    """Sends these mails alone; returns how many were accepted."""
    return outbox.deliver(services, read_again, ids, clock, stopped)


def send(
    services: Services,
    clock: Clock,
    stopped: Callable[[], bool] = never,
    *,
    first: Sequence[int] = (),
) -> Delivery:
    """Sends all that is ready."""
    return outbox.send(services, read_again, clock, stopped, first=first)
