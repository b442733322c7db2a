"""Two installations, each with its own database, on one real Redis."""

import contextlib
import json
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import redis
from sqlalchemy import func, select

from app import doctor, reminders, schema
from app.alerts import open_alerts
from app.alerts.catalogue import words_of
from app.config import load
from app.db import Database
from app.doctor import Level, Machine
from app.models import OutboxMail, Service
from app.monitoring import checks
from app.queue.application import make_celery
from app.queue.publishing import publisher
from app.services import Services, make
from app.util import shared_redis
from app.util.redis_guard import KEEP_SECONDS, Guard, guard_key
from tests import sending
from tests.conftest import NOW, TODAY, suzuki, task
from tests.databases import on_sqlite
from tests.servers import wait_until
from tests.smtp_server import SmtpServer
from tests.stack import running
from tests.test_queue_messages import envelope

DAY = timedelta(days=1)

pytestmark = on_sqlite


def own_settings(folder: Path, environ: dict[str, str], pages: str) -> dict[str, str]:
    """Settings with a folder and a database of their own; everything else is shared."""
    folder.mkdir()
    url = f"sqlite:///{folder / 'own.sqlite3'}"
    with contextlib.closing(Database(url)) as database:
        schema.upgrade(database)
    return {**environ, "DATA_DIR": str(folder), "DATABASE_URL": url, "APP_BASE_URL": pages}


def people(services: Services, number: int) -> None:
    """So many members with one open task each."""
    with services.db.write() as session:
        for n in range(number):
            member = suzuki()
            member.email = f"suzuki{n}@{services.config.data_dir.name}.example.jp"
            session.add(member)
            session.flush()
            session.add(task(f"T-{n}", member))


@pytest.fixture
def two(
    environ: dict[str, str], tmp_path: Path, smtp: SmtpServer
) -> Iterator[tuple[Services, Services]]:
    environ = {**environ, "SMTP_PORT": str(smtp.port)}
    made = []
    for name in ("large", "small"):
        settings = own_settings(tmp_path / name, environ, f"https://{name}.example.jp")
        made.append(make(load(settings, tmp_path / name)))
    yield made[0], made[1]
    for one in made:
        one.idle.close()
        one.db.close()


def morning(services: Services, now: datetime) -> None:
    sending.deliver(services, reminders.plan(services, now).ids, lambda: now)


def states(services: Services) -> dict[tuple[str, str | None], int]:
    with services.db.read() as session:
        rows = session.execute(
            select(OutboxMail.state, OutboxMail.reason, func.count()).group_by(
                OutboxMail.state, OutboxMail.reason
            )
        )
        return {(state, reason): number for state, reason, number in rows}


def alerts(services: Services, now: datetime) -> list[str]:
    checks.run(services, now)
    with services.db.read() as session:
        return [one.name for one in open_alerts(session) if one.name == "redis_shared"]


def test_for_three_days_everybody_of_both_is_mailed(
    two: tuple[Services, Services], smtp: SmtpServer
) -> None:
    """Member 7 of one is another person than member 7 of the other."""
    for services, number in zip(two, (20, 15), strict=True):
        people(services, number)
    for day in range(3):
        for services in two:
            morning(services, NOW + day * DAY)
    assert [states(services) for services in two] == [
        {("accepted", None): 60},
        {("accepted", None): 45},
    ]
    assert len({mail.recipient for mail in smtp.mails}) == 35
    assert len(smtp.mails) == 105


def test_both_raise_an_alert_that_names_the_other_until_it_is_gone(
    two: tuple[Services, Services], redis_admin: redis.Redis
) -> None:
    large, small = two
    assert alerts(large, NOW) == []
    assert alerts(small, NOW) == ["redis_shared"]
    assert alerts(large, NOW + timedelta(minutes=1)) == ["redis_shared"]
    with large.db.read() as session:
        (alert,) = open_alerts(session)
        words = words_of(alert.name, alert.data)
    assert "https://small.example.jp" in words.what.en
    assert "CELERY_BROKER_URL" in words.fix.ja
    redis_admin.delete(shared_redis.SEEN)
    assert alerts(large, NOW + timedelta(minutes=2)) == []


def test_a_guard_that_another_holds_is_noted_and_stays_its_own(
    two: tuple[Services, Services], redis_admin: redis.Redis
) -> None:
    large, small = two
    guard = Guard(7, TODAY, 1)
    assert large.guard.take([guard]) == set()
    assert small.guard.take([guard]) == set()
    small.guard.release([guard])
    assert redis_admin.get(guard.key) == guard.value(large.installation.id())
    assert small.guard.standing([guard]) == []
    assert large.guard.standing([guard]) == [guard]
    # Nobody of them has said yet that it is there.
    assert alerts(small, NOW) == ["redis_shared"]


