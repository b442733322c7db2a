"""The database dies, cuts, fills up and locks. No database, no dot."""

import contextlib
import resource
import signal
import sqlite3
import time

import psycopg
import pytest
from sqlalchemy import text

from app.models import State
from app.outbox.lease import CLAIMS_AT_MOST
from chaos.conftest import Make
from chaos.proxy import CutError, Line
from chaos.rig import Rig
from chaos.test_kills import ROUND, slow, start_a_batch
from tests.fork_server import Part
from tests.stack import PYTHON

on_postgresql = pytest.mark.only("postgresql")
on_sqlite = pytest.mark.only("sqlite")


@pytest.mark.kill
@pytest.mark.ci
@pytest.mark.long
@on_postgresql
@pytest.mark.row("F30", "kill -9 the postmaster in the middle of a batch, restart")
def test_postgresql_killed(rig_of: Make) -> None:
    rig = rig_of(connections=2)
    start_a_batch(rig)
    rig.cluster.kill()
    rig.pause(60 * rig.random.random())
    rig.cluster.start()
    rig.extra_allowed = rig.settings.connections * 2  # two pool processes
    rig.sender()
    with rig.ticking():
        rig.drain()


@on_postgresql
@pytest.mark.row("F32", "all sessions ended every 0.5 s, 20 times")
def test_sessions_ended_again_and_again(rig_of: Make) -> None:
    rig = rig_of(connections=2)
    slow(rig)
    rig.worker()
    rig.sender()
    with rig.ticking():
        for _ in range(20):
            rig.extra_allowed += rig.cluster.cut_sessions() * rig.settings.connections
            time.sleep(rig.random.uniform(0.2, 0.8))
        rig.drain()


ENDS = (b"COMMIT", ROUND)


class CommitCutter:
    """Cuts a database connection at the commit that follows certain words, once.

    `before`: the commit never reaches the database; else only its answer is lost. `stay_away`:
    no connection is taken afterwards.
    """

    def __init__(self, rig: Rig, *words: bytes, before: bool, stay_away: bool = False) -> None:
        self.rig, self.words, self.before, self.stay_away = rig, words, before, stay_away
        self.cut: Line | None = None
        self.copies = 0  # in the ledger at the cut
        rig.to_database.from_client = self.from_client
        rig.to_database.from_server = self.from_server

    def from_client(self, line: Line, data: bytes) -> None:
        line.seen = (line.seen + data)[-20000:]
        if self.cut is not None or not any(end in data for end in ENDS):
            return
        if all(word in line.seen for word in self.words):
            self.cut = line
            self.copies = self.rig.mail_server.count()
            if self.stay_away:
                self.rig.to_database.refuse()
            if self.before:
                raise CutError
        line.seen = b""

    def from_server(self, line: Line, _data: bytes) -> None:
        if line is self.cut:
            raise CutError


@on_postgresql
@pytest.mark.ci
@pytest.mark.row("F33", "the commit that marks in doubt is cut, before or after it happened")
def test_the_mark_is_not_committed(rig: Rig) -> None:
    cutter = CommitCutter(rig, ROUND, before=rig.random.random() < 0.5)
    rig.sender()
    rig.until(lambda: cutter.cut, "the cut")
    time.sleep(0.3)
    assert rig.mail_server.count() == cutter.copies
    rig.drain()


@on_postgresql
@pytest.mark.row("F34", "the commit of an answer is cut; the database is back at once")
def test_the_answer_is_recorded_at_the_second_try(rig: Rig) -> None:
    """The sender knows the answer and tries again for a minute, so no copy is made."""
    cutter = CommitCutter(rig, b"250 2.0.0 taken", before=True)
    rig.sender()
    rig.until(lambda: cutter.cut, "the cut")
    rig.drain()


@on_postgresql
@pytest.mark.row("F34", "the commit of an answer is cut; the database is away for 2 minutes")
def test_the_answer_cannot_be_recorded(rig: Rig) -> None:
    cutter = CommitCutter(rig, b"250 2.0.0 taken", before=True, stay_away=True)
    rig.sender()
    rig.until(lambda: cutter.cut, "the cut")
    rig.pause(120)
    rig.to_database.listen()
    rig.extra_allowed = 1
    rig.drain()


@on_postgresql
@pytest.mark.row("F35", "one mail's row is locked for 60 s by another session")
def test_a_locked_row(rig: Rig) -> None:
    planner = rig.sender("--plan-only")
    rig.until_planned()
    rig.end(planner)
    with rig.cluster.connect() as admin, admin.transaction():
        (locked,) = admin.execute(
            "SELECT id FROM outbox ORDER BY random() LIMIT 1 FOR UPDATE"
        ).fetchone() or (0,)
        rig.sender()
        rig.until(
            lambda: rig.states().count(State.ACCEPTED) == rig.settings.members - 1,
            "the others are accepted",
            within=60,
        )
        (late,) = [row for row in rig.rows() if row.state != State.ACCEPTED]
        assert late.id == locked
    rig.drain()


