"""`doctor`: every check made red (or yellow) by a real fault, and green where nothing is wrong."""

import json
import os
import resource
import shutil
import sqlite3
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis
import trustme
from sqlalchemy import text

from app import clock, doctor
from app.cli.commands import EXAMPLES
from app.config import load
from app.config.sources import HOME
from app.db import Database
from app.doctor import (
    ALL_WITHIN,
    CheckContext,
    Finding,
    Level,
    Machine,
    broker,
    database,
    letters,
    machine,
    mail,
    mail_domain,
    pages,
    people,
    programs,
    settings,
)
from app.models import TICK, TIMER, Member
from app.monitoring import status
from app.schema import HEAD
from app.services import make
from app.util import zones
from tests import fork_server, http_server
from tests.databases import commits_as_in_production, postgresql_copy, sqlite_copy
from tests.dns_server import DnsServer, Records
from tests.http_server import Handler, HttpServer
from tests.servers import RedisServer, free_port, hole, wait_until
from tests.smtp_server import Plan, SmtpServer
from tests.specification import ENV as SPECIFICATION
from tests.stack import PROJECT, running

pytestmark = pytest.mark.pages

NOW = datetime(2026, 11, 24, tzinfo=UTC)
KEY = "0123456789abcdefghijklmnopqrstuv"
Make = Callable[..., CheckContext]


@pytest.fixture
def a_case(tmp_path: Path) -> Iterator[Make]:
    """An installation with these settings; SQLite, prepared, unless they say otherwise."""
    made: list[CheckContext] = []

    def maker(**environ: str) -> CheckContext:
        (tmp_path / "data").mkdir(mode=0o700, exist_ok=True)
        if "DATABASE_URL" not in environ:
            sqlite_copy(tmp_path / "data" / "task-progress.sqlite3")
        config = load({"SECRET_KEY": KEY, **environ}, tmp_path)
        made.append(CheckContext(tmp_path, clock.now, make(config)))
        return made[-1]

    yield maker
    for case in made:
        case.services.db.close()


@pytest.fixture(autouse=True)
def _production() -> Iterator[None]:
    with commits_as_in_production():
        yield


@pytest.fixture(autouse=True)
def usual_clock() -> Iterator[None]:
    yield
    clock.shift(0.0)


def level(findings: list[Finding], check: str) -> Level:
    """How `check` stands: the worst of its lines."""
    lines = [one for one in findings if one.check == check]
    assert lines, [one.check for one in findings]
    assert all(one.fix for one in lines if one.level is not Level.GREEN)
    return doctor.worst(lines)


def told(findings: list[Finding]) -> str:
    return "\n".join(f"{one.says} {one.fix}" for one in findings)


# --- settings -----------------------------------------------------------------------------------


def test_every_faulty_setting_is_a_red_line_and_the_machine_is_still_looked_at(
    tmp_path: Path,
) -> None:
    environ = {"SMTP_PORT": "many", "APP_TIMEZONE": "JST", "SECRET_KEY": "changeme"}
    found = doctor.examine(Machine(tmp_path, clock.now), environ)
    assert [one.says.en.split(":")[0] for one in found if one.check == "settings"] == [
        "Setting SMTP_PORT",
        "Setting SECRET_KEY",
        "Setting APP_TIMEZONE",
    ]
    assert level(found, "settings") is Level.RED
    assert level(found, "letters-ja") is Level.GREEN
    assert list(tmp_path.iterdir()) == []


def test_a_warning_of_the_settings_is_yellow(a_case: Make, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("a # b")
    (tmp_path / "password").chmod(0o644)
    case = a_case(SMTP_HOST="127.0.0.1", MAIL_FROM="a@example.jp", SMTP_PASSWORD_FILE="password")
    assert level(settings.settings(case), "settings") is Level.YELLOW


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("SMTP_PASSWORD=a\\b", "SMTP_PASSWORD"),
        ("MAIL_FROM=Task \\Progress <app@example.jp>", "MAIL_FROM"),
        ('APP_BASE_URL="https://x.example" # "quoted"', "APP_BASE_URL"),
    ],
)
def test_a_value_that_systemd_reads_differently_is_red_and_not_shown(
    tmp_path: Path, line: str, name: str
) -> None:
    (tmp_path / ".env").write_text(line + "\n")
    found = settings.read_alike(Machine(tmp_path, clock.now))
    assert level(found, "env-file") is Level.RED
    assert name in told(found)
    assert line.partition("=")[2] not in told(found)


@pytest.mark.parametrize("env", [SPECIFICATION, "", "export SMTP_PORT=25\nSMTP_HOST='x'\n"])
def test_what_both_read_alike_is_green(tmp_path: Path, env: str) -> None:
    (tmp_path / ".env").write_text(env)
    assert level(settings.read_alike(Machine(tmp_path, clock.now)), "env-file") is Level.GREEN


def test_a_previous_key_that_is_the_present_one_is_red(a_case: Make) -> None:
    assert level(settings.secret_key(a_case()), "secret-key") is Level.GREEN
    same = a_case(SECRET_KEY_PREVIOUS=KEY)
    found = settings.secret_key(same)
    assert level(found, "secret-key") is Level.RED
    assert KEY not in told(found)


def test_it_is_told_whether_the_key_was_given_or_made(tmp_path: Path) -> None:
    case = CheckContext(tmp_path, clock.now, make(load({}, tmp_path)))
    assert "data/secret_key" in told(settings.secret_key(case))


