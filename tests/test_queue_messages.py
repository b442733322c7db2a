"""One message on the queue keeps no worker down: a real worker on a real Redis, and rubbish."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from app.db import Database
from app.models import Service
from tests.conftest import People
from tests.databases import on_sqlite
from tests.smtp_server import SmtpServer
from tests.stack import Stack, running

TICK = "app.tasks.notifications.tick"
GOOD = [[], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]

pytestmark = [
    pytest.mark.slow,
    on_sqlite,
]


def envelope(body: str = json.dumps(GOOD), *, redelivered: bool = False, **headers: Any) -> str:
    """A valid message as Celery puts it on the queue, with this body."""
    about = {"task": TICK, "id": "1", "lang": "py", "root_id": "1", "argsrepr": "()"} | headers
    where: dict[str, Any] = {"exchange": "", "routing_key": "mail"}
    if redelivered:
        where["redelivered"] = about["redelivered"] = True
    return json.dumps({
        "body": base64.b64encode(body.encode()).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": about,
        "properties": {
            "delivery_info": where, "delivery_tag": "made-up", "body_encoding": "base64",
            "correlation_id": "1", "delivery_mode": 2, "priority": 0,
        },
    })  # fmt: skip


BAD = {
    "an object for a body": envelope('{"x":1}'),
    "an object of three": envelope('{"x":1,"y":2,"z":3}'),
    "an empty body": envelope(""),
    "a number for a body": envelope("7"),
    "arguments that are none": envelope('["ab", {}, {}]'),
    "a text as time limit": envelope(timelimit="ab"),
    "texts as time limits": envelope(timelimit=["a", "b"]),
    "one time limit": envelope(timelimit=[1]),
    "a number for an id": envelope(id=7),
    "a job that nobody knows": envelope(task="app.tasks.nothing"),
    "an hour that is none": envelope(eta="tomorrow"),
    "a job that ended its worker": envelope(redelivered=True),
}


@pytest.fixture
def stack(
    environ: dict[str, str], db: Database, team: People, tmp_path: Path, smtp: SmtpServer
) -> Iterator[Stack]:
    with running(tmp_path, {**environ, "SMTP_PORT": str(smtp.port)}, smtp) as made:
        yield made


def test_whatever_lies_on_the_queue_the_worker_goes_on(
    stack: Stack, redis_url: str, db: Database
) -> None:
    worker = stack.worker()
    with redis.Redis.from_url(redis_url) as queue:
        for message in BAD.values():
            queue.lpush("mail", message)
        stack.run("call", TICK)
        stack.until_said(worker, f"Task {TICK}")
        stack.until_said(worker, "succeeded")
        stack.until_acknowledged()
        assert worker.poll() is None
    said = stack.said(worker)
    assert said.count("a message was thrown away: ") >= len(BAD) - 2  # two Celery tells itself
    assert said.count("succeeded") == 1
    with db.read() as session:
        assert session.get(Service, "tick") is not None


def test_rubbish_among_the_unacknowledged_messages_keeps_no_worker_down(
    stack: Stack, redis_url: str
) -> None:
    rubbish = ("rubbish", "7", '["a"]', '[{"headers": 1}, "", "mail"]', "[{}, null, null]")
    with redis.Redis.from_url(redis_url) as queue:
        for n, value in enumerate(rubbish):
            queue.hset("unacked-mail", f"tag-{n}", value)
            queue.zadd("unacked-index-mail", {f"tag-{n}": 1})
        worker = stack.worker()
        stack.run("call", TICK)
        stack.until_said(worker, "succeeded")
        stack.until_acknowledged()
        assert worker.poll() is None
        assert queue.zcard("unacked-index-mail") == 0
