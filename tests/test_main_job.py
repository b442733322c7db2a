"""The main job with real parts: beat, Redis, workers, SQLite and PostgreSQL, an SMTP server."""

import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from signal import SIGTERM

import pytest
import redis
import trustme
from sqlalchemy import select, text, update

from app.db import Database
from app.models import Member, OutboxMail, Service, State
from app.monitoring.watchdog import EXIT_CODE
from tests import specification
from tests.conftest import People, task
from tests.databases import on_postgresql, on_sqlite
from tests.servers import wait_until
from tests.smtp_server import Plan, SmtpServer
from tests.stack import PROJECT, Stack, offset_to, running

pytestmark = pytest.mark.usefixtures("no_digest")  # the reminders alone

EVERYBODY = ["sato.hanako@example.jp", "suzuki.ichiro@example.jp", "tanaka.misaki@example.jp"]
NINE = datetime(2026, 11, 24, 0, 0, 5, tzinfo=UTC)  # 09:00:05 in Tokyo, a workday
EIGHT = NINE - timedelta(hours=1)


@pytest.fixture
def stack(
    environ: dict[str, str], tmp_path: Path, db: Database, team: People, smtp: SmtpServer
) -> Iterator[Stack]:
    """Three people with an unreported task each; it is 09:00:05 on 2026-11-24 in Tokyo."""
    with db.write() as session:
        session.add_all(
            [task("T-1", team.sato), task("T-2", team.suzuki), task("T-3", team.tanaka)]
        )
    settings = {
        **environ,
        "SMTP_PORT": str(smtp.port),
        "TEST_CLOCK_OFFSET": offset_to(NINE),
        "LANG": "en_US.UTF-8",
    }
    with running(tmp_path, settings, smtp) as stack:
        yield stack


def states(db: Database) -> list[str]:
    with db.read() as session:
        return list(session.scalars(select(OutboxMail.state).order_by(OutboxMail.id)))


def all_accepted(db: Database) -> bool:
    return states(db) == [State.ACCEPTED] * 3


def test_called_by_hand_it_sends_at_once_and_a_second_call_sends_nothing(
    stack: Stack, db: Database
) -> None:
    stack.worker()
    stack.run("call", "app.tasks.notifications.daily_progress_reminder")
    wait_until(lambda: all_accepted(db), stack.logs())
    assert stack.recipients() == EVERYBODY
    jobs = stack.finished_jobs()
    stack.publish("notifications.daily_progress_reminder")
    wait_until(lambda: stack.finished_jobs() > jobs, stack.logs())
    assert stack.recipients() == EVERYBODY


@pytest.mark.slow
@on_sqlite
def test_the_digest_called_by_hand_finds_its_leads_by_itself(stack: Stack, db: Database) -> None:
    with db.write() as session:
        session.execute(update(Member).values(weekly_digest=True))
    stack.worker()
    stack.publish("notifications.weekly_progress_digest")
    wait_until(lambda: states(db) == [State.ACCEPTED], stack.logs())
    assert stack.recipients() == EVERYBODY[:1]


@pytest.mark.slow
def test_two_beats_ten_copies_and_ticks_by_hand_send_one_mail_each(
    stack: Stack, db: Database, redis_admin: redis.Redis
) -> None:
    """And after FLUSHALL the same again sends nothing."""
    stack.publish("notifications.daily_progress_reminder")
    stack.publish("notifications.tick")
    copied(redis_admin, "mail")
    assert redis_admin.llen("mail") == 22
    first, second = stack.beat(), stack.beat()
    stack.worker()
    stack.command("tick")
    wait_until(lambda: all_accepted(db), stack.logs())
    wait_until(lambda: redis_admin.llen("mail") == 0, stack.logs())
    redis_admin.flushall()
    jobs = stack.finished_jobs()
    stack.publish("notifications.tick")
    stack.publish("notifications.daily_progress_reminder")
    stack.command("tick")
    wait_until(lambda: stack.finished_jobs() >= jobs + 2, stack.logs())
    assert stack.recipients() == EVERYBODY
    assert (first.poll(), second.poll()) == (None, None)


def copied(broker: "redis.Redis", queue: str) -> None:
    """Each message on the queue ten times more."""
    messages = broker.lrange(queue, 0, -1)
    assert messages
    for message in messages:
        broker.lpush(queue, *[message] * 10)


@pytest.mark.slow
@on_sqlite
def test_beat_alone_brings_the_morning_mail(stack: Stack, db: Database) -> None:
    """The tick at the next full minute decides and queues; a worker sends."""
    almost = datetime(2026, 11, 24, 0, 0, 55, tzinfo=UTC)
    real = datetime.now(UTC)
    # Beat ticks at the machine's own full minutes.
    to_minute = 60 - real.second - real.microsecond / 1e6
    if to_minute < 8:
        time.sleep(to_minute + 0.5)
    stack.environ["TEST_CLOCK_OFFSET"] = offset_to(almost)
    stack.worker()
    stack.beat()
    wait_until(lambda: all_accepted(db), stack.logs(), 150)
    assert stack.recipients() == EVERYBODY
    assert {"beat", "worker-mail"} <= set(alive(db))


def alive(db: Database) -> list[str]:
    """The parts whose heartbeat is stored, without the name of this machine."""
    with db.read() as session:
        return [name.partition("@")[0] for name in session.scalars(select(Service.name))]