@on_postgresql
@pytest.mark.row("F36", "all connections of the server are taken for a minute")
def test_no_connection_left(rig_of: Make) -> None:
    rig = rig_of(postgres_options=("max_connections=12", "superuser_reserved_connections=0"))
    slow(rig)
    with contextlib.ExitStack() as taken:
        url = rig.cluster.url().replace("+psycopg", "")
        rig.db.close()
        with contextlib.suppress(psycopg.OperationalError):
            while True:
                taken.enter_context(contextlib.closing(psycopg.connect(url)))
        sender = rig.sender()
        rig.pause(60)
        time.sleep(2)
        assert sender.poll() is None
        assert rig.mail_server.count() == 0
        assert "database" in rig.logs("sender")
    rig.drain()


@on_sqlite
@pytest.mark.row("F37", "another program holds the write lock")
def test_sqlite_is_locked(rig: Rig) -> None:
    slow(rig)
    rig.sender()
    rig.until_sending()
    file = rig.folder / "task-progress.sqlite3"
    with contextlib.closing(sqlite3.connect(file, isolation_level=None, timeout=30)) as other:
        other.execute("BEGIN IMMEDIATE")
        time.sleep(0.2)
        before = rig.mail_server.count()
        time.sleep(rig.random.uniform(1, 4))
        assert rig.mail_server.count() <= before + rig.settings.connections
        other.execute("ROLLBACK")
    rig.drain()


@on_sqlite
@pytest.mark.row("F37", "no space for the database (a limit on file sizes)")
def test_sqlite_is_full(rig: Rig) -> None:
    slow(rig)
    sender = rig.sender()
    rig.until_sending()
    time.sleep(rig.random.uniform(0, 1))
    _, hard = resource.prlimit(sender.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(sender.pid, resource.RLIMIT_FSIZE, (32_768, hard))
    time.sleep(1)
    before = rig.mail_server.count()
    time.sleep(4)
    assert rig.mail_server.count() == before
    resource.prlimit(sender.pid, resource.RLIMIT_FSIZE, (hard, hard))
    rig.extra_allowed = 1  # an answer that could not be recorded while there was no space
    rig.drain()


@on_postgresql
@pytest.mark.row("F39", "no space for PostgreSQL (a limit on file sizes), then space again")
def test_postgresql_is_full(rig: Rig) -> None:
    slow(rig)
    rig.sender()
    rig.until_sending()
    rig.cluster.limit_files(0)
    time.sleep(1)
    before = rig.mail_server.count()
    time.sleep(3)
    assert rig.mail_server.count() == before
    rig.cluster.limit_files(-1)
    rig.cluster.kill(signal.SIGQUIT)
    rig.cluster.start()
    rig.extra_allowed = 1  # an answer that could not be recorded meanwhile
    rig.until(lambda: rig.mail_server.count() > before, "mail goes again", within=90)
    rig.drain()


@pytest.mark.row("F60", "reported, stopped, or deactivated between plan and claim")
def test_changed_minds_between_plan_and_claim(rig: Rig) -> None:
    planner = rig.sender("--plan-only")
    rig.until_planned()
    rig.end(planner)
    with rig.db.write() as session:
        for number, statement in enumerate(CHANGES):
            session.execute(text(statement), {"address": rig.address(number)})
            rig.expect(number, State.SUPPRESSED)
    rig.sender()
    rig.drain()
    assert rig.mail_server.count() == rig.settings.members - len(CHANGES)


CHANGES = (
    "UPDATE users SET notify_frequency = 'none' WHERE email = :address",
    "UPDATE users SET active = false WHERE email = :address",
    "UPDATE users SET suppressed_reason = '5.1.1' WHERE email = :address",
    "UPDATE users SET paused_until = '2026-12-24' WHERE email = :address",
    """UPDATE tasks SET status = 'done', closed_on = '2026-11-24'
       WHERE assignee_id = (SELECT id FROM users WHERE email = :address)""",
    """INSERT INTO reports (task_id, reporter_id, counts_for, percent, status, text, created_at)
       SELECT tasks.id, users.id, '2026-11-24', 50, 'on_track', '', '2026-11-24 00:00:00'
       FROM tasks JOIN users ON users.id = tasks.assignee_id WHERE users.email = :address""",
    "DELETE FROM users WHERE email = :address",
)


@pytest.mark.long
@pytest.mark.row("F61", "one letter kills its sender, one raises, one has 5 MB")
def test_poison(rig_of: Make) -> None:
    """Its supervisor starts the sender again; nobody mends anything."""
    rig = rig_of(names={4: "毒 四郎", 9: "傷 九郎", 14: "大 四太"}, connections=2)
    rig.mail_server.start(size=1_000_000)
    rig.expect(4, State.DEAD)
    rig.expect(9, State.FAILED)
    rig.expect(14, State.FAILED)

    def poisoned() -> Part:
        return rig.start("sender", PYTHON, "-m", "chaos.sender", "--poison")

    with rig.supervised(poisoned) as senders:
        rig.until(lambda: rig.states().count(State.ACCEPTED) == 17, "the others", within=300)
        rig.drain()
    assert [one.returncode for one in senders[:-1]] == [-signal.SIGABRT] * CLAIMS_AT_MOST
    assert rig.row(4).claims == CLAIMS_AT_MOST + 1  # the last one only says so
    reason = str(rig.row(14).reason)
    assert "1,000,000" in reason, reason
    assert "5," in reason, reason
