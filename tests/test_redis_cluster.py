"""A Redis in cluster mode: what cannot work is refused by name, by whoever starts and by doctor."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.config import load
from app.queue import redis_cluster
from tests.conftest import People
from tests.databases import on_sqlite
from tests.servers import RedisServer, free_port
from tests.smtp_server import SmtpServer
from tests.stack import running

pytestmark = pytest.mark.slow

KEY = {"SECRET_KEY": "a made-up key for tests only: 0123456789 abcdef"}
NOBODY = "redis://127.0.0.1:1/0"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[str]:
    """The URL of one real server, in cluster mode."""
    # Its second port is the first plus 10,000 unless it is named, and there may be none such.
    ports = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
    server = RedisServer(tmp_path / "cluster", *ports).start()
    yield server.url
    server.kill()


@on_sqlite
def test_beat_and_workers_end_for_good_and_name_the_setting(
    environ: dict[str, str], cluster: str, tmp_path: Path, team: People, smtp: SmtpServer
) -> None:
    settings = {**environ, "CELERY_BROKER_URL": cluster, "CELERY_RESULT_BACKEND": cluster}
    with running(tmp_path, settings, smtp) as stack:
        ends = [stack.worker(wait=False, processes=1), stack.worker("ai", wait=False), stack.beat()]
        assert [part.wait(60) for part in ends] == [os.EX_CONFIG] * 3
        for part in ends:
            said = stack.said(part)
            assert f"CELERY_BROKER_URL: {cluster} is a Redis Cluster and cannot be used" in said
            assert "several keys at once" in said
            assert "クラスターモードでない Redis を CELERY_BROKER_URL に指定してください" in said
            assert "Traceback" not in said


@on_sqlite
def test_the_command_of_the_timer_goes_on_without_it(
    environ: dict[str, str], cluster: str, tmp_path: Path, team: People, smtp: SmtpServer
) -> None:
    """It needs no queue, and a guard that cannot be had guards nothing."""
    settings = {**environ, "CELERY_BROKER_URL": cluster, "CELERY_RESULT_BACKEND": cluster}
    with running(tmp_path, settings, smtp) as stack:
        assert stack.command("tick").returncode == 0


def test_no_password_is_shown_and_the_setting_is_the_guards(
    tmp_path: Path, redis_url: str, cluster: str
) -> None:
    broker = {**KEY, "CELERY_BROKER_URL": cluster.replace("//", "//:geheim@")}
    found = redis_cluster.words(load(broker, tmp_path))
    assert all("CELERY_BROKER_URL" in one for both in found for one in both)
    assert "geheim" not in str(found)
    results = {**KEY, "CELERY_BROKER_URL": "amqp://127.0.0.1", "CELERY_RESULT_BACKEND": cluster}
    refused = redis_cluster.refused(load(results, tmp_path))
    assert refused is not None
    assert "CELERY_RESULT_BACKEND" in refused.en
    other = {**KEY, "CELERY_BROKER_URL": cluster.replace("/0", "/2")}
    assert redis_cluster.refused(load(other, tmp_path)) is not None
    for good in (redis_url, NOBODY):
        assert redis_cluster.refused(load({**KEY, "CELERY_BROKER_URL": good}, tmp_path)) is None
