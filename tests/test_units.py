"""The units of systemd: clean and confined by systemd's own judgement, and started for real.

Each ExecStart runs as a plain process in a copy of the specification's layout, with the
EnvironmentFile read as systemd reads it, and under the limits of its unit (tests/confined.py).
"""

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from signal import SIGTERM

import pytest
from sqlalchemy import select, text

from app.db import Database
from app.models import Member, OutboxMail, State
from app.queue import application
from app.smtp import settings
from app.systemd import environment_file, programs, units
from app.tasks import notifications
from tests.conftest import suzuki, task
from tests.databases import sqlite_copy
from tests.fork_server import Part
from tests.machine import ANALYZE, Machine, lay_out, write_units
from tests.servers import wait_until
from tests.smtp_server import Plan, SmtpServer
from tests.specification import ENV as SPECIFICATION
from tests.stack import CELERY, PROJECT, offset_to
from tests.unit_file import Unit

pytestmark = pytest.mark.slow

NINE = datetime(2026, 11, 24, 0, 0, 5, tzinfo=UTC)
FOR_GOOD = [
    "celery-beat.service",
    "celery-worker-mail.service",
    "celery-worker-ai.service",
    "task-progress-web.service",
]
SERVICES = [*FOR_GOOD, "task-progress-tick.service"]
by_systemd = pytest.mark.skipif(
    ANALYZE is None, reason="needs systemd-analyze (sudo apt install systemd)"
)

# --- the texts --------------------------------------------------------------------------------


def specified() -> dict[str, Unit]:
    """The units of the specification, as they stand there."""
    said = {}
    for name, title, command in (
        ("celery-beat", "Celery Beat Scheduler", "beat"),
        ("celery-worker-mail", "Celery Worker (mail queue)", "worker -Q mail -n mail@%H -c 2"),
        ("celery-worker-ai", "Celery Worker (ai queue)", "worker -Q ai -n ai@%H -c 4"),
    ):
        said[f"{name}.service"] = Unit.parse(
            f"""\
[Unit]
Description={title}
After=network-online.target
Wants=network-online.target
[Service]
Type=simple
User=taro
WorkingDirectory=/home/taro/task-progress-api
EnvironmentFile=/home/taro/task-progress-api/.env
Environment=PYTHONUNBUFFERED=1
ExecStart=/home/taro/task-progress-api/venv/bin/celery -A app.celery_app.celery {command} \
--loglevel=INFO
Restart=always
RestartSec=5s
"""
        )
    return said


@pytest.mark.parametrize("name", specified())
def test_what_the_specification_wrote_stands_in_the_unit(name: str) -> None:
    place = replace(units.place("taro", Path("/home/taro/task-progress-api")), ai=True)
    rendered = units.render(place, "ja")
    missing = set(specified()[name].lines) - set(Unit.parse(rendered[name]).lines)
    assert missing == set()
    assert "multi-user.target" in Unit.parse(rendered[name]).one("WantedBy").split()


def test_the_unit_of_the_ai_worker_is_written_and_started_only_where_there_is_an_ai(
    tmp_path: Path,
) -> None:
    for line, wanted in (("", False), ("AI_BASE_URL=http://127.0.0.1:8080/v1\n", True)):
        (tmp_path / ".env").write_text(line)
        place = units.place("taro", tmp_path)
        assert (units.AI in units.render(place, "en")) is wanted
        assert any(units.AI in one for one in units.prepare_commands(place)) is wanted


@pytest.mark.parametrize("locale", ["ja", "en"])
def test_every_line_of_the_hardening_has_its_reason_above_it(locale: str) -> None:
    place = units.place("taro", Path("/home/taro/app"))
    for block in re.split(r"^# ", units.hardening(place, locale), flags=re.MULTILINE)[1:]:
        reason, *lines = block.splitlines()
        assert reason.strip()
        assert lines
        assert reason.isascii() == (locale == "en")


def test_the_waits_of_systemd_are_longer_than_those_of_the_programs() -> None:
    """Nobody is killed whose mail is past its dot, nor a job that its own limit would end."""
    one_mail = settings.BEFORE_DOT + settings.DOT_ANSWER
    assert units.MAIL_STOP_SECONDS > application.JOB_SECONDS
    assert notifications.SEND_WITHIN + one_mail < application.JOB_SECONDS
    assert one_mail < units.TICK_STOP_SECONDS
    assert units.AI_STOP_SECONDS > application.SOFT_SHUTDOWN_SECONDS
    assert units.MAIL_STOP_SECONDS > application.SOFT_SHUTDOWN_SECONDS
    assert units.WEB_STOP_SECONDS > programs.WEB_GRACE_SECONDS


