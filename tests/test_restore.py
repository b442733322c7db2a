"""Backup and restore on both databases: nothing is mailed a second time without an admin's word.

The morning is 09:00; the backup is of 08:30, the restore comes at 10:00.
"""

import contextlib
import os
import sqlite3
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from alembic import command
from sqlalchemy import Table, delete, func, insert, select, text, update
from sqlalchemy.orm import Session

from app import digest, doctor, installation, outbox, reminders, schema
from app.access import api_tokens, sessions
from app.alerts import open_alerts
from app.alerts.catalogue import words_of
from app.db import Database
from app.doctor.database import database as doctors_look
from app.installation import Installation
from app.maintenance import postgresql
from app.maintenance.backup import backup
from app.maintenance.errors import BackupFailed
from app.maintenance.restore import check, restore, what_is_replaced
from app.maintenance.restore_mark import mark
from app.members import sign_in, token_notices
from app.members.nudge import nudge
from app.models import (
    Alert,
    Audit,
    Base,
    DecisionRow,
    Kind,
    Member,
    OutboxMail,
    Role,
    Service,
    Setting,
    State,
    Task,
    WebSession,
)
from app.monitoring import alert_mails, status
from app.refused import Refused
from app.rules.workdays import DAY
from app.services import Services
from app.why.reminder import explain
from tests import sending
from tests.conftest import NOW, TODAY, People, suzuki, task
from tests.databases import postgresql_copy, sqlite_copy
from tests.postgres import binaries
from tests.smtp_server import SmtpServer

pytestmark = pytest.mark.slow

EARLY = NOW - timedelta(minutes=30)
TEN = NOW + timedelta(hours=1)
EVENING = NOW + timedelta(hours=9, minutes=1)  # no reminder of today may go out any more
SATO = "sato.hanako@example.jp"
SUZUKI, TANAKA = "suzuki.ichiro@example.jp", "tanaka.misaki@example.jp"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database of its own: a restore takes all tables away."""
    if request.param == "sqlite":
        yield sqlite_copy(tmp_path / "task-progress.sqlite3")
        return
    with postgresql_copy("care") as url:
        yield url


@pytest.fixture(autouse=True)
def programs_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """pg_dump of the PostgreSQL under test, wherever that comes from."""
    monkeypatch.setenv("PATH", f"{binaries()}:{os.environ['PATH']}")


@pytest.fixture
def tasks(db: Database, team: People, no_digest: None) -> People:
    """鈴木さん and 田中さん have a task each; 佐藤さん, their lead, has none."""
    with db.write() as session:
        session.add_all([task("T-2", team.suzuki), task("T-3", team.tanaka)])
    return team


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "task-progress.backup"


def at(moment: datetime) -> Callable[[], datetime]:
    return lambda: moment


def tick(services: Services, now: datetime) -> None:
    """What the timer does at this instant, to the end."""
    digest.find_leads(services, now)
    reminders.plan(services, now)
    digest.plan(services, now)
    sending.deliver(services, outbox.sweep(services, now), at(now))


def back(services: Services, file: Path, now: datetime = TEN) -> int:
    """The restore; returns how many mails wait."""
    check(services, file)
    return restore(services, file, who="cli:root", now=now).held


class Saved:
    """All rows of a moment, which `put` puts in the place of all others; `back` also marks them.

    To the rules the same as a file; pg_dump and pg_restore would take a second each.
    """

    def __init__(self, services: Services) -> None:
        self.services = services
        with services.db.read() as session:
            rows = {
                table: session.execute(select(table).order_by(*table.primary_key)).mappings().all()
                for table in TABLES
            }
            self.rows = {table: [_writable(one) for one in found] for table, found in rows.items()}
            self.ids = {table: session.scalar(self._last_id(table)) for table in TABLES}

    def back(self, now: datetime) -> int:
        """Returns how many mails wait."""
        self.put()
        return mark(self.services, who="cli:root", now=now)

    def put(self) -> None:
        """As a bare pg_restore or a copied file does it."""
        with self.services.db.write() as session:
            for table in reversed(TABLES):
                session.execute(delete(table))
            for table, found in self.rows.items():
                if found:
                    session.execute(insert(table), found)
                set_back(session, table.name, self.ids[table])

    def _last_id(self, table: Table) -> Any:
        if self.services.db.is_sqlite:
            return text("SELECT seq FROM sqlite_sequence WHERE name = :name").bindparams(
                name=table.name
            )
        return text("SELECT last_value FROM pg_sequences WHERE sequencename = :name").bindparams(
            name=f"{table.name}_id_seq"
        )


def set_back(session: Session, name: str, last: int | None) -> None:
    """The last id that this table gave away."""
    at = {"name": name, "last": last}
    if session.get_bind().dialect.name == "sqlite":
        session.execute(text("UPDATE sqlite_sequence SET seq = :last WHERE name = :name"), at)
    elif last is not None:
        session.execute(text("SELECT setval(pg_get_serial_sequence(:name, 'id'), :last)"), at)


TABLES = Base.metadata.sorted_tables


def _writable(row: Any) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "ended"}  # the database's own


def mails(services: Services) -> list[OutboxMail]:
    with services.db.read() as session:
        return list(session.scalars(select(OutboxMail).order_by(OutboxMail.id)))


def mail_of(services: Services, email: str) -> OutboxMail:
    (mail,) = [one for one in mails(services) if one.to_addr == email]
    return mail


def decisions(services: Services) -> dict[date, tuple[str, str | None]]:
    """Of 鈴木さん's reminders: verdict and reason by date."""
    with services.db.read() as session:
        rows = session.scalars(
            select(DecisionRow)
            .join(DecisionRow.member)
            .where(Member.email == SUZUKI, DecisionRow.slot == "reminder")
        )
        return {row.local_date: (row.verdict, row.reason) for row in rows}


