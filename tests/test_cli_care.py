"""`backup`, `restore`, `purge`: the real program, its exit codes, its words, its refusals."""

import os
import stat
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import select, text

from app import clock, schema
from app.db import Database
from app.models import OutboxMail, Task
from app.monitoring import status
from app.services import Services
from tests import servers
from tests.conftest import NOW, People, task
from tests.databases import on_sqlite
from tests.postgres import binaries
from tests.stack import offset_to
from tests.terminal import Terminal

# All below is about the door; the rules run on both databases in test_restore.py, test_purge.py.
pytestmark = [pytest.mark.pages, on_sqlite]
ENGLISH = {"LANG": "en_US.UTF-8"}
SUZUKI = "suzuki.ichiro@example.jp"


@pytest.fixture
def saved(tp: Terminal, db: Database, team: People) -> Path:
    """A backup of the three with one task."""
    with db.write() as session:
        session.add(task("T-1", team.suzuki))
    assert tp.run("backup", "save").code == 0
    return tp.folder / "save"


def refs(db: Database) -> list[str]:
    with db.read() as session:
        return sorted(session.scalars(select(Task.ref)))


# --- backup -------------------------------------------------------------------------------


@pytest.mark.slow
def test_backup_names_the_file_and_what_else_to_keep(tp: Terminal, saved: Path) -> None:
    ran = tp.program("backup", "save", environ=ENGLISH)
    assert "save (" in ran.out
    assert "checked" in ran.out
    assert "SECRET_KEY, where you set it (.env)" in ran.out
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600
    del tp.settings["SECRET_KEY"]
    assert "secret_key(SECRET_KEY)" in tp.run("backup", "save").out
    found = tp.run("backup", "save", "--json").json
    assert (found["file"], found["bytes"] > 1000) == ("save", True)


def test_backup_works_before_an_upgrade(tp: Terminal, db: Database, team: People) -> None:
    """The program is new already, the database is not: then a backup is wanted most."""
    with db.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '0007'"))
    assert tp.run("status").code == 2
    assert tp.run("backup", "save").code == 0


def test_backup_into_a_folder_that_is_not_there_says_so(tp: Terminal, team: People) -> None:
    ran = tp.run("backup", "none/save")
    assert ran.code == 1
    assert "none" in ran.err
    assert "save-" not in ran.err
    assert tp.run("backup").code == 2


def test_backup_of_a_database_that_is_gone_or_damaged_has_words(
    tp: Terminal, team: People, db: Database
) -> None:
    db.close()
    gone = f"sqlite:///{tp.folder}/none.sqlite3"
    ran = tp.run("backup", "save", DATABASE_URL=gone)
    assert ran.code == 1
    assert "コピーできません" in ran.err
    live = tp.folder / "task-progress.sqlite3"
    live.write_bytes(live.read_bytes()[:30_000])
    ran = tp.run("backup", "save")
    assert ran.code == 1
    assert "malformed" in ran.err
    assert not (tp.folder / "save").exists()


def test_backup_replaces_no_file_that_is_none(tp: Terminal, team: People) -> None:
    (tp.folder / "settings").write_text("x=1")
    ran = tp.run("backup", "settings")
    assert ran.code == 1
    assert "バックアップではありません" in ran.err
    assert (tp.folder / "settings").read_text() == "x=1"


# --- restore ------------------------------------------------------------------------------


@pytest.mark.slow
def test_restore_into_an_empty_place_needs_no_word(tp: Terminal, saved: Path) -> None:
    url = f"sqlite:///{tp.folder}/data/other.sqlite3"
    (tp.folder / "data").mkdir()
    ran = tp.program("restore", "save", environ=ENGLISH | {"DATABASE_URL": url})
    assert ran.code == 0, ran.err
    assert "Held mails: 0" in ran.out
    assert "task-progress resume" in ran.out
    assert stat.S_IMODE((tp.folder / "data/other.sqlite3").stat().st_mode) == 0o600
    assert tp.run("member", "show", SUZUKI, DATABASE_URL=url).code == 0


def test_restore_replaces_nothing_unless_told_and_confirmed(
    tp: Terminal, saved: Path, db: Database, team: People
) -> None:
    with db.write() as session:
        session.add(task("T-2", team.suzuki))
    refused = tp.run("restore", "save")
    assert (refused.code, refs(db)) == (1, ["T-1", "T-2"])
    assert "メンバー3人" in refused.err
    assert "--replace" in refused.err
    refused = tp.run("restore", "save", "--replace")
    assert (refused.code, refs(db)) == (1, ["T-1", "T-2"])
    assert "--yes" in refused.err
    assert tp.asked("restore", "save", "--replace", answer="n").code == 1
    assert refs(db) == ["T-1", "T-2"]
    done = tp.asked("restore", "save", "--replace", answer="y")
    assert (done.code, refs(db)) == (0, ["T-1"])
    kept = list(tp.folder.glob("before-restore-*"))
    assert len(kept) == 1
    assert tp.run("restore", str(kept[0]), "--replace", "--yes").code == 0
    assert refs(db) == ["T-1", "T-2"]


def test_restore_waits_until_the_programs_are_silent(
    tp: Terminal, saved: Path, services: Services
) -> None:
    """Stopped a moment ago: nobody has to try again a minute later."""
    status.note_heartbeat(services, "worker-mail@host", clock.now() - timedelta(seconds=68))
    waited = tp.run("restore", "save", "--replace", "--yes")
    assert (waited.code, "あと" in waited.err) == (0, True)
    status.note_heartbeat(services, "worker-mail@host", clock.now())
    assert tp.run("restore", "save", "--replace", "--yes", "--while-running").code == 0