@pytest.mark.parametrize(
    ("env", "writable"),
    [
        ("", ["/data"]),
        ("DATA_DIR=elsewhere  # 任意\n", ["/elsewhere"]),
        ("DATABASE_URL=sqlite:///db/x.sqlite3\n", ["/data", "/db"]),
        ("DATABASE_URL=postgresql://db/x\n", ["/data"]),
    ],
)
def test_what_is_written_to_follows_the_settings(
    tmp_path: Path, env: str, writable: list[str]
) -> None:
    (tmp_path / ".env").write_text(env)
    place = units.place("taro", tmp_path)
    assert [str(one).removeprefix(str(tmp_path)) for one in place.writable] == writable
    paths = Unit.parse(units.render(place, "ja")["celery-beat.service"]).one("ReadWritePaths")
    assert paths == " ".join(f"-{tmp_path}{one}" for one in writable)


@pytest.mark.parametrize("folder", ["data", "/home/a b", "/home/%H", "/home/x'y", "/home/$X"])
def test_a_folder_that_a_unit_cannot_hold_is_refused(folder: str) -> None:
    with pytest.raises(ValueError, match="/ から始まり"):
        units.place("taro", Path(folder))


@pytest.mark.parametrize("user", ["", "Taro", "a b", "ta%ro", "root\nx", "太郎"])
def test_a_user_that_cannot_be_one_is_refused(user: str) -> None:
    with pytest.raises(ValueError, match="ユーザー名"):
        units.place(user, Path("/home/taro"))


def test_the_page_shows_the_units_that_the_command_makes() -> None:
    """Each unit less the hardening, which is the same for all and stands there once."""
    shown = (PROJECT / "docs/units.md").read_text(encoding="utf-8")
    folder = Path("/home/<USER>/task-progress-api")
    place = units.Place("<USER>", folder, (folder / "data",))
    hardening = units.hardening(place, "en")
    assert f"```ini\n{hardening}```\n" in shown
    for name, unit in units.render(place, "en").items():
        block = f"`{units.SYSTEMD_FOLDER / name}`\n\n```ini\n{unit.replace(hardening, '')}```\n"
        assert block in shown


def test_units_in_both_languages_differ_in_their_comments_alone() -> None:
    place = units.place("taro", Path("/home/taro/app"))
    english, japanese = (
        {name: re.sub(r"^#.*\n", "", text, flags=re.M) for name, text in rendered.items()}
        for rendered in (units.render(place, "en"), units.render(place, "ja"))
    )
    assert english == japanese


@pytest.mark.parametrize("page", ["systemd.md", "systemd.ja.md"])
def test_the_page_says_to_type_what_the_command_says(page: str) -> None:
    shown = (PROJECT / "docs" / page).read_text(encoding="utf-8")
    progress = units.place("progress", Path("/home/progress/task-progress-api"))
    for command in units.prepare_commands(progress, progress.folder / "units"):
        assert command.replace(f"{progress.folder}/units", "units") in shown


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("X=587    # 465 の場合は SSL", "587    # 465 の場合は SSL"),
        ("X=${HOME} $HOME", "${HOME} $HOME"),
        ('X="a b" <x@y>', "a b<x@y>"),
        ('X=a "b" c', 'a "b" c'),
        ("X='a \\ b'", "a \\ b"),
        ('X="a \\$ \\n"', "a $ \\n"),
        ("X=a\\b", "ab"),
        ("X=one\\\ntwo", "onetwo"),
        ("X=  blanks   ", "blanks"),
        ("; X=1\n# X=2\nX=3", "3"),
        ("X=", ""),
        ("export X=1", None),
        ("X", None),
    ],
)
def test_an_environment_file_is_read_as_systemd_reads_it(line: str, value: str | None) -> None:
    """By systemd.exec(5) and its parser: quotes count only where a value begins."""
    assert environment_file.read(line + "\nOTHER=1\n").get("X") == value
    assert environment_file.read(line).get("X") == value
    assert environment_file.read(line + "\nOTHER=1\n")["OTHER"] == "1"


# --- systemd's own judgement --------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The specification's layout, with an empty `.env`."""
    return lay_out(tmp_path, "taro")


@pytest.fixture
def rendered(home: Path, tmp_path: Path) -> Path:
    """The units as files."""
    return write_units(home, "taro", tmp_path / "units")


