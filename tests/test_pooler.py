"""PostgreSQL by way of a pgbouncer: sessions, or transactions that share servers."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text

from app import reminders, schema
from app.config import load
from app.db import PAGES, Database, DatabaseDown
from app.maintenance import backup
from app.maintenance.errors import BackupFailed
from app.services import Services, make
from tests import sending
from tests.conftest import NOW, People, task
from tests.databases import postgresql_copy
from tests.pooler import MISSING, pgbouncer
from tests.smtp_server import SmtpServer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(MISSING, reason="pgbouncer is not installed"),
]
SCALE = 0.1
SHOWN = ("lock_timeout", "statement_timeout", "plan_cache_mode")


def at(moment: datetime) -> Callable[[], datetime]:
    return lambda: moment


@pytest.fixture
def server() -> Iterator[str]:
    """The server itself."""
    with postgresql_copy("pooled") as url:
        yield url


@pytest.fixture(params=["session", "transaction"])
def database_url(request: pytest.FixtureRequest, server: str, tmp_path: Path) -> Iterator[str]:
    size = 20 if request.param == "session" else 2
    with pgbouncer(tmp_path / "pgbouncer", server, request.param, size) as url:
        yield url


@pytest.fixture
def services(environ: dict[str, str], tmp_path: Path, smtp: SmtpServer) -> Iterator[Services]:
    scaled = {**environ, "TEST_TIME_SCALE": str(SCALE), "SMTP_PORT": str(smtp.port)}
    made = make(load(scaled, tmp_path), patience=PAGES)
    yield made
    made.idle.close()
    made.db.close()


def test_a_morning_goes_out(services: Services, team: People, smtp: SmtpServer) -> None:
    schema.check(services.db)
    with services.db.write() as session:
        session.add_all([task(f"T-{n}", team.suzuki) for n in range(3)] + [task("U", team.tanaka)])
    ids = reminders.plan(services, NOW).ids
    assert sending.deliver(services, ids, at(NOW)) == len(ids) == len(smtp.mails) == 2


def test_the_same_statements_again_and_again_on_servers_that_change(services: Services) -> None:
    """psycopg prepares a statement the sixth time, on a server that the next one may not get."""
    with closing(services.db.each_by_itself()) as each, services.db.read() as other:
        for n in range(20):
            assert each.scalars("SELECT %(n)s::int", {"n": n}) == [n]
            assert other.scalar(text("SELECT CAST(:n AS int)"), {"n": n}) == n
            other.rollback()


def test_limits_hold_for_each_transaction(services: Services) -> None:
    waits = "SELECT current_setting('lock_timeout') || ' ' || current_setting('statement_timeout')"
    with closing(services.db.each_by_itself()) as each:
        for _ in range(3):
            assert each.scalars(waits, {}) == ["500ms 2s"]
            with services.db.read() as session:
                assert session.scalar(text(waits)) == "500ms 2s"


def test_a_sender_before_a_locked_table_gives_up(services: Services, server: str) -> None:
    began = time.monotonic()
    with psycopg.connect(server.replace("+psycopg", "")) as other:
        other.execute("LOCK TABLE outbox IN ACCESS EXCLUSIVE MODE")
        with closing(services.db.each_by_itself()) as each, pytest.raises(DatabaseDown):
            each.scalars("SELECT id FROM outbox", {})
    assert time.monotonic() - began < 10


def test_nothing_is_left_behind_for_the_next_client(db: Database, database_url: str) -> None:
    with closing(db.each_by_itself()) as each:
        each.scalars("SELECT 1", {})
        with db.read() as session:
            session.execute(text("SELECT 1"))
    with psycopg.connect(database_url.replace("+psycopg", "")) as other:
        left = [other.execute(f"SHOW {name}".encode()).fetchone() for name in SHOWN]
    assert left == [("0",), ("0",), ("auto",)]


def test_a_backup_by_way_of_it_is_refused_with_the_remedy(
    services: Services, tmp_path: Path
) -> None:
    """pg_dump empties its session's search_path: the next client would find no tables."""
    with pytest.raises(BackupFailed) as refused:
        backup.backup(services, tmp_path / "saved")
    assert "pgbouncer" in str(refused.value)
