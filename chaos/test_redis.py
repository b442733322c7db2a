"""Redis dies, forgets, refuses and repeats itself. It is a hint, and no promise hangs on it."""

import shutil
import signal
import time

import pytest
import redis

from chaos.conftest import Make
from chaos.rig import Rig
from chaos.test_kills import start_a_batch


def client(rig: Rig) -> redis.Redis:
    """The rig's own connection."""
    return redis.Redis.from_url(rig.redis.url, socket_timeout=2)


@pytest.mark.ci
@pytest.mark.row("F18", "kill -9 in the middle of a batch, empty restart")
def test_redis_killed_and_empty(rig: Rig) -> None:
    start_a_batch(rig)
    rig.redis.kill()
    time.sleep(rig.random.uniform(0, 2))
    rig.redis.start()
    rig.sender()
    with rig.beat():
        rig.drain(170)


@pytest.mark.row("F19", "FLUSHALL in the middle of a batch")
def test_flushed_in_the_middle(rig: Rig) -> None:
    start_a_batch(rig)
    with client(rig) as broker:
        broker.flushall()
    rig.sender()
    with rig.beat():
        rig.drain(170)


@pytest.mark.row("F19", "FLUSHALL between plan and send")
def test_flushed_before_the_sending(rig: Rig) -> None:
    planner = rig.worker()
    with client(rig) as broker:
        rig.wire.refuse()  # so that the plan is made and nothing can be sent yet
        rig.call("tick")
        rig.until(lambda: len(rig.states()) == rig.settings.members, "the plan", 60)
        broker.flushall()
        rig.wire.listen()
        rig.end(planner, signal.SIGTERM)
        broker.flushall()
    rig.sender()
    rig.worker(wait=False)
    with rig.beat():
        rig.drain(400)


@pytest.mark.long
@pytest.mark.row("F20", "Redis is down, the timer sends")
def test_without_redis(rig: Rig) -> None:
    rig.redis.kill()
    rig.worker(wait=False)
    rig.sender()
    rig.drain(300)


@pytest.mark.row("F23", "out of memory (maxmemory 1mb, noeviction)")
def test_redis_out_of_memory(rig: Rig) -> None:
    rig.worker()
    with client(rig) as broker:
        broker.config_set("maxmemory-policy", "noeviction")
        broker.config_set("maxmemory", "1mb")
        rig.call("tick")
        rig.sender()
        with rig.beat():
            rig.drain(170)


@pytest.mark.row("F24", "MISCONF: the dump cannot be written, writes are refused")
def test_redis_cannot_save(rig_of: Make) -> None:
    rig = rig_of(redis_options=("--save", "1 1", "--enable-protected-configs", "yes"))
    worker = rig.worker()
    gone = rig.folder / "redis" / "dumps"
    gone.mkdir()
    with client(rig) as broker:
        broker.config_set("dir", str(gone))
        shutil.rmtree(gone)
        broker.set("something", "1")
        rig.until(lambda: refuses(broker), "Redis refuses to write", 60)
        rig.sender()
        rig.drain(170)
        broker.config_set("dir", str(rig.folder))
        rig.until(lambda: not refuses(broker), "Redis writes again", 30)
        broker.delete("mail")
        if worker.poll() is not None:  # what its supervisor does
            rig.worker()
        rig.call("tick")
        rig.until(lambda: broker.llen("mail") == 0, "the worker is back", 60)


def refuses(broker: redis.Redis) -> bool:
    """Whether a write is refused."""
    try:
        broker.set("something", "2")
    except redis.ResponseError:
        return True
    return False


@pytest.mark.row("F26", "each message copied 100 times")
def test_a_hundred_copies_of_each_message(rig: Rig) -> None:
    rig.call("tick")
    rig.call("daily_progress_reminder")
    with client(rig) as broker:
        for message in broker.lrange("mail", 0, -1):
            broker.lpush("mail", *[message] * 100)
        rig.worker()
        rig.worker()
        rig.until_sending()
        for message in broker.lrange("mail", 0, 3):
            broker.lpush("mail", *[message] * 100)
        rig.sender()
        rig.drain(300)
        time.sleep(3)


@pytest.mark.row("F28", "wrong password, or a port where nobody speaks TLS")
def test_redis_that_does_not_let_in(rig: Rig) -> None:
    port = rig.redis.port
    if rig.random.random() < 0.5:
        with client(rig) as broker:
            broker.config_set("requirepass", "a made-up word")
        broker_url = f"redis://:wrong@127.0.0.1:{port}/0"
    else:
        broker_url = f"rediss://127.0.0.1:{port}/0?ssl_cert_reqs=none"
    wrong = {"CELERY_BROKER_URL": broker_url, "CELERY_RESULT_BACKEND": broker_url}
    worker = rig.worker(wait=False, **wrong)
    rig.sender(**wrong)
    rig.drain(170)
    time.sleep(8)
    assert worker.poll() is None, rig.logs("worker")
    assert len(rig.logs("worker").splitlines()) < 150
