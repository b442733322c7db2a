"""Faults of one machine: its Redis is away or shared with another installation, its disk is full.

No other machine can see them, so each running program looks, and what it finds stands in `service`
under the machine's name; app/monitoring/checks.py and `/metrics` read it there. A disk may be too
full for that row: `/healthz` and `status` look at their own disk as well.
"""

import logging
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import redis
from sqlalchemy import delete, or_, select
from sqlalchemy.orm import Session

from app.alerts.catalogue import Alarm
from app.clock_trust import ticks
from app.db import put
from app.identity import known_settings, sentences
from app.models import Service
from app.oauth.account import secret_ends
from app.services import Services, guard_url
from app.util import shared_redis

log = logging.getLogger(__name__)

# Rows `redis_away@host` and so on.
REDIS, SHARED, DISK = str(Alarm.REDIS), str(Alarm.REDIS_SHARED), str(Alarm.DISK)
SERVER, LOGIN = str(Alarm.MAIL_SERVER_CHANGED), str(Alarm.LOGIN_ENDS)
WHAT = (REDIS, SHARED, DISK, SERVER, LOGIN)
# Another program of this machine, with other settings, cannot take it back: it grows old.
FADES = frozenset({SERVER})
ROOM = 200 * 1024 * 1024  # bytes; with less the database and the log may soon not be written
AWAY_FOR = timedelta(minutes=5)
SAID_EVERY = timedelta(minutes=1)
LOGIN_ENDS_WITHIN = timedelta(days=30)
FRESH = timedelta(minutes=5)  # a machine that says nothing any more is not asked about its disk


@dataclass(frozen=True, slots=True)
class MachineTrouble:
    """One machine's."""

    what: str  # one of WHAT
    machine: str
    since: datetime
    facts: Mapping[str, Any]


def here(services: Services, now: datetime) -> dict[str, dict[str, Any]]:
    """What is wrong with this machine now, with its facts. Waits half a second for Redis that is
    away. Raises DatabaseDown.
    """
    found: dict[str, dict[str, Any]] = disk_here(services)
    ends = secret_ends(services.config)
    if ends is not None and ends - now.date() <= LOGIN_ENDS_WITHIN:
        found[LOGIN] = {"day": ends.isoformat()}
    known = known_settings.compare_with_database(services).known_server
    if known is not None:
        found[SERVER] = {"known": known, "server": known_settings.server(services.config)}
    answers = services.guard.answers()
    if answers is False:
        found[REDIS] = {}
    elif answers and (others := others_on_redis(services)):
        found[SHARED] = {"others": others}
    return found


def others_on_redis(services: Services) -> list[str]:
    """The other installations that use this Redis; says that this one does, with its count of ticks.

    Raises DatabaseDown.
    """
    url = guard_url(services.config)
    if url is None:
        return []
    ours = services.installation.id()
    with services.db.read() as session:
        counted = ticks.counted(session)
    try:
        with shared_redis.connect(url) as client:
            shared_redis.note(client, ours, services.config.app_base_url, counted)
            return shared_redis.others(client, ours)
    except redis.exceptions.NoPermissionError:
        _warn_of_old_rights()
    except redis.RedisError as error:  # it went away just now
        log.info("who else uses this Redis cannot be asked: %s", type(error).__name__)
    return []


@cache
def _warn_of_old_rights() -> None:
    """Once in each process; `doctor` says it as often as it is asked."""
    what, fix = sentences.old_rights()
    log.warning("%s %s", what.en, fix.en)


def disk_here(services: Services) -> dict[str, dict[str, Any]]:
    """{} while the disk of DATA_DIR has room."""
    free = room(services.config.data_dir)
    return {DISK: {"free_mb": free // 2**20}} if free is not None and free < ROOM else {}


def room(folder: Path) -> int | None:
    """Free bytes of the folder's disk; None where the folder cannot be looked at."""
    with suppress(OSError):
        return shutil.disk_usage(folder).free
    return None


def note(services: Services, now: datetime) -> None:
    """Writes down what is wrong here, once a minute, and takes back what is mended.

    Raises DatabaseDown.
    """
    found = here(services, now)
    with services.db.read() as session:
        names = {what: f"{what}@{services.host[:60]}" for what in WHAT}
        rows = {what: session.get(Service, name) for what, name in names.items()}
    over = [
        names[what]
        for what, row in rows.items()
        if row is not None and what not in FADES.union(found)
    ]
    new = {what: _new(rows[what], facts, now) for what, facts in found.items()}
    new = {what: data for what, data in new.items() if data is not None}
    if not (over or new):
        return
    with services.db.write() as session:
        session.execute(delete(Service).where(Service.name.in_(over)))
        for what, data in new.items():
            put(session, Service, {"name": names[what]}, {"at": now, "data": data})


def troubles(session: Session, now: datetime) -> Iterator[MachineTrouble]:
    """What machines have said of themselves lately."""
    ours = or_(*(Service.name.startswith(f"{what}@") for what in WHAT))
    for row in session.scalars(select(Service).where(ours).order_by(Service.name)):
        what, _, machine = row.name.partition("@")
        if now - row.at < FRESH:
            since = datetime.fromisoformat(row.data["since"])
            yield MachineTrouble(what, machine, since, row.data)


def _new(row: Service | None, facts: Mapping[str, Any], now: datetime) -> dict[str, Any] | None:
    """What to write; None where the row says it already."""
    if row is None or now - row.at >= FRESH:
        return {**facts, "since": now.isoformat()}
    if now - row.at < SAID_EVERY:
        return None
    return {**facts, "since": row.data["since"]}