@pytest.mark.parametrize(
    ("name", "mode", "expected"),
    [
        (".env", 0o644, Level.RED),
        (".env", 0o640, Level.YELLOW),
        (".env", 0o600, Level.GREEN),
        ("data", 0o755, Level.RED),
        ("data", 0o750, Level.YELLOW),
    ],
)
def test_what_others_can_read_is_red(
    a_case: Make, tmp_path: Path, name: str, mode: int, expected: Level
) -> None:
    case = a_case()
    (tmp_path / ".env").touch(mode=0o600)
    (tmp_path / name).chmod(mode)
    found = settings.permissions(case)
    assert level(found, "permissions") is expected
    if expected is not Level.GREEN:
        assert f"chmod {'600' if name == '.env' else '700'} '" in told(found)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_files_of_another_user_are_yellow(a_case: Make, tmp_path: Path) -> None:
    case = a_case()
    os.chown(tmp_path / "data", 12345, 12345)
    assert "sudo -u '#12345'" in told(settings.permissions(case))


# --- the people ---------------------------------------------------------------------------------


def with_member(case: CheckContext, email: str, *, active: bool = True, **values: Any) -> None:
    with case.services.db.write() as session:
        day = NOW.date()
        session.add(
            Member(
                email=email,
                name="A",
                active=active,
                decided_through=day,
                created_at=NOW,
                **values,
            )
        )


def test_the_samples_people_on_a_real_mail_server_are_red(a_case: Make) -> None:
    real = {"SMTP_HOST": "smtp.example.com", "MAIL_FROM": "a@example.com"}
    case = a_case(**real)
    with_member(case, "taro@firma.co.jp")
    with_member(case, "gone@example.jp", active=False)
    assert level(people.sample_people(case), "people") is Level.GREEN
    with_member(case, "Sato.Hanako@Example.jp")
    found = people.sample_people(case)
    assert level(found, "people") is Level.RED
    assert "Sato.Hanako@Example.jp" in told(found)
    mailbox = {"SMTP_HOST": "127.0.0.1", "TASK_PROGRESS_MAILBOX": "1"}
    for calm in ({"MAIL_ONLY_TO": "firma.co.jp"}, mailbox):
        config = load({"SECRET_KEY": KEY, **real, **calm}, case.folder)
        same = replace(case, services=replace(case.services, config=config))
        assert all(one.level is Level.GREEN for one in people.sample_people(same)), calm


# --- the database -------------------------------------------------------------------------------


def test_a_ready_database_is_green(a_case: Make) -> None:
    found = database.database(a_case())
    assert {one.level for one in found} == {Level.GREEN}
    assert {one.check for one in found} == {"database", "durability", "schema"}


def test_a_missing_file_is_red_and_not_made(a_case: Make, tmp_path: Path) -> None:
    case = a_case(DATABASE_URL="sqlite:///data/none.sqlite3")
    found = [*database.database(case), *programs.ticks(case), *letters.holidays(case)]
    assert level(found, "database") is Level.RED
    assert "task-progress db upgrade" in told(found)
    assert not (tmp_path / "data" / "none.sqlite3").exists()


def test_an_unprepared_and_a_newer_schema_are_red_with_the_command(
    a_case: Make, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "empty.sqlite3").touch()
    empty = database.database(a_case(DATABASE_URL="sqlite:///data/empty.sqlite3"))
    assert level(empty, "schema") is Level.RED
    assert "task-progress db upgrade" in told(empty)
    case = a_case()
    with case.services.db.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    newer = database.database(case)
    assert level(newer, "schema") is Level.RED
    assert "task-progress db upgrade" not in told(newer)
    assert HEAD != "9999"
    assert "9999" in told(newer)


