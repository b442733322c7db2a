"""What a machine lacks is told: Redis away, a disk without room, a part that ends again and again."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from app import clock, create_app, outbox
from app.alerts import open_alerts
from app.alerts.catalogue import words_of
from app.config import load
from app.db import Database
from app.models import TICK, Member, Role, Service
from app.monitoring import checks, machine, restarts, status
from app.monitoring.alert_mails import GRACE, notify_admins
from app.monitoring.heartbeat import Heartbeat
from app.monitoring.metrics_page import PREFIX
from app.monitoring.metrics_queries import facts
from app.services import Services, make
from tests import sending
from tests.conftest import NOW, People
from tests.databases import on_sqlite
from tests.servers import RedisServer
from tests.smtp_server import SmtpServer
from tests.stack import PROJECT, PYTHON, Processes

pytestmark = pytest.mark.slow

MINUTE = timedelta(minutes=1)


def names(db: Database) -> list[str]:
    with db.read() as session:
        return [one.name for one in open_alerts(session)]


def figure(services: Services, now: datetime, name: str) -> float:
    """A figure of `/metrics` that has one value."""
    (found,) = [one for one in facts(services, now) if one.name == f"{PREFIX}{name}"]
    return found.samples[0].value


def ticked(services: Services, now: datetime) -> None:
    status.note_heartbeat(services, TICK, now)


# --- Redis --------------------------------------------------------------------------------


@dataclass
class Installation:
    """One with a Redis of its own."""

    services: Services
    redis: RedisServer

    def look(self, now: datetime) -> list[str]:
        """What a program that lives does, and the alerts that are open then."""
        ticked(self.services, now)
        checks.run(self.services, now)
        return names(self.services.db)


@pytest.fixture
def installation(
    environ: dict[str, str], tmp_path: Path, smtp: SmtpServer
) -> Iterator[Installation]:
    server = RedisServer(tmp_path / "redis").start()
    own = {"CELERY_BROKER_URL": server.url, "SMTP_PORT": str(smtp.port), "TEST_TIME_SCALE": "0.1"}
    made = make(load({**environ, **own}, tmp_path))
    yield Installation(made, server)
    made.idle.close()
    made.db.close()
    server.kill()


def test_redis_away_for_5_minutes_is_an_alert_a_mail_and_a_reason_in_healthz(
    installation: Installation, team: People, smtp: SmtpServer
) -> None:
    services, minutes = installation.services, [NOW + n * MINUTE for n in range(8)]
    with services.db.write() as session:
        session.execute(update(Member).where(Member.id == team.sato.id).values(role=Role.ADMIN))
    assert installation.look(NOW) == []
    installation.redis.kill()
    for now in minutes[1:6]:
        assert installation.look(now) == []
        assert checks.unwell(services, now) == []
    assert installation.look(minutes[6]) == ["redis_away"]
    assert checks.unwell(services, minutes[6]) == ["redis_away"]
    notify_admins(services, minutes[6] + GRACE)
    sending.deliver(
        services, outbox.sweep(services, minutes[6] + GRACE), lambda: minutes[6] + GRACE
    )
    assert [mail.recipient for mail in smtp.mails] == [team.sato.email]
    with services.db.read() as session:
        said = open_alerts(session)[0]
    assert figure(services, minutes[6], "redis_away_seconds") == 300
    assert "5分以上応答していません" in words_of(said.name, said.data).what.ja
    # It comes back, and all of it is over with the next look.
    installation.redis.start()
    time.sleep(3.1)  # 30 s without asking it again, scaled
    assert installation.look(minutes[7]) == []
    assert checks.unwell(services, minutes[7]) == []


def test_one_machine_without_redis_is_told_though_another_has_it(
    services: Services, db: Database
) -> None:
    for n in range(7):
        now = NOW + n * MINUTE
        ticked(services, now)
        with db.write() as session:
            row = session.get(Service, "redis_away@other")
            row = row or Service(name="redis_away@other", data={"since": NOW.isoformat()})
            row.at = now
            session.add(row)
        checks.run(services, now)
    with db.read() as session:
        (alert,) = open_alerts(session)
    assert alert.name == "redis_away"
    assert "(other)" in words_of(alert.name, alert.data).what.en
    # A machine that was taken away says no more, and nobody waits for it.
    ticked(services, now + 6 * MINUTE)
    checks.run(services, now + 6 * MINUTE)
    assert names(db) == []


@on_sqlite
def test_beat_says_in_one_line_a_minute_that_redis_is_away(
    environ: dict[str, str], tmp_path: Path
) -> None:
    server = RedisServer(tmp_path / "redis").start()
    beat = Processes(tmp_path, {**environ, "CELERY_BROKER_URL": server.url})
    try:
        part = beat.beat()
        beat.until_said(part, "Sending due task tick", 90)  # it is connected
        server.kill()
        beat.until_said(part, "Redis is away, a job is not queued", 90)
        time.sleep(1)
        assert part.poll() is None
        said = beat.said(part)
        assert "Traceback" not in said
        assert len(said.splitlines()) < 15
    finally:
        beat.end_all()
        server.kill()


# --- the disk -----------------------------------------------------------------------------


@on_sqlite
def test_a_disk_without_room_is_in_status_and_an_alert(
    environ: dict[str, str], db: Database, tmp_path: Path
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    inside = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c",
              'mount -t tmpfs -o size=64m tmpfs "$0" && exec "$@"', str(small)]  # fmt: skip
    if not shutil.which("unshare") or subprocess.run([*inside, "true"], check=False).returncode:
        pytest.skip("this machine lets nobody mount a small disk")
    command = [*inside, PYTHON, "-m", "app.cli"]
    settings = {**environ, "DATA_DIR": str(small), "PYTHONPATH": str(PROJECT), "PATH": "/usr/bin"}
    for words in (["tick"], ["status"]):
        ran = subprocess.run(
            [*command, *words], env=settings, cwd=tmp_path, capture_output=True, check=True,
            text=True,
        )  # fmt: skip
    assert "ディスクの空きが 64 MB しかありません" in ran.stdout
    assert names(db) == ["disk_short"]
    services = make(load(environ, tmp_path))  # whose own disk has room
    with closing(services.db):
        answer = create_app(services.config, services).test_client().get("/healthz")
        assert answer.json == {"status": "unavailable", "reasons": ["disk_short"]}
        assert figure(services, clock.now(), "disks_short") == 1


def test_this_machines_disk_has_room(services: Services) -> None:
    assert machine.here(services, NOW) == {}


# --- starts -------------------------------------------------------------------------------


def test_a_part_that_starts_5_times_in_10_minutes_is_an_alarm(
    services: Services, db: Database
) -> None:
    for n in range(5):
        assert [name for name in names(db) if name.startswith("part_restarts")] == []
        heartbeat = Heartbeat("worker-mail@here", lambda: services)
        heartbeat.start()
        heartbeat.stop()
        checks.run(services, clock.now() + n * MINUTE)
    assert "part_restarts:worker-mail@here" in names(db)
    with db.read() as session:
        row = session.get(Service, "starts:worker-mail@here")
        assert row is not None
        assert len(row.data["starts"]) == 5
    later = clock.now() + 11 * MINUTE
    ticked(services, later)
    checks.run(services, later)
    assert [name for name in names(db) if name.startswith("part_restarts")] == []


def test_a_machine_that_restarts_now_and_then_is_none(services: Services, db: Database) -> None:
    for n in range(8):
        now = NOW + n * 3 * MINUTE
        with db.write() as session:
            restarts.note(session, "beat", now)
        ticked(services, now)
        checks.run(services, now)
        assert names(db) == []
