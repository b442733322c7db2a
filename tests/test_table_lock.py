"""A PostgreSQL that lets wait: a locked table, a wrong encoding; and an error that crosses processes."""

import contextlib
import pickle
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import psycopg
import pytest
from flask.testing import FlaskClient
from sqlalchemy import text

from app import create_app, reminders, schema
from app.config import load
from app.db import PAGES, Database, DatabaseDown
from app.locale import Both
from app.services import Services, make
from tests import sending
from tests.browser import signed_in
from tests.conftest import NOW, People, task
from tests.databases import on_postgresql, postgresql_cluster
from tests.smtp_server import SmtpServer

SCALE = 0.1


def at(moment: datetime) -> Callable[[], datetime]:
    return lambda: moment


@contextlib.contextmanager
def locked(url: str, table: str) -> Iterator[None]:
    """As during VACUUM FULL or ALTER TABLE."""
    with psycopg.connect(url.replace("+psycopg", "")) as other:
        other.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
        yield


@pytest.fixture
def services(environ: dict[str, str], tmp_path: Path, smtp: SmtpServer) -> Iterator[Services]:
    """Those of the pages, with waits a tenth as long."""
    scaled = {**environ, "TEST_TIME_SCALE": str(SCALE), "SMTP_PORT": str(smtp.port)}
    made = make(load(scaled, tmp_path), patience=PAGES)
    yield made
    made.idle.close()
    made.db.close()


@pytest.fixture
def browser(services: Services, team: People) -> Iterator[FlaskClient]:
    app = create_app(services.config, services)
    yield signed_in(app, services, team.sato.email)
    app.extensions["beside"].shutdown()


@on_postgresql
def test_while_tables_are_locked_pages_are_503_and_health_answers(
    browser: FlaskClient, database_url: str
) -> None:
    with locked(database_url, "users, outbox, service"):
        began = time.monotonic()
        page, health = browser.get("/settings"), browser.get("/healthz")
        assert (page.status_code, page.headers["Retry-After"]) == (503, "30")
        assert (health.status_code, health.get_json()["reasons"]) == (503, ["database"])
        assert time.monotonic() - began < (PAGES.lock + 2) * SCALE + 5
    assert browser.get("/settings").status_code == 200


@on_postgresql
def test_a_statement_without_end_is_ended(services: Services) -> None:
    began = time.monotonic()
    with pytest.raises(DatabaseDown), services.db.read() as session:
        session.execute(text("SELECT pg_sleep(60)"))
    assert time.monotonic() - began < 20 * SCALE + 5


@on_postgresql
def test_a_sender_before_a_locked_table_gives_up_and_sends_afterwards(
    services: Services, team: People, database_url: str, smtp: SmtpServer
) -> None:
    with services.db.write() as session:
        session.add(task("T-1", team.suzuki))
    ids = reminders.plan(services, NOW).ids
    with locked(database_url, "outbox"), pytest.raises(DatabaseDown):
        sending.deliver(services, ids, at(NOW))
    assert smtp.mails == []
    assert sending.deliver(services, ids, at(NOW)) == len(ids) == 1


def test_a_database_in_sql_ascii_is_refused_with_the_command_that_makes_a_right_one() -> None:
    url = postgresql_cluster()
    with psycopg.connect(url.replace("+psycopg", "") + "/postgres", autocommit=True) as admin:
        admin.execute("DROP DATABASE IF EXISTS in_ascii")
        admin.execute("CREATE DATABASE in_ascii ENCODING 'SQL_ASCII' TEMPLATE template0 LOCALE 'C'")
        with contextlib.closing(Database(f"{url}/in_ascii")) as database:
            for asked in (schema.check, schema.upgrade):
                with pytest.raises(schema.SchemaError) as refused:
                    asked(database)
                assert "createdb --encoding=UTF8" in refused.value.sentence.en
                assert "in_ascii_utf8" in refused.value.sentence.ja
                assert str(refused.value.fix).startswith("createdb --encoding=UTF8")
        admin.execute("DROP DATABASE in_ascii")


def test_a_database_that_is_down_can_be_told_across_processes() -> None:
    error = DatabaseDown(Both("使えません。", "It cannot be used."))
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - made here
    assert isinstance(again, DatabaseDown)
    assert (again.sentence, str(again)) == (error.sentence, str(error))