def recipients(smtp: SmtpServer) -> list[str]:
    """Who was reminded; twice is twice."""
    return sorted(mail.recipient for mail in smtp.mails if mail.recipient != SATO)


def told_to_the_lead(smtp: SmtpServer) -> int:
    """How many mails about the team went out."""
    return sum(mail.recipient == SATO for mail in smtp.mails)


# --- the backup ---------------------------------------------------------------------------


def test_a_backup_is_the_whole_database_and_its_owners_alone(
    services: Services, tasks: People, file: Path
) -> None:
    done = backup(services, file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert done.size == file.stat().st_size > 1000
    assert not list(file.parent.glob(".task-progress.backup*")), "no draft is left"
    with services.db.write() as session:
        session.execute(text("DELETE FROM tasks"))
    back(services, file)
    with services.db.read() as session:
        assert sorted(session.scalars(select(Task.ref))) == ["T-2", "T-3"]
        assert session.scalar(select(func.count()).select_from(Member)) == 3


def test_a_backup_is_of_one_moment_while_others_write(
    services: Services, db: Database, file: Path
) -> None:
    """Each commit below writes a member with a task: a copy holds both, or none."""
    began, over = threading.Event(), threading.Event()

    def write() -> None:
        for number in range(10_000):
            if over.is_set():
                return
            with db.write() as session:
                member = suzuki()
                member.email = f"{number}@example.jp"
                session.add(member)
                session.flush()
                session.add(task(f"T-{number}", member))
            began.set()

    writer = threading.Thread(target=write)
    writer.start()
    assert began.wait(60)
    try:
        for _ in range(3):
            backup(services, file)
    finally:
        over.set()
        writer.join()
    back(services, file)
    with services.db.read() as session:
        members = session.scalar(select(func.count()).select_from(Member))
        assert members == session.scalar(select(func.count()).select_from(Task))
        assert members


def test_a_backup_that_fails_leaves_the_one_before(
    services: Services, tasks: People, file: Path
) -> None:
    file.write_bytes(b"SQLite format 3\x00 the one of yesterday")
    with pytest.raises(FileNotFoundError):
        backup(services, file.parent / "none" / file.name)
    broken = replace(services, db=Database("sqlite:////nowhere/none.sqlite3"))
    if services.db.is_sqlite:
        with pytest.raises(sqlite3.OperationalError):
            backup(broken, file)
        assert file.read_bytes().endswith(b"the one of yesterday")


def test_a_backup_replaces_nothing_that_is_no_backup(services: Services, file: Path) -> None:
    file.write_text("SMTP_PASSWORD=geheim\n")
    for name in (file, Path("/dev/null")):
        with pytest.raises(BackupFailed, match="is no backup"):
            backup(services, name)
    assert file.read_text() == "SMTP_PASSWORD=geheim\n"
    file.unlink()
    for _ in range(2):
        backup(services, file)


def test_a_folder_that_is_missing_is_named_and_not_the_draft(
    services: Services, tmp_path: Path
) -> None:
    with pytest.raises(FileNotFoundError) as found:
        backup(services, tmp_path / "none" / "file")
    assert found.value.filename == str(tmp_path / "none")


def test_a_backup_does_not_replace_the_database_itself(services: Services, tasks: People) -> None:
    if not services.db.is_sqlite:
        pytest.skip("PostgreSQL has no file of ours")
    live = Path(services.db.engine.url.database or "")
    for name in (live, live.with_name(live.name + "-wal")):
        with pytest.raises(BackupFailed, match="the database itself"):
            backup(services, name)


def test_the_programs_of_postgresql_are_asked_for_by_name() -> None:
    with pytest.raises(BackupFailed, match="apt install postgresql-client-99") as found:
        postgresql.program("pg_dump", 99)
    assert "too old for a server with PostgreSQL 99" in found.value.sentence.en
    with pytest.raises(BackupFailed, match="is not installed"):
        postgresql.program("pg_nothing", 15)


def test_no_password_shows_while_a_program_of_postgresql_runs(
    services: Services, tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if services.db.is_sqlite:
        pytest.skip("SQLite has no password")
    with services.db.connect() as connection:
        major = int(connection.scalar(text("SHOW server_version_num")) or 0) // 10_000
    spy = tmp_path / "bin" / "pg_dump"
    spy.parent.mkdir()
    spy.write_text(
        f"#!/bin/sh\n[ \"$1\" = --version ] && echo 'pg_dump (PostgreSQL) {major}.1' && exit\n"
        f'(echo "$@"; env) > {tmp_path}/seen\n'
        f"cat $(echo \"$@\" | grep -o 'passfile=[^ ]*' | cut -d= -f2) > {tmp_path}/passfile\n"
        "echo 'pg_dump: error: it failed' >&2; exit 1\n"
    )
    spy.chmod(0o755)
    monkeypatch.setenv("PATH", f"{spy.parent}:{os.environ['PATH']}")
    url = services.db.engine.url.set(password=r"not:to\be seen")
    database = Database(url.render_as_string(hide_password=False))
    with contextlib.closing(database), pytest.raises(BackupFailed) as found:
        backup(replace(services, db=database), file)
    assert "it failed" in str(found.value)
    for part in ("not:to", "be seen"):
        assert part not in str(found.value)
        assert part not in (tmp_path / "seen").read_text()
    assert (tmp_path / "passfile").read_text() == "*:*:*:*:not\\:to\\\\be seen\n"


# --- what a restore refuses -----------------------------------------------------------------


def test_what_is_no_backup_of_this_database_is_refused(
    services: Services, tasks: People, file: Path, tmp_path: Path
) -> None:
    backup(services, file)
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BackupFailed, match=r"damaged(,| or) cut off"):
        check(services, file)
    file.write_text("to do: make a backup")
    with pytest.raises(BackupFailed, match="is no backup"):
        check(services, file)
    other = b"PGDMP" if services.db.is_sqlite else b"SQLite format 3\x00"
    file.write_bytes(other + b"x" * 100)
    with pytest.raises(BackupFailed, match="another kind of database"):
        check(services, file)
    with pytest.raises(FileNotFoundError):
        check(services, tmp_path / "none")


def test_a_backup_of_a_newer_program_is_refused(
    services: Services, tasks: People, file: Path
) -> None:
    with services.db.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    backup(services, file)
    with pytest.raises(schema.SchemaError, match="9999"):
        check(services, file)


def test_tables_of_another_program_in_the_same_schema_are_not_dropped(
    services: Services, tasks: People, file: Path
) -> None:
    if services.db.is_sqlite:
        pytest.skip("its file is ours alone")
    backup(services, file)
    with services.db.write() as session:
        session.execute(text("CREATE TABLE public.invoices (id int)"))
    with pytest.raises(BackupFailed, match=r"another program \(invoices\)"):
        back(services, file)
    with services.db.read() as session:
        assert session.execute(text("SELECT * FROM public.invoices")).all() == []
        assert session.scalar(select(func.count()).select_from(Member)) == 3


def test_a_database_on_which_programs_live_is_seen_as_such(services: Services) -> None:
    status.note_heartbeat(services, "worker-mail@host", NOW)
    assert what_is_replaced(services).in_use(NOW + timedelta(seconds=60))
    assert not what_is_replaced(services).in_use(NOW + timedelta(seconds=90))


def test_the_pages_alone_count_as_alive_too(services: Services) -> None:
    status.note_heartbeat(services, "watch", NOW, first=NOW.isoformat())
    assert what_is_replaced(services).in_use(NOW + timedelta(seconds=60))


# --- what a restored database may not do ------------------------------------------------------


def test_a_reminder_that_went_out_after_the_backup_is_not_sent_again(
    services: Services, tasks: People, smtp: SmtpServer
) -> None:
    saved = Saved(services)
    tick(services, NOW)
    assert recipients(smtp) == [SUZUKI, TANAKA]
    saved.back(TEN)
    for minutes in (0, 5, 60):
        tick(services, TEN + timedelta(minutes=minutes))
    assert recipients(smtp) == [SUZUKI, TANAKA]
    assert [(mail.state, mail.held) for mail in mails(services)] == [(State.READY, "restore")] * 2


@pytest.mark.parametrize("state", [State.READY, State.SENDING, State.IN_DOUBT])
def test_a_mail_that_was_open_in_the_backup_waits(
    services: Services, tasks: People, smtp: SmtpServer, state: State
) -> None:
    reminders.plan(services, NOW)
    leased = state is not State.READY
    values = {"lease_token": "x", "lease_until": NOW, "claims": 1} if leased else {}
    if state is State.IN_DOUBT:
        values |= {"doubts": 1}
    with services.db.write() as session:
        session.execute(update(OutboxMail).values(state=state, **values))
    saved = Saved(services)
    assert saved.back(TEN) == 2
    tick(services, TEN)
    assert recipients(smtp) == []
    assert {(mail.state, mail.held) for mail in mails(services)} == {(State.READY, "restore")}


def test_a_mail_that_was_in_doubt_twice_gets_no_third_copy(
    services: Services, tasks: People, smtp: SmtpServer
) -> None:
    reminders.plan(services, NOW)
    with services.db.write() as session:
        values = {"state": State.IN_DOUBT, "lease_token": "x", "lease_until": NOW, "doubts": 2}
        session.execute(update(OutboxMail).values(values))
    saved = Saved(services)
    assert saved.back(TEN) == 0
    status.resume(services, who="cli:root", now=TEN)
    tick(services, TEN)
    assert recipients(smtp) == []
    assert {mail.state for mail in mails(services)} == {State.UNKNOWN}


def test_a_mail_that_an_unusual_number_held_waits_for_the_restore_as_well(
    services: Services, tasks: People, smtp: SmtpServer
) -> None:
    """An admin may have let it go after the backup."""
    reminders.plan(services, NOW)
    with services.db.write() as session:
        session.execute(update(OutboxMail).values(held="brake"))
    saved = Saved(services)
    saved.back(TEN)
    tick(services, TEN)
    assert recipients(smtp) == []


def test_without_a_word_the_mails_end_unknown_and_no_later_day_makes_up_for_them(
    services: Services, tasks: People, smtp: SmtpServer
) -> None:
    """鈴木さん wants one mail a week, on Tuesday, which is today, and got it."""
    with services.db.write() as session:
        weekly = {"notify_frequency": "weekly", "weekly_day": TODAY.weekday()}
        session.execute(update(Member).where(Member.email == SUZUKI).values(weekly))
    saved = Saved(services)
    tick(services, NOW)
    sent = recipients(smtp)
    saved.back(TEN)
    tick(services, TEN)
    tick(services, EVENING)
    assert {mail.state for mail in mails(services)} == {State.UNKNOWN}
    assert decisions(services)[TODAY] == ("send", None)
    assert explain(services, SUZUKI, TODAY, EVENING).paragraph.ja.count("復元") >= 2
    for days in (1, 2, 3):
        tick(services, NOW + days * DAY)
    assert [one for one in recipients(smtp) if one == SUZUKI] == [SUZUKI]
    assert sent == [SUZUKI, TANAKA]
    names = alerts_named(services)
    assert "restored" in names
    assert not [name for name in names if name.startswith("mail_unknown")], "one tells of all"


def test_a_weekly_mail_of_a_lost_day_is_not_made_up_for_on_another_day(
    services: Services, tasks: People, smtp: SmtpServer
) -> None:
    """Restored only in the evening: today is decided as expired, though the mail went out."""
    with services.db.write() as session:
        weekly = {"notify_frequency": "weekly", "weekly_day": TODAY.weekday()}
        session.execute(update(Member).where(Member.email == SUZUKI).values(weekly))
    saved = Saved(services)
    tick(services, NOW)
    saved.back(EVENING)
    tick(services, EVENING)
    assert decisions(services)[TODAY] == ("skip", "expired")
    tick(services, NOW + DAY)
    tick(services, EVENING + DAY)
    assert [one for one in recipients(smtp) if one == SUZUKI] == [SUZUKI]


def test_the_next_day_comes_as_always_without_anybodys_word(
    services: Services, tasks: People, smtp: SmtpServer
) -> None:
    saved = Saved(services)
    tick(services, NOW)
    saved.back(TEN)
    tick(services, EVENING)
    tick(services, NOW + DAY)
    assert recipients(smtp) == [SUZUKI, SUZUKI, TANAKA, TANAKA]


def test_an_hour_still_to_come_waits_too_since_somebody_may_have_reminded_by_hand(
    services: Services, tasks: People, smtp: SmtpServer
) -> None:
    with services.db.write() as session:
        session.execute(update(Member).where(Member.email == SUZUKI).values(notify_at=time(14)))
    saved = Saved(services)
    reminders.remind(services, now=NOW)
    tick(services, NOW)
    assert recipients(smtp) == [SUZUKI, TANAKA]
    saved.back(TEN)
    tick(services, NOW + timedelta(hours=5))
    assert recipients(smtp) == [SUZUKI, TANAKA]


def test_what_a_lead_was_told_after_the_backup_is_not_told_again(
    services: Services, tasks: People, smtp: SmtpServer
) -> None:
    """The digest of the first workday of the week, and the silence of 鈴木さん and 田中さん."""
    long_ago = {"added_on": date(2026, 1, 5)}
    with services.db.write() as session:
        session.execute(delete(Setting))  # no_digest
        session.execute(update(Task).values(long_ago))
        session.execute(update(Member).values(active_since=date(2026, 1, 5)))
    saved = Saved(services)
    tick(services, NOW)
    assert told_to_the_lead(smtp) == 2
    saved.back(TEN)
    for moment in (TEN, EVENING, NOW + DAY, EVENING + DAY):
        tick(services, moment)
    assert told_to_the_lead(smtp) == 2
    assert recipients(smtp).count(SUZUKI) == 2, "the reminder of the next day"


def test_each_mail_that_ends_without_a_word_has_its_line_in_the_log(
    services: Services, tasks: People, smtp: SmtpServer, caplog: pytest.LogCaptureFixture
) -> None:
    reminders.plan(services, NOW)
    mark(services, who="cli:root", now=TEN)
    with caplog.at_level("INFO", "app"):
        tick(services, EVENING)
    facts = [line.facts for line in caplog.records if line.msg == "mail"]  # type: ignore[attr-defined] # set by loglines
    assert [(one["state"], one["reason"]) for one in facts] == [("unknown", "restored")] * 2


def test_the_alert_is_over_when_nothing_can_wait_any_more(
    services: Services, tasks: People, smtp: SmtpServer
) -> None:
    reminders.plan(services, NOW)
    mark(services, who="cli:root", now=TEN)
    tick(services, NOW + 6 * DAY)
    assert "restored" in alerts_named(services), "what comes once a week may wait still"
    tick(services, NOW + 9 * DAY)
    assert "restored" not in alerts_named(services)
    assert status.status(services, NOW + 9 * DAY)["held_since_restore"] == 0


# --- an admin's word ------------------------------------------------------------------------------


def test_resume_sends_what_did_not_go_out(
    services: Services, tasks: People, smtp: SmtpServer
) -> None:
    reminders.plan(services, NOW)
    saved = Saved(services)
    saved.back(TEN)
    assert status.resume(services, who="cli:root", now=TEN) == 2
    tick(services, TEN)
    assert recipients(smtp) == [SUZUKI, TANAKA]
    assert {mail.state for mail in mails(services)} == {State.ACCEPTED}
    assert alerts_named(services) == []
    tick(services, TEN + timedelta(minutes=1))
    assert len(smtp.mails) == 2


def alerts_named(services: Services) -> list[str]:
    with services.db.read() as session:
        return [alert.name for alert in open_alerts(session)]


@pytest.mark.parametrize("planned_before_the_backup", [True, False])
def test_resume_does_not_send_what_redis_knows_to_be_out(
    services: Services,
    tasks: People,
    smtp: SmtpServer,
    planned_before_the_backup: bool,
) -> None:
    """鈴木さん's mail went out, 田中さん's did not."""
    if planned_before_the_backup:
        reminders.plan(services, NOW)
    saved = Saved(services)
    reminders.plan(services, NOW)
    sending.deliver(services, [mail_of(services, SUZUKI).id], at(NOW))
    assert recipients(smtp) == [SUZUKI]
    saved.back(TEN)
    tick(services, TEN)
    assert status.resume(services, who="cli:root", now=TEN) == 1
    tick(services, TEN)
    assert recipients(smtp) == [SUZUKI, TANAKA]
    ended = mail_of(services, SUZUKI)
    assert (ended.state, ended.reason) == (State.UNKNOWN, "restored")
    assert decisions(services)[TODAY] == ("send", None)


def test_a_second_copy_by_an_admins_word_has_the_same_name_and_no_third_follows(
    services: Services, tasks: People, smtp: SmtpServer, redis_url: str
) -> None:
    saved = Saved(services)
    tick(services, NOW)
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    saved.back(TEN)
    tick(services, TEN)
    status.resume(services, who="cli:root", now=TEN)
    tick(services, TEN)
    assert recipients(smtp) == [SUZUKI, SUZUKI, TANAKA, TANAKA]
    assert len(set(message_ids(smtp))) == 2
    assert {mail.doubts for mail in mails(services)} == {2}, "one doubt more would be the last"


def test_after_the_word_the_rest_of_the_day_needs_no_further_one(
    services: Services, tasks: People, smtp: SmtpServer
) -> None:
    with services.db.write() as session:
        session.execute(update(Member).where(Member.email == SUZUKI).values(notify_at=time(14)))
    saved = Saved(services)
    saved.back(TEN)
    status.resume(services, who="cli:root", now=TEN)
    tick(services, NOW + timedelta(hours=5))
    assert recipients(smtp) == [SUZUKI, TANAKA]


def test_a_mail_past_its_time_is_not_let_go(
    services: Services, tasks: People, smtp: SmtpServer
) -> None:
    saved = Saved(services)
    saved.back(TEN)
    tick(services, TEN)
    assert status.resume(services, who="cli:root", now=EVENING) == 0
    assert {mail.state for mail in mails(services)} == {State.UNKNOWN}


# --- what else belongs to the lost time ---------------------------------------------------------------


def test_no_id_is_given_away_twice(services: Services, tasks: People) -> None:
    """The links in mails carry members' ids, the Redis guard carries those of mails, alerts' are read."""
    saved = Saved(services)
    reminders.plan(services, NOW)
    lost = {mail.id for mail in mails(services)}
    with services.db.write() as session:
        newcomer = suzuki()
        newcomer.email = "a@example.jp"
        session.add(newcomer)
    saved.back(TEN)
    tick(services, TEN)
    assert min(mail.id for mail in mails(services)) > max(lost) + 10_000
    with services.db.write() as session:
        other = suzuki()
        other.email = "b@example.jp"
        session.add(other)
        session.flush()
        assert other.id > newcomer.id + 1_000_000
    saved.back(TEN + timedelta(hours=1))
    with services.db.write() as session:
        third = suzuki()
        third.email = "c@example.jp"
        session.add(third)
        session.flush()
        assert third.id > other.id + 1000, "not after a second restore of the same backup either"


def test_the_number_of_a_mail_stays_one_that_people_can_read_and_type(
    services: Services, tasks: People
) -> None:
    """A team of three restores the backup of last night, and a week later one of a week ago."""
    tick(services, NOW)
    saved = Saved(services)
    saved.back(NOW + DAY)
    assert next_number(services, NOW + DAY) < 100_000
    saved = Saved(services)
    saved.back(NOW + 8 * DAY)
    assert next_number(services, NOW + 8 * DAY) < 1_000_000
    assert alert_number(services) < 1_000_000


@pytest.mark.parametrize("members", [0, 2_000])
def test_numbers_go_on_above_what_a_team_of_any_size_can_have_been_sent(
    services: Services, tasks: People, members: int
) -> None:
    """Each member one mail a minute, from the last one in the backup to the restore."""
    with services.db.write() as session:
        for number in range(members):
            newcomer = suzuki()
            newcomer.email, newcomer.active = f"{number}@example.jp", False
            session.add(newcomer)
    tick(services, NOW)
    saved = Saved(services)
    last = max(mail.id for mail in mails(services))
    saved.back(NOW + DAY)
    assert next_number(services, NOW + DAY) > last + (members + 3) * 24 * 60


def test_numbers_of_what_was_sent_between_two_restores_of_one_backup_do_not_come_again(
    services: Services, tasks: People, file: Path
) -> None:
    """Also where more was sent than anybody would expect: the database that goes still knows."""
    tick(services, NOW)
    backup(services, file)
    back(services, file, TEN)
    with services.db.write() as session:
        set_back(session, "outbox", 77_000_000)  # as if so many had been sent
    back(services, file, TEN + timedelta(minutes=2))
    assert next_number(services, TEN + timedelta(minutes=2)) > 77_000_000


def test_where_no_mail_says_until_when_the_backup_reaches_numbers_go_on_far_above(
    services: Services, tasks: People
) -> None:
    """All were removed; or the clock of the machine ran ahead, and its instants say nothing."""
    tick(services, NOW + 2 * DAY)
    saved = Saved(services)
    saved.back(NOW)
    assert next_number(services, NOW) > 1_000_000


def next_number(services: Services, now: datetime) -> int:
    """Of the mail that is made next."""
    with services.db.write() as session:
        mail = OutboxMail(
            dedupe_key=f"next {now}",
            kind="alert",
            local_date=TODAY,
            to_addr=SATO,
            message_id="<x@example.jp>",
            date_header=now,
            not_before=now,
            expires_at=now + DAY,
            created_at=now,
            updated_at=now,
        )
        session.add(mail)
        session.flush()
        return mail.id


def alert_number(services: Services) -> int:
    """Of the alert that was raised last."""
    with services.db.read() as session:
        return session.scalars(select(Alert.id).order_by(Alert.id.desc())).first() or 0


def test_admins_are_told_of_the_restore(services: Services, tasks: People) -> None:
    """The mail's number is the alert's id doubled, and holds 31 bits."""
    with services.db.write() as session:
        session.get_one(Member, tasks.sato.id).role = Role.ADMIN
    mark(services, who="cli:root", now=TEN)
    alert_mails.notify_admins(services, TEN + timedelta(minutes=3))
    assert [(mail.kind, mail.held) for mail in mails(services)] == [("alert", None)]


def test_a_member_can_ask_for_a_sign_in_link_after_a_restore(
    services: Services, tasks: People, smtp: SmtpServer
) -> None:
    """The mail's number is the link's id, and holds 31 bits."""
    mark(services, who="cli:root", now=TEN)
    sign_in.ask(services, SUZUKI, "/", TEN)
    sending.deliver(services, outbox.sweep(services, TEN), at(TEN))
    assert [(mail.kind, mail.state) for mail in mails(services)] == [("sign_in", State.ACCEPTED)]
    assert recipients(smtp) == [SUZUKI]


def test_what_is_asked_for_again_after_a_restore_is_no_copy_of_what_went_out(
    services: Services, tasks: People, smtp: SmtpServer
) -> None:
    """A mail server or a mailbox drops a mail whose Message-ID it has seen."""
    with services.db.write() as session:
        session.execute(update(Member).where(Member.email == SUZUKI).values(notify_at=time(14)))
    saved = Saved(services)
    nudge(services, tasks.suzuki.id, "x", NOW)
    tick(services, NOW)
    saved.back(TEN)
    nudge(services, tasks.suzuki.id, "x", TEN)
    tick(services, TEN)
    assert recipients(smtp).count(SUZUKI) == 2
    assert len(set(message_ids(smtp))) == len(smtp.mails)


def test_a_resend_after_a_restore_is_no_copy_of_a_resend_of_the_lost_time(
    services: Services, tasks: People, smtp: SmtpServer
) -> None:
    tick(services, NOW)
    saved = Saved(services)
    mail_id = mail_of(services, SUZUKI).id
    outbox.resend(services, mail_id, who="x", now=NOW + timedelta(minutes=30))
    tick(services, NOW + timedelta(minutes=30))
    saved.back(TEN)
    outbox.resend(services, mail_id, who="x", now=TEN)
    tick(services, TEN)
    assert recipients(smtp) == [SUZUKI, SUZUKI, SUZUKI, TANAKA]
    assert len(set(message_ids(smtp))) == 4


def message_ids(smtp: SmtpServer) -> list[bytes]:
    """Of all mails that went out, in order."""
    lines = [line for mail in smtp.mails for line in mail.data.split(b"\r\n")]
    return [line for line in lines if line.lower().startswith(b"message-id")]


def test_everybody_is_signed_out(services: Services, tasks: People) -> None:
    with services.db.write() as session:
        sessions.begin(session, session.get_one(Member, tasks.sato.id), NOW)
    saved = Saved(services)
    saved.back(TEN)
    with services.db.read() as session:
        assert session.scalars(select(WebSession)).all() == []


def test_what_was_ended_or_used_since_the_backup_does_not_work_again(
    services: Services, tasks: People
) -> None:
    key = api_tokens.create(services, SUZUKI, "CI", ["read"], who=SUZUKI, now=EARLY)
    link = sign_in.make_admin(services, SUZUKI, "x", EARLY).rpartition("/")[2]
    saved = Saved(services)
    api_tokens.revoke(services, api_tokens.listing(services, EARLY)[0].id, who=SUZUKI, now=EARLY)
    sign_in.use(services, link, EARLY)
    saved.back(TEN)
    with pytest.raises(Refused):
        api_tokens.caller(services, key, EARLY)
    with pytest.raises(Refused):
        sign_in.use(services, link, EARLY)


def test_a_token_made_after_a_restore_is_announced_before_it_ends(
    services: Services, tasks: People
) -> None:
    """Its id, which goes on far above those of before, becomes the number of a mail."""
    Saved(services).back(EARLY)
    last = (NOW + timedelta(days=10)).date()
    made = NOW - timedelta(days=3)
    api_tokens.create(services, SUZUKI, "CI", ["read"], who=SUZUKI, now=made, expires_on=last)
    token_notices.notify_owners(services, NOW)
    with services.db.read() as session:
        found = session.scalars(select(OutboxMail.n).where(OutboxMail.kind == Kind.TOKEN_NOTICE))
        assert found.all() == [api_tokens.listing(services, NOW)[0].id]


def test_programs_of_another_database_are_no_heartbeat(services: Services) -> None:
    status.note_heartbeat(services, "beat", EARLY)
    status.note_heartbeat(services, "tick", EARLY)
    saved = Saved(services)
    saved.back(TEN)
    assert what_is_replaced(services).last_seen is None
    with services.db.read() as session:
        assert session.scalars(select(Service.name)).all() == []


def test_status_doctor_why_and_the_audit_say_what_happened(
    services: Services, tasks: People, tmp_path: Path
) -> None:
    reminders.plan(services, NOW)
    status.note_heartbeat(services, "tick", EARLY)
    saved = Saved(services)
    saved.back(TEN)
    said = " ".join(line.sentence.ja for line in status.troubles(services, TEN))
    assert "11月24日(火) 08:30のバックアップから復元" in said
    assert "2通が確認待ち" in said
    assert status.status(services, TEN)["held_since_restore"] == 2
    case = doctor.CheckContext(tmp_path, at(TEN), services, None)
    assert "復元" in " ".join(one.says.ja for one in doctors_look(case))
    why = explain(services, SUZUKI, TODAY, TEN).paragraph
    assert "復元前に届いた可能性があり、確認待ち" in why.ja
    assert "held: it may have gone out before the restore" in why.en
    assert "restored from a backup at 24 Nov" in why.en or "restored from a backup" in why.en
    with services.db.read() as session:
        (entry,) = session.scalars(select(Audit).where(Audit.what == "restore"))
        assert (entry.who, entry.data["held"]) == ("cli:root", 2)
    status.resume(services, who="cli:root", now=TEN)
    assert "復元" not in " ".join(line.sentence.ja for line in status.troubles(services, TEN))


def test_a_backup_of_which_the_time_is_not_known_is_told_without_one(services: Services) -> None:
    mark(services, who="cli:root", now=TEN)
    with services.db.read() as session:
        (alert,) = open_alerts(session)
    said = words_of(alert.name, alert.data).what
    assert said.en.startswith("The database was restored from a backup. Mails")
    assert said.ja.startswith("データベースをバックアップから復元しました。")


# --- the way back ------------------------------------------------------------------------------------


def test_what_was_there_is_kept_and_comes_back_whole(
    services: Services, tasks: People, file: Path
) -> None:
    backup(services, file)
    with services.db.write() as session:
        session.add(task("T-9", tasks.suzuki))
    kept = restore(services, file, who="cli:root", now=TEN).kept
    assert kept is not None
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    back(services, kept)
    with services.db.read() as session:
        assert sorted(session.scalars(select(Task.ref))) == ["T-2", "T-3", "T-9"]


def test_a_pause_outlives_the_restore_of_a_backup_from_before_it(
    services: Services, tasks: People, file: Path, smtp: SmtpServer
) -> None:
    backup(services, file)
    status.pause(services, who="cli:root", now=EARLY)
    back(services, file)
    assert status.paused(services)
    tick(services, NOW + DAY)
    assert smtp.mails == []


def test_a_backup_of_an_older_version_is_brought_up_to_date(
    services: Services, file: Path, database_url: str
) -> None:
    _back_to_the_version_before(services.db)
    backup(services, file)
    back(services, file)
    assert schema.check(services.db) == schema.HEAD
    with services.db.read() as session:
        assert session.scalar(select(func.count()).select_from(Member)) == 1


def _back_to_the_version_before(database: Database) -> None:
    """With one member: what the second newest program would have left."""
    config = schema.alembic_config()
    with database.engine.execution_options(writes=True).begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "-1")
        connection.execute(
            text(
                "INSERT INTO users (email, name, role, active, decided_through, created_at)"
                " VALUES ('a@example.jp', 'a', 'member', true, '2026-11-23', '2026-11-01 00:00:00')"
            )
        )


