"""`task-progress run`, the one-machine stack of `make run`, whole and with its real programs."""

import os
import stat
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from signal import SIGINT

import pytest
from sqlalchemy import select, update

from app import reminders
from app.config import SECRET_KEY_FILE
from app.config.readers import DATABASE_FILE
from app.db import Database
from app.identity import known_settings
from app.models import OutboxMail, Service, Setting
from app.services import Services
from tests import sending
from tests.conftest import NOW, People, task
from tests.machine import lay_out
from tests.servers import free_port, spawn, wait_until
from tests.smtp_server import SmtpServer
from tests.stack import CELERY, PYTHON

pytestmark = pytest.mark.slow

OPEN_TO_ALL = 0  # the umask of a careless shell
ANOTHER = "another made-up key for tests only: 9876543210 abcdef"


class Run:
    """A run in `folder`, started from a shell that hides nothing from others."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.environ = {"PATH": os.environ["PATH"], "LANG": "en_US.UTF-8", **environ}
        self.said_to = folder / "said.txt"
        command = [PYTHON, "-m", "app.cli", "run", "--port", str(free_port())]
        self.process = self._start(command, self.said_to)

    def said(self) -> str:
        return self.said_to.read_text()

    def until_ready(self) -> None:
        wait_until(
            lambda: "Press Ctrl-C" in self.said() or self.process.poll() is not None, "a run", 120
        )
        assert self.process.poll() is None, self.said()

    def stop(self) -> int:
        """Ctrl-C; the exit code."""
        self.process.send_signal(SIGINT)
        return self.process.wait(120)

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        """Another program, in a second shell."""
        return self._start(command, self.folder.with_name("second-shell.txt"))

    def _start(self, command: Sequence[str], said_to: Path) -> subprocess.Popen[bytes]:
        options = {"cwd": self.folder, "env": self.environ, "umask": OPEN_TO_ALL}
        return spawn(command, said_to, **options)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`task-progress ARGUMENTS` in a second shell."""
        return subprocess.run(
            [PYTHON, "-m", "app.cli", *arguments], cwd=self.folder, env=self.environ,
            umask=OPEN_TO_ALL, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    def left(self) -> list[str]:
        """The command lines of what it started and did not end."""
        mark = f"DATA_DIR={self.data}".encode()
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (process / "environ").read_bytes().split(b"\0"):
                    found.append((process / "cmdline").read_text().replace("\0", " "))
            except OSError:  # it ended meanwhile
                continue
        return found


@contextmanager
def running(base: Path, **environ: str) -> Iterator[Run]:
    run = Run(lay_out(base, "tp"), environ)
    try:
        yield run
    finally:
        if run.process.poll() is None:
            run.stop()


def open_to_others(folder: Path) -> dict[str, str]:
    """What other accounts of the machine may read or write in it, and the folder itself."""
    modes = {path: stat.S_IMODE(path.lstat().st_mode) for path in [folder, *folder.rglob("*")]}
    return {
        str(path.relative_to(folder.parent)): f"{mode:o}"
        for path, mode in modes.items()
        if mode & 0o077
    }


def test_whatever_the_programs_write_is_for_their_own_account_alone(tmp_path: Path) -> None:
    with running(tmp_path) as run:
        run.data.chmod(0o777)
        run.until_ready()
        wait_until(lambda: len(list(run.data.glob("mailbox/*.eml"))) > 5, "mails", 60)
        worker = run.start(
            *CELERY, "worker", "-Q", "ai", "-n", "own@%h", "-c", "1",
            "--logfile", "data/worker.log", "--pidfile", "data/worker.pid",
        )  # fmt: skip
        wait_until((run.data / "worker.pid").exists, "a worker", 60)
        assert run.command("backup", "data/backup.sqlite3").returncode == 0
        assert open_to_others(run.data) == {}
        seen = {path.name for path in run.data.rglob("*")}
        worker.terminate()
        worker.wait(60)
        assert run.stop() == 0
    restored = run.command(
        "restore", "data/backup.sqlite3", "--replace", "--while-running", "--yes"
    )
    assert restored.returncode == 0
    broken_by_hand(run.data)
    assert "last-error.txt" in run.command("status").stderr
    assert open_to_others(run.data) == {}
    written = {"worker.log", "worker.pid", "mail.log", "run.lock", "run.env", "redis.conf",
               "backup.sqlite3", DATABASE_FILE, SECRET_KEY_FILE}  # fmt: skip
    assert written - seen == set()
    assert {"last-error.txt", "sample.done"} <= {path.name for path in run.data.iterdir()}


def broken_by_hand(data: Path) -> None:
    """What no program would write: the next one to read it meets an error of its own."""
    with closing(Database(f"sqlite:///{data / DATABASE_FILE}")) as db, db.write() as session:
        session.execute(
            update(Setting).where(Setting.key == known_settings.KEY).values(value="by hand")
        )


def test_a_run_on_the_database_of_another_installation_refuses_and_leaves_nothing_behind(
    services: Services, db: Database, team: People, tmp_path: Path, smtp: SmtpServer
) -> None:
    """A laptop with the production DATABASE_URL."""
    with db.write() as session:
        session.add_all([task("T-1", team.suzuki), task("T-2", team.tanaka)])
    first, _ = reminders.plan(services, NOW).ids  # the other one lies ready
    assert sending.deliver(services, [first], lambda: NOW) == 1
    before = contents(db)
    url = services.config.database_url
    with running(tmp_path / "laptop", DATABASE_URL=url, SECRET_KEY=ANOTHER) as run:
        assert run.process.wait(120) == 2
    assert "SECRET_KEY is not the key that signed the links of this database." in run.said()
    assert "task-progress confirm --new-key" in run.said()
    assert "Traceback" not in run.said()
    assert run.left() == []
    assert not (run.data / "run.env").exists()
    logs = {path.stem for path in run.data.glob("logs/*.log")}
    assert logs == {"redis", "mailbox", "database"}, "nothing that works on the database started"
    assert list(run.data.glob("mailbox/*.eml")) == []
    assert contents(db) == before
    assert len(smtp.mails) == 1


def contents(db: Database) -> list[object]:
    """What a program that speaks for the database would have changed."""
    with db.read() as session:
        rows = [select(Setting.key, Setting.changed_at), select(Service.name, Service.at)]
        mails = select(OutboxMail.id, OutboxMail.state, OutboxMail.claims)
        return [sorted(map(tuple, session.execute(one))) for one in (*rows, mails)]
