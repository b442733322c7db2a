"""The start of a worker and of beat: the checks they make, their services, their heartbeat."""

import logging
import os
import sys
from functools import partial
from typing import Any, NoReturn

from celery import current_app, signals
from celery.worker import state

from app import schema
from app.config import load_or_exit
from app.db import SENDERS, DatabaseDown
from app.identity import known_settings
from app.locale import Both
from app.monitoring import status
from app.monitoring.heartbeat import Heartbeat
from app.monitoring.watchdog import Watchdog
from app.queue import publishing, redis_cluster
from app.queue.application import transport_options
from app.services import Services, guard_url, make
from app.util import forking, shared_redis

log = logging.getLogger(__name__)

# By process id, as connections do not survive a fork. The parent's stay here too: SQLite must not
# close in the child what it opened in the parent (sqlite.org, "How To Corrupt", 2.6).
_services: dict[int, Services] = {}


@signals.celeryd_init.connect(weak=False)
def _own_unacked_keys(conf: Any = None, options: dict[str, Any] | None = None, **_: object) -> None:
    queues = (options or {}).get("queues") or "mail"
    name = "-".join(sorted(queues if isinstance(queues, list) else str(queues).split(",")))
    scale = services().config.test_time_scale
    conf.broker_transport_options = transport_options(name, scale)


@signals.worker_init.connect(weak=False)
def _database_is_ours(**_: object) -> None:
    """A database that is not there yet, or of another version, ends the worker: the unit starts
    it again, until `db upgrade` has run.
    """
    from app.tasks import messages  # noqa: PLC0415 - Celery's consumer: of a worker alone

    try:
        _check()
        messages.know_ours(services().installation.id)
    except schema.SchemaError as error:
        log.critical("%s", error)
        sys.exit(os.EX_TEMPFAIL)
    except DatabaseDown as error:
        log.warning("the database does not answer yet, jobs fail until it does: %s", error)


@signals.worker_before_create_process.connect(weak=False)
def _share_memory(**_: object) -> None:
    forking.share_memory()


@signals.worker_ready.connect(weak=False)
def _watch(sender: Any = None, **_: object) -> None:
    """Starts the watchdog in the worker's parent process."""
    from app.tasks import messages  # noqa: PLC0415 - Celery's consumer: of a worker alone

    config = services().config
    queues = [queue.name for queue in sender.task_consumer.queues]

    def waiting() -> int:
        url = guard_url(config)
        if url is None:
            return 0
        with shared_redis.connect(url) as fresh:
            return sum(fresh.llen(queue) for queue in queues)

    def free() -> bool:
        return len(state.reserved_requests) < int(sender.pool.limit)

    def stop(code: int) -> None:
        setattr(state, "should_stop", code)  # noqa: B010 - its type says None

    watchdog = Watchdog(waiting, free, stop, config.test_time_scale)
    if publishing.QUEUE in queues:
        watchdog.last_tick = lambda: status.last_tick(services())
        watchdog.ask_for_tick = partial(publishing.ask_for_tick, current_app)
    signals.task_received.connect(lambda **_: watchdog.heard(), weak=False)
    watchdog.start()
    messages.fetch_ours(config.celery_broker_url, queues, services().installation.id)
    Heartbeat(
        f"worker-{'-'.join(sorted(queues))}@{sender.hostname.partition('@')[2]}", services
    ).start()


@signals.beat_init.connect(weak=False)
def _start_beats_heartbeat(**_: object) -> None:
    try:
        _check()
    except (schema.SchemaError, DatabaseDown) as error:
        log.warning("the database is not ready yet: %s", error)
    Heartbeat("beat", services).start()


def _check() -> None:
    """What beat and each worker ask before they begin. Raises SchemaError, DatabaseDown."""
    if sentence := redis_cluster.refused(services().config):
        _end(sentence)
    signals.before_task_publish.connect(_sign, weak=False)
    schema.check(services().db)
    try:
        known_settings.check(services())
    except known_settings.UnknownKey as error:
        _end(error.sentence)


def _end(sentence: Both) -> NoReturn:
    """Only a hand mends it, so no unit starts the program again."""
    log.critical("%s %s", *sentence)
    sys.exit(os.EX_CONFIG)


def _sign(headers: dict[str, Any] | None = None, **_: object) -> None:
    """Says of a job of beat's or a worker's whose it is; one typed by hand belongs to any installation."""
    try:
        if headers is not None:
            headers.setdefault(shared_redis.INSTALLATION, services().installation.id())
    except DatabaseDown as error:
        log.debug("the job names no installation: %s", type(error).__name__)


def services() -> Services:
    """This process's services: made anew in each forked child, settings read once."""
    found = _services.get(os.getpid())
    if found is None:
        config = load_or_exit(service=True)
        publish = publishing.publisher(current_app, config.test_time_scale, services)
        found = _services[os.getpid()] = make(config, publish, SENDERS)
    return found
