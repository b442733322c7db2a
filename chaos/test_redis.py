"""Redis dies, forgets, refuses and repeats itself. It is a hint, and no promise hangs on it."""

import contextlib
import http.client
import itertools
import re
import shutil
import signal
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis
from sqlalchemy import select

from app.config import load
from app.links import Links, ReportLink
from app.models import Member
from chaos.conftest import Make
from chaos.rig import DAY, Rig
from chaos.test_kills import start_a_batch, still_to_come
from tests.servers import free_port
from tests.stack import CELERY, PROJECT, PYTHON


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
    with rig.ticking():
        rig.drain()


@pytest.mark.row("F19", "FLUSHALL in the middle of a batch")
def test_flushed_in_the_middle(rig: Rig) -> None:
    start_a_batch(rig)
    with client(rig) as broker:
        broker.flushall()
    rig.sender()
    with rig.ticking():
        rig.drain()


@pytest.mark.row("F19", "FLUSHALL between plan and send")
def test_flushed_before_the_sending(rig: Rig) -> None:
    planner = rig.worker()
    with client(rig) as broker:
        rig.wire.refuse()  # so that the plan is made and nothing can be sent yet
        rig.call("tick")
        rig.until_planned()
        broker.flushall()
        rig.wire.listen()
        rig.end(planner, signal.SIGTERM)
        broker.flushall()
    rig.sender()
    rig.worker(wait=False)
    with rig.ticking():
        rig.drain()