def test_sqlite_without_wal_is_red(
    a_case: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a network folder: this way of locking knows no shared memory."""
    case = a_case()
    file = tmp_path / "data" / "no-wal.sqlite3"
    sqlite_copy(file)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
    with closing(Database(f"sqlite:///file:{file}?vfs=unix-none&uri=true")) as odd:
        monkeypatch.setattr(odd, "missing_file", lambda: None)  # an address, no path
        services = replace(case.services, db=odd)
        found = database.database(CheckContext(case.folder, case.clock, services))
        assert level(found, "durability") is Level.RED


def test_a_server_that_is_down_is_red_without_its_password(a_case: Make) -> None:
    url = f"postgresql://taro:himitsu@127.0.0.1:{free_port()}/x"
    found = database.database(a_case(DATABASE_URL=url))
    assert level(found, "database") is Level.RED
    assert "himitsu" not in told(found)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("default_transaction_isolation", "serializable"),
        ("synchronous_commit", "off"),
        ("default_transaction_read_only", "on"),
    ],
)
def test_settings_of_postgresql_that_break_the_promise_are_red(
    a_case: Make, setting: str, value: str
) -> None:
    """The tests' own server also runs without fsync, which is red as well."""
    with postgresql_copy("doctor") as url:
        case = a_case(DATABASE_URL=url.replace("+psycopg", ""))
        with case.services.db.engine.connect() as connection:
            name = connection.scalar(text("SELECT current_database()"))
            connection.execute(text(f"ALTER DATABASE {name} SET {setting} = '{value}'"))
            connection.commit()
        case.services.db.close()
        found = database.database(case)
        assert level(found, "durability") is Level.RED
        assert f'ALTER DATABASE "{name}" SET {setting}' in told(found)
        assert "ALTER SYSTEM SET fsync" in told(found)
        if setting == "default_transaction_read_only":  # then no program works with it
            assert level(found, "database") is Level.RED
        else:
            assert level(found, "schema") is Level.GREEN
            assert level(found, "clock-database") is Level.GREEN
        case.services.db.close()


@pytest.mark.parametrize(("seconds", "expected"), [(60, Level.RED), (-10, Level.YELLOW)])
def test_a_clock_that_is_off_is_told(
    a_case: Make, redis_url: str, seconds: int, expected: Level
) -> None:
    clock.shift(seconds)
    assert level(broker.broker(a_case(CELERY_BROKER_URL=redis_url)), "clock-redis") is expected
    with postgresql_copy("doctor") as url:
        case = a_case(DATABASE_URL=url.replace("+psycopg", ""))
        assert level(database.database(case), "clock-database") is expected
        case.services.db.close()


# --- Redis --------------------------------------------------------------------------------------


@contextmanager
def redis_with(folder: Path, *options: str) -> Iterator[RedisServer]:
    server = RedisServer(folder / "redis", *options).start()
    try:
        yield server
    finally:
        server.kill()


def test_a_redis_of_this_machine_is_green(a_case: Make, redis_url: str) -> None:
    found = broker.broker(a_case(CELERY_BROKER_URL=redis_url))
    assert {one.level for one in found} == {Level.GREEN}
    assert {one.check for one in found} == {
        "redis", "redis-tls", "redis-persistence", "redis-eviction", "redis-exposed",
        "clock-redis", "queues", "redis-results", "redis-shared",
    }  # fmt: skip


def test_a_redis_that_is_down_is_red(a_case: Make) -> None:
    case = a_case(CELERY_BROKER_URL=f"redis://:himitsu@127.0.0.1:{free_port()}/0")
    found = broker.broker(case)
    assert level(found, "redis") is Level.RED
    assert "himitsu" not in told(found)
    assert level(programs.workers(case), "workers") is Level.YELLOW


@pytest.mark.parametrize("given", ["", ":wrong@"])
def test_a_refused_password_is_red(a_case: Make, tmp_path: Path, given: str) -> None:
    with redis_with(tmp_path, "--requirepass", "himitsu") as server:
        url = server.url.replace("redis://", f"redis://{given}")
        found = broker.broker(a_case(CELERY_BROKER_URL=url))
        assert level(found, "redis") is Level.RED
        assert "refused the password" in told(found)


def test_tls_to_a_redis_without_it_is_red(a_case: Make, tmp_path: Path) -> None:
    with redis_with(tmp_path) as server:
        url = server.url.replace("redis://", "rediss://")
        found = broker.broker(a_case(CELERY_BROKER_URL=url))
    assert level(found, "redis") is Level.RED
    assert "does not agree on TLS" in told(found)


def test_a_redis_elsewhere_without_tls_is_yellow(a_case: Make) -> None:
    url = "redis://:x@redis.example.jp:6379/0"
    assert level(broker._encrypted(url), "redis-tls") is Level.YELLOW
    assert level(broker._encrypted(url.replace("redis:", "rediss:")), "redis-tls") is Level.GREEN


def test_a_redis_that_throws_jobs_away_is_red(a_case: Make, tmp_path: Path) -> None:
    options = ("--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru")
    with redis_with(tmp_path, *options) as server:
        found = broker.broker(a_case(CELERY_BROKER_URL=server.url))
        assert level(found, "redis-eviction") is Level.RED
        assert "CONFIG SET maxmemory-policy noeviction" in told(found)


def test_a_redis_without_memory_is_red(a_case: Make, tmp_path: Path) -> None:
    with redis_with(tmp_path, "--maxmemory", "100kb") as server:
        found = broker.broker(a_case(CELERY_BROKER_URL=server.url))
        assert level(found, "redis-eviction") is Level.RED


def test_a_redis_that_cannot_save_is_red(a_case: Make, tmp_path: Path) -> None:
    with redis_with(tmp_path) as server, redis.Redis.from_url(server.url) as client:
        client.set("x", "1")
        shutil.rmtree(server.folder)
        client.bgsave()
        wait_until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err", "BGSAVE")
        found = broker.broker(a_case(CELERY_BROKER_URL=server.url))
        assert level(found, "redis-persistence") is Level.RED


def test_a_redis_open_to_the_network_is_red(a_case: Make, tmp_path: Path) -> None:
    """It would listen on this address as well, if the machine had it; so no port is opened."""
    bind = ("--bind", "127.0.0.1", "-198.51.100.7", "--protected-mode", "no")
    with redis_with(tmp_path, *bind) as server:
        found = broker.broker(a_case(CELERY_BROKER_URL=server.url))
        assert level(found, "redis-exposed") is Level.RED


def test_a_redis_whose_config_was_renamed_away_is_yellow_and_answers(
    a_case: Make, tmp_path: Path
) -> None:
    with redis_with(tmp_path, "--rename-command", "CONFIG", "") as server:
        found = broker.broker(a_case(CELERY_BROKER_URL=server.url))
    assert level(found, "redis") is Level.GREEN
    assert level(found, "redis-exposed") is Level.YELLOW


def test_a_cluster_is_refused_by_name(a_case: Make, tmp_path: Path) -> None:
    # Its second port is the first plus 10,000 unless it is named, and there may be none such.
    ports = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
    with redis_with(tmp_path, *ports) as server:
        found = broker.broker(a_case(CELERY_BROKER_URL=server.url))
    assert level(found, "redis-cluster") is Level.RED
    assert "Cluster" in told(found)


@pytest.mark.slow
@pytest.mark.parametrize(
    "backend", ["redis://:right@127.0.0.1:{}/1", "redis://:wrong@127.0.0.1:{}/0"]
)
def test_a_result_backend_that_cannot_be_used_is_named_and_jobs_are_queued_all_the_same(
    a_case: Make, tmp_path: Path, backend: str
) -> None:
    options = ("--databases", "1", "--requirepass", "right")
    with redis_with(tmp_path, *options) as server, SmtpServer(Plan()) as smtp:
        url = f"redis://:right@127.0.0.1:{server.port}/0"
        environ = {"CELERY_BROKER_URL": url, "CELERY_RESULT_BACKEND": backend.format(server.port)}
        found = broker.broker(a_case(**environ))
        assert level(found, "redis-results") is Level.YELLOW
        assert "wrong" not in told(found)
        everything = {**environ, "SECRET_KEY": KEY, "DATA_DIR": str(tmp_path / "data")}
        with running(tmp_path, everything, smtp) as stack:
            stack.publish("notifications.daily_progress_reminder")
        with closing(redis.Redis.from_url(url)) as queue:
            assert queue.llen("mail") == 1


def test_a_redis_that_lets_nobody_look_is_yellow(a_case: Make, tmp_path: Path) -> None:
    with redis_with(tmp_path) as server, redis.Redis.from_url(server.url) as client:
        client.execute_command(
            "ACL", "SETUSER", "weak", "on", ">pw", "~*", "+ping", "+llen", "+time"
        )
        url = server.url.replace("redis://", "redis://weak:pw@")
        found = broker.broker(a_case(CELERY_BROKER_URL=url))
    assert level(found, "redis-eviction") is Level.YELLOW
    assert level(found, "queues") is Level.GREEN


@pytest.mark.parametrize(("number", "expected"), [(101, Level.YELLOW), (10_001, Level.RED)])
def test_a_long_queue_is_told(a_case: Make, redis_url: str, number: int, expected: Level) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.rpush("mail", *["{}"] * number)
    assert level(broker.broker(a_case(CELERY_BROKER_URL=redis_url)), "queues") is expected


# --- who is alive -------------------------------------------------------------------------------


def test_ticks_that_stopped_or_never_were_are_red(a_case: Make) -> None:
    case = a_case()
    assert level(programs.ticks(case), "ticks") is Level.RED
    status.note_heartbeat(case.services, TICK, clock.now() - timedelta(minutes=6))
    assert level(programs.ticks(case), "ticks") is Level.RED
    status.note_heartbeat(case.services, TICK, clock.now())
    assert level(programs.ticks(case), "ticks") is Level.GREEN


def test_a_tick_from_the_future_is_red_and_names_the_clock(a_case: Make) -> None:
    """By the clock that noted it, or by this one: both are looked at."""
    case = a_case()
    status.note_heartbeat(case.services, TICK, clock.now() + timedelta(minutes=4))
    assert (
        level(programs.ticks(case), "ticks") is Level.GREEN
    )  # as far apart as two machines may be
    status.note_heartbeat(case.services, TICK, clock.now() + timedelta(days=30))
    found = programs.ticks(case)
    assert level(found, "ticks") is Level.RED
    assert "約30日先" in told(found)
    assert "30 days in the future" in told(found)
    assert "timedatectl" in told(found)


def test_a_safety_timer_that_does_not_run_is_yellow(a_case: Make) -> None:
    case = a_case()
    assert level(programs.timer(case), "timer") is Level.YELLOW
    assert "has not run yet" in told(programs.timer(case))
    status.note_heartbeat(case.services, TIMER, clock.now() - timedelta(minutes=16))
    assert level(programs.timer(case), "timer") is Level.YELLOW
    status.note_heartbeat(case.services, TIMER, clock.now())
    assert level(programs.timer(case), "timer") is Level.GREEN


def test_without_workers_the_mail_queue_is_red_and_that_of_an_ai_yellow(
    a_case: Make, redis_url: str
) -> None:
    found = programs.workers(
        a_case(CELERY_BROKER_URL=redis_url, AI_BASE_URL="http://127.0.0.1:9/v1", AI_MODEL="m")
    )
    assert level(found, "worker-mail") is Level.RED
    assert level(found, "worker-ai") is Level.YELLOW


def test_without_an_ai_nobody_misses_its_worker(a_case: Make, redis_url: str) -> None:
    found = programs.workers(a_case(CELERY_BROKER_URL=redis_url))
    assert [one.check for one in found] == ["worker-mail"]


# --- mail ---------------------------------------------------------------------------------------

SENDER = {"SMTP_HOST": "127.0.0.1", "MAIL_FROM": "Task Progress <app@example.jp>"}


def to(server: SmtpServer, **more: str) -> dict[str, str]:
    return {**SENDER, "SMTP_PORT": str(server.port), **more}


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """An authority that this process trusts."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    return authority


def certificate(authority: trustme.CA, ends: datetime) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    begins = datetime(2020, 1, 1, tzinfo=UTC)
    authority.issue_cert("127.0.0.1", not_before=begins, not_after=ends).configure_cert(context)
    return context


def test_without_a_mail_server_it_is_red(a_case: Make) -> None:
    assert level(mail.mail_server(a_case()), "smtp") is Level.RED


def test_a_mail_server_that_refuses_or_hangs_is_red(a_case: Make) -> None:
    refused = a_case(**SENDER, SMTP_PORT=str(free_port()))
    assert level(mail.mail_server(refused), "smtp") is Level.RED
    with SmtpServer(Plan(script={"banner": ["hang"]})) as server:
        case = a_case(**to(server, SMTP_TIMEOUT="0.3"))
        assert level(mail.mail_server(case), "smtp") is Level.RED


def test_a_good_mail_server_is_green_with_the_date_of_its_certificate_and_gets_no_mail(
    a_case: Make, trusted: trustme.CA
) -> None:
    context = certificate(trusted, datetime(2099, 5, 4, tzinfo=UTC))
    plan = Plan(tls="starttls", ssl_context=context, login=("u", "p"), size=10_000_000)
    with SmtpServer(plan) as server:
        case = a_case(**to(server, SMTP_USERNAME="u", SMTP_PASSWORD="p"))
        found = mail.mail_server(case)
        assert {one.level for one in found} == {Level.GREEN}
        assert "2099年5月4日(月)まで有効です" in told(found)
        assert not any(line.startswith("MAIL") for line in server.said())


@pytest.mark.parametrize(
    ("days", "check", "expected"),
    [(-1, "smtp", Level.RED), (5, "smtp-tls", Level.YELLOW), (90, "smtp-tls", Level.GREEN)],
)
def test_a_certificate_that_ends_is_told(
    a_case: Make, trusted: trustme.CA, days: int, check: str, expected: Level
) -> None:
    context = certificate(trusted, datetime.now(UTC) + timedelta(days=days))
    with SmtpServer(Plan(tls="starttls", ssl_context=context)) as server:
        found = mail.mail_server(a_case(**to(server)))
        assert level(found, check) is expected


def test_a_refused_login_is_red_without_its_password(a_case: Make, trusted: trustme.CA) -> None:
    context = certificate(trusted, datetime(2099, 1, 1, tzinfo=UTC))
    plan = Plan(tls="starttls", ssl_context=context, login=("u", "other"))
    with SmtpServer(plan) as server:
        found = mail.mail_server(a_case(**to(server, SMTP_USERNAME="u", SMTP_PASSWORD="himitsu")))
    assert level(found, "smtp") is Level.RED
    assert "SMTP_PASSWORD" in told(found)
    assert "himitsu" not in told(found)


def test_mail_in_the_clear_over_the_network_is_yellow(a_case: Make) -> None:
    (found,) = mail._certificate(a_case(), None, "smtp.example.jp")
    assert found.level is Level.YELLOW


def test_a_small_size_is_red_and_no_pipelining_yellow(a_case: Make) -> None:
    with SmtpServer(Plan(size=50_000)) as server:
        assert level(mail.mail_server(a_case(**to(server))), "smtp-size") is Level.RED
    with SmtpServer(Plan(pipelining=False)) as server:
        found = mail.mail_server(a_case(**to(server)))
        assert level(found, "smtp-pipelining") is Level.YELLOW
        found = mail.mail_server(a_case(**to(server), TASK_PROGRESS_MAILBOX="1"))
        assert level(found, "smtp-pipelining") is Level.GREEN


def test_the_local_mailbox_needs_no_pipelining_and_off_is_off(a_case: Make) -> None:
    with SmtpServer(Plan(pipelining=False)) as server:
        home = a_case(**to(server, TASK_PROGRESS_MAILBOX="1"))
        assert level(mail.mail_server(home), "smtp-pipelining") is Level.GREEN
    with SmtpServer() as server:
        found = mail.mail_server(a_case(**to(server, SMTP_PIPELINING="off")))
        assert level(found, "smtp-pipelining") is Level.GREEN
        assert "SMTP_PIPELINING=off" in told(found)


def test_a_certificate_of_ones_own_authority_leads_to_its_file_and_not_to_mail_in_the_clear(
    a_case: Make, tmp_path: Path
) -> None:
    ours = trustme.CA()
    context = certificate(ours, datetime(2099, 1, 1, tzinfo=UTC))
    file = tmp_path / "mail-ca.pem"
    ours.cert_pem.write_to_path(str(file))
    with SmtpServer(Plan(tls="starttls", ssl_context=context)) as server:
        found = mail.mail_server(a_case(**to(server)))
        assert level(found, "smtp") is Level.RED
        assert "SMTP_CA_FILE=" in told(found)
        assert "SMTP_SECURITY" not in told(found)
        found = mail.mail_server(a_case(**to(server, SMTP_CA_FILE=str(file))))
        assert level(found, "smtp") is Level.GREEN
        assert level(found, "smtp-ca") is Level.GREEN


def test_no_trouble_with_tls_leads_to_mail_in_the_clear(a_case: Make) -> None:
    with SmtpServer() as server:
        case = a_case(**to(server, SMTP_USERNAME="u", SMTP_PASSWORD="p"))
        found = mail.mail_server(case)
    assert level(found, "smtp") is Level.RED
    assert "SMTP_SECURITY" not in str([one.fix for one in found])


# --- the sender's domain ------------------------------------------------------------------------

GOOD: Records = {
    ("example.jp", "MX"): ["10 mx.example.jp."],
    ("example.jp", "TXT"): ['"v=spf1 include:_spf.example.net ~all"', '"other=1"'],
    ("s1._domainkey.example.jp", "TXT"): ['"v=DKIM1; k=rsa; " "p=MIIBIjANBg"'],
    ("_dmarc.example.jp", "TXT"): ['"v=DMARC1; p=none; rua=mailto:x@example.jp"'],
}
AWAY = {
    "SMTP_HOST": "smtp.example.net",
    "MAIL_FROM": "Task Progress <app@example.jp>",
    "MAIL_DKIM_SELECTOR": "s1",
}


def asked(a_case: Make, records: Records, **environ: str) -> list[Finding]:
    case = a_case(**{**AWAY, **environ})
    with DnsServer(records) as server:
        return mail_domain.sender_domain(
            CheckContext(case.folder, case.clock, case.services, resolver=server.resolver)
        )


def test_a_well_kept_domain_is_green(a_case: Make) -> None:
    found = asked(a_case, GOOD)
    assert [one.check for one in found] == ["spf", "dkim", "dmarc", "alignment"]
    assert {one.level for one in found} == {Level.GREEN}


@pytest.mark.parametrize(
    ("records", "check", "line"),
    [
        ({("example.jp", "MX"): []}, "sender", "MAIL_FROM"),
        ({("example.jp", "TXT"): []}, "spf", 'example.jp. IN TXT "v=spf1 a:smtp.example.net ~all"'),
        ({("example.jp", "TXT"): ['"v=spf1 -all"', '"v=spf1 a"']}, "spf", "~all"),
        ({("example.jp", "TXT"): ['"v=spf1 a +all"']}, "spf", '"v=spf1 a ~all"'),
        ({("s1._domainkey.example.jp", "TXT"): []}, "dkim", "s1._domainkey.example.jp. IN TXT"),
        ({("s1._domainkey.example.jp", "TXT"): ['"v=DKIM1; p="']}, "dkim", "PUBLIC-KEY"),
        ({("_dmarc.example.jp", "TXT"): []}, "dmarc", "_dmarc.example.jp. IN TXT"),
        ({("_dmarc.example.jp", "TXT"): ['"v=DMARC1; p=maybe"']}, "dmarc", "p=none"),
    ],
)
def test_what_is_missing_in_the_dns_is_red_with_the_line_to_paste(
    a_case: Make, records: Records, check: str, line: str
) -> None:
    found = asked(a_case, {**GOOD, **records})
    assert level(found, check) is Level.RED
    assert line in told(found)


def test_an_unknown_selector_is_yellow(a_case: Make) -> None:
    assert level(asked(a_case, GOOD, MAIL_DKIM_SELECTOR=""), "dkim") is Level.YELLOW


@pytest.mark.parametrize(
    ("path", "dmarc", "expected"),
    [
        ("bounce@example.jp", "v=DMARC1; p=none", Level.GREEN),
        ("bounce@mail.example.jp", "v=DMARC1; p=none", Level.GREEN),
        ("bounce@mail.example.jp", "v=DMARC1; p=none; aspf=s", Level.YELLOW),
        ("bounce@example.net", "v=DMARC1; p=none", Level.YELLOW),
    ],
)
def test_senders_that_do_not_belong_together_are_yellow(
    a_case: Make, path: str, dmarc: str, expected: Level
) -> None:
    records = {**GOOD, ("_dmarc.example.jp", "TXT"): [f'"{dmarc}"']}
    assert level(asked(a_case, records, MAIL_RETURN_PATH=path), "alignment") is expected


def test_the_record_of_the_domain_above_counts(a_case: Make) -> None:
    records = {**GOOD, ("mail.example.jp", "MX"): ["10 mx.example.jp."]}
    found = asked(a_case, records, MAIL_FROM="app@mail.example.jp")
    assert level(found, "dmarc") is Level.GREEN


def test_a_dns_that_does_not_answer_is_yellow(a_case: Make) -> None:
    case = a_case(**AWAY)
    with DnsServer({}, silent=True) as server:
        silent = CheckContext(case.folder, case.clock, case.services, resolver=server.resolver)
        assert level(mail_domain.sender_domain(silent), "sender") is Level.YELLOW


# --- the pages ----------------------------------------------------------------------------------


@contextmanager
def serving(body: bytes, code: int, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """A web server that gives this answer to everything."""

    class Answer(Handler):
        def answer(self) -> None:
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with http_server.serving(HttpServer(Answer), context) as server:
        yield server.server_port


HEALTHY = b'{"status": "ok", "reasons": []}'


@pytest.mark.parametrize(
    ("body", "code", "expected"),
    [
        (HEALTHY, 200, Level.GREEN),
        (b'{"status": "unavailable", "reasons": ["database"]}', 503, Level.YELLOW),
        (b"<h1>Welcome to nginx</h1>", 200, Level.RED),
        (b"[]", 200, Level.RED),
    ],
)
def test_what_answers_at_the_address_of_the_links_is_looked_at(
    a_case: Make, body: bytes, code: int, expected: Level
) -> None:
    with serving(body, code) as port:
        case = a_case(APP_BASE_URL=f"http://127.0.0.1:{port}")
        assert level(pages.pages(case), "pages") is expected


@pytest.mark.parametrize(("days", "expected"), [(30, Level.GREEN), (-1, Level.RED)])
def test_a_certificate_of_the_pages_that_has_ended_is_red(
    a_case: Make, trusted: trustme.CA, days: int, expected: Level
) -> None:
    context = certificate(trusted, datetime.now(UTC) + timedelta(days=days))
    with serving(HEALTHY, 200, context) as port:
        found = pages.pages(a_case(APP_BASE_URL=f"https://127.0.0.1:{port}"))
        assert level(found, "pages") is expected
        assert ("expired" in told(found)) == (expected is Level.RED)


def test_links_that_nobody_can_open_are_red(a_case: Make) -> None:
    assert level(pages.pages(a_case(**AWAY)), "pages") is Level.RED
    away = a_case(**AWAY, APP_BASE_URL="https://progress.example.jp")
    assert level(pages.pages(away), "pages") is Level.RED  # no such name in the tests
    nobody = a_case(APP_BASE_URL=f"http://127.0.0.1:{free_port()}")
    assert level(pages.pages(nobody), "pages") is Level.RED


def test_links_in_the_clear_are_yellow() -> None:
    assert level(pages._encryption("http://progress.example.jp"), "pages-tls") is Level.YELLOW
    assert pages._encryption("https://progress.example.jp") == []


# --- the machine --------------------------------------------------------------------------------


def test_no_holidays_for_the_next_year_is_yellow_and_for_this_year_red(a_case: Make) -> None:
    case = a_case()

    def in_year(year: int) -> Level:
        then = CheckContext(case.folder, lambda: datetime(year, 6, 1, tzinfo=UTC), case.services)
        return level(letters.holidays(then), "holidays")

    assert in_year(2026) is Level.GREEN
    assert in_year(2099) is Level.YELLOW
    assert in_year(2100) is Level.RED


def test_the_holidays_of_each_region_that_members_keep_are_looked_at(a_case: Make) -> None:
    case = a_case()
    for n, region in enumerate(("GB-ENG", "", None, "GB-ENG", "XX")):
        with_member(case, f"m{n}@example.jp", holidays=region)
    found = letters.holidays(case)
    assert [(one.says.en.split()[1], one.level) for one in found] == [
        ("GB-ENG", Level.GREEN),
        ("JP", Level.GREEN),
        ('"XX"', Level.RED),
    ]


def test_a_disk_without_room_is_red(a_case: Make) -> None:
    case = a_case()
    assert level(machine.disk(case), "disk") is not Level.RED
    assert level(machine.disk(case, least=2**62), "disk") is Level.RED
    assert level(machine.disk(case, least=0, better=2**62), "disk") is Level.YELLOW


def test_old_time_zone_data_are_yellow(tmp_path: Path) -> None:
    later = Machine(tmp_path, lambda: datetime(2100, 1, 1, tzinfo=UTC))
    assert level(machine.time_zones(later), "time-zones") is Level.YELLOW


def doctor_in(
    folder: Path,
    environ: Mapping[str, str],
    *arguments: str,
    project: Path = PROJECT,
    zones: bool = True,
    temporary_files: bool = True,
) -> tuple[int, list[dict[str, Any]]]:
    """`task-progress doctor --json` as its own process: its exit code, and what it found."""
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(project), HOME: str(folder), **environ}
    if project == PROJECT and zones and temporary_files and "LC_ALL" not in environ:
        command = [sys.executable, "-m", "app.cli", "doctor", "--json", *arguments]
        done = fork_server.run(command, cwd=folder, env=env)
    else:
        code = "import sys; from app.cli import main; sys.exit(main())"
        if not zones:
            code = "import sys; sys.modules['tzdata'] = None\n" + code
        no_file_grows = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (0, 0))
        done = subprocess.run(
            [sys.executable, "-c", code, "doctor", "--json", *arguments],
            cwd=folder,
            env=env,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            preexec_fn=None if temporary_files else no_file_grows,
        )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, json.loads(done.stdout)


def found_by(findings: list[dict[str, Any]], check: str) -> str:
    return str(next(one["level"] for one in findings if one["check"] == check))


BARE = {"SECRET_KEY": KEY, "LANG": "C.UTF-8"}


@pytest.mark.slow
def test_a_locale_that_knows_no_japanese_is_red(tmp_path: Path) -> None:
    code, found = doctor_in(tmp_path, {**BARE, "LC_ALL": "C"})
    assert (code, found_by(found, "locale")) == (1, "red")
    assert found_by(doctor_in(tmp_path, BARE)[1], "locale") == "green"


@pytest.mark.slow
def test_temporary_files_that_cannot_be_written_are_red(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o700)
    code, found = doctor_in(tmp_path, BARE, temporary_files=False)
    assert (code, found_by(found, "temporary-files")) == (1, "red")


@pytest.mark.parametrize(("later", "age"), [(0, "this year"), (1, "last year"), (2, "2 years old")])
def test_the_time_zone_data_in_use_are_told_with_their_age(
    tmp_path: Path, later: int, age: str
) -> None:
    then = datetime(int(zones.version()[:4]) + later, 6, 1, tzinfo=UTC)
    (found,) = machine.time_zones(Machine(tmp_path, lambda: then))
    assert zones.version() in found.says.en
    assert age in found.says.en
    assert found.level is (Level.YELLOW if later > 1 else Level.GREEN)


@pytest.mark.slow
def test_missing_time_zone_data_are_red(tmp_path: Path) -> None:
    code, found = doctor_in(tmp_path, {**BARE, "PYTHONTZPATH": ""}, zones=False)
    assert (code, found_by(found, "time-zones")) == (1, "red")


@pytest.mark.slow
def test_a_broken_letter_is_red_before_anybody_deploys_it(tmp_path: Path) -> None:
    copy = tmp_path / "project"
    shutil.copytree(PROJECT / "app", copy / "app", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(PROJECT / "migrations", copy / "migrations")
    template = next((copy / "app" / "templates" / "mail").glob("reminder.en.txt"))
    template.write_text(template.read_text() + "{{ nobody_said_this }}")
    code, found = doctor_in(copy, BARE, project=copy)
    assert (code, found_by(found, "letters-en")) == (1, "red")
    assert found_by(found, "letters-ja") == "green"


# --- the command --------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_working_installation_has_no_red_line_and_a_test_mail_arrives(
    tmp_path: Path, redis_url: str
) -> None:
    sqlite_copy(tmp_path / "task-progress.sqlite3")
    with SmtpServer(Plan()) as server, serving(HEALTHY, 200) as port:
        environ = {
            **to(server), **BARE, "CELERY_BROKER_URL": redis_url, "DATA_DIR": str(tmp_path),
            "APP_BASE_URL": f"http://127.0.0.1:{port}",
        }  # fmt: skip
        tmp_path.chmod(0o700)
        with running(tmp_path, environ, server) as stack:
            stack.worker("mail")
            stack.worker("ai")
            stack.command("tick")
            code, found = patient_doctor(tmp_path, environ)
            assert [one for one in found if one["level"] == "red"] == []
            assert code == 0
            assert found_by(found, "worker-mail") == "green"
            assert server.mails == []
            sending = ("--send-test", "hanako@example.jp")
            code, found = patient_doctor(tmp_path, environ, *sending)
            assert (code, found_by(found, "send-test")) == (0, "green")
            assert {one.recipient for one in server.mails} == {"hanako@example.jp"}


def patient_doctor(
    folder: Path, environ: Mapping[str, str], *arguments: str
) -> tuple[int, list[dict[str, Any]]]:
    """Asked again where a busy machine kept a check from its answer within 8 seconds."""
    for _ in range(5):
        code, found = doctor_in(folder, environ, *arguments)
        if not any("以内に応答がありませんでした" in str(one) for one in found):
            break
    return code, found


@pytest.mark.slow
@pytest.mark.parametrize("why", ["paused", "pilot", "no address", "refused"])
def test_a_test_mail_that_may_not_go_is_red_and_does_not(tmp_path: Path, why: str) -> None:
    sqlite_copy(tmp_path / "task-progress.sqlite3")
    recipient = {"no address": "a, b@example.jp", "refused": "x+rcpt550@example.jp"}.get(
        why, "hanako@example.jp"
    )
    with SmtpServer(Plan()) as server:
        environ = {**to(server), **BARE, "DATA_DIR": str(tmp_path)}
        if why == "pilot":
            environ["MAIL_ONLY_TO"] = "example.net"
        if why == "paused":
            services = make(load(environ, tmp_path))
            status.pause(services, who="test", now=NOW)
            services.db.close()
        code, found = doctor_in(tmp_path, environ, "--send-test", recipient)
        assert (code, found_by(found, "send-test")) == (1, "red")
        assert server.mails == []


@pytest.mark.slow
def test_with_everything_hanging_it_still_ends(tmp_path: Path) -> None:
    with hole() as port:
        environ: Mapping[str, str] = {
            **SENDER,
            "SECRET_KEY": KEY,
            "SMTP_PORT": str(port),
            "CELERY_BROKER_URL": f"redis://127.0.0.1:{port}/0",
            "DATABASE_URL": f"postgresql://x:himitsu@127.0.0.1:{port}/x",
            "APP_BASE_URL": f"http://127.0.0.1:{port}",
        }
        started = time.monotonic()
        found = doctor.examine(Machine(tmp_path, clock.now), environ)
        took = time.monotonic() - started
    assert took < ALL_WITHIN + 7  # of a busy machine
    assert {level(found, one) for one in ("database", "redis", "smtp", "pages")} == {Level.RED}
    assert "himitsu" not in told(found)


def test_a_check_that_breaks_hides_no_other(tmp_path: Path) -> None:
    def breaks() -> list[Finding]:
        raise ZeroDivisionError("himitsu")

    here = Machine(tmp_path, clock.now)
    found = doctor.run({"x": breaks, "locale": lambda: machine.language(here)})
    assert [one.check for one in found] == ["x", "locale"]
    assert found[0].level is Level.RED
    assert "himitsu" not in told(found)


def test_every_line_is_in_both_languages(a_case: Make, redis_url: str) -> None:
    case = a_case(**SENDER, CELERY_BROKER_URL=redis_url)
    found = doctor.examine(Machine(case.folder, clock.now), {**SENDER, "SECRET_KEY": KEY})
    for one in found:
        assert one.says.en.isascii(), one.says.en
        assert one.fix is None or one.fix.en.isascii(), one.fix.en
    assert "task-progress doctor" in EXAMPLES
