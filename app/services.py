"""What every use case works with: settings, database, guard, links, and publishing to the mail queue."""

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.config import Config
from app.db import Database, Patience
from app.installation import Installation
from app.links import Links
from app.smtp.idle import IdleConnections
from app.util import crash_points
from app.util.rate import Limits
from app.util.redis_guard import SendGuard

Publish = Callable[[Sequence[int]], None]


@dataclass(frozen=True)
class Services:
    """Made once per process; opens no connection before it is used."""

    config: Config
    db: Database
    installation: Installation  # its id: what tells two installations apart
    guard: SendGuard
    links: Links
    limits: Limits
    idle: IdleConnections  # to the mail server, between two deliveries
    host: str  # this machine's name
    publish: Publish  # outbox ids -> queue `mail`; never raises, losing ids costs latency only

    def close(self) -> None:
        """Closes what it keeps open: the sessions to the mail server and the database."""
        self.idle.close()
        self.db.close()


def publish_nothing(_ids: Sequence[int]) -> None:
    """Without Celery the next tick delivers."""


def make(
    config: Config, publish: Publish = publish_nothing, patience: Patience | None = None
) -> Services:
    """The services for these settings; `patience`: with PostgreSQL."""
    crash_points.arm(config.crash_at)
    redis_url, scale = guard_url(config), config.test_time_scale
    db = Database(config.database_url, patience, scale)
    installation = Installation(db)
    return Services(
        config=config,
        db=db,
        installation=installation,
        guard=SendGuard(redis_url, installation.id, scale),
        links=Links(config),
        limits=Limits(redis_url, scale),
        idle=IdleConnections(),
        host=socket.gethostname(),
        publish=publish,
    )


def guard_url(config: Config) -> str | None:
    """The broker's Redis, or the result backend's where the broker is no Redis."""
    for url in (config.celery_broker_url, config.celery_result_backend):
        if url and url.startswith(("redis://", "rediss://", "unix://", "redis+socket://")):
            return url.replace("redis+socket://", "unix://")
    return None
