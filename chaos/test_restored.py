"""A backup comes back after mails went out. Nothing goes out twice, and nothing is lost."""

import os
import signal
import subprocess
from datetime import timedelta

import pytest
import redis

from app.models import ENDS, State
from chaos.conftest import Make
from chaos.rig import NINE, Rig
from chaos.test_kills import slow
from tests.postgres import binaries
from tests.stack import PYTHON

ACCEPTED_OR_UNKNOWN = ("accepted", "unknown")
EVENING = NINE + timedelta(hours=10)  # too late for the reminders of that day


def command(rig: Rig, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`task-progress ARGUMENTS`, with the PostgreSQL programs of the rig's server."""
    rig.environ["PATH"] = f"{binaries()}:{os.environ['PATH']}"
    ran = rig.once(PYTHON, "-m", "app.cli", *arguments, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran


def out(rig: Rig) -> set[str]:
    """Whose mail the server has taken."""
    return {mail.recipient for mail in rig.mail_server.mails()}


def backup_then_send_on(rig: Rig, upto: int) -> None:
    """A backup before the hour or in the middle of the batch; then `upto` mails are out.

    The worker is told to stop, as docs/runbook.md says, and is.
    """
    before_the_hour = rig.random.random() < 0.5
    if before_the_hour:
        command(rig, "backup", "save")
    slow(rig)
    rig.allow_many()
    worker = rig.worker(processes=1)
    with rig.ticking():
        rig.until_sending()
    if not before_the_hour:
        command(rig, "backup", "save")
    with rig.ticking():
        rig.until(lambda: rig.mail_server.count() >= upto, "more mails are out")
    rig.end(worker, signal.SIGTERM)


def restored(rig: Rig) -> None:
    """The backup is back, and programs live on it for three minutes: nothing more goes out."""
    before = rig.mail_server.count()
    command(rig, "restore", "save", "--replace", "--yes", "--while-running")
    rig.worker()
    rig.sender()
    with rig.ticking():
        rig.until_planned()
        rig.pause(180)
    assert rig.mail_server.count() == before, "something was sent before anybody said a word"
    waiting = [row for row in rig.rows() if row.state not in ENDS]
    assert waiting
    assert {(row.state, row.held) for row in waiting} == {(State.READY, "restore")}


@pytest.mark.ci
@pytest.mark.both
@pytest.mark.row("F66", "restored after the batch went on; an admin says resume")
def test_a_restored_backup_and_an_admins_word(rig_of: Make) -> None:
    """Redis kept what it knew: whose mail is out gets no other, everybody else gets theirs."""
    rig = rig_of(members=120)
    backup_then_send_on(rig, upto=rig.random.randrange(10, 50))
    for number in range(rig.settings.members):
        if rig.address(number) in out(rig):
            rig.expect(number, *ACCEPTED_OR_UNKNOWN)
    assert len(out(rig)) < rig.settings.members, "the batch was over before the restore"
    restored(rig)
    command(rig, "resume")
    with rig.ticking():
        rig.drain()
    assert len(out(rig)) == rig.settings.members


@pytest.mark.both
@pytest.mark.row("F66", "restored after all went out, Redis empty, nobody says a word")
def test_a_restored_backup_and_nobodys_word(rig_of: Make) -> None:
    rig = rig_of(members=30)
    backup_then_send_on(rig, upto=rig.settings.members)
    with redis.Redis.from_url(rig.redis.url) as client:
        client.flushall()
    for number in range(rig.settings.members):
        rig.expect(number, *ACCEPTED_OR_UNKNOWN)
    restored(rig)
    rig.end_all()
    rig.set_clock(EVENING)
    rig.sender()
    rig.drain()
    assert "restored" in rig.alerts()


@pytest.mark.both
@pytest.mark.row("F66", "a bare pg_restore or copied file, then `restore --mark`")
def test_marked_afterwards(rig_of: Make) -> None:
    """Programs are started only after the mark."""
    rig = rig_of(members=30)
    backup_then_send_on(rig, upto=rig.settings.members)
    with redis.Redis.from_url(rig.redis.url) as client:
        client.flushall()
    for number in range(rig.settings.members):
        rig.expect(number, *ACCEPTED_OR_UNKNOWN)
    _bare(rig)
    command(rig, "restore", "--mark")
    before = rig.mail_server.count()
    rig.worker()
    rig.sender()
    with rig.ticking():
        rig.until_planned()
        rig.pause(180)
    assert rig.mail_server.count() == before
    rig.end_all()
    rig.set_clock(EVENING)
    rig.sender()
    rig.drain()


def _bare(rig: Rig) -> None:
    if rig.postgres is None:
        rig.db.close()
        live = rig.folder / "task-progress.sqlite3"
        for end in ("-wal", "-shm"):
            live.with_name(live.name + end).unlink(missing_ok=True)
        (rig.folder / "save").replace(live)
        return
    url = rig.postgres.url().replace("+psycopg", "")
    subprocess.run(
        [binaries() / "pg_restore", "--clean", "--single-transaction", "-d", url, rig.folder / "save"],
        check=True,
    )  # fmt: skip