def test_restore_refuses_while_a_program_still_runs(
    tp: Terminal, saved: Path, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    status.note_heartbeat(services, "worker-mail@host", clock.now() - timedelta(seconds=20))

    def goes_on(_seconds: float) -> None:
        status.note_heartbeat(services, "worker-mail@host", clock.now())

    monkeypatch.setattr("app.cli.maintenance.time", SimpleNamespace(sleep=goes_on))
    refused = tp.run("restore", "save", "--replace", "--yes")
    assert refused.code == 1
    assert "systemctl stop task-progress.target" in refused.err
    assert "いまも動いています" in refused.err


def test_restore_refuses_what_it_cannot_use(tp: Terminal, saved: Path, db: Database) -> None:
    (tp.folder / "note").write_text("to do")
    for name, words in (("note", "バックアップではありません"), ("none", "none がありません")):
        ran = tp.run("restore", name, "--replace", "--yes")
        assert (ran.code, words in ran.err) == (1, True), ran.err
    saved.write_bytes(saved.read_bytes()[:20_000])
    ran = tp.run("restore", "save", "--replace", "--yes")
    assert ran.code == 1
    assert "壊れているか" in ran.err
    assert refs(db) == ["T-1"]
    assert tp.run("restore").code == 2
    assert tp.run("restore", "save", "--mark").code == 2


def test_restore_refuses_a_newer_schema_as_wrong_configuration(
    tp: Terminal, saved: Path, db: Database
) -> None:
    with db.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    assert tp.run("backup", "newer").code == 0
    with db.write() as session:
        head = {"head": schema.HEAD}
        session.execute(text("UPDATE alembic_version SET version_num = :head"), head)
    ran = tp.run("restore", "newer", "--replace", "--yes")
    assert ran.code == 2
    assert "9999" in ran.err


def test_a_damaged_database_is_put_away_before_a_restore(
    tp: Terminal, saved: Path, db: Database
) -> None:
    db.close()
    live = tp.folder / "task-progress.sqlite3"
    live.write_bytes(live.read_bytes()[:30_000])
    ran = tp.run("restore", "save", "--replace", "--yes")
    assert ran.code == 1
    assert "mv task-progress.sqlite3* damaged/" in ran.err
    live.unlink()
    live.with_name(live.name + "-wal").write_bytes(b"what a lost file left behind")
    assert tp.run("restore", "save").code == 0
    assert refs(db) == ["T-1"]


def test_mark_alone_is_for_a_database_restored_by_other_means(
    tp: Terminal, saved: Path, db: Database
) -> None:
    tp.run("remind", "--all", "--yes")
    ran = tp.run("restore", "--mark")
    assert ran.code == 0
    assert "確認待ちのメール" in ran.out
    assert "復元" in tp.run("status").out
    with db.read() as session:
        assert set(session.scalars(select(OutboxMail.held))) <= {"restore"}
    assert tp.run("resume").code == 0
    assert "復元" not in tp.run("status").out


@pytest.mark.slow
def test_remind_after_a_restore_says_that_mails_wait_and_what_sends_them(
    tp: Terminal, saved: Path
) -> None:
    ten = {"TEST_CLOCK_OFFSET": offset_to(NOW + timedelta(hours=1))}
    assert tp.run("restore", "--mark", **ten).code == 0
    said = tp.run("remind", "--all", "--yes", **ten).out
    assert "新しく送るメール: 1通" in said
    assert "うち1通は" in said
    assert "task-progress resume" in said
    again = tp.program("remind", "--all", environ=ENGLISH | ten).out
    assert "Held: 1 of them" in again
    assert tp.run("resume", **ten).code == 0
    assert "resume" not in tp.run("remind", "--all", "--yes", **ten).out


def test_backup_and_restore_find_the_programs_of_postgresql(
    tp: Terminal, request: pytest.FixtureRequest
) -> None:
    """Without a running server the words name the server, not the password."""
    tp.monkeypatch.setenv("PATH", f"{binaries()}:{os.environ['PATH']}")
    url = f"postgresql+psycopg://app:geheim@127.0.0.1:{servers.free_port()}/x"
    ran = tp.run("backup", "save", DATABASE_URL=url)
    assert ran.code == 1
    assert "geheim" not in ran.err + ran.out
    assert "127.0.0.1" in ran.err


# --- purge --------------------------------------------------------------------------------


def days_ago(number: int) -> str:
    return str(clock.now().date() - timedelta(days=number))


@pytest.mark.slow
def test_purge_counts_asks_and_removes(tp: Terminal, db: Database, team: People) -> None:
    with db.write() as session:
        old = (
            "INSERT INTO decisions (user_id, slot, local_date, verdict, facts, at, decided_at)"
            " SELECT id, 'reminder', '2026-01-05', 'send', '{}', created_at, created_at FROM users"
        )
        session.execute(text(old))
    before = days_ago(40)
    counted = tp.run("purge", "--before", before, "--dry-run", "--json").json
    assert (counted["decisions"], counted["dry_run"]) == (3, True)
    refused = tp.run("purge", "--before", before)
    assert refused.code == 1
    assert "決定 3件" in refused.err
    assert "--yes" in refused.err
    assert tp.asked("purge", "--before", before, answer="n").code == 1
    done = tp.program("purge", "--before", before, "--yes", environ=ENGLISH)
    assert done.code == 0
    assert "Removed." in done.out
    assert "3 decisions" in done.out
    again = tp.run("purge", "--before", before, "--yes", "--json").json
    assert (again["decisions"], again["dry_run"]) == (0, True)


def test_purge_keeps_the_last_thirty_days(tp: Terminal, team: People) -> None:
    ran = tp.run("purge", "--before", days_ago(28), "--yes")
    assert ran.code == 2
    assert "30" in ran.err
    assert tp.run("purge").code == 2
    assert tp.run("purge", "--before", "tomorrow").code == 2