@by_systemd
def test_systemd_finds_nothing_to_say_about_them(rendered: Path) -> None:
    said = analyze("verify", "--man=no", *map(str, sorted(rendered.iterdir())))
    assert (said.returncode, said.stdout + said.stderr) == (0, "")


@by_systemd
def test_systemd_would_find_a_fault(rendered: Path) -> None:
    file = rendered / "celery-beat.service"
    file.write_text(file.read_text().replace("KillMode=mixed", "KillMode=mixd"))
    assert "kill mode" in analyze("verify", "--man=no", str(file)).stderr


@by_systemd
@pytest.mark.parametrize("name", SERVICES)
def test_systemd_calls_the_exposure_small(rendered: Path, name: str) -> None:
    said = analyze("security", "--offline=true", "--threshold=30", str(rendered / name))
    assert said.returncode == 0, said.stdout
    level = re.search(r"exposure level for \S+: ([\d.]+)", said.stdout)
    assert level is not None
    assert float(level[1]) <= 3.0


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", "--no-pager", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_command_writes_the_units_and_says_what_to_type(home: Path, tmp_path: Path) -> None:
    out = tmp_path / "written"
    program = [str(home / "venv/bin/task-progress"), "systemd", "--user", "taro"]
    said = subprocess.run(
        [*program, "--dir", str(home), "--out", str(out)],
        cwd=home, env={"LANG": "en_US.UTF-8"}, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    rendered = units.render(units.place("taro", home), "en")
    assert {one.name: one.read_text() for one in out.iterdir()} == rendered
    assert f"  sudo cp {out}/* /etc/systemd/system/\n" in said
    # The shell that types it is another account's: it has to see the names for `*`.
    assert out.stat().st_mode & 0o777 == 0o755
    shown = subprocess.run(
        [*program, "--dir", str(home)],
        cwd=home, env={"LANG": "en_US.UTF-8"}, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert all(f"# {units.SYSTEMD_FOLDER}/{n}\n{text}" in shown for n, text in rendered.items())


TRIES = """
import mmap, os, socket, tempfile, multiprocessing, sys

def tried(what):
    try:
        what()
    except Exception as error:
        return type(error).__name__
    return "works"

code, data = sys.argv[1:]
print(tried(lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC)))
print(tried(lambda: socket.socket(socket.AF_PACKET)))
print(tried(lambda: os.chroot("/")))
print(tried(lambda: open(code + "/x", "w")))
print(tried(lambda: open(data + "/x", "w")))
print(tried(lambda: tempfile.TemporaryFile()))
print(tried(lambda: multiprocessing.Lock()))
"""


@by_systemd
def test_the_limits_under_which_the_units_are_tried_do_limit(home: Path, rendered: Path) -> None:
    """Machine code, raw sockets, privileges and writing elsewhere are refused; the rest works."""
    (home.parent / "tmp").mkdir()
    unit, folders = rendered / "celery-beat.service", [home.parent / "tmp", home / "data"]
    confined = [sys.executable, "-m", "tests.confined", str(unit), *map(str, folders), "--"]
    said = subprocess.run(
        [*confined, sys.executable, "-c", TRIES, str(home), str(home / "data")],
        cwd=PROJECT, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    assert said[:3] == ["PermissionError", "OSError", "PermissionError"]
    assert said[3] == ("OSError" if os.geteuid() == 0 else "works")  # mounts need root
    assert said[4:] == ["works", "works", "works"]


# --- started as systemd starts them -----------------------------------------------------------


@pytest.fixture
def machine(home: Path, rendered: Path, redis_url: str) -> Iterator[Machine]:
    made = Machine(home, rendered, redis_url)
    yield made
    made.end()


@pytest.mark.slow
def test_the_specified_env_starts_every_unit_and_term_ends_it_in_time(machine: Machine) -> None:
    """On an empty machine: no Redis of the specification's port, no mail server."""
    machine.forked = False
    machine.configure(SPECIFICATION)
    machine.run("task-progress", "db", "upgrade")
    stopping = {}
    for name in FOR_GOOD:
        stopping[name] = machine.start(name)
    for name in FOR_GOOD:
        machine.ready(name)
    wait_until(lambda: machine.get("/healthz") == 200, "the pages")
    assert machine.start("task-progress-tick.service").wait(120) == 0
    for name, part in stopping.items():
        assert part.poll() is None
        part.send_signal(SIGTERM)
        unit = Unit.read(machine.rendered / name)
        assert part.wait(min(60, int(unit.one("TimeoutStopSec")))) == 0
        assert not any(word in machine.said(name) for word in ("Traceback", "exception="))


@pytest.mark.parametrize("queue", ["mail", "ai"])
def test_a_worker_without_a_database_names_the_file_and_makes_none(
    machine: Machine, queue: str
) -> None:
    """Its unit starts it again, until `db upgrade` has run, or the disk is there."""
    machine.configure(SPECIFICATION)
    name = f"celery-worker-{queue}.service"
    assert machine.start(name).wait(60) == os.EX_TEMPFAIL
    assert f"{machine.home}/data/task-progress.sqlite3 does not exist" in machine.said(name)
    assert not list(machine.home.glob("data/*.sqlite3*"))


def test_beat_and_the_pages_wait_for_the_database_and_make_none(machine: Machine) -> None:
    machine.configure(SPECIFICATION)
    for name in ("celery-beat.service", "task-progress-web.service"):
        machine.start(name)
        machine.ready(name)
        machine.says(name, "task-progress.sqlite3 does not exist")
    wait_until(lambda: machine.get("/healthz") == 503, "the pages")
    assert not list(machine.home.glob("data/*.sqlite3*"))
    machine.run("task-progress", "db", "upgrade")
    wait_until(lambda: machine.get("/healthz") == 200, "the pages", 30)


def test_a_worker_typed_in_another_folder_works_for_its_own_installation(
    tmp_path: Path, redis_url: str
) -> None:
    """It would find no `.env` there, and make an empty database beside somebody's live queue."""
    project, elsewhere = tmp_path / "task-progress-api", tmp_path / "elsewhere"
    shutil.copytree(PROJECT / "app", project / "app")
    elsewhere.mkdir()
    env = SPECIFICATION.replace("redis://127.0.0.1:6379/0", redis_url)
    (project / ".env").write_text(env + "DATA_DIR=kept\n")
    typed = subprocess.run(
        [*CELERY, "worker", "-Q", "mail", "-l", "INFO"],
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "PYTHONPATH": str(project)},
        cwd=elsewhere,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert typed.returncode == os.EX_TEMPFAIL, typed.stderr
    assert f"{project}/kept/task-progress.sqlite3 does not exist" in typed.stderr
    assert not list(elsewhere.iterdir())


@pytest.mark.parametrize("name", SERVICES)
def test_faulty_settings_end_every_unit_with_the_code_that_is_not_started_again(
    machine: Machine, name: str
) -> None:
    machine.configure(SPECIFICATION.replace("SMTP_PORT=587", "SMTP_PORT=many"))
    assert machine.start(name).wait(60) == (os.EX_CONFIG if name in FOR_GOOD else 2)
    assert "SMTP_PORT" in machine.said(name)
    if name in FOR_GOOD:
        assert Unit.read(machine.rendered / name).one("RestartPreventExitStatus") == "78"


@pytest.mark.parametrize("name", FOR_GOOD)
@pytest.mark.parametrize("late", ["a secret's file", "the database's folder"])
def test_what_comes_right_by_itself_ends_no_unit_for_good(
    machine: Machine, name: str, late: str
) -> None:
    """A disk that is mounted late: the unit starts again, until it is there."""
    disk = machine.home.parent / "disk"
    settings = {
        "a secret's file": f"SECRET_KEY_FILE={disk}/key\n",
        "the database's folder": f"DATABASE_URL=sqlite:///{disk}/ours.sqlite3\n",
    }
    machine.configure(SPECIFICATION + settings[late])
    assert machine.start(name).wait(60) == os.EX_TEMPFAIL
    unit = Unit.read(machine.rendered / name)
    assert str(os.EX_TEMPFAIL) not in unit.one("RestartPreventExitStatus").split()
    assert unit.one("Restart") == "always"
    assert unit.one("StartLimitIntervalSec") == "0"


def test_a_worker_waits_for_the_upgrade_of_its_database(machine: Machine) -> None:
    file = machine.home / "data" / "task-progress.sqlite3"
    machine.configure(SPECIFICATION)
    sqlite_copy(file)
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
    name = "celery-worker-mail.service"
    assert machine.start(name).wait(60) == os.EX_TEMPFAIL
    assert "db upgrade" in machine.said(name)


def test_the_pause_grows_where_systemd_knows_how(home: Path) -> None:
    place = replace(units.place("taro", home), ai=True)
    known, unknown = (units.render(place, "en", version) for version in (254, 253))
    for name in FOR_GOOD:
        assert Unit.parse(known[name]).one("RestartMaxDelaySec") == "5min"
        assert "RestartSteps" not in unknown[name]


# --- a batch, a stop --------------------------------------------------------------------------

MANY = 20


@pytest.fixture
def smtp() -> Iterator[SmtpServer]:
    with SmtpServer(Plan()) as server:
        yield server


@pytest.fixture
def db(machine: Machine, smtp: SmtpServer) -> Iterator[Database]:
    """Twenty people with an unreported task each; it is nine o'clock; each mail takes 0.1 s."""
    smtp.plan.slow = 0.1
    machine.configure(f"""\
CELERY_BROKER_URL=redis://127.0.0.1:6379/0      # the broker
CELERY_RESULT_BACKEND=redis://127.0.0.1:6379/1
SMTP_HOST=127.0.0.1
SMTP_PORT={smtp.port}                  # 465 の場合は SSL
SMTP_SECURITY=none
MAIL_FROM=Task Progress <app@example.jp>
TEST_CLOCK_OFFSET={offset_to(NINE)}
""")
    url = sqlite_copy(machine.home / "data" / "task-progress.sqlite3")
    with closing(Database(url)) as database:
        with database.write() as session:
            members = [suzuki() for _ in range(MANY)]
            for number, member in enumerate(members):
                member.email = f"m{number}+slow@example.jp"
            session.add_all(members)
            session.flush()
            session.add_all(task(f"T-{one.id}", one) for one in members)
        yield database


def unaccepted(db: Database) -> int:
    with db.read() as session:
        states = session.scalars(select(OutboxMail.state)).all()
        assert len(states) in {0, MANY}
        return MANY - list(states).count(State.ACCEPTED)


def copies(smtp: SmtpServer) -> Counter[str]:
    return Counter(mail.recipient for mail in smtp.mails)


@pytest.mark.slow
def test_all_units_together_bring_the_morning_mail_to_everybody_once(
    machine: Machine, db: Database, smtp: SmtpServer
) -> None:
    smtp.plan.slow = 0.0
    machine.forked = False
    for name in FOR_GOOD:
        machine.start(name)
    for name in FOR_GOOD:
        machine.ready(name)
    machine.run("celery", "-A", "app.celery_app.celery", "call",
                "app.tasks.notifications.daily_progress_reminder")  # fmt: skip
    wait_until(lambda: unaccepted(db) == 0, machine.said("celery-worker-mail.service"))
    machine.run("celery", "-A", "app.celery_app.celery", "call", "app.tasks.ai.heartbeat")
    wait_until(lambda: noted(db, "ai"), machine.said("celery-worker-ai.service"))
    with db.read() as session:
        first = session.scalars(select(Member.email).order_by(Member.id)).first()
    assert first in copies(smtp)
    assert set(copies(smtp).values()) == {1}
    assert len(copies(smtp)) == MANY


def noted(db: Database, name: str) -> bool:
    with db.read() as session:
        return bool(session.scalar(text("SELECT 1 FROM service WHERE name = :n"), {"n": name}))


def test_the_timers_tick_sends_without_any_other_unit(
    machine: Machine, db: Database, smtp: SmtpServer
) -> None:
    smtp.plan.slow = 0.0
    assert machine.start("task-progress-tick.service").wait(60) == 0
    assert unaccepted(db) == 0
    assert len(copies(smtp)) == MANY


@pytest.mark.slow
@pytest.mark.parametrize("name", ["celery-worker-mail.service", "task-progress-tick.service"])
def test_a_stop_in_the_middle_of_a_batch_loses_no_mail_and_doubles_none(
    machine: Machine, db: Database, smtp: SmtpServer, name: str
) -> None:
    part = start_sending(machine, name)
    wait_until(lambda: len(smtp.mails) >= 3, machine.said(name), 30)
    part.send_signal(SIGTERM)
    part.wait(60)
    with db.read() as session:
        assert State.IN_DOUBT not in session.scalars(select(OutboxMail.state)).all()
    finish(machine, db)
    assert set(copies(smtp).values()) == {1}
    assert len(copies(smtp)) == MANY


def start_sending(machine: Machine, name: str) -> Part:
    part = machine.start(name)
    if name in FOR_GOOD:
        machine.ready(name)
        machine.run("celery", "-A", "app.celery_app.celery", "call",
                    "app.tasks.notifications.daily_progress_reminder")  # fmt: skip
    return part


def finish(machine: Machine, db: Database) -> None:
    """The safety timer goes on, until every mail is accepted."""

    def tick() -> bool:
        machine.start("task-progress-tick.service").wait(60)
        return unaccepted(db) == 0

    wait_until(tick, machine.said("task-progress-tick.service"), 60)