@pytest.mark.row("F19", "FLUSHALL on a large morning: who sends goes on before any tick comes")
def test_flushed_on_a_large_morning(rig_of: Make) -> None:
    rig = rig_of(members=300, connections=2)
    rig.allow_many()
    rig.wire.delay = 0.005
    rig.worker()
    rig.call("tick")
    rig.until_planned()
    rig.until(lambda: rig.mail_server.count() >= rig.settings.members // 10, "the first mails")
    with client(rig) as broker:
        broker.flushall()
    still_to_come(rig)
    # More than those can send who have begun: each goes on for a second.
    further = rig.mail_server.count() + rig.settings.members // 8
    rig.until(lambda: rig.mail_server.count() >= further, "they go on")
    assert "asking for one" not in rig.logs("worker"), "a tick by the worker's watchdog"
    rig.drain()


@pytest.mark.long
@pytest.mark.row("F20", "Redis is down, the timer sends")
def test_without_redis(rig: Rig) -> None:
    rig.redis.kill()
    rig.worker(wait=False)
    rig.sender()
    rig.drain(within=600)


@pytest.mark.row("F23", "out of memory (maxmemory 1mb, noeviction)")
def test_redis_out_of_memory(rig: Rig) -> None:
    rig.worker()
    with client(rig) as broker:
        broker.config_set("maxmemory-policy", "noeviction")
        broker.config_set("maxmemory", "1mb")
        rig.call("tick")
        rig.sender()
        with rig.ticking():
            rig.drain()


@pytest.mark.row(
    "F24", "MISCONF: the dump cannot be written; the worker may end, systemd starts it"
)
def test_redis_cannot_save(rig_of: Make) -> None:
    rig = rig_of(redis_options=("--save", "1 1", "--enable-protected-configs", "yes"))
    gone = rig.folder / "redis" / "dumps"
    gone.mkdir()
    with client(rig) as broker, rig.supervised(lambda: rig.worker(wait=False)):
        poke(rig)
        broker.config_set("dir", str(gone))
        shutil.rmtree(gone)
        broker.set("something", "1")
        rig.until(lambda: refuses(broker), "Redis refuses to write")
        rig.sender()
        rig.drain()
        broker.config_set("dir", str(rig.folder))
        rig.until(lambda: not refuses(broker), "Redis writes again")
        poke(rig, real_seconds=60)


def poke(rig: Rig, real_seconds: float | None = None) -> None:
    """A job that is queued now is run in time.

    Real time: Celery waits up to 32 s between two tries to connect, and nothing scales that.
    """
    before = jobs_run(rig)
    rig.call("tick", expires=600)
    within = real_seconds and real_seconds / rig.scale
    rig.until(lambda: jobs_run(rig) > before, "a queued job runs", within)


def jobs_run(rig: Rig) -> int:
    """How many ticks all workers have run."""
    return len(re.findall(r"Task app\.tasks\.notifications\.tick\S+ succeeded", rig.logs("worker")))


@pytest.mark.row("F21", "restarted 20 times with a worker attached")
def test_redis_restarted_again_and_again(rig: Rig) -> None:
    rig.wire.delay = 0.5  # the batch lasts as long as the restarts do
    with rig.supervised(lambda: rig.worker(wait=False)):
        poke(rig)
        for _ in range(20):
            time.sleep(rig.random.uniform(0, 2))
            rig.redis.kill(rig.random.choice([signal.SIGKILL, signal.SIGTERM]))
            time.sleep(rig.random.uniform(0, 1))
            rig.redis.start()
            poke(rig, real_seconds=90)
        rig.wire.delay = 0
        rig.sender()
        rig.drain()


@pytest.mark.row(
    "F22", "answers nothing (SIGSTOP) for 60 s of real time; pages and mails meanwhile"
)
def test_redis_stopped(rig: Rig) -> None:
    port = web(rig)
    start_a_batch(rig)
    with rig.db.read() as session:
        member_id = session.scalars(select(Member.id).order_by(Member.id)).first()
    assert member_id is not None
    link = Links(load(rig.environ, rig.folder)).report_url(ReportLink(member_id, DAY, None))
    paths = ("/", "/healthz", urlsplit(link).path)
    assert rig.redis.process is not None
    rig.redis.process.send_signal(signal.SIGSTOP)
    try:
        rig.sender()
        took = [asked(port, paths[number % 3]) for number in until_over(60)]
        rig.drain()
    finally:
        rig.redis.process.send_signal(signal.SIGCONT)
    assert len(took) >= 100
    assert statistics.quantiles(took, n=20)[-1] < 2
    poke(rig, real_seconds=90)


def web(rig: Rig) -> int:
    """The pages, as gunicorn serves them; returns their port."""
    port = free_port()
    gunicorn = str(Path(PYTHON).parent / "gunicorn")
    options = ("--bind", f"127.0.0.1:{port}", "--threads", "8")
    part = rig.start("web", gunicorn, *options, "--no-control-socket", "app:create_app()")
    rig.until_said(part, "Booting worker")
    return port


def until_over(seconds: float) -> Iterator[int]:
    """Counts, five times a second, until so many seconds are over."""
    end = time.monotonic() + seconds
    for number in itertools.count():
        if time.monotonic() > end:
            return
        yield number
        time.sleep(0.2)


def asked(port: int, path: str) -> float:
    """Seconds until the page was there; only health may say that something is away."""
    started = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    with contextlib.closing(connection):
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
    assert answer.status < 500 or path == "/healthz", f"{answer.status} {path}"
    return time.monotonic() - started


@pytest.mark.row(
    "F29", "the shipped ACL file is active; all jobs, the runbook's inspections, the rate"
)
def test_the_shipped_rights_are_enough(rig_of: Make, tmp_path: Path) -> None:
    shipped = (PROJECT / "deploy" / "redis.acl").read_text()
    word = "a-made-up-word"
    file = tmp_path / "redis.acl"
    file.write_text(
        shipped.replace("task-progress on", f"task-progress on >{word}", 1)
        + f"user rig on >{word} ~* &* +@all\n"
    )
    rig = rig_of(redis_options=("--aclfile", str(file)))
    server = f"redis://task-progress:{word}@127.0.0.1:{rig.redis.port}"
    rig.environ |= {"CELERY_BROKER_URL": f"{server}/0", "CELERY_RESULT_BACKEND": f"{server}/1"}
    rig.environ["SMTP_RATE_PER_MINUTE"] = "600"
    as_rig = f"redis://rig:{word}@127.0.0.1:{rig.redis.port}/0"
    with redis.Redis.from_url(as_rig, decode_responses=True) as broker:
        ends = rig.worker()
        rig.worker("ai")
        rig.once(*CELERY, "call", "app.tasks.notifications.daily_progress_reminder")
        rig.until_sending()
        rig.end(ends, signal.SIGTERM)  # gives back what it has not begun
        rig.worker()
        for what in ("active", "registered", "scheduled"):
            assert "2 nodes online" in rig.once(*CELERY, "inspect", what).stdout
        rig.once(*CELERY, "call", "app.tasks.ai.heartbeat")
        rig.beat()
        rig.sender()
        rig.drain()
        rig.until(lambda: "ai.heartbeat" in rig.logs("worker"), "the job on the queue ai")
        rig.until(lambda: jobs_run(rig), "a tick by beat")
        assert [entry for entry in broker.acl_log() if entry["username"] != "rig"] == []
    with (
        redis.Redis.from_url(f"{server}/0") as program,
        pytest.raises(redis.exceptions.NoPermissionError),
    ):
        program.flushall()
    assert "NOPERM" not in rig.logs()


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
        rig.drain()
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
    rig.environ |= {"CELERY_BROKER_URL": broker_url, "CELERY_RESULT_BACKEND": broker_url}
    worker = rig.worker(wait=False)
    rig.sender()
    rig.drain()
    time.sleep(8)
    assert worker.poll() is None, rig.logs("worker")
    assert len(rig.logs("worker").splitlines()) < 150
