"""A PostgreSQL whose standby takes over: real servers, streaming, and a switch."""

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from sqlalchemy import text

from app import create_app, reminders
from app.config import load
from app.db import PAGES, Database, DatabaseDown
from app.doctor import database as doctor
from app.doctor.finding import CheckContext, Level
from app.services import Services, make
from tests import sending
from tests.browser import signed_in
from tests.conftest import NOW, People, task
from tests.postgres import NAME
from tests.servers import wait_until
from tests.smtp_server import SmtpServer
from tests.standby import Server, primary_and_standby
from tests.test_behind import held, restores, tick

pytestmark = pytest.mark.slow

ASKED = "SHOW default_transaction_read_only"
PID = "SELECT pg_backend_pid()"


def at(moment: datetime) -> Callable[[], datetime]:
    return lambda: moment


@pytest.fixture
def pair() -> Iterator[tuple[Server, Server]]:
    with (  # in a short path: a socket lies in it
        TemporaryDirectory(prefix="tp-", ignore_cleanup_errors=True) as folder,
        primary_and_standby(Path(folder)) as both,
    ):
        yield both


@pytest.fixture
def database_url(pair: tuple[Server, Server]) -> str:
    ports = ",".join(str(server.port) for server in pair)
    return f"postgresql+psycopg://tests@/{NAME}?host=127.0.0.1,127.0.0.1&port={ports}"


@pytest.fixture
def services(
    environ: dict[str, str], pair: tuple[Server, Server], tmp_path: Path, smtp: SmtpServer
) -> Iterator[Services]:
    """DATABASE_URL in libpq's form, as an operator writes it."""
    hosts = ",".join(f"127.0.0.1:{server.port}" for server in pair)
    url = f"postgresql://tests@{hosts}/{NAME}"
    environ = {**environ, "DATABASE_URL": url, "SMTP_PORT": str(smtp.port)}
    made = make(load(environ, tmp_path), patience=PAGES)
    yield made
    made.idle.close()
    made.db.close()


def follow(first: Server, second: Server) -> None:
    """Waits until the standby has all that was committed."""
    behind = f"SELECT pg_last_wal_replay_lsn() >= '{first.says('SELECT pg_current_wal_lsn()')}'"
    wait_until(lambda: second.says(behind), "the standby")


def test_when_the_standby_takes_over_pages_and_senders_follow(
    pair: tuple[Server, Server], services: Services, team: People, smtp: SmtpServer
) -> None:
    first, second = pair
    with services.db.write() as session:
        session.add(task("T-1", team.suzuki))
    ids = reminders.plan(services, NOW).ids
    app = create_app(services.config, services)
    browser = signed_in(app, services, team.sato.email)
    follow(first, second)

    first.kill()
    page = browser.get("/settings")
    assert (page.status_code, page.headers["Retry-After"]) == (503, "30")
    with pytest.raises(DatabaseDown):
        sending.deliver(services, ids, at(NOW))
    assert smtp.mails == []
    found = doctor.database(CheckContext(Path(), at(NOW), services))
    assert {one.level for one in found} == {Level.RED}
    assert "standby" in " ".join(one.says.en for one in found)

    second.says("SELECT pg_promote()")
    assert browser.get("/settings").status_code == 200
    assert sending.deliver(services, ids, at(NOW)) == len(ids) == 1
    found = doctor.database(CheckContext(Path(), at(NOW), services))
    assert "standby" not in {one.check for one in found}
    app.extensions["beside"].shutdown()


def test_a_connection_that_meets_a_server_turned_read_only_is_made_anew(
    pair: tuple[Server, Server], db: Database, team: People
) -> None:
    """As where the old primary stays, and sessions with it: nobody hangs up."""
    first, second = pair
    rename = "UPDATE users SET name = 'x' WHERE id = :id"
    with closing(db.each_by_itself()) as each:
        each.scalars(PID, {})
        with db.read() as session:  # and one more, left in the pool
            session.execute(text(PID))
        follow(first, second)
        second.says("SELECT pg_promote()")
        first.says("ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
        wait_until(lambda: first.says(ASKED) == "on", "the reload")
        with pytest.raises(DatabaseDown), db.write() as session:
            session.execute(text(rename), {"id": team.sato.id})
        with pytest.raises(DatabaseDown):
            each.scalars("DELETE FROM alerts RETURNING id", {})
        each.scalars("DELETE FROM alerts RETURNING id", {})
    with db.write() as session:
        session.execute(text(rename), {"id": team.sato.id})
    asked = "SELECT name FROM users WHERE role = 'lead'"
    assert (first.says(asked), second.says(asked)) == ("佐藤 花子", "x")


def test_a_standby_alone_is_refused_and_who_wants_it_gets_it_for_reading(
    pair: tuple[Server, Server], environ: dict[str, str], tmp_path: Path
) -> None:
    alone = f"postgresql://tests@127.0.0.1:{pair[1].port}/{NAME}"
    for url, says in ((alone, "is a standby"), (f"{alone}?target_session_attrs=any", "a standby")):
        services = make(load({**environ, "DATABASE_URL": url}, tmp_path))
        found = doctor.database(CheckContext(Path(), at(NOW), services))
        red = [one for one in found if one.level is Level.RED]
        assert "standby" in {one.check for one in red}
        assert says in red[0].says.en
        with pytest.raises(DatabaseDown), services.db.write() as session:
            session.execute(text("DELETE FROM alerts"))
        services.db.close()


def test_a_standby_that_takes_over_without_the_last_records_is_marked_as_restored(
    pair: tuple[Server, Server], services: Services, team: People, smtp: SmtpServer, no_digest: None
) -> None:
    """It stood still while the morning's mails went out, and Redis knows of the ticks since."""
    first, second = pair
    with services.db.write() as session:
        session.add(task("T-1", team.suzuki))
    tick(services, NOW - timedelta(minutes=30))
    follow(first, second)
    second.kill()
    tick(services, NOW)
    assert [one.recipient for one in smtp.mails] == [team.suzuki.email]
    first.kill()
    second.start()
    second.says("SELECT pg_promote()")
    for minutes in (60, 61):
        tick(services, NOW + timedelta(minutes=minutes))
    assert len(smtp.mails) == 1
    assert (restores(services), held(services)) == (["tick"], 1)
