"""Real parts for every test: two databases, a Redis, three people; and no way out of loopback."""

import contextlib
import ipaddress
import os
import shutil
import socket
import tempfile
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from hypothesis import settings
from sqlalchemy import Engine, delete, event
from sqlalchemy.pool import Pool

from app import installation, schema
from app.config import Config, load
from app.config.sources import HOME
from app.db import AutocommitConnection, Database
from app.models import Member, Role, Setting, Task, Team
from app.services import Services, make
from tests import servers
from tests.safe_redis import SafeRedis
from tests.smtp_server import Plan, SmtpServer

# Tuesday 2026-11-24, 09:00 in Tokyo; the Monday before is a public holiday (勤労感謝の日).
NOW = datetime(2026, 11, 24, tzinfo=UTC)
TODAY = date(2026, 11, 24)

# A merge tries the same examples each time; at a desk each run looks for new ones.
settings.register_profile("merge", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("merge")

# --- one folder and one PostgreSQL for the whole run, all xdist workers included ----------

_SHARED = "TASK_PROGRESS_TESTS_FOLDER"
_PYTEST = "TASK_PROGRESS_TESTS_PID"
_LANGUAGE = ("LANG", "LC_ALL", "LC_MESSAGES", "LANGUAGE")


# --- tiers: `make test` and `make test-all` -----------------------------------------------------

_CORE = "--core"
CORE = "TASK_PROGRESS_TESTS_CORE"  # set while `make test` runs: fewer examples of what takes long
_DATABASES = ("sqlite", "postgresql")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--core`: what `make test` runs."""
    parser.addoption(_CORE, action="store_true", help="without what is marked slow; see pyproject")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With `--core`, leaves out what starts programs, and runs pages on one database each.

    Which of the two is by the test's name, so that each runs on the same one every day.
    """
    if not config.getoption(_CORE):
        return
    every = {item.nodeid for item in items}
    chosen = {item: _is_core(item, every) for item in items}
    config.hook.pytest_deselected(items=[item for item in items if not chosen[item]])
    items[:] = [item for item in items if chosen[item]]


def _is_core(item: pytest.Item, every: Collection[str]) -> bool:
    if item.get_closest_marker("slow"):
        return False
    if not item.get_closest_marker("pages"):
        return True
    for kind, other in (_DATABASES, _DATABASES[::-1]):
        twin = item.nodeid.replace(f"[{kind}", f"[{other}").replace(f"-{kind}", f"-{other}")
        if twin != item.nodeid and twin in every:
            number = zlib.crc32(item.nodeid.partition("[")[0].encode())
            return kind == _DATABASES[number % 2]
    return True


def pytest_configure(config: pytest.Config) -> None:
    """Makes the run's folder (once), forgets the shell's settings, closes all other sockets."""
    if config.getoption(_CORE, default=False):
        os.environ[CORE] = "1"
    if not hasattr(config, "workerinput"):
        os.environ[_SHARED] = tempfile.mkdtemp(prefix="tp-tests-")
        os.environ[_PYTEST] = str(os.getpid())
    for name in (*(str(field.alias) for field in Config.model_fields.values()), *_LANGUAGE):
        os.environ.pop(name, None)
        os.environ.pop(f"{name}_FILE", None)
    os.environ[HOME] = os.environ[_SHARED]  # no test reads the `.env` of whoever runs it
    _close_other_sockets()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stops PostgreSQL and removes the folder."""
    if not hasattr(config, "workerinput") and _SHARED in os.environ:
        servers.stop_keeper(_shared())
        shutil.rmtree(_shared(), ignore_errors=True)
        del os.environ[_SHARED], os.environ[_PYTEST], os.environ[HOME]


def _shared() -> Path:
    return Path(os.environ[_SHARED])


# --- only loopback ------------------------------------------------------------------------

_attempts: list[str] = []


def _is_loopback(host: object) -> bool:
    return host in {None, "", "localhost"} or (_is_number(host) and _address(host).is_loopback)


def _is_number(host: object) -> bool:
    try:
        return bool(_address(host))
    except ValueError:
        return False


def _address(host: object) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.ip_address(str(host))


def _close_other_sockets() -> None:
    """Connections leave this machine from no test; names other than localhost do not exist."""

    def guard(method: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(self: socket.socket, *args: Any) -> Any:
            inet = self.family in {socket.AF_INET, socket.AF_INET6}
            if inet and not _is_loopback(args[-1][0]):
                _attempts.append(str(args[-1]))
                raise RuntimeError(f"a test wanted to reach {args[-1]}")
            return method(self, *args)

        return guarded

    for name in ("connect", "connect_ex", "sendto"):
        setattr(socket.socket, name, guard(getattr(socket.socket, name)))
    resolve = socket.getaddrinfo

    def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if not (_is_loopback(name) or _is_number(name)):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return resolve(host, *args, **kwargs)

    socket.getaddrinfo = getaddrinfo


@pytest.fixture(autouse=True)
def only_loopback() -> Iterator[None]:
    """Fails a test that wanted to leave this machine, also where the code swallowed the error."""
    _attempts.clear()
    yield
    assert not _attempts


# --- databases ------------------------------------------------------------------------------

open_connections: dict[Any, Any] = {}  # the driver's connection -> SQLAlchemy's record of it


@event.listens_for(Pool, "connect")
def _opened(connection: Any, record: Any) -> None:
    open_connections[connection] = record


@event.listens_for(Pool, "close")
def _closed(connection: Any, _record: object) -> None:
    open_connections.pop(connection, None)


@pytest.fixture(autouse=True)
def connections_closed() -> Iterator[None]:
    """Closes what the test left open to a database.

    Python 3.13 warns of an SQLite connection that it had to close itself, in whichever test runs
    by then.
    """
    yield
    for record in list(open_connections.values()):
        record.invalidate()


@pytest.fixture(params=_DATABASES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A fresh, migrated, empty database; each test that asks for it runs on both kinds."""
    if request.param == "sqlite":
        yield sqlite_copy(tmp_path / "task-progress.sqlite3")
        return
    url: str = request.getfixturevalue("_postgresql_of_worker")
    yield url
    _empty(url)


@pytest.fixture
def db(database_url: str) -> Iterator[Database]:
    """The application's own view of `database_url`."""
    with contextlib.closing(Database(database_url)) as database:
        yield database


@pytest.fixture
def empty_database_url(tmp_path: Path) -> str:
    """An SQLite database on which no migration ran."""
    return f"sqlite:///{tmp_path / 'empty.sqlite3'}"


def sqlite_copy(file: Path) -> str:
    """Makes `file` a migrated, empty SQLite database; returns its URL."""
    template = _shared() / "template.sqlite3"
    with servers.locked(_shared() / "sqlite.lock"):
        if not template.exists():
            _migrate(f"sqlite:///{template}.new")
            Path(f"{template}.new").rename(template)
    shutil.copyfile(template, file)
    return f"sqlite:///{file}"


def _migrate(url: str) -> None:
    with contextlib.closing(Database(url)) as database:
        schema.upgrade(database)
        with database.write() as session:  # each copy is an installation of its own
            session.execute(delete(Setting).where(Setting.key == installation.KEY))


def postgresql_cluster() -> str:
    """The URL of this run's cluster, without a database; it holds a migrated `template_app`."""
    url = servers.postgresql(_shared(), int(os.environ[_PYTEST]))
    done = _shared() / "template_app"
    if not done.exists():
        with servers.locked(_shared() / "template.lock"):
            if not done.exists():
                with _admin(url) as admin:
                    admin.execute("DROP DATABASE IF EXISTS template_app")
                    admin.execute("CREATE DATABASE template_app")
                _migrate(f"{url}/template_app")
                with psycopg.connect(url.replace("+psycopg", "") + "/template_app") as template:
                    template.execute(_FIRST_IDS)
                done.touch()
    return url


def _admin(url: str) -> psycopg.Connection[Any]:
    return psycopg.connect(url.replace("+psycopg", "") + "/postgres", autocommit=True)


@contextlib.contextmanager
def postgresql_copy(name: str) -> Iterator[str]:
    """A migrated, empty database of its own, for tests that change its schema or break it."""
    url = postgresql_cluster()
    full_name = f"{name}_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    with _admin(url) as admin:
        admin.execute(f"CREATE DATABASE {full_name} TEMPLATE template_app".encode())
    yield f"{url}/{full_name}"
    with _admin(url) as admin:
        admin.execute(f"DROP DATABASE {full_name} WITH (FORCE)".encode())


@pytest.fixture(scope="session")
def _postgresql_of_worker() -> Iterator[str]:
    # Emptying one database after each test takes 10 ms, a copy for each 150 ms.
    with postgresql_copy("tests") as url:
        yield url


def _empty(url: str) -> None:
    """Takes all rows out, whatever the test left behind; ids start again where they started."""
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(_EMPTY)


# DELETE, because TRUNCATE makes new files: 40 ms. `replica` leaves foreign keys unchecked.
_EMPTY = """
    DO $$ DECLARE one text; BEGIN
        PERFORM pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid();
        SET LOCAL session_replication_role = replica;
        FOR one IN SELECT tablename FROM pg_tables
            WHERE schemaname = 'public' AND tablename <> 'alembic_version' LOOP
            EXECUTE format('DELETE FROM %I', one);
        END LOOP;
        FOR one IN SELECT sequencename FROM pg_sequences WHERE last_value IS NOT NULL LOOP
            PERFORM setval(one::regclass, first, false) FROM tests.first_ids WHERE name = one;
        END LOOP;
    END $$
"""

_FIRST_IDS = """
    DO $$ DECLARE one text; BEGIN
        CREATE SCHEMA tests;
        CREATE TABLE tests.first_ids (name text, first bigint);
        FOR one IN SELECT sequencename FROM pg_sequences LOOP
            EXECUTE format('INSERT INTO tests.first_ids SELECT %L, last_value FROM %I', one, one);
        END LOOP;
    END $$
"""


# --- Redis ------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.RedisServer]:
    """A private Redis, one per worker. A test that stops a Redis starts its own RedisServer.

    TEST_REDIS=tls (`make test-tls`): one that speaks TLS alone, with the rights of our ACL file.
    """
    kind = SafeRedis if os.environ.get("TEST_REDIS") == "tls" else servers.RedisServer
    server = kind(tmp_path_factory.mktemp("redis")).start()
    yield server
    server.kill()


@pytest.fixture
def redis_url(redis_server: servers.RedisServer) -> str:
    """Database 0 of the private Redis, all databases emptied."""
    with redis.Redis.from_url(redis_server.admin_url) as client:
        client.flushall()
    return redis_server.url


@pytest.fixture
def redis_admin(redis_server: servers.RedisServer, redis_url: str) -> Iterator[redis.Redis]:
    """For a test that looks into the private Redis, copies or empties: the program may not."""
    with redis.Redis.from_url(redis_server.admin_url, decode_responses=True) as client:
        yield client


# --- settings -----------------------------------------------------------------------------------


@pytest.fixture
def environ(database_url: str, redis_url: str, tmp_path: Path) -> dict[str, str]:
    """Settings of a test: both databases in turn, the private Redis, an SMTP port nobody has."""
    return {
        "DATABASE_URL": database_url,
        "DATA_DIR": str(tmp_path),
        HOME: str(tmp_path),
        "CELERY_BROKER_URL": redis_url,
        "CELERY_RESULT_BACKEND": redis_url.replace("/0", "/1", 1),
        "SMTP_HOST": "127.0.0.1",
        "SMTP_PORT": str(servers.free_port()),
        "SMTP_SECURITY": "none",
        "MAIL_FROM": "Task Progress <app@example.jp>",
        "SECRET_KEY": "a made-up key for tests only: 0123456789 abcdef",
    }


@pytest.fixture
def smtp() -> Iterator[SmtpServer]:
    """A mail server that takes every mail, unless the recipient's tag says otherwise."""
    with SmtpServer(Plan()) as server:
        yield server


@pytest.fixture
def config(environ: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest) -> Config:
    """`environ`, read as the application reads it; with `smtp` where the test has that server."""
    if "smtp" in request.fixturenames:
        port = request.getfixturevalue("smtp").port
        environ = {**environ, "SMTP_PORT": str(port), "SMTP_TIMEOUT": "2"}
    return load(environ, tmp_path)


@pytest.fixture
def services(config: Config) -> Iterator[Services]:
    """What the doors hand to the use cases, on `config`."""
    with contextlib.closing(make(config)) as made:
        yield made


# --- three people -------------------------------------------------------------------------------


def sato(**values: Any) -> Member:
    """佐藤 花子 leads the team and is reminded at nine, like everybody."""
    return _member(email="sato.hanako@example.jp", name="佐藤 花子", role=Role.LEAD, **values)


def suzuki(**values: Any) -> Member:
    """鈴木 一郎 left every setting as it was: daily, 09:00, Asia/Tokyo."""
    return _member(email="suzuki.ichiro@example.jp", name="鈴木 一郎", **values)


def tanaka(**values: Any) -> Member:
    """田中 美咲 wants no mail between 22:00 and 07:00."""
    quiet = {"quiet_hours_start": time(22), "quiet_hours_end": time(7)}
    return _member(email="tanaka.misaki@example.jp", name="田中 美咲", **(quiet | values))


def _member(**values: Any) -> Member:
    # The first decision is that of TODAY.
    defaults = {"locale": "ja", "decided_through": date(2026, 11, 23), "created_at": NOW}
    return Member(**(defaults | values))


def task(ref: str, assignee: Member | None, **values: Any) -> Task:
    """An open task that `assignee` has had since Monday 2026-11-02 and never reported on."""
    defaults = {"title": f"タスク {ref}", "start_on": date(2026, 11, 2)}
    return Task(ref=ref, assignee_id=assignee.id if assignee else None, **(defaults | values))


@dataclass(frozen=True)
class People:
    """The three, as rows of the database."""

    sato: Member
    suzuki: Member
    tanaka: Member


@pytest.fixture
def team(db: Database) -> People:
    """佐藤さん, 鈴木さん and 田中さん in the database; 佐藤さん is the manager of the others."""
    with db.write() as session:
        lead = sato(team=Team(name="開発"))
        session.add(lead)
        session.flush()
        ours = {"team_id": lead.team_id, "manager_id": lead.id}
        people = People(lead, suzuki(**ours), tanaka(**ours))
        session.add_all([people.suzuki, people.tanaka])
    return people


@pytest.fixture
def no_digest(db: Database) -> None:
    """佐藤さん, the lead, gets no digest: on the first workday of a week it would be one mail more."""
    with db.write() as session:
        off = Setting(key="weekly_digest", value=False, changed_by="test")
        off.changed_at = datetime(2026, 1, 1, tzinfo=UTC)
        session.add(off)


class Hooked(AutocommitConnection):
    """Something happens right before each of its statements."""

    def __init__(self, engine: Engine, before: Callable[[], None]) -> None:
        super().__init__(engine)
        self._before = before

    def scalars(self, statement: str, values: Mapping[str, Any]) -> Sequence[Any]:
        self._before()
        return super().scalars(statement, values)
