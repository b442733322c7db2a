"""All that speaks to Redis, over TLS with a private CA, with the rights of deploy/redis.acl alone.

Always part of `make test` where the machine's Redis speaks TLS (Debian's does); `make test-tls`
runs everything about Redis on such a one.
"""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
import trustme
from limits import RateLimitItemPerMinute

from app.config import load
from app.db import Database
from app.doctor import broker
from app.doctor.finding import CheckContext, Level
from app.services import Services, guard_url, make
from app.util.rate import Limits, Rate
from app.util.redis_guard import Guard, SendGuard
from tests.conftest import NOW, TODAY, People, task
from tests.databases import on_sqlite
from tests.safe_redis import WORD, SafeRedis, can_be
from tests.servers import wait_until
from tests.smtp_server import SmtpServer
from tests.stack import Stack, offset_to, running
from tests.test_main_job import EVERYBODY, NINE, all_accepted

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not can_be(), reason="no Redis with TLS here: apt install redis-server"),
    pytest.mark.usefixtures("no_digest"),
    on_sqlite,
]


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SafeRedis]:
    """In the place of the plain one of all other tests."""
    server = SafeRedis(tmp_path_factory.mktemp("safe-redis"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def stack(
    environ: dict[str, str], tmp_path: Path, db: Database, team: People, smtp: SmtpServer
) -> Iterator[Stack]:
    """Three people with an unreported task each; it is 09:00:05 on 2026-11-24 in Tokyo."""
    tasks = [task("T-1", team.sato), task("T-2", team.suzuki), task("T-3", team.tanaka)]
    with db.write() as session:
        session.add_all(tasks)
    settings = {
        **environ,
        "SMTP_PORT": str(smtp.port),
        "SMTP_RATE_PER_MINUTE": "600",
        "TEST_CLOCK_OFFSET": offset_to(NINE),
        "LANG": "en_US.UTF-8",
    }
    with running(tmp_path, settings, smtp) as stack:
        yield stack


def test_beat_workers_runbook_guard_rate_and_status_work_over_tls_with_few_rights(
    stack: Stack, db: Database, redis_server: SafeRedis, redis_admin: redis.Redis
) -> None:
    beat = stack.beat()
    stack.worker()
    stack.worker("ai")
    stack.run("call", "app.tasks.notifications.daily_progress_reminder")
    wait_until(lambda: all_accepted(db), stack.logs())
    assert stack.recipients() == EVERYBODY
    assert list(redis_admin.keys("task-progress:LIMITER/*"))  # for a minute
    for what in ("active", "registered", "scheduled"):
        stack.until_inspected(what, 2)
    stack.run("call", "app.tasks.ai.heartbeat")
    wait_until(lambda: "ai.heartbeat" in stack.logs("worker"), stack.logs())
    stack.until_said(beat, "Sending due task tick", 150)
    status = json.loads(stack.command("status", "--json", check=False).stdout)
    assert status["redis_answers"] is True
    assert len(list(redis_admin.keys("remind:*"))) == 3
    assert redis_server.refused() == []
    said = stack.logs()
    assert "NOPERM" not in said
    assert WORD not in said
    assert redis_server.url not in said


def test_the_guard_and_the_limits_hold_over_tls(services: Services, team: People) -> None:
    url = guard_url(services.config)
    ours = services.installation.id
    once, other = SendGuard(url, ours), SendGuard(url, ours)
    mine, theirs = Guard(team.suzuki.id, TODAY, 1), Guard(team.suzuki.id, TODAY, 2)
    assert (once.take([mine]), other.take([theirs]), once.answers()) == (set(), {theirs}, True)
    once.release([mine])
    assert other.take([theirs]) == set()
    one_a_minute = RateLimitItemPerMinute(1)
    assert Limits(url).take(one_a_minute, "x")
    assert not Limits(url).take(one_a_minute, "x")
    assert Rate(90, Limits(url)).take(5) == 2
    assert Rate(90, Limits(url)).room(5) == 0


def test_doctor_finds_it_encrypted_and_says_what_it_may_not_look_at(
    services: Services, tmp_path: Path
) -> None:
    found = broker.broker(CheckContext(tmp_path, lambda: NOW, services))
    levels = {one.check: one.level for one in found}
    assert levels["redis"] is levels["redis-tls"] is levels["redis-exposed"] is Level.GREEN
    assert levels["queues"] is Level.GREEN
    assert Level.RED not in {one.level for one in found if one.check != "clock-redis"}


@pytest.mark.parametrize("wrong", ["another CA", "no CA", "another host", "no TLS", "password"])
def test_what_is_not_that_redis_is_not_spoken_to(
    wrong: str,
    environ: dict[str, str],
    redis_server: SafeRedis,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The guard is without Redis then, and doctor is red and shows no password."""
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
    url = {
        "another CA": redis_server.url.replace(
            str(redis_server.ca_file), str(tmp_path / "other.pem")
        ),
        "no CA": redis_server.url.partition("?")[0],
        "another host": redis_server.url.replace("127.0.0.1", "localhost"),
        "no TLS": redis_server.url.replace("rediss://", "redis://").partition("?")[0],
        "password": redis_server.url.replace("task-progress:", "task-progress:x"),
    }[wrong]
    services = make(
        load({**environ, "CELERY_BROKER_URL": url, "CELERY_RESULT_BACKEND": ""}, tmp_path)
    )
    with caplog.at_level(logging.DEBUG):
        assert services.guard.take([Guard(1, TODAY, 1)]) == set()
        assert services.guard.answers() is False
        found = broker.broker(CheckContext(tmp_path, lambda: NOW, services))
    (red,) = [one for one in found if one.level is Level.RED]
    assert red.check == "redis"
    assert ("password" in str(red.says.en)) == (wrong == "password")
    assert WORD not in caplog.text + str(found)
    services.db.close()


def test_without_its_redis_the_mails_still_go(
    environ: dict[str, str], db: Database, team: People, smtp: SmtpServer, tmp_path: Path
) -> None:
    with db.write() as session:
        session.add(task("T-1", team.suzuki))
    wrong = environ["CELERY_BROKER_URL"].replace("task-progress:", "task-progress:x")
    settings = {**environ, "CELERY_BROKER_URL": wrong, "TEST_CLOCK_OFFSET": offset_to(NINE)}
    with running(tmp_path, {**settings, "SMTP_PORT": str(smtp.port)}, smtp) as stack:
        stack.command("tick")
        assert stack.recipients() == [team.suzuki.email]
