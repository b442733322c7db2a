"""Real parts for every test: two databases, a Redis, three people; and no way out of loopback."""

import contextlib
import gc
import os
import re
import shutil
import tempfile
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import pytest
import redis
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import settings
from sqlalchemy import Engine

from app import create_app
from app.config import Config, load
from app.config.sources import HOME
from app.db import AutocommitConnection, Database
from app.models import Member, Role, Setting, Task, Team
from app.services import Services, make
from tests import databases, loopback, servers, warm
from tests.browser import signed_in
from tests.databases import empty, open_connections, postgresql_copy, sqlite_copy
from tests.postgres import stop_keeper
from tests.safe_redis import SafeRedis
from tests.smtp_server import Plan, SmtpServer
from tests.terminal import Terminal

# Tuesday 2026-11-24, 09:00 in Tokyo; the Monday before is a public holiday (勤労感謝の日).
NOW = datetime(2026, 11, 24, tzinfo=UTC)
TODAY = date(2026, 11, 24)

# --- one folder and one PostgreSQL for the whole run, all xdist workers included ----------

_LANGUAGE = ("LANG", "LC_ALL", "LC_MESSAGES", "LANGUAGE")


# --- tiers: `make test` and `make test-all` -----------------------------------------------------

_CORE = "--core"
CORE = "TASK_PROGRESS_TESTS_CORE"  # set while `make test` runs: fewer examples of what takes long
_DATABASES = ("sqlite", "postgresql")


