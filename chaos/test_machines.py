"""The machines around it: a standby takes over, a pooler shares out, another one uses the Redis."""

import os
import signal
from collections.abc import Callable

import pytest

from app.alerts.catalogue import Alarm
from app.db import Database
from app.models import State
from chaos.conftest import Make
from chaos.rig import Rig
from chaos.test_kills import MANY, recover, slow, start_a_batch, still_to_come
from tests.pooler import MISSING, pgbouncer
from tests.postgres import NAME
from tests.standby import Server, standby_of

pytestmark = pytest.mark.machine
on_postgresql = pytest.mark.only("postgresql")


# --- a standby --------------------------------------------------------------------------------


def follower(rig: Rig) -> Server:
    """A standby that has each commit before whoever committed hears of it, as docs/scale.md asks."""
    standby = standby_of(rig.cluster.port, rig.folder / "standby")
    rig.ending.callback(standby.kill)
    with rig.cluster.connect() as admin:
        admin.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        admin.execute("SELECT pg_reload_conf()")
        seen = "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'"
        rig.until(lambda: admin.execute(seen).fetchone(), "the standby is synchronous")
    return standby


def look_at(rig: Rig, url: str) -> None:
    """The rig itself uses this database from now on."""
    rig.db.close()
    rig.db = Database(url)
    rig.ending.callback(rig.db.close)


def fail_over(rig: Rig, standby: Server, lost: Callable[[], None]) -> None:
    """The primary ends with all its sessions, nothing can be written for up to a minute, then the
    standby is promoted. The programs that ran before bring the batch to its end.
    """
    worker = start_a_batch(rig)
    sender = rig.sender()
    rig.extra_allowed = (len(rig.pool(worker)) + 1) * rig.settings.connections
    still_to_come(rig)
    rig.cluster.kill(signal.SIGQUIT)
    lost()
    with rig.ticking():
        rig.pause(60 * rig.random.random())
        standby.says("SELECT pg_promote()")
        rig.drain(within=900)
    assert (worker.poll(), sender.poll()) == (None, None)


@on_postgresql
@pytest.mark.row("F75", "the primary dies in the middle of 200 mails; both servers in DATABASE_URL")
def test_a_standby_takes_over(rig_of: Make) -> None:
    rig = rig_of(members=MANY)
    standby = follower(rig)
    one, two = rig.cluster.port, standby.port
    rig.environ["DATABASE_URL"] = f"postgresql://tests@127.0.0.1:{one},127.0.0.1:{two}/{NAME}"
    look_at(rig, f"postgresql+psycopg://tests@/{NAME}?host=127.0.0.1,127.0.0.1&port={one},{two}")
    fail_over(rig, standby, lambda: None)


@on_postgresql
@pytest.mark.row("F75", "the same by way of an address that leads to the standby at once")
def test_an_address_that_moves_to_the_standby(rig_of: Make) -> None:
    """Who connects too early meets a server that takes no writes."""
    rig = rig_of(members=MANY)
    standby = follower(rig)
    look_at(rig, rig.cluster.url(port=rig.to_database.port))
    fail_over(rig, standby, lambda: setattr(rig.to_database, "target", standby.port))


# --- a pooler ---------------------------------------------------------------------------------


@on_postgresql
@pytest.mark.row(
    "F76", "pgbouncer with 2 servers for all transactions; kill -9 a worker's parent, then a pool"
)
def test_a_morning_through_a_pooler_with_workers_dying(rig_of: Make) -> None:
    rig = rig_of(members=MANY)
    if MISSING:
        pytest.skip("pgbouncer is not installed")
    pooled = pgbouncer(rig.folder / "pgbouncer", rig.cluster.url(), "transaction", size=2)
    rig.environ["DATABASE_URL"] = rig.ending.enter_context(pooled)
    first = start_a_batch(rig)
    still_to_come(rig)
    rig.extra_allowed = len(rig.pool(first)) * rig.settings.connections
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    sent = rig.mail_server.count()
    second = rig.worker()
    with rig.ticking():
        rig.until(lambda: rig.mail_server.count() > sent, "the second worker sends")
    for pid in rig.pool(second):
        rig.extra_allowed += rig.settings.connections
        os.kill(pid, signal.SIGKILL)
    still_to_come(rig)
    recover(rig)


# --- another installation on the same Redis ----------------------------------------------------


def use_redis_of(rig: Rig, other: Rig) -> None:
    """As two `.env` from the same example have it: the same server, the same database."""
    rig.redis.kill()
    rig.redis = other.redis
    for name in ("CELERY_BROKER_URL", "CELERY_RESULT_BACKEND"):
        rig.environ[name] = other.environ[name]


def knows_of_the_other(rig: Rig) -> bool:
    """Whether it has raised the alert."""
    return Alarm.REDIS_SHARED in rig.alerts()


@pytest.mark.both
@pytest.mark.row(
    "F77", "two installations on one Redis at nine; kill -9 the worker's parent of one"
)
def test_two_installations_on_one_redis(rig_of: Make) -> None:
    """Their members and mails have the same numbers; while one has no worker, the other's alone
    hears the queue.
    """
    ours, theirs = rig_of(members=MANY), rig_of(members=MANY // 2)
    use_redis_of(theirs, ours)
    for rig in (ours, theirs):
        slow(rig)
        rig.allow_many()
    doomed, _ = ours.worker(), theirs.worker()
    with ours.ticking(), theirs.ticking():
        reached = ours.random.uniform(0.05, 0.5) * ours.settings.members
        ours.until(lambda: ours.mail_server.count() >= reached, "the middle")
        ours.extra_allowed = len(ours.pool(doomed)) * ours.settings.connections
        os.kill(doomed.pid, signal.SIGKILL)
        doomed.wait()
        still_to_come(ours)
        theirs.drain()
        theirs.until(lambda: "was laid aside for it" in theirs.logs("worker"), "a job of ours")
        assert ours.states().count(State.ACCEPTED) < MANY
        ours.worker()
        ours.drain(within=900)
        for rig in (ours, theirs):
            rig.until(lambda: knows_of_the_other(rig), "the alert")  # noqa: B023 - waited for at once
    assert "jobs that another installation had received" in ours.logs("worker")
