"""A database that is older than what ran marks itself as restored, and never another one.

The copy is of 08:30, the morning's mails go out at 09:00, the older database stands there at 10:00.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import redis
from sqlalchemy import select

from app import digest, outbox, reminders
from app.alerts import open_alerts
from app.alerts.catalogue import words_of
from app.clock_trust import ticks
from app.config import load
from app.db import Database
from app.maintenance import purge, sqlite
from app.maintenance.backup import backup
from app.maintenance.restore import check, restore
from app.maintenance.rollback import mark_if_behind
from app.models import TICK, Audit, OutboxMail, Service, State
from app.monitoring import checks, status
from app.outbox import restored
from app.services import Services, make
from app.util import shared_redis
from app.util.redis_guard import Guard, SendGuard
from tests import sending
from tests.conftest import NOW, TODAY, People, task
from tests.databases import on_sqlite, sqlite_copy
from tests.safe_redis import ACL
from tests.servers import RedisServer, wait_until
from tests.smtp_server import SmtpServer
from tests.stack import PROJECT, offset_to, running
from tests.terminal import Terminal
from tests.test_main_job import EIGHT, NINE
from tests.test_restore import EARLY, SUZUKI, TANAKA, TEN, Saved

pytestmark = (
    pytest.mark.pages
)  # long stories: their statements are in other tests, on both databases

MINUTE = timedelta(minutes=1)


@pytest.fixture
def tasks(db: Database, team: People, no_digest: None) -> People:
    """鈴木さん and 田中さん have a task each; 佐藤さん, their lead, has none."""
    with db.write() as session:
        session.add_all([task("T-2", team.suzuki), task("T-3", team.tanaka)])
    return team


def at(moment: datetime) -> Callable[[], datetime]:
    return lambda: moment


def tick(services: Services, now: datetime) -> None:
    """A whole tick at this instant, in the order of both doors."""
    mark_if_behind(services, now)
    digest.find_leads(services, now)
    reminders.plan(services, now)
    digest.plan(services, now)
    status.note_heartbeat(services, TICK, now)
    checks.run(services, now)
    sending.deliver(services, outbox.sweep(services, now), at(now))


def restores(services: Services) -> list[str]:
    """By whom the database was marked, once for each time."""
    with services.db.read() as session:
        return list(session.scalars(select(Audit.who).where(Audit.what == "restore")))


def counted(services: Services) -> ticks.Count | None:
    with services.db.read() as session:
        return ticks.counted(session)


def known(client: "redis.Redis") -> dict[str, int]:
    """What Redis holds: the highest count by timeline."""
    keys = [str(key) for key in client.keys(f"{shared_redis.TICKS}*")]
    return {key.removeprefix(shared_redis.TICKS): int(client.get(key) or 0) for key in keys}


def reminded(smtp: SmtpServer) -> list[str]:
    """Who got a mail; twice is twice."""
    return sorted(mail.recipient for mail in smtp.mails)


def held(services: Services) -> int:
    with services.db.read() as session:
        return restored.held_number(session)


# --- it is marked -------------------------------------------------------------------------------


def test_an_older_database_is_marked_before_anything_is_planned_and_only_once(
    services: Services, tasks: People, smtp: SmtpServer
) -> None:
    tick(services, EARLY)
    saved = Saved(services)
    tick(services, NOW)
    assert reminded(smtp) == [SUZUKI, TANAKA]
    saved.put()
    for n in range(3):
        tick(services, TEN + n * MINUTE)
    assert reminded(smtp) == [SUZUKI, TANAKA]
    assert restores(services) == ["tick"]
    assert held(services) == 2
    status.resume(services, who="cli:root", now=TEN)
    tick(services, TEN + 3 * MINUTE)
    assert reminded(smtp) == [SUZUKI, TANAKA], "Redis knows that they are out"
    assert (restores(services), held(services)) == (["tick"], 0)


def test_the_alert_says_what_was_found_and_where_the_database_ends(
    services: Services, tasks: People
) -> None:
    """The last tick counts: programs that live have signed in the older database, and looked."""
    tick(services, EARLY)
    saved = Saved(services)
    tick(services, NOW)
    saved.put()
    status.note_heartbeat(services, "beat", TEN)
    checks.run(services, TEN)
    tick(services, TEN)
    with services.db.read() as session:
        (alert,) = [one for one in open_alerts(session) if one.name == "restored"]
    said = words_of(alert.name, alert.data).what
    assert "is older than what ran here (its last record: Tue 24 Nov 08:30)" in said.en
    assert "古くなっています(最後の記録: 11月24日(火) 08:30)" in said.ja
    status.resume(services, who="cli:root", now=TEN)
    with services.db.read() as session:
        assert not [one for one in open_alerts(session) if one.name == "restored"]


def test_the_same_copy_put_back_a_second_time_is_marked_again(
    services: Services, tasks: People
) -> None:
    tick(services, EARLY)
    saved = Saved(services)
    tick(services, NOW)
    for n in range(2):
        saved.put()
        tick(services, TEN + n * MINUTE)
        assert restores(services) == ["tick"]


@pytest.fixture
def away(environ: dict[str, str], tmp_path: Path) -> Iterator[Services]:
    """Services of the same installation whose Redis does not answer."""
    nowhere = {**environ, "CELERY_BROKER_URL": "redis://127.0.0.1:1/0"}
    with closing(make(load(nowhere, tmp_path))) as services:
        yield services


def test_what_was_put_back_while_redis_was_away_is_found_when_it_is_back(
    services: Services, away: Services, tasks: People
) -> None:
    tick(services, EARLY)
    saved = Saved(services)
    for n in range(3):
        tick(services, EARLY + n * MINUTE)
    saved.put()
    tick(away, EARLY + 4 * MINUTE)
    assert restores(services) == []
    tick(services, EARLY + 5 * MINUTE)
    assert restores(services) == ["tick"]


@on_sqlite
def test_a_copy_beside_the_original_is_marked_and_the_original_is_not(
    environ: dict[str, str], tmp_path: Path, redis_admin: redis.Redis
) -> None:
    """The same id, the same Redis: somebody tries something out."""
    files = [tmp_path / "original.sqlite3", tmp_path / "copy.sqlite3"]
    sqlite_copy(files[0])
    with contextlib.ExitStack() as stack:
        settings = [{**environ, "DATABASE_URL": f"sqlite:///{file}"} for file in files]
        original, copy = (
            stack.enter_context(closing(make(load(one, tmp_path)))) for one in settings
        )
        tick(original, EARLY)
        sqlite.copy(*files)
        tick(original, NOW)
        for n in range(3):
            tick(copy, NOW + n * MINUTE)
            tick(original, NOW + n * MINUTE)
        assert (restores(original), restores(copy)) == ([], ["tick"])
    assert sorted(known(redis_admin).values()) == [3, 5]


class Interrupted(SendGuard):
    """Others go on between the program's look at the database and its question to Redis."""

    def __init__(self, services: Services, meanwhile: Callable[[], object]) -> None:
        super().__init__(services.guard.url, services.installation.id)
        self.meanwhile = meanwhile

    def ticks_of(self, timeline: str) -> int | None:
        self.meanwhile()
        return super().ticks_of(timeline)


