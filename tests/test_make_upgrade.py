"""`make upgrade`: the program's own Git, its own units started for real, and a played systemctl."""

import os
import pwd
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from app import schema
from app.systemd import units
from tests.databases import sqlite_copy
from tests.played_systemctl import Systemd
from tests.servers import RedisServer, free_port, wait_until
from tests.stack import PROJECT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("git") is None, reason="needs git"),
]

BEAT, MAIL, WEB = "celery-beat.service", "celery-worker-mail.service", "task-progress-web.service"
TIMER = "task-progress-tick.timer"
LASTING = (TIMER, BEAT, MAIL, WEB, "task-progress.target")
ME = pwd.getpwuid(os.geteuid()).pw_name
KEPT = (
    "app",
    "migrations",
    "requirements",
    "tools",
    "Makefile",
    "pyproject.toml",
    "gunicorn.conf.py",
)
SETUP = '#!/bin/sh\necho "setup $1 $PIP_NO_INDEX" >> ../journal\n'
ENV = """\
CELERY_BROKER_URL={redis}
SMTP_HOST=127.0.0.1
SMTP_PORT=9
MAIL_FROM=app@example.jp
SECRET_KEY=a made-up key for a played machine 0123456789
"""


class Played:
    """A machine: an origin with version 1, a clone with `venv`, and its units."""

    def __init__(self, base: Path, redis_url: str) -> None:
        self.base, self.home, self.units = base, base / "home", base / "units"
        self.origin = base / "origin"
        self._make_origin()
        self.git(base, "clone", "-q", str(self.origin), str(self.home))
        self._make_venv()
        (self.home / ".env").write_text(ENV.format(redis=redis_url))
        self.units.mkdir()
        self._make_commands()
        (base / "play").write_text("")

    def _make_origin(self) -> None:
        self.origin.mkdir()
        for name in KEPT:
            copy = shutil.copytree if (PROJECT / name).is_dir() else shutil.copy
            copy(PROJECT / name, self.origin / name)
        (self.origin / "tools" / "setup.sh").write_text(SETUP)
        (self.origin / ".gitignore").write_text("/.venv*\n/venv\n/data/\n/.env\n__pycache__/\n")
        self.git(self.origin, "init", "-q", "-b", "main")
        self.publish("version 1")
        self.git(self.origin, "tag", "v1")

    def _make_venv(self) -> None:
        """Our own parts, with this folder's program; setup.sh is not what is tested here."""
        venv = self.home / ".venv"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
        site = Path(sysconfig.get_path("purelib", vars={"base": str(venv)}))
        (site / "here.pth").write_text(f"{self.home}\n{sysconfig.get_path('purelib')}\n")
        for name in ("task-progress", "celery", "gunicorn"):
            text = (Path(sys.prefix) / "bin" / name).read_text().partition("\n")[2]
            (venv / "bin" / name).write_text(f"#!{venv}/bin/python\n{text}")
            (venv / "bin" / name).chmod(0o755)
        (self.home / "venv").symlink_to(".venv")

    def _make_commands(self) -> None:
        folder = self.base / "bin"
        folder.mkdir()
        played = f"exec {sys.executable} -m tests.played_systemctl {self.units}"
        body = f'[ "$1" = --version ] && exit 1\ncd {PROJECT} && {played} "$@"'
        (folder / "systemctl").write_text(f"#!/bin/sh\n{body}\n")
        (folder / "systemctl").chmod(0o755)
        (folder / "sudo").write_text('#!/bin/sh\n[ "$1" = -u ] && shift 2\nexec "$@"\n')
        (folder / "sudo").chmod(0o755)

    def git(self, where: Path, *words: str) -> str:
        """What git says in that folder."""
        who = ["-c", "user.name=x", "-c", "user.email=x@example.jp", "-c", "safe.directory=*"]
        done = subprocess.run(
            ["git", *who, *words], cwd=where, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def publish(self, message: str, **files: tuple[str, str]) -> None:
        """Commits to the origin; `files`: path and text by a name of no meaning."""
        for path, text in files.values():
            (self.origin / path).write_text(text)
        self.git(self.origin, "add", "-A")
        self.git(self.origin, "commit", "-q", "-m", message)

    def text(self, path: str) -> str:
        """Of a file in the origin."""
        return (self.origin / path).read_text()

    def begin(self) -> None:
        """As a new machine: the origin's version 1, its units, nothing running."""
        self.systemctl("stop", *LASTING)
        (self.base / "journal").write_text("")
        self.git(self.origin, "reset", "-q", "--hard", "v1")
        self.git(self.home, "fetch", "-q")
        self.git(self.home, "reset", "-q", "--hard", "origin/main")
        shutil.rmtree(self.home / "data", ignore_errors=True)
        (self.home / "data").mkdir(mode=0o700)
        sqlite_copy(self.home / "data" / "task-progress.sqlite3")
        for name, text in units.render(units.place(ME, self.home), "ja").items():
            (self.units / name).write_text(text)

    def start(self, *programs: str) -> None:
        """All units run; `programs`: those that really do."""
        (self.base / "play").write_text(" ".join(programs))
        os.environ["WEB_PORT"] = str(free_port())
        self.systemctl("start", *LASTING)

    def systemctl(self, *words: str) -> None:
        """The played one."""
        subprocess.run([self.base / "bin" / "systemctl", *words], check=True)

    @property
    def systemd(self) -> Systemd:
        """To ask it."""
        return Systemd(self.units)

    def upgrade(self, *words: str) -> tuple[int, str]:
        """Exit code and output of the command. It watches started programs for an instant."""
        path = f"{self.base / 'bin'}:{os.environ['PATH']}"
        environ = {"PATH": path, "LANG": "en_US", "WEB_PORT": os.environ["WEB_PORT"]}
        command = [
            "-m",
            "tools.upgrade",
            "--units",
            str(self.units),
            "--watch",
            "0.1",
            *words,
        ]
        done = subprocess.run(
            [self.home / ".venv" / "bin" / "python", *command],
            cwd=self.home,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=400,
            check=False,
        )
        return done.returncode, done.stdout

    @property
    def version(self) -> str:
        """The message of the commit that is there."""
        return self.git(self.home, "log", "-1", "--format=%s")

    @property
    def journal(self) -> list[str]:
        """What was done, in order."""
        return (self.base / "journal").read_text().splitlines()

    @property
    def all_run(self) -> bool:
        """Whether all units run."""
        return all(map(self.systemd.is_active, LASTING))


@pytest.fixture(scope="module")
def laid_out(
    tmp_path_factory: pytest.TempPathFactory, redis_server: RedisServer
) -> Iterator[Played]:
    """Made once: its programs are compiled when they first run."""
    made = Played(tmp_path_factory.mktemp("machine"), redis_server.url)
    yield made
    made.systemctl("stop", *LASTING)


@pytest.fixture
def machine(laid_out: Played) -> Played:
    """With version 1, and nothing running."""
    laid_out.begin()
    return laid_out


def test_all_programs_stop_before_the_code_changes_and_run_on_the_new_version(
    machine: Played,
) -> None:
    machine.start(BEAT, MAIL, WEB)
    log = machine.systemd.logs / MAIL
    wait_until(lambda: " ready." in log.read_text(), "the worker")
    old = {name: (machine.systemd.pids / name).read_text() for name in (BEAT, MAIL, WEB)}
    unit = "app/systemd/templates/program.service"
    machine.publish("version 2", unit=(unit, machine.text(unit).replace("5s", "7s")))
    before = len(machine.journal)

    _, said = machine.upgrade()

    done = machine.journal[before:]
    setup = done.index("setup run ")
    stops = {f"stopped {name}" for name in LASTING}
    assert stops <= set(done[:setup])
    assert [one for one in done[setup:] if not one.startswith("start ")] == [
        "setup run ",
        "daemon-reload",
    ]
    assert machine.version == "version 2"
    assert machine.all_run
    assert all((machine.systemd.pids / name).read_text() != old[name] for name in old)
    assert "RestartSec=7s" in (machine.units / MAIL).read_text()
    assert list((machine.home / "data").glob("before-upgrade-*.backup"))
    assert "runs. The database as it was" in said
    assert not (machine.home / ".venv.before").exists()


def test_a_version_that_does_not_start_is_taken_back(machine: Played) -> None:
    machine.start(BEAT, MAIL)
    broken = machine.text("app/celery_app.py") + "\nraise RuntimeError('broken')\n"
    unit = "app/systemd/templates/program.service"
    machine.publish(
        "version 2",
        code=("app/celery_app.py", broken),
        unit=(unit, machine.text(unit).replace("5s", "7s")),
    )
    (machine.home / ".venv" / "ours").touch()
    code, said = machine.upgrade("--watch", "120")
    assert code == 1
    assert "does not start" in said
    assert "is back and runs. No mail was lost." in said
    assert machine.version == "version 1"
    assert machine.all_run
    assert "RestartSec=5s" in (machine.units / MAIL).read_text()
    assert (machine.home / ".venv" / "ours").exists()


def test_parts_that_cannot_be_installed_leave_the_version_before(machine: Played) -> None:
    machine.start()
    setup = SETUP + "rm -rf .venv/lib\nexit 1\n"
    machine.publish("version 2", setup=("tools/setup.sh", setup))
    code, said = machine.upgrade()
    assert (code, machine.version, machine.all_run) == (1, "version 1", True)
    assert "`env sh tools/setup.sh run` failed." in said
    assert "is back and runs" in said
    assert machine.upgrade()[0] == 1, "and the next try finds everything as it was"
    assert machine.version == "version 1"


def test_a_database_that_cannot_be_backed_up_is_not_upgraded(machine: Played) -> None:
    machine.start()
    machine.publish("version 2", readme=("README.md", "2"))
    (machine.home / "data" / "task-progress.sqlite3").write_bytes(b"SQLite format 3\x00 torn")
    code, said = machine.upgrade()
    assert (code, machine.version, machine.all_run) == (1, "version 1", True)
    assert "backup" in said
    assert not any(one.startswith("setup") for one in machine.journal)


def test_what_cannot_be_done_is_found_before_anything_stops(machine: Played) -> None:
    machine.start()
    machine.publish("version 2", readme=("README.md", "2"))
    (machine.home / "Makefile").write_text("mine")
    code, said = machine.upgrade()
    assert (code, "Files of the program were changed here: M Makefile" in said) == (1, True)
    machine.git(machine.home, "checkout", "-q", "Makefile")
    machine.origin.rename(machine.base / "away")
    code, said = machine.upgrade()
    (machine.base / "away").rename(machine.origin)
    assert (code, "Nothing was changed." in said) == (1, True)
    assert not any(one.startswith("stopped") for one in machine.journal)
    assert machine.all_run


def test_a_version_that_others_may_not_run_beside_waits_for_a_word(machine: Played) -> None:
    machine.start()
    source = machine.text("app/schema.py")
    later = source.replace(f'"{schema.HEAD}"', '"9999"').replace(
        f'SERVES_SINCE = "{schema.SERVES_SINCE}"', 'SERVES_SINCE = "9999"'
    )
    machine.publish("version 2", schema=("app/schema.py", later))
    code, said = machine.upgrade()
    assert code == 1
    assert "make upgrade ARGS=--alone" in said
    assert not any(one.startswith("stopped") for one in machine.journal)


def test_a_unit_that_was_edited_here_stays_and_an_older_version_comes_back_by_its_name(
    machine: Played,
) -> None:
    machine.start()
    mine = (machine.units / MAIL).read_text().replace("-c 2", "-c 4")
    (machine.units / MAIL).write_text(mine)
    unit = "app/systemd/templates/program.service"
    machine.publish("version 2", unit=(unit, machine.text(unit).replace("5s", "7s")))
    _, said = machine.upgrade()
    assert machine.version == "version 2", said
    assert f"{machine.units / MAIL} was edited here and stays" in said
    assert (machine.units / MAIL).read_text() == mine
    assert "RestartSec=7s" in (machine.units / BEAT).read_text()

    machine.upgrade("--to", "v1")
    assert (machine.version, machine.all_run) == ("version 1", True)
    assert "RestartSec=5s" in (machine.units / BEAT).read_text()
    assert (machine.units / MAIL).read_text() == mine