# What waits for real minutes, or takes longest: the longest first.
_LONGEST = (
    "test_wall_clock.py",
    "test_machine_alarms.py",
    "test_main_job.py",
    "test_make_upgrade.py",
    "test_runbook.py",
    "test_presets.py",
    "test_units.py",
    "test_shared_redis.py",
    "test_moment_rules.py",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--core`: what `make test` runs."""
    parser.addoption(_CORE, action="store_true", help="without what is marked slow; see pyproject")


_ALL_SLOW = re.compile(r"^pytestmark = (\[\s*)?pytest\.mark\.slow\b", re.M)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With `--core`, imports no file that is slow as a whole: their parts take seconds to import."""
    if not config.getoption(_CORE) or collection_path.suffix != ".py":
        return None
    return bool(_ALL_SLOW.search(collection_path.read_text(encoding="utf-8"))) or None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With `--core`, leaves out what starts programs, and runs pages on one database each.

    Which of the two is by the test's name, so that each runs on the same one every day.
    """
    if config.getoption(_CORE):
        every = {item.nodeid for item in items}
        chosen = {item: _is_core(item, every) for item in items}
        config.hook.pytest_deselected(items=[item for item in items if not chosen[item]])
        items[:] = [item for item in items if chosen[item]]
    items[:] = _longest_first(items, getattr(config, "workerinput", {}).get("workercount", 1))


def _longest_first(items: Sequence[pytest.Item], processes: int) -> list[pytest.Item]:
    """Each process begins with some of the longest files: at the end nobody waits for them alone.

    A process begins with its equal share of the list, in order.
    """
    rest = [item for item in items if item.path.name not in _LONGEST]
    ordered: list[pytest.Item] = []
    for number in range(processes):
        files = _LONGEST[number::processes]
        mine = [item for item in items if item.path.name in files]
        mine.sort(key=lambda item: files.index(item.path.name))
        share = max(0, len(items) // processes - len(mine))
        ordered += mine + rest[:share]
        del rest[:share]
    return ordered + rest


def pytest_collection_finish() -> None:
    """What was collected lives to the end: no search for garbage looks at it again."""
    gc.collect()
    gc.freeze()


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
    core = config.getoption(_CORE, default=False)
    if core:
        os.environ[CORE] = "1"
    # A merge tries the same examples each time; at a desk each run looks for new ones.
    examples = 25 if core else 100
    settings.register_profile(
        "ours", max_examples=examples, derandomize="CI" in os.environ, deadline=None
    )
    settings.load_profile("ours")
    if not hasattr(config, "workerinput"):
        os.environ[databases.SHARED] = tempfile.mkdtemp(prefix="tp-tests-")
        os.environ[databases.PYTEST] = str(os.getpid())
    for name in (*(str(field.alias) for field in Config.model_fields.values()), *_LANGUAGE):
        os.environ.pop(name, None)
        os.environ.pop(f"{name}_FILE", None)
    os.environ[HOME] = os.environ[databases.SHARED]  # no test reads the `.env` of whoever runs it
    loopback.close_other_sockets()
    warm.keep_compiled()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stops PostgreSQL and removes the folder."""
    if not hasattr(config, "workerinput") and databases.SHARED in os.environ:
        stop_keeper(databases.shared())
        shutil.rmtree(databases.shared(), ignore_errors=True)
        del os.environ[databases.SHARED], os.environ[databases.PYTEST], os.environ[HOME]


# --- only loopback ------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def only_loopback() -> Iterator[None]:
    """Fails a test that wanted to leave this machine, also where the code swallowed the error."""
    loopback.attempts.clear()
    yield
    assert not loopback.attempts


# --- databases ------------------------------------------------------------------------------


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
    empty(url)


@pytest.fixture
def db(database_url: str) -> Iterator[Database]:
    """The application's own view of `database_url`."""
    with contextlib.closing(Database(database_url)) as database:
        yield database


@pytest.fixture
def empty_database_url(tmp_path: Path) -> str:
    """An SQLite database on which no migration ran."""
    return f"sqlite:///{tmp_path / 'empty.sqlite3'}"


@pytest.fixture(scope="session")
def _postgresql_of_worker() -> Iterator[str]:
    # Emptying one database after each test takes 10 ms, a copy for each 150 ms.
    with postgresql_copy("tests") as url:
        yield url


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
        environ = {**environ, "SMTP_PORT": str(port)}
    return load(environ, tmp_path)


@pytest.fixture
def services(config: Config) -> Iterator[Services]:
    """What the doors hand to the use cases, on `config`."""
    with contextlib.closing(make(config)) as made:
        yield made


# --- the command line -----------------------------------------------------------------------------


@pytest.fixture
def tp(
    environ: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Terminal:
    """`task-progress` with the settings of `environ`."""
    return Terminal(environ, tmp_path, monkeypatch, capsys)


@pytest.fixture
def inbox(environ: dict[str, str], smtp: SmtpServer) -> SmtpServer:
    """The server that `environ` names."""
    environ["SMTP_PORT"] = str(smtp.port)
    return smtp


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


def add_tasks(db: Database, team: People) -> None:
    """鈴木さん gets T-1, 田中さん T-2; a stranger in another team has T-3."""
    with db.write() as session:
        session.add_all([task("T-1", team.suzuki), task("T-2", team.tanaka)])
        other = Member(
            email="other@example.jp", name="他", team=Team(name="他部署"), created_at=NOW
        )
        other.decided_through = TODAY
        session.add(other)
        session.flush()
        session.add(task("T-3", other))


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


# --- the pages ----------------------------------------------------------------------------------


@pytest.fixture
def travel() -> Iterator[time_machine.Traveller]:
    """Nine o'clock on Tuesday; `shift` and `move_to` change it."""
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def app(config: Config, services: Services, travel: time_machine.Traveller) -> Iterator[Flask]:
    """The application on `services`, at nine o'clock."""
    made = create_app(config, services)
    yield made
    made.extensions["beside"].shutdown()


@pytest.fixture
def admin(app: Flask, services: Services, team: People) -> FlaskClient:
    """The browser of 佐藤さん, who is the admin here."""
    with services.db.write() as session:
        session.get_one(Member, team.sato.id).role = Role.ADMIN
    return signed_in(app, services, team.sato.email)


class Hooked(AutocommitConnection):
    """Something happens right before each of its statements."""

    def __init__(self, engine: Engine, before: Callable[[], None]) -> None:
        super().__init__(engine)
        self._before = before

    def scalars(self, statement: str, values: Mapping[str, Any]) -> Sequence[Any]:
        self._before()
        return super().scalars(statement, values)
