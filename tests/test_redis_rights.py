"""A Redis whose ACL file is that of the version before, as after an upgrade of the program alone."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from app.config import load
from app.db import Database
from app.doctor import broker
from app.doctor.finding import CheckContext, Level
from app.models import OutboxMail, State
from app.services import make
from tests.conftest import NOW, People, task
from tests.databases import on_sqlite
from tests.safe_redis import ACL
from tests.servers import RedisServer, wait_until
from tests.smtp_server import SmtpServer
from tests.stack import Stack, offset_to, running

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("no_digest"),
    on_sqlite,
]
WORD = "a-made-up-word"
# What came with the later of two versions, and with the earlier one.
LATER = [" ~task-progress:ticks:*"]
EARLIER = [" ~task-progress:installations", " ~task-progress:aside:*"]


@pytest.fixture(params=[LATER, LATER + EARLIER], ids=["the version before", "the one before that"])
def redis_of_before(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a Redis with the rights of a former version."""
    rights = ACL.read_text().replace("task-progress on", f"task-progress on >{WORD}", 1)
    for pattern in request.param:
        assert pattern in rights
        rights = rights.replace(pattern, "")
    file = tmp_path / "redis.acl"
    file.write_text(rights)
    server = RedisServer(tmp_path / "redis", "--aclfile", str(file)).start()
    yield f"redis://task-progress:{WORD}@127.0.0.1:{server.port}/0"
    server.kill()


@pytest.fixture
def stack(
    environ: dict[str, str], tmp_path: Path, db: Database, smtp: SmtpServer, redis_of_before: str
) -> Iterator[Stack]:
    """The installation, at nine."""
    settings = {
        **environ,
        "SMTP_PORT": str(smtp.port),
        "CELERY_BROKER_URL": redis_of_before,
        "CELERY_RESULT_BACKEND": redis_of_before.removesuffix("0") + "1",
        "TEST_CLOCK_OFFSET": offset_to(NOW),
        "LANG": "en_US.UTF-8",
    }
    with running(tmp_path, settings, smtp) as stack:
        yield stack


def test_with_the_rights_of_before_mails_go_and_log_and_doctor_name_the_file(
    stack: Stack, db: Database, team: People, tmp_path: Path
) -> None:
    with db.write() as session:
        session.add_all([task(f"T-{one.id}", one) for one in (team.sato, team.suzuki, team.tanaka)])
    worker = stack.worker()
    stack.run("call", "app.tasks.notifications.daily_progress_reminder")

    def accepted() -> bool:
        with db.read() as session:
            return list(session.scalars(select(OutboxMail.state))) == [State.ACCEPTED] * 3

    wait_until(accepted, stack.logs())
    stack.run("call", "app.tasks.notifications.tick")
    stack.until_said(worker, "deploy/redis.acl")
    assert WORD not in stack.logs()
    for _ in range(3):
        stack.run("call", "app.tasks.notifications.tick")
    wait_until(lambda: stack.finished_jobs() >= 5, stack.logs())
    # Once for each process: the worker's own and its two children.
    assert stack.said(worker).count("deploy/redis.acl") <= 3

    services = make(load(stack.environ, tmp_path))
    found = {one.check: one for one in broker.broker(CheckContext(tmp_path, lambda: NOW, services))}
    services.db.close()
    assert found["redis"].level is found["queues"].level is Level.GREEN
    assert found["redis-shared"].level is Level.YELLOW
    assert "deploy/redis.acl" in str(found["redis-shared"].fix)