def test_of_two_that_find_it_at_once_one_marks(services: Services, tasks: People) -> None:
    tick(services, EARLY)
    saved = Saved(services)
    tick(services, NOW)
    saved.put()
    late = replace(services, guard=Interrupted(services, lambda: tick(services, TEN)))
    assert mark_if_behind(late, TEN) is False
    assert restores(services) == ["tick"]


# --- it is not ----------------------------------------------------------------------------------


def test_many_ticks_at_once_mark_nothing(services: Services, redis_admin: redis.Redis) -> None:
    """Each with services of its own, as programs have them."""
    failed: list[Exception] = []

    def many() -> None:
        try:
            with closing(make(services.config)) as ours:
                for n in range(12):
                    mark_if_behind(ours, NOW + n * MINUTE)
                    status.note_heartbeat(ours, TICK, NOW + n * MINUTE)
                    checks.run(ours, NOW + n * MINUTE)
        except Exception as error:  # noqa: BLE001 - shown below
            failed.append(error)

    status.note_heartbeat(services, TICK, EARLY)
    threads = [threading.Thread(target=many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (failed, restores(services)) == ([], [])
    count = counted(services)
    assert count is not None
    assert count.number == 49, "none is lost"
    checks.run(services, NOW)
    assert known(redis_admin) == {count.timeline: 49}


def test_a_tick_between_the_two_looks_marks_nothing(services: Services) -> None:
    tick(services, EARLY)
    late = replace(services, guard=Interrupted(services, lambda: tick(services, NOW)))
    assert mark_if_behind(late, NOW) is False
    assert restores(services) == []


def test_no_purge_no_clock_and_no_other_redis_marks(
    services: Services, tasks: People, redis_admin: redis.Redis
) -> None:
    for n in range(3):
        tick(services, EARLY + n * MINUTE)
    (timeline,) = known(redis_admin)
    purge.purge(services, purge.newest(services, NOW), who="cli:root", now=NOW)
    tick(services, NOW)
    for value in (None, 1, "rubbish"):  # emptied; it was itself put back; somebody else's
        redis_admin.flushall()
        if value is not None:
            redis_admin.set(f"{shared_redis.TICKS}{timeline}", value)
        tick(services, NOW + MINUTE)
        assert list(known(redis_admin).items()) == [counted(services)]
    for moment in (NOW + timedelta(days=30), NOW - timedelta(hours=9), NOW):
        tick(services, moment)
    assert restores(services) == []


@pytest.mark.parametrize("first", ["a tick", "resume", "a tick without Redis"])
def test_a_restore_by_command_is_not_marked_a_second_time(
    services: Services, away: Services, tasks: People, first: str
) -> None:
    tick(services, EARLY)
    saved = Saved(services)
    for n in range(3):
        tick(services, NOW + n * MINUTE)
    saved.back(TEN)
    if first == "resume":
        status.resume(services, who="cli:root", now=TEN)
    elif first == "a tick without Redis":
        tick(away, TEN)
        status.resume(services, who="cli:root", now=TEN)
    for n in range(3):
        tick(services, TEN + n * MINUTE)
    assert restores(services) == ["cli:root"]


@on_sqlite
def test_a_backup_that_restore_brings_back_is_marked_by_it_alone(
    services: Services, tasks: People, tmp_path: Path
) -> None:
    tick(services, EARLY)
    backup(services, file := tmp_path / "task-progress.backup")
    tick(services, NOW)
    check(services, file)
    restore(services, file, who="cli:root", now=TEN)
    tick(services, TEN)
    tick(services, TEN + MINUTE)
    assert restores(services) == ["cli:root"]


def test_a_tick_of_a_former_version_begins_a_new_count(
    services: Services, redis_admin: redis.Redis
) -> None:
    """It writes its heartbeat without one."""
    for n in range(3):
        tick(services, EARLY + n * MINUTE)
    with services.db.write() as session:
        session.get_one(Service, TICK).data = {"log_written": True}
    tick(services, NOW)
    assert restores(services) == []
    assert sorted(known(redis_admin).values()) == [1, 3]


@on_sqlite
def test_a_rehearsal_and_a_look_ahead_count_nothing(
    tp: Terminal, inbox: SmtpServer, services: Services, tasks: People, redis_admin: redis.Redis
) -> None:
    for command in ("tick --now 2026-11-24T09:00+09:00 --rehearsal", "simulate --from 2026-11-24"):
        assert tp.run(*command.split()).code == 0
    assert reminded(inbox) == [SUZUKI, TANAKA]
    assert (counted(services), known(redis_admin)) == (None, {})


# --- Redis --------------------------------------------------------------------------------------


def test_it_asks_redis_once(services: Services, redis_admin: redis.Redis) -> None:
    tick(services, EARLY)
    redis_admin.config_resetstat()
    mark_if_behind(services, NOW)
    asked = redis_admin.info("commandstats")
    ours = {name: one["calls"] for name, one in asked.items() if "config" not in name}
    assert ours == {"cmdstat_get": 1}


@contextlib.contextmanager
def redis_with(rules: str, folder: Path) -> Iterator[RedisServer]:
    """A Redis with these rules as its ACL file, `w` the password, and an admin beside them."""
    folder.mkdir()
    acl = folder / "redis.acl"
    program = rules.replace("task-progress on", "task-progress on >w", 1)
    acl.write_text(f"{program}user rig on >w ~* &* +@all\n")
    server = RedisServer(folder, "--aclfile", str(acl)).start()
    yield server
    server.kill()


@on_sqlite
@pytest.mark.parametrize("former", [False, True])
def test_the_shipped_acl_file_lets_it_count_and_a_former_one_leaves_the_guard(
    environ: dict[str, str], tmp_path: Path, team: People, former: bool
) -> None:
    rules = ACL.read_text()
    if former:
        rules = rules.replace(f"~{shared_redis.TICKS}* ", "")
        assert rules != ACL.read_text()
    with redis_with(rules, tmp_path / "acl") as server:
        url = server.url.replace("redis://", "redis://task-progress:w@")
        settings = {**environ, "CELERY_BROKER_URL": url}
        with (
            closing(make(load(settings, tmp_path))) as services,
            redis.Redis.from_url(url.replace("task-progress", "rig")) as admin,
        ):
            tick(services, EARLY)
            tick(services, NOW)
            services.guard.take([Guard(team.suzuki.id, TODAY, 1)])
            assert admin.exists(f"remind:{team.suzuki.id}:{TODAY}")
            assert bool(known(admin)) is not former
            refused = {one["object"] for one in admin.acl_log()}
            assert bool(refused) is former


@pytest.mark.parametrize(
    "key", [shared_redis.SEEN, f"{shared_redis.ASIDE}*", f"{shared_redis.TICKS}*"]
)
def test_each_key_is_in_the_acl_file_and_on_the_page_about_redis(key: str) -> None:
    assert f"~{key} " in ACL.read_text()
    for page in ("docs/scale.md", "docs/scale.ja.md"):
        assert f"`{key.rstrip('*')}" in (PROJECT / page).read_text()


# --- both roads, with real programs ---------------------------------------------------------------


@pytest.mark.slow
@on_sqlite
@pytest.mark.parametrize("road", ["timer", "worker"])
def test_a_file_copied_back_by_hand_mails_nobody_a_second_time(
    environ: dict[str, str], tmp_path: Path, db: Database, tasks: People,
    *, smtp: SmtpServer, road: str,
) -> None:  # fmt: skip
    """The copy is of when the mails were ready. The worker has a message about them on its queue."""
    live, copy = tmp_path / "task-progress.sqlite3", tmp_path / "copy.sqlite3"
    db.close()
    with running(tmp_path, {**environ, "SMTP_PORT": str(smtp.port)}, smtp) as stack:
        stack.environ["TEST_CLOCK_OFFSET"] = offset_to(EIGHT)
        stack.command("tick")
        stack.environ["TEST_CLOCK_OFFSET"] = offset_to(NINE)
        stack.command("remind", "--all", "--yes")
        sqlite.copy(live, copy)
        stack.command("tick")
        assert reminded(smtp) == [SUZUKI, TANAKA]
        sqlite.copy(copy, live)
        if road == "timer":
            stack.command("tick")
        else:
            stack.worker()
            for _ in range(2):  # the message about them may expire before it is taken
                stack.publish("notifications.tick")
            wait_until(lambda: stack.finished_jobs() >= 2, stack.logs())
    assert reminded(smtp) == [SUZUKI, TANAKA]
    with db.read() as session:
        mails = session.execute(select(OutboxMail.state, OutboxMail.held)).all()
        assert [tuple(one) for one in mails] == [(State.READY, "restore")] * 2
        assert session.scalars(select(Audit.who).where(Audit.what == "restore")).all() == ["tick"]
