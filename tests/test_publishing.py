"""Putting work on the queue: from any thread of the pages, of a worker, of a command."""

import http.client
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import current_app

from app import create_app
from app.config import Config, load
from app.db import Database
from app.queue.application import SOCKET_SECONDS, make_celery
from app.queue.publishing import publisher
from app.queue.timetable import TIMETABLE
from app.tasks import ai
from tests import servers
from tests.browser import OURS
from tests.conftest import suzuki
from tests.databases import on_sqlite
from tests.test_web_logs import gunicorn

pytestmark = on_sqlite

MESSAGES = 20


def test_each_thread_of_the_pages_reaches_the_queue(
    config: Config, redis_admin: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """Not only the one in which Celery was set up."""
    app = create_app(config)
    publish, beside = app.extensions["task_progress"].publish, app.extensions["beside"]
    publish([1])
    servers.wait_until(lambda: redis_admin.llen("mail") == 1, "the first message")
    both = threading.Barrier(3)
    for _ in range(2):
        beside.submit(both.wait)
    for number in range(MESSAGES):
        publish([number])
    both.wait()
    beside.shutdown()
    assert "Redis is away" not in caplog.text
    assert redis_admin.llen("mail") == 1 + MESSAGES


@pytest.mark.parametrize("entry", TIMETABLE.values(), ids=TIMETABLE)
def test_a_result_backend_that_is_away_delays_nothing_that_beat_sends(
    entry: dict[str, Any], environ: dict[str, str], redis_admin: redis.Redis, tmp_path: Path
) -> None:
    """Else no tick would be sent for as long as beat waits for it."""
    with servers.hole() as port:
        environ["CELERY_RESULT_BACKEND"] = f"redis://127.0.0.1:{port}/1"
        with make_celery(load(environ, tmp_path)) as celery:
            began = time.monotonic()
            celery.send_task(entry["task"], kwargs=entry.get("kwargs"), **entry["options"])
    assert time.monotonic() - began < SOCKET_SECONDS - 0.5
    assert redis_admin.llen(entry["options"]["queue"]) == 1


@pytest.mark.slow
def test_sign_in_mails_asked_for_at_once_are_all_on_the_queue(
    environ: dict[str, str], db: Database, redis_admin: redis.Redis, tmp_path: Path
) -> None:
    """In a real process of the pages, with its threads."""
    people = [f"member{number}@example.jp" for number in range(5)]
    with db.write() as session:
        for address in people:
            member = suzuki()
            member.email = address
            session.add(member)
    log = tmp_path / "gunicorn.log"
    with gunicorn(environ, log) as port, ThreadPoolExecutor(4) as hands:
        sign_in = partial(_asks, port)
        sign_in(people[0])
        servers.wait_until(lambda: redis_admin.llen("mail") == 1, "the first")
        list(hands.map(sign_in, people[1:]))
        servers.wait_until(lambda: redis_admin.llen("mail") == len(people), f"all, see {log}")
    assert "Redis is away" not in log.read_text()


def _asks(port: int, address: str) -> None:
    page = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    form = {**OURS, "Content-Type": "application/x-www-form-urlencoded"}
    page.request("POST", "/login", f"email={address}", form)
    assert page.getresponse().status < 400
    page.close()


def test_a_thread_beside_that_of_a_job_publishes_to_the_same_broker(
    config: Config, redis_admin: redis.Redis
) -> None:
    """A worker's thread for alarms queues their mails, and a job may ask for recaps."""
    publish = publisher(make_celery(config), config.test_time_scale)

    def elsewhere() -> None:
        publish([1])
        ai.summarize_week.apply_async((1, "2026-W48"), retry=False)
        assert current_app.conf.broker_url == config.celery_broker_url

    with ThreadPoolExecutor(1) as other:
        other.submit(elsewhere).result()
    assert (redis_admin.llen("mail"), redis_admin.llen("ai")) == (1, 1)
