"""HEARTBEAT_URL: called after every tick, so that a service elsewhere notices when none comes.

A good tick calls the address, a bad one the same address with `/fail` behind its path. Bad is what
`/healthz` calls unwell, and a tick that broke. A person who has the address can pretend that all is
well, so no log and no error shows it.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from sqlalchemy import or_

from app.db import DatabaseDown
from app.models import Service
from app.monitoring import checks
from app.queue import db_lock
from app.services import Services
from app.util.http import HttpError

ANSWER_WITHIN = 5.0  # seconds for the call
# Seconds for all of it, the database included; a command's end waits so long at most.
OVER_WITHIN = 10.0
ROW = "heartbeat_url"  # its row in `service`: when it was called last
MINUTE = timedelta(minutes=1)

log = logging.getLogger(__name__)


@contextmanager
def ping(services: Services, now: datetime) -> Iterator[None]:
    """Around the work of one tick: calls HEARTBEAT_URL with the result, in a thread of its own.

    Nothing is waited for and nothing raised but what the tick itself raises.
    """
    try:
        yield
    except Exception:
        _ping(services, now, broke=True)
        raise
    _ping(services, now, broke=False)


def _ping(services: Services, now: datetime, *, broke: bool) -> None:
    url = services.config.heartbeat_url
    if url is not None:
        # Not a daemon: a command that ends waits for it, for OVER_WITHIN at most.
        about = (services, url, now, broke)
        threading.Thread(target=_bounded, args=about, name="heartbeat-url").start()


def _bounded(services: Services, url: str, now: datetime, broke: bool) -> None:
    """Ends after OVER_WITHIN, whatever the database does."""
    call = threading.Thread(target=_call, args=(services, url, now, broke), daemon=True)
    call.start()
    call.join(OVER_WITHIN * services.config.test_time_scale)


def _call(services: Services, url: str, now: datetime, broke: bool) -> None:
    try:
        if _first_this_minute(services, now, broke=broke):
            good = not broke and not checks.unwell(services, now)
            parts = urlsplit(url)
            fail = parts._replace(path=f"{parts.path.rstrip('/')}/fail").geturl()
            config = services.config
            within = ANSWER_WITHIN * config.test_time_scale
            code = config.http.request("GET", url if good else fail, within=within).status
            if code >= 300:
                log.warning("HEARTBEAT_URL answers HTTP %d", code)
    except HttpError as error:
        log.warning("HEARTBEAT_URL is not told of this tick: %s", error.kind)
    except Exception as error:  # noqa: BLE001 - it must not break anything
        log.warning("HEARTBEAT_URL is not told of this tick: %s", type(error).__name__)


def _first_this_minute(services: Services, now: datetime, *, broke: bool) -> bool:
    """True for the one tick of this minute that may call, of all processes and machines.

    By the clock's minutes, as beat ticks: 60 seconds since the last one would leave out every tick
    that comes a little sooner than the one before. A row of the future is a clock set back.
    """
    minute = now.replace(second=0, microsecond=0)
    earlier = or_(Service.at < minute, Service.at >= minute + MINUTE)
    try:
        with services.db.write() as session:
            return db_lock.take(session, ROW, now, earlier)
    except DatabaseDown:
        # The programs cannot agree on one caller, and this must be reported. Twice does no harm.
        return broke