def test_while_a_restore_is_not_finished_no_program_begins(
    services: Services, tasks: People, file: Path
) -> None:
    if services.db.is_sqlite:
        pytest.skip("an SQLite file is replaced in one transaction")
    backup(services, file)
    with services.db.write() as session:
        session.execute(text("DROP SCHEMA public CASCADE"))
        session.execute(text("CREATE SCHEMA public"))
    postgresql.load(services.db.engine, file)
    with pytest.raises(schema.SchemaError):
        schema.check(services.db)


def test_a_failed_restore_says_where_the_old_data_are(
    services: Services, tasks: People, file: Path
) -> None:
    """A view of somebody else stands in the way of a table."""
    if services.db.is_sqlite:
        pytest.skip("an SQLite file is replaced in one transaction")
    backup(services, file)
    with services.db.write() as session:
        session.execute(text("DROP TABLE uploads"))
        session.execute(text("CREATE VIEW public.uploads AS SELECT 1"))
    with pytest.raises(BackupFailed, match="before-restore") as found:
        back(services, file)
    assert "pg_restore" in found.value.sentence.en


def test_a_database_restored_by_other_means_is_marked_afterwards(
    services: Services, tasks: People, smtp: SmtpServer, file: Path
) -> None:
    backup(services, file)
    tick(services, NOW)
    _bare_restore(services, file)
    assert mark(services, who="cli:root", now=TEN) == 0
    tick(services, TEN)
    assert recipients(smtp) == [SUZUKI, TANAKA]