@pytest.mark.slow
@on_sqlite
def test_without_redis_the_timers_tick_decides_and_sends(stack: Stack, db: Database) -> None:
    stack.environ["CELERY_BROKER_URL"] = "redis://127.0.0.1:1/0"
    stack.environ["CELERY_RESULT_BACKEND"] = "redis://127.0.0.1:1/1"
    stack.command("tick")
    assert all_accepted(db)
    assert stack.recipients() == EVERYBODY


@pytest.mark.slow
@on_sqlite
def test_before_the_hour_a_tick_sends_nothing(stack: Stack, db: Database) -> None:
    stack.command("tick", "--rehearsal", "--now", EIGHT.isoformat())
    assert states(db) == []


@pytest.mark.slow
@on_postgresql
def test_a_worker_that_is_told_to_stop_finishes_its_mail(stack: Stack, db: Database) -> None:
    stack.smtp.plan.slow = 4.0
    with db.write() as session:
        slow = "suzuki+slow@example.jp"
        session.execute(update(Member).where(Member.name == "鈴木 一郎").values(email=slow))
    worker = stack.worker()
    stack.publish("notifications.daily_progress_reminder")
    wait_until(lambda: slow in stack.recipients(), stack.logs())
    assert State.IN_DOUBT in states(db)  # the server has the mail and has not answered yet
    stack.end(worker, SIGTERM)
    assert State.IN_DOUBT not in states(db)
    stack.command("tick")
    assert all_accepted(db)
    assert len(stack.recipients()) == 3


@pytest.mark.slow
@on_sqlite
def test_the_runbooks_inspections_answer(stack: Stack) -> None:
    stack.worker()
    stack.worker("ai")
    for what in ("active", "registered", "scheduled"):
        stack.until_inspected(what, 2)


@pytest.mark.slow
@on_sqlite
def test_a_worker_that_no_longer_consumes_ends_itself(stack: Stack) -> None:
    """Attached to Redis, yet deaf, as was seen after restarts of Redis."""
    stack.environ["TEST_TIME_SCALE"] = "0.1"
    worker = stack.worker()
    stack.run("control", "-t", "60", "-d", "mail0@localhost", "cancel_consumer", "mail")
    stack.publish("notifications.tick")
    assert worker.wait(120) == EXIT_CODE


@pytest.mark.slow
@on_sqlite
def test_a_worker_without_beat_asks_for_a_tick_itself_and_everybody_gets_their_mail(
    stack: Stack, db: Database
) -> None:
    """Nobody sends a tick but the watchdog: after 3 minutes, here 18 s."""
    stack.environ["TEST_TIME_SCALE"] = "0.1"
    ai, mail = stack.worker("ai"), stack.worker()
    wait_until(lambda: all_accepted(db), stack.logs(), 60)
    assert stack.recipients() == EVERYBODY
    assert "s: asking for one" in stack.said(mail)
    assert "s: asking for one" not in stack.said(ai)


@pytest.mark.slow
@on_postgresql
def test_the_ai_worker_runs_its_small_job(stack: Stack, db: Database) -> None:
    stack.worker("ai")
    stack.publish("ai.heartbeat")

    def noted() -> bool:
        with db.read() as session:
            found = session.execute(text("SELECT 1 FROM service WHERE name = 'ai'"))
            return found.one_or_none() is not None

    wait_until(noted, stack.logs())


@pytest.mark.slow
@on_sqlite
@pytest.mark.parametrize("tls", ["starttls", "ssl"])
def test_mail_goes_over_tls_with_a_login(
    stack: Stack, db: Database, tmp_path: Path, tls: str
) -> None:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    # A parameter is any text to the checker; the two above are what Plan takes.
    plan = Plan(tls=tls, login=("app@example.jp", "a made-up word"))  # type: ignore[arg-type]
    plan.ssl_context = _server_context(ca)
    with SmtpServer(plan) as server:
        stack.environ |= {
            "SMTP_PORT": str(server.port),
            "SMTP_SECURITY": tls,
            "SMTP_USERNAME": "app@example.jp",
            "SMTP_PASSWORD": "a made-up word",
            "SSL_CERT_FILE": str(tmp_path / "ca.pem"),
        }
        stack.command("tick")
        assert sorted(mail.recipient for mail in server.mails) == EVERYBODY
        assert all(one.secured for one in server.commands if one.line.startswith("AUTH"))
        assert "a made-up word" not in stack.logs()


def _server_context(ca: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    return context


# --- the specification's own commands ---------------------------------------------------------


@pytest.mark.slow
@on_sqlite
def test_the_specified_env_starts_beat_and_both_workers_by_their_own_commands(
    tmp_path: Path, redis_url: str, smtp: SmtpServer
) -> None:
    """On an empty machine; only Redis's port is the test's own."""
    backend = redis_url.replace("/0", "/1", 1)
    env = specification.ENV.replace("redis://127.0.0.1:6379/0", redis_url)
    (tmp_path / ".env").write_text(env.replace("redis://127.0.0.1:6379/1", backend))
    (tmp_path / "app").symlink_to(PROJECT / "app")
    with running(tmp_path, {}, smtp) as stack:
        stack.forked = False
        del stack.environ["PYTHONPATH"]
        stack.command("db", "upgrade")
        stack.worker("mail")
        stack.worker("ai")
        beat = stack.beat()
        stack.until_said(beat, "beat: Starting")
        stack.run("call", "app.tasks.notifications.daily_progress_reminder")
        time.sleep(1)
        assert beat.poll() is None
        assert not any(word in stack.logs() for word in ("Traceback", "exception="))
