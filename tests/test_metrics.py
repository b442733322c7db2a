"""`/metrics`: each figure as it stands in the database, whoever is asked; nothing of a person."""

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
import redis
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import event, update

from app import clock, create_app, reminders, schema
from app.alerts import Alarm, raise_alert
from app.channel import Answer
from app.config import Config, load
from app.db import Database, DatabaseDown
from app.locale import Both
from app.models import TICK, Kind, OutboxMail, State
from app.monitoring import checks, metrics_page, metrics_queries, status
from app.monitoring.metrics_queries import STANDS, MetricsReading, facts
from app.outbox.breaker import Breaker
from app.services import Services, make
from app.smtp.errors import MailSendError, Phase
from tests import sending, servers
from tests.conftest import NOW, People, task
from tests.smtp_server import SmtpServer

pytestmark = pytest.mark.pages

MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)

Figures = dict[str, float]  # by name{labels} without the prefix, as Prometheus would show it


def read(said: str) -> Figures:
    """What Prometheus would store of this page."""
    return {
        sample.name.removeprefix(metrics_page.PREFIX)
        + "".join(f"{{{k}={v}}}" for k, v in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(said)
        for sample in family.samples
    }


def figures(services: Services, now: datetime) -> Figures:
    return read(metrics_page.text(facts(services, now)).decode())


def some(found: Figures, beginning: str) -> Figures:
    """The figures of this name that are not 0."""
    return {name: value for name, value in found.items() if name.startswith(beginning) and value}


@pytest.fixture
def browser(config: Config, services: Services) -> FlaskClient:
    return create_app(config, services).test_client()


@pytest.fixture
def due(services: Services, db: Database, team: People) -> int:
    """A reminder to 鈴木さん, due at NOW."""
    with db.write() as session:
        session.add(task("T-1", team.suzuki))
    (mail_id,) = reminders.plan(services, NOW).ids
    return mail_id


def change(db: Database, **values: Any) -> None:
    """All mails become so."""
    with db.write() as session:
        session.execute(update(OutboxMail).values(**values))


# --- the page -----------------------------------------------------------------------------


def test_on_a_quiet_morning_the_page_says_that_nothing_is_the_matter(
    browser: FlaskClient, services: Services
) -> None:
    status.note_heartbeat(services, TICK, clock.now())
    answer = browser.get("/metrics")
    assert answer.status_code == 200
    assert answer.content_type == "text/plain; version=0.0.4; charset=utf-8"
    found = read(answer.text)
    at_rest = {"breaker{state=closed}": 1, "redis_up": 1}
    at_rest[f"build_info{{schema={schema.HEAD}}}{{version=0.1.0}}"] = 1
    assert found.pop("last_tick_age_seconds") < 10
    assert some(found, "") == at_rest


def test_a_mail_that_ends_while_the_figures_are_read_is_counted_once(
    services: Services, db: Database, due: int
) -> None:
    done: list[bool] = []

    def accepted(_c: Any, _u: Any, statement: str, *_: Any) -> None:
        if "outbox" in statement and not done and not statement.startswith(("UPDATE", "SET")):
            done.append(True)
            with db.write() as session:
                ended = {"state": State.ACCEPTED, "accepted_at": NOW, "updated_at": NOW}
                session.execute(update(OutboxMail).values(**ended))

    event.listen(services.db.engine, "after_cursor_execute", accepted)
    found = figures(services, NOW)
    assert done
    assert sum(some(found, "mails{").values()) == 1


def test_every_kind_and_state_is_there_from_the_start(services: Services) -> None:
    """A figure that appears with the first failure has no step that a rule could see."""
    found = figures(services, NOW)
    wanted = {f"mails{{kind={kind}}}{{state={state}}}" for kind in Kind for state in State}
    wanted |= {f"alerts_open{{alarm={alarm}}}" for alarm in Alarm}
    assert wanted <= set(found)


def test_nothing_of_a_person_is_on_it(
    browser: FlaskClient, services: Services, due: int, smtp: SmtpServer
) -> None:
    sending.deliver(services, [due], lambda: NOW)
    with services.db.write() as session:
        raise_alert(session, Alarm.ADDRESS, 7, now=NOW, to="suzuki.ichiro@example.jp")
    said = browser.get("/metrics").text
    assert "@" not in said
    assert "suzuki" not in said
    assert "鈴木" not in said


def test_two_processes_say_the_same(services: Services, config: Config, due: int) -> None:
    other = make(config)
    with closing(other.db):
        assert figures(other, NOW + MINUTE) == figures(services, NOW + MINUTE)


# --- mails --------------------------------------------------------------------------------


def test_a_mail_is_counted_by_kind_and_state_before_and_after_its_end(
    services: Services, due: int, smtp: SmtpServer
) -> None:
    assert some(figures(services, NOW), "mails{") == {"mails{kind=reminder}{state=ready}": 1}
    sending.deliver(services, [due], lambda: NOW + SECOND)
    found = some(figures(services, NOW + MINUTE), "mails{")
    assert found == {"mails{kind=reminder}{state=accepted}": 1}


def test_what_has_ended_is_counted_for_a_day_and_what_has_not_until_it_does(
    services: Services, db: Database, due: int
) -> None:
    later = NOW + DAY + SECOND
    assert some(figures(services, later), "mails{") == {"mails{kind=reminder}{state=ready}": 1}
    change(db, state=State.FAILED)
    assert some(figures(services, later - 2 * SECOND), "mails{") == {
        "mails{kind=reminder}{state=failed}": 1
    }
    assert some(figures(services, later), "mails{") == {}


def test_how_long_a_mail_took_counts_from_its_first_hour(
    services: Services, db: Database, due: int, smtp: SmtpServer
) -> None:
    """Put off once by its server: not_before has moved, and the wait counts all the same."""
    change(db, not_before=NOW + 60 * SECOND, retries=1)
    sending.deliver(services, [due], lambda: NOW + 67 * SECOND)
    found = figures(services, NOW + 2 * MINUTE)
    assert found["mail_wait_seconds_bucket{kind=reminder}{le=60.0}"] == 0
    assert found["mail_wait_seconds_bucket{kind=reminder}{le=120.0}"] == 1
    assert found["mail_wait_seconds_bucket{kind=reminder}{le=+Inf}"] == 1
    assert found["mail_wait_seconds_gcount{kind=reminder}"] == 1
    assert found["mail_wait_seconds_gsum{kind=reminder}"] == pytest.approx(67, abs=0.01)
    assert found["mail_wait_seconds_gcount{kind=sign_in}"] == 0


def test_a_mail_that_took_hours_is_in_the_last_bucket_only(
    services: Services, db: Database, due: int
) -> None:
    change(db, state=State.ACCEPTED, accepted_at=NOW + 120 * MINUTE)
    found = figures(services, NOW + 180 * MINUTE)
    assert found["mail_wait_seconds_bucket{kind=reminder}{le=3600.0}"] == 0
    assert found["mail_wait_seconds_bucket{kind=reminder}{le=+Inf}"] == 1


def test_late_mails_are_counted_as_the_promise_says(services: Services, due: int) -> None:
    late = ("mails_not_attempted", "mails_not_ended", "oldest_unsent_mail_age_seconds")
    for waited, expected in ((9, (0, 0, 540)), (11, (1, 0, 660)), (30, (1, 1, 1800))):
        found = figures(services, NOW + waited * MINUTE)
        assert tuple(found[name] for name in late) == expected


def test_a_mail_whose_hour_has_not_come_is_no_late_one(
    services: Services, db: Database, due: int
) -> None:
    change(db, not_before=NOW + 120 * MINUTE, date_header=NOW + 120 * MINUTE)
    assert figures(services, NOW + 60 * MINUTE)["oldest_unsent_mail_age_seconds"] == 0


def test_held_mails_and_a_pause_are_told(services: Services, db: Database, due: int) -> None:
    change(db, held="brake")
    status.pause(services, who="cli:root", now=NOW)
    found = figures(services, NOW)
    assert (found["mails_held"], found["paused"]) == (1, 1)
    status.resume(services, who="cli:root", now=NOW)
    found = figures(services, NOW)
    assert (found["mails_held"], found["paused"]) == (0, 0)


# --- the mail server ----------------------------------------------------------------------


def test_the_breaker_and_a_refused_login_are_told(services: Services, db: Database) -> None:
    refused = MailSendError(
        Phase.AUTH, Both("断られました", "refused"), answer=Answer(535, "5.7.8 no")
    )
    away = MailSendError(Phase.CONNECT, Both("不通", "refused"))
    for error, login in ((away, 0), (refused, 1)):
        with db.write() as session:
            Breaker().reset(session, NOW)
            Breaker().trip(session, error, NOW)
        found = figures(services, NOW + 10 * SECOND)
        assert some(found, "breaker{") == {"breaker{state=open}": 1}
        assert found["breaker_open_seconds"] == 10
        assert found["login_refused"] == login
    found = figures(services, NOW + MINUTE)
    assert some(found, "breaker{") == {"breaker{state=half_open}": 1}
    with db.write() as session:
        Breaker().reset(session, NOW)
    found = figures(services, NOW + MINUTE)
    assert some(found, "breaker") == {"breaker{state=closed}": 1}


# --- ticks, parts, alerts -------------------------------------------------------------------


def test_without_a_tick_the_wait_for_the_first_one_is_told(services: Services) -> None:
    assert "last_tick_age_seconds" not in figures(services, NOW)
    checks.run(services, NOW)
    assert figures(services, NOW + 6 * MINUTE)["last_tick_age_seconds"] == 360
    status.note_heartbeat(services, TICK, NOW + 6 * MINUTE)
    assert figures(services, NOW + 7 * MINUTE)["last_tick_age_seconds"] == 60


def test_each_part_has_the_age_of_its_latest_heartbeat(services: Services) -> None:
    for name, moment in (
        ("beat", NOW),
        ("worker-mail@a", NOW),
        ("worker-mail@b", NOW + MINUTE),
        ("timer", NOW),
        ("worker-ai@old", NOW - 8 * DAY),
    ):
        status.note_heartbeat(services, name, moment)
    assert some(figures(services, NOW + 2 * MINUTE), "heartbeat") == {
        "heartbeat_age_seconds{part=beat}": 120,
        "heartbeat_age_seconds{part=worker-mail}": 60,
        "heartbeat_age_seconds{part=timer}": 120,
    }


def test_open_alerts_are_counted_by_their_alarm(services: Services, db: Database) -> None:
    with db.write() as session:
        for mail_id in (7, 8):
            raise_alert(session, Alarm.MAIL_FAILED, mail_id, now=NOW)
        raise_alert(session, Alarm.NO_TICK, now=NOW)
    assert some(figures(services, NOW), "alerts_open") == {
        "alerts_open{alarm=mail_failed}": 2,
        "alerts_open{alarm=no_tick}": 1,
    }


# --- Redis --------------------------------------------------------------------------------


def test_what_waits_on_the_queues_is_told(services: Services, redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.lpush("mail", "a", "b")
    found = figures(services, NOW)
    assert (found["queue_length{queue=mail}"], found["queue_length{queue=ai}"]) == (2, 0)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_redis_that_is_away_or_frozen_costs_a_moment_and_the_queues_alone(
    environ: dict[str, str], tmp_path: Path, how: signal.Signals
) -> None:
    server = servers.RedisServer(tmp_path / "redis").start()
    assert server.process is not None
    config = load({**environ, "CELERY_BROKER_URL": server.url}, tmp_path)
    services = make(config)
    process = server.process
    process.send_signal(how)
    client = create_app(config, services).test_client()
    started = time.monotonic()
    answer = client.get("/metrics")
    took = time.monotonic() - started
    process.kill()
    process.wait(10)
    services.db.close()
    assert answer.status_code == 200
    found = read(answer.text)
    assert found["redis_up"] == 0
    assert some(found, "queue_length") == {}
    assert "queue_length{queue=mail}" not in found
    assert took < 5


def test_where_the_broker_is_no_redis_nothing_is_said_of_one(
    environ: dict[str, str], tmp_path: Path
) -> None:
    amqp = {"CELERY_BROKER_URL": "amqp://guest:guest@127.0.0.1:5672/", "CELERY_RESULT_BACKEND": ""}
    services = make(load({**environ, **amqp}, tmp_path))
    found = figures(services, NOW)
    services.db.close()
    assert not {"redis_up", "queue_length{queue=mail}"} & set(found)


# --- a database that is away, and what the questions cost -----------------------------------


def test_without_its_tables_the_page_is_503_with_a_word(
    environ: dict[str, str], empty_database_url: str, tmp_path: Path
) -> None:
    config = load({**environ, "DATABASE_URL": empty_database_url}, tmp_path)
    answer = create_app(config).test_client().get("/metrics")
    assert answer.status_code == 503
    assert "データベースを読めない" in answer.text
    assert "The database cannot be read" in answer.text


def test_a_database_that_hangs_holds_the_page_for_seconds_and_its_thread_not_at_all(
    environ: dict[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with servers.hole() as port:
        hangs = {"DATABASE_URL": f"postgresql://x:himitsu@127.0.0.1:{port}/x"}
        config = load({**environ, **hangs, "TEST_TIME_SCALE": "0.1"}, tmp_path)
        browser = create_app(config).test_client()
        for _ in range(2):
            started = time.monotonic()
            assert browser.get("/metrics").status_code == 503
            assert time.monotonic() - started < 4
    assert "himitsu" not in caplog.text


class Slow(Database):
    """Gives up each question after a time that is a little less than the page may take."""

    def read(self) -> NoReturn:
        time.sleep(2.1)
        raise ConnectionError


def test_who_waits_for_another_does_not_wait_for_the_whole_time_again(
    environ: dict[str, str], tmp_path: Path
) -> None:
    """The page may take 2.4 s, and the first who asks takes 2.1 s of it."""
    config = load({**environ, "TEST_TIME_SCALE": "0.3"}, tmp_path)
    services = replace(make(config), db=Slow(config.database_url))
    reading = MetricsReading(services)
    started = time.monotonic()
    with closing(services.db), ThreadPoolExecutor(2) as askers:
        assert [*askers.map(reading.facts, [NOW, NOW])] == [None, None]
        took = time.monotonic() - started
    assert took < 3.9


def test_a_question_that_waits_for_a_lock_is_given_up(
    environ: dict[str, str], tmp_path: Path, db: Database
) -> None:
    if db.is_sqlite:
        pytest.skip("its readers wait for nobody")
    services = make(load({**environ, "TEST_TIME_SCALE": "0.05"}, tmp_path))
    with closing(services.db), db.connect() as other:
        other.exec_driver_sql("LOCK TABLE outbox IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(DatabaseDown):
            facts(services, NOW)


def test_who_asks_again_and_again_reads_what_was_read_a_moment_ago(
    browser: FlaskClient, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock on which each question takes a millisecond, and nothing else any time."""
    asked: list[str] = []
    hour = [0.0]

    def note(*on: Any) -> None:
        asked.append(on[2])
        hour[0] += 0.001

    monkeypatch.setattr(metrics_queries, "time", SimpleNamespace(monotonic=lambda: hour[0]))
    event.listen(services.db.engine, "before_cursor_execute", note)
    browser.get("/metrics")
    took, first = hour[0], len(asked)
    assert first > 5
    browser.get("/metrics")
    assert len(asked) == first
    hour[0] += STANDS * took
    browser.get("/metrics")
    assert len(asked) == 2 * first


def test_no_question_walks_through_the_mails_of_the_past(
    services: Services, db: Database, due: int
) -> None:
    if not db.is_sqlite:
        pytest.skip("PostgreSQL rightly walks through a table as small as this one")
    asked: list[tuple[str, Any]] = []

    @event.listens_for(services.db.engine, "before_cursor_execute")
    def _note(_c: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        asked.append((statement, values))

    facts(services, NOW)
    with db.connect() as connection:
        plans = [
            str(row)
            for statement, values in asked
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
        ]
    of_mails = [plan for plan in plans if "outbox" in plan]
    assert len(of_mails) >= 4
    assert [plan for plan in of_mails if "USING INDEX" not in plan] == []