def test_without_the_mark_everybody_would_be_mailed_again(
    services: Services, tasks: People, smtp: SmtpServer, file: Path, redis_url: str
) -> None:
    """What the tests above would see if the mark did nothing."""
    backup(services, file)
    tick(services, NOW)
    _bare_restore(services, file)
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    tick(services, TEN)
    assert recipients(smtp) == [SUZUKI, SUZUKI, TANAKA, TANAKA]


def _bare_restore(services: Services, file: Path) -> None:
    """As by an operator who does not know of `restore`."""
    if services.db.is_sqlite:
        with (
            contextlib.closing(sqlite3.connect(file)) as old,
            contextlib.closing(sqlite3.connect(str(services.db.engine.url.database))) as new,
        ):
            old.backup(new)
        return
    url = services.db.engine.url
    where = f"host={url.host} port={url.port} user={url.username} dbname={url.database}"
    subprocess.run(
        [binaries() / "pg_restore", "--clean", "--single-transaction", "-d", where, file],
        check=True,
    )


def test_the_way_back_is_the_same_for_every_setting(services: Services, file: Path) -> None:
    """What the table of settings holds is of the backup, but for the mark and the note."""
    ours = services.installation.id()
    backup(services, file)
    back(services, file)
    with services.db.read() as session:
        keys = set(session.scalars(select(Setting.key)))
    assert keys == {"restored", schema.SERVES, installation.KEY}
    assert Installation(services.db).id() == ours
