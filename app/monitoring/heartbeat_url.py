"""HEARTBEAT_URL: called after every tick, so that a service elsewhere notices when none comes.

A good tick calls the address, a bad one the same address with `/fail` behind its path. Bad is what
`/healthz` calls unwell, and a tick that broke. A person who has the address can pretend that all is
well, so no log and no error shows it.
"""

import http.client
import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from urllib.parse import SplitResult, urlsplit

from sqlalchemy import or_

from app.db import DatabaseDown
from app.models import Service
from app.monitoring import checks
from app.queue import turns
from app.services import Services
from app.util.tls import client_context

ANSWER_WITHIN = 5.0  # seconds for each step: connection, TLS, answer
OVER_WITHIN = 10.0  # seconds for all of it; a command's end waits so long at most
TOLD = "heartbeat_url"  # its row in `service`: when it was called last
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


def connection(url: str, seconds: float) -> http.client.HTTPConnection:
    """To the server of this address; certificates are verified. Nothing has been sent yet."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    if parts.scheme == "https":
        context = client_context()
        return http.client.HTTPSConnection(host, port, timeout=seconds, context=context)
    return http.client.HTTPConnection(host, port, timeout=seconds)


def _ping(services: Services, now: datetime, *, broke: bool) -> None:
    url = services.config.heartbeat_url
    if url is not None:
        # Not a daemon: a command that ends waits for it, for OVER_WITHIN at most.
        about = (services, url, now, broke)
        threading.Thread(target=_bounded, args=about, name="heartbeat-url").start()


def _bounded(services: Services, url: str, now: datetime, broke: bool) -> None:
    """Ends after OVER_WITHIN, whatever a database, a name server or a server that drips does."""
    server = connection(url, ANSWER_WITHIN * services.config.test_time_scale)
    about = (services, url, server, now, broke)
    tells = threading.Thread(target=_told, args=about, daemon=True)
    tells.start()
    tells.join(OVER_WITHIN * services.config.test_time_scale)
    if tells.is_alive() and server.sock is not None:  # it drips: the thread must not stay
        with suppress(OSError):
            server.sock.shutdown(socket.SHUT_RDWR)


def _told(
    services: Services, url: str, server: http.client.HTTPConnection, now: datetime, broke: bool
) -> None:
    try:
        if _first_this_minute(services, now, broke=broke):
            good = not broke and not checks.unwell(services, now)
            code = _ask(url, server, good=good)
            if code >= 300:
                log.warning("HEARTBEAT_URL answers HTTP %d", code)
    except Exception as error:  # noqa: BLE001 - it must not break anything; its text may show the address
        log.warning("HEARTBEAT_URL is not told of this tick: %s", type(error).__name__)


def _first_this_minute(services: Services, now: datetime, *, broke: bool) -> bool:
    """True for the one tick of this minute that may tell, of all processes and machines.

    By the clock's minutes, as beat ticks: 60 seconds since the last one would leave out every tick
    that comes a little sooner than the one before. A row of the future is a clock set back.
    """
    minute = now.replace(second=0, microsecond=0)
    earlier = or_(Service.at < minute, Service.at >= minute + MINUTE)
    try:
        with services.db.write() as session:
            return turns.take(session, TOLD, now, earlier)
    except DatabaseDown:
        # The programs cannot agree on one caller, and this must be reported. Twice does no harm.
        return broke


def _ask(url: str, server: http.client.HTTPConnection, *, good: bool) -> int:
    """The HTTP status of the answer. Raises OSError, HTTPException."""
    try:
        headers = {"User-Agent": "task-progress", "Connection": "close"}
        server.request("GET", _target(urlsplit(url), good=good), headers=headers)
        return server.getresponse().status
    finally:
        server.close()


def _target(url: SplitResult, *, good: bool) -> str:
    """Path and query; a bad tick's path ends in /fail."""
    path = url.path or "/"
    if not good:
        path = path.rstrip("/") + "/fail"
    return f"{path}?{url.query}" if url.query else path
