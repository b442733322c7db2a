"""A real gunicorn and clients that send slowly, or hang up in the middle."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import func, select

from app import clock
from app.access import api_tokens
from app.db import Database
from app.models import Report
from app.services import Services
from app.web.worker import READ_WITHIN
from tests.conftest import People, add_tasks
from tests.test_web_logs import ask, gunicorn

pytestmark = pytest.mark.slow

SCALE = 0.1
THREADS = 8
BODY = b'{"task_ref": "T-1", "percent": 40, "status": "on_track"}'


@pytest.fixture
def head(services: Services, db: Database, team: People) -> bytes:
    """Of a good call of an owner of T-1, whose body is said to be a little longer than BODY."""
    add_tasks(db, team)
    key = api_tokens.create(
        services, team.suzuki.email, "slow", ["report"], who="test", now=clock.now()
    )
    return (
        f"POST /api/v1/reports HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(BODY) + 5}\r\n\r\n"
    ).encode()


@pytest.fixture
def port(environ: dict[str, str], tmp_path: Path, head: bytes) -> Iterator[int]:
    """Of a gunicorn on the same database, whose time goes ten times as fast."""
    assert head
    with gunicorn({**environ, "TEST_TIME_SCALE": str(SCALE)}, tmp_path / "web.log") as port:
        yield port


def reports(db: Database) -> int:
    with db.read() as session:
        return session.scalar(select(func.count()).select_from(Report)) or 0


@pytest.mark.parametrize("part", ["head", "body"])
def test_slow_senders_on_all_threads_do_not_keep_the_others_waiting(
    db: Database, port: int, head: bytes, part: str
) -> None:
    sent = head[:40] if part == "head" else head + BODY
    with ExitStack() as stack:
        slow = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port), 60))
            for _ in range(THREADS)
        ]
        for one in slow:
            one.sendall(sent)
        began = time.monotonic()
        assert ask(port, "GET", "/healthz") == 200
        waited = time.monotonic() - began
        answers = [one.recv(4096) for one in slow]
    assert waited < READ_WITHIN * SCALE + 10, "one who only asks waits no longer than that"
    if part == "body":
        assert {one.split()[1] for one in answers} == {b"400"}
    assert reports(db) == 0


def test_a_body_that_was_cut_on_its_way_is_not_taken_for_a_whole_one(
    db: Database, port: int, head: bytes
) -> None:
    with socket.create_connection(("127.0.0.1", port), 60) as line:
        line.sendall(head + BODY)
        line.shutdown(socket.SHUT_WR)
        assert line.recv(4096).split()[1] == b"400"
    assert reports(db) == 0
    with socket.create_connection(("127.0.0.1", port), 60) as line:
        line.sendall(head + BODY + b"     ")
        assert line.recv(4096).split()[1] == b"201", "the same, whole"