@pytest.mark.parametrize(
    ("held", "stops"),
    [("7", False), ("8", True), ("1", True), ("{ours}:7", False), ("{ours}:8", True),
     ("another:8", False), ("another:7", False)],
)  # fmt: skip
def test_what_a_guard_holds_says_whether_the_mail_is_out(
    two: tuple[Services, Services], redis_admin: redis.Redis, held: str, *, stops: bool
) -> None:
    """A bare number is of a former version, "1" of the specification's program."""
    services, guard = two[0], Guard(3, TODAY, 7)
    ours = services.installation.id()
    redis_admin.set(guard_key(3, TODAY), held.format(ours=ours), ex=KEEP_SECONDS)
    assert services.guard.take([guard]) == ({guard} if stops else set())
    services.guard.release([guard])
    is_gone = redis_admin.get(guard.key) is None
    assert is_gone == (held in ("7", "{ours}:7"))


@pytest.mark.slow
def test_doctor_says_that_two_share_a_redis_and_what_to_set(
    two: tuple[Services, Services], tmp_path: Path, environ: dict[str, str], smtp: SmtpServer
) -> None:
    large, small = two
    settings = {**environ, "DATABASE_URL": large.config.database_url, "SMTP_PORT": str(smtp.port)}

    def found() -> doctor.Finding:
        seen = doctor.examine(Machine(tmp_path, lambda: NOW), settings)
        return next(one for one in seen if one.check == "redis-shared")

    alerts(large, NOW)
    assert found().level is Level.GREEN
    alerts(small, NOW)
    assert (found().level, "https://small.example.jp" in found().says.en) == (Level.RED, True)
    assert "CELERY_RESULT_BACKEND" in str(found().fix)


# --- the queue ------------------------------------------------------------------------------


def ticks(services: Services) -> datetime | None:
    with services.db.read() as session:
        row = session.get(Service, "tick")
        return row.at if row else None


@pytest.mark.slow
def test_a_job_runs_at_the_installation_that_published_it(
    two: tuple[Services, Services],
    environ: dict[str, str],
    tmp_path: Path,
    smtp: SmtpServer,
    redis_admin: redis.Redis,
) -> None:
    """Only the worker of the other one lives at first: it hands the jobs back, once each."""
    large, small = two
    settings = [
        {
            **environ,
            "DATABASE_URL": one.config.database_url,
            "DATA_DIR": str(one.config.data_dir),
            "SMTP_PORT": str(smtp.port),
        }
        for one in two
    ]
    with (
        running(tmp_path / "large", settings[0], smtp) as ours,
        running(tmp_path / "small", settings[1], smtp) as theirs,
    ):
        other_worker = theirs.worker(processes=1)
        for n in range(5):
            raw = envelope(id=str(n), installation=large.installation.id())
            redis_admin.lpush("mail", raw.replace("made-up", f"tag-{n}"))
        laid = "was laid aside for it"
        wait_until(lambda: theirs.said(other_worker).count(laid) == 5, "five laid aside")
        time.sleep(3)
        assert theirs.said(other_worker).count("was laid aside for it") == 5  # no hot loop
        assert (ticks(large), ticks(small)) == (None, None)
        in_a_minute = datetime.now().astimezone() + timedelta(minutes=1)
        assert alerts(small, in_a_minute) == ["redis_shared"]

        ours.worker(processes=1)
        wait_until(lambda: ticks(large) is not None, ours.logs(), 60)
        assert ticks(small) is None
        wait_until(lambda: ours.finished_jobs() == 5, ours.logs(), 60)
        assert theirs.finished_jobs() == 0

        # What names nobody runs where it is taken.
        redis_admin.lpush("mail", envelope(id="5"))
        wait_until(lambda: ours.finished_jobs() + theirs.finished_jobs() == 6, ours.logs(), 60)
        ours.until_acknowledged()


def test_whoever_queues_says_who_it_is(
    two: tuple[Services, Services], redis_admin: redis.Redis
) -> None:
    services = two[0]
    publisher(make_celery(services.config), 1, lambda: services)([1, 2])
    raw = json.loads(str(redis_admin.lindex("mail", 0)))
    assert raw["headers"][shared_redis.INSTALLATION] == services.installation.id()
