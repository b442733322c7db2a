"""Every command in the pages works: run where it can be, checked where it changes the machine.

Each `task-progress` command runs in a copy of an installation of its own, on the morning of the sample
team's day: mails were sent, one was refused, one waits. A command without a home fails the first
test: give it one, or a reason in NOT_RUN.
"""

import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from signal import SIGTERM
from zoneinfo import ZoneInfo

import click
import pytest

from app import clock
from app.cli import cli, main
from app.config import Config
from app.config.sources import HOME
from app.systemd import programs, units
from tests import doc_pages, fork_server
from tests.doc_pages import PAGES, Command
from tests.servers import RedisServer, free_port, wait_until
from tests.smtp_server import Plan, SmtpServer
from tests.stack import CELERY, PROJECT, PYTHON, Processes, offset_to
from tests.systemd_words import CHECKS

pytestmark = pytest.mark.slow

MORNING = datetime(2026, 11, 24, 9, 30, tzinfo=ZoneInfo("Asia/Tokyo"))
EVENING_BEFORE = datetime(2026, 11, 23, 18, tzinfo=ZoneInfo("Asia/Tokyo"))

# What no test runs, and why. By the program, or by the program and its first argument.
NOT_RUN = {
    "apt": "changes the machine",
    "git clone": "needs the project's remote",
    "make upgrade": "changes the machine; tests/test_make_upgrade.py plays one",
    "timedatectl": "asks and changes the machine's clock",
    "tee": "writes Redis's own configuration",
    "sed": "the same",
    "jq": "chooses among lines of the journal, which a test has none of; not installed everywhere",
    "grep": "the same",
    "install -d -m 700 -o progress /var/backups/task-progress": "makes a folder of the machine's",
    "useradd": "makes a user of the machine's",
    "chmod 755 /home/progress": "that user's home",
    "su": "becomes that user",
    "exit": "is oneself again",
    "nano": "an editor",
    "createuser": "needs a PostgreSQL of the machine's",
    "createdb": "the same",
    "ln": "puts the site into nginx",
    "certbot": "needs a name on the internet",
}
# What must have been typed before, with the same FILE behind it.
BEFORE = {"restore": "backup"}
BACKUPS = "/var/backups/task-progress"  # in the tests a folder beside the installation
# Commands of the system that change nothing but the folder they are typed in.
HERE = {"cd", "cp", "chmod", "df", "du", "echo", "python3"}

API = PROJECT / "docs/api.md"  # its blocks are scripts, each run as a whole
ALL = {str(one): one for page in PAGES if page != API for one in doc_pages.commands(page)}
OURS = [one for one in ALL.values() if one.program == "task-progress"]


def of(*names: str) -> list[Command]:
    """All commands of these programs."""
    return [one for one in ALL.values() if one.program in names]


def by_root(one: Command) -> bool:
    return one.user == "root" and one.program not in {"systemctl", "journalctl"}


def left_out(one: Command) -> bool:
    names = {str(one), one.program, " ".join((one.program, *one.arguments[:1]))}
    return bool(names & NOT_RUN.keys())


def test_every_command_has_a_home() -> None:
    homes = {"task-progress", "celery", "make", "redis-cli", "curl", "systemctl", "journalctl"}
    homeless = [
        f"{one.page}: {one}"
        for one in ALL.values()
        if not (one.program in homes | HERE or by_root(one) or left_out(one))
    ]
    assert homeless == []


def test_there_are_commands_to_look_at() -> None:
    assert len(OURS) > 50
    assert len(of("celery")) > 5
    assert len(of("systemctl", "journalctl")) > 15


def test_nothing_is_left_out_that_stands_nowhere() -> None:
    said = {f"{one.program} {' '.join(one.arguments[:1])}" for one in ALL.values()} | {
        name for one in ALL.values() for name in (one.program, str(one))
    }
    mentioned = " ".join(text for page in PAGES for text in doc_pages.mentions(page))
    assert [name for name in NOT_RUN if name not in said and name not in mentioned] == []


# --- an installation ----------------------------------------------------------------------------


@dataclass
class Installation:
    """A folder as `make setup` leaves it, on the sample team's morning."""

    folder: Path
    redis: RedisServer
    failed: str
    waiting: str


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Set up once for all commands; each gets a copy."""
    folder = tmp_path_factory.mktemp("docs") / "task-progress-api"
    lay_out(folder)
    redis = RedisServer(folder.parent / "redis").start()
    plan = Plan(script={"rcpt": ["ok", "550 5.1.1 nobody has this address"]})
    with SmtpServer(plan) as smtp:
        (folder / ".env").write_text(env(redis, smtp), encoding="utf-8")
        (folder / ".env").chmod(0o600)
        type_in(folder, "db", "upgrade")
        type_in(folder, "sample", "load", TEST_CLOCK_OFFSET=offset_to(EVENING_BEFORE))
        type_in(folder, "tick")
        type_in(folder, "leave", "add", "suzuki.ichiro@example.jp", "2026-12-24", "2026-12-25")
        type_in(folder, "workday", "add", "2026-12-05")
        type_in(folder, "snooze", "tanaka.misaki@example.jp", "--until", "15:00")
        listed = type_in(folder, "outbox", "export").splitlines()
        failed = next(line for line in listed if ",failed," in line).partition(",")[0]
        waiting = next(line for line in listed if ",ready," in line).partition(",")[0]
        yield Installation(folder, redis, failed, waiting)
    redis.kill()


def type_in(folder: Path, *arguments: str, **environ: str) -> str:
    """`task-progress ARGUMENTS` in `folder`, in this process; returns what it says."""
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(io.StringIO()) as said,
    ):
        patch.chdir(folder)
        patch.delenv(HOME, raising=False)
        for name, value in environ.items():
            patch.setenv(name, value)
        assert main(arguments) == 0
    return said.getvalue()


def lay_out(folder: Path) -> None:
    (folder / "data").mkdir(parents=True, mode=0o700)
    for name in ("app", "deploy", "docs", "tools", "Makefile", ".env.example", "gunicorn.conf.py"):
        (folder / name).symlink_to(PROJECT / name)
    for name in (".venv", "venv"):
        (folder / name).symlink_to(Path(sys.prefix))
    for file in (PROJECT / "app/sample").glob("*.csv"):
        shutil.copy(file, folder)


def env(redis: RedisServer, smtp: SmtpServer) -> str:
    return f"""\
CELERY_BROKER_URL={redis.url}
CELERY_RESULT_BACKEND={redis.url.removesuffix("/0")}/1
SMTP_HOST=127.0.0.1
SMTP_PORT={smtp.port}
SMTP_SECURITY=none
MAIL_FROM=Task Progress <app@example.com>
APP_BASE_URL=http://127.0.0.1:1
TEST_CLOCK_OFFSET={offset_to(MORNING)}
"""


@pytest.fixture
def here(
    template: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Installation]:
    """A copy of the installation, in which the test stands."""
    folder = tmp_path / "task-progress-api"
    shutil.copytree(template.folder, folder, symlinks=True)
    monkeypatch.chdir(folder)
    monkeypatch.delenv(HOME)
    yield Installation(folder, template.redis, template.failed, template.waiting)
    clock.shift(0)


# --- run ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("one", [one for one in OURS if not left_out(one)], ids=str)
def test_a_command_of_ours_works(
    here: Installation,
    one: Command,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Exit code 0. `doctor` ends with 1 here: nothing but the database and the mail server runs.

    A restore comes two minutes after all programs were stopped, and nobody can be asked.
    """
    name, *rest = words = [moved(number(word, one, here), here) for word in one.arguments]
    files = [word for word in rest if not word.startswith("-")]
    if name in BEFORE and files:
        assert main([BEFORE[name], *files]) == 0
    if name == "restore":
        monkeypatch.setenv("TEST_CLOCK_OFFSET", offset_to(MORNING + timedelta(minutes=2)))
        words += ["--yes"] * ("--replace" in words)
    code = main(words)
    said = capsys.readouterr()
    assert code in ({0, 1} if "doctor" in one.arguments else {0}), said.err
    assert "Traceback" not in said.err
    assert said.out.strip() or one.arguments[:1] == ("systemd",)


def test_what_a_page_shows_is_what_the_command_says(here: Installation) -> None:
    """Behind `$ task-progress …` stands its output, to the letter; first the Japanese one."""
    shown = doc_pages.shown(PROJECT / "docs/tour.md")
    for (line, wanted), language in zip(shown, ("ja", "en"), strict=True):
        (one,) = doc_pages.split(line)
        env = {"PATH": os.environ["PATH"], "LANG": f"{language}.UTF-8", "COLUMNS": "100"}
        command = [PYTHON, "-m", "app.cli", *one.arguments]
        done = fork_server.run(command, cwd=here.folder, env=env)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines() == wanted


def moved(word: str, here: Installation) -> str:
    """A file among the backups, in the folder of this test."""
    folder = here.folder.parent / "backups"
    folder.mkdir(mode=0o700, exist_ok=True)
    return word.replace(BACKUPS, str(folder))


def number(word: str, one: Command, here: Installation) -> str:
    """1000 stands for the number of a mail: here one that can be sent again, or cancelled."""
    if one.arguments[:1] != ("outbox",) or not word.isdigit():
        return word
    return here.waiting if "cancel" in one.arguments else here.failed


@pytest.mark.slow
def test_the_commands_of_celery_work(here: Installation) -> None:
    processes = Processes(here.folder, {})
    try:
        processes.worker("mail")
        processes.worker("ai")
        for one in of("celery"):
            in_front = one.arguments[2] in {"beat", "worker"}
            run = _in_front if in_front else _to_its_end
            run(processes, [CELERY[0], *one.arguments])
    finally:
        processes.end_all()


def _to_its_end(processes: Processes, command: list[str]) -> None:
    """`inspect` asks again: it waits a second for the workers' answers."""
    said: list[str] = []

    def works() -> bool:
        done = processes.once(*command, check=False)
        said.append(done.stdout + done.stderr)
        return done.returncode == 0

    if "inspect" in command:
        wait_until(works, str(said))
    else:
        assert works(), said


def _in_front(processes: Processes, command: list[str]) -> None:
    """Starts, works, and ends with TERM."""
    part = processes.start("front", *command)
    processes.until_said(part, "beat: Starting" if "beat" in command else " ready.")
    # Beat says so while it still imports; a signal would break that import, not end beat.
    wait_until(lambda: _rests(part.pid), "a program with nothing to do", 60)
    processes.end(part, SIGTERM)
    assert part.returncode == 0, processes.said(part)


def _rests(pid: int) -> bool:
    """Whether it has used no processor time for a second."""

    def used() -> list[str]:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]

    before = used()
    time.sleep(1.0)
    return used() == before


@pytest.mark.parametrize("one", of("make"), ids=str)
def test_a_target_of_make_exists(one: Command, here: Installation) -> None:
    done = subprocess.run(
        ["make", "-n", *one.arguments], capture_output=True, text=True, check=False, cwd=here.folder
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not shutil.which("redis-cli"), reason="needs redis-cli")
@pytest.mark.parametrize("one", of("redis-cli"), ids=str)
def test_redis_takes_the_command(one: Command, here: Installation) -> None:
    said = subprocess.run(
        ["redis-cli", "-p", str(here.redis.port), *one.arguments],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert not re.match(r"ERR|NOPERM|WRONG|\(error\)", said), said


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
def test_curl_gets_an_answer(here: Installation) -> None:
    processes, port = Processes(here.folder, {}), free_port()
    web = programs.web(Path(sys.prefix) / "bin", port)
    try:
        part = processes.start("web", *web)
        processes.until_said(part, "Booting")
        for one in of("curl"):
            words = [word.replace(":8000/", f":{port}/") for word in one.arguments]
            wait_until(lambda words=words: _answered(words), str(one))  # type: ignore[misc] # bound in the loop
    finally:
        processes.end_all()


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
def test_the_recipes_of_the_api_work_with_the_token_of_its_first_command(
    here: Installation,
) -> None:
    """In one shell, in the page's order; only the key and the port are this run's."""
    shown, *scripts = doc_pages.scripts(API)
    (made,) = doc_pages.split(shown)
    token = re.search(r"tpk_\S+", type_in(here.folder, *made.arguments))
    assert token is not None
    task = "ref,title,assignee_email,due_on\nCI-18,Release 18,suzuki.ichiro@example.jp,2027-03-31\n"
    (here.folder / "tasks.csv").write_text(task)
    processes, port = Processes(here.folder, {}), free_port()
    script = "\n".join(scripts).replace("tpk_…", token[0]).replace(":8000", f":{port}")
    try:
        web = processes.start("web", *programs.web(Path(sys.prefix) / "bin", port))
        processes.until_said(web, "Booting")
        wait_until(lambda: _answered(["-s", f"http://127.0.0.1:{port}/login"]), "the pages")
        done = subprocess.run(
            ["sh", "-euc", script.replace("curl -sS", "curl -sS --fail-with-body")],
            capture_output=True, text=True, check=False, cwd=here.folder,
            env={"PATH": os.environ["PATH"]},
        )  # fmt: skip
    finally:
        processes.end_all()
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"verdict"' in done.stdout
    assert done.stdout.splitlines()[-1].endswith("CI-18 201")


def _answered(words: list[str]) -> bool:
    done = subprocess.run(["curl", *words], capture_output=True, text=True, check=False)
    return done.returncode == 0 and "404" not in done.stdout


def _leaves_the_folder(word: str) -> bool:
    return word.startswith("/") or ".." in word


@pytest.mark.parametrize(
    "one", [c for c in ALL.values() if c.program in HERE - {"cd"} and not by_root(c)], ids=str
)
def test_what_is_typed_in_the_folder_works_there(one: Command, here: Installation) -> None:
    if one.program == "cp":
        assert not any(map(_leaves_the_folder, one.arguments))
    done = subprocess.run(
        one.words, capture_output=True, text=True, check=False, cwd=here.folder,
        env={"PATH": os.environ["PATH"]},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


# --- checked ------------------------------------------------------------------------------------


def test_units_and_flags_are_those_that_exist() -> None:
    said = {f"{one.page}: {one}": CHECKS[one.program](one.arguments) for one in of(*CHECKS)}
    assert {line: faults for line, faults in said.items() if faults} == {}


@pytest.mark.parametrize(
    "line", ["systemctl stop celery-beet", "systemctl halt celery-beat", "journalctl -x celery-beat",
             "journalctl -u celery-mail -f", "systemctl enable --nwo celery-beat"],
)  # fmt: skip
def test_a_wrong_unit_or_flag_would_be_seen(line: str) -> None:
    program, *words = line.split()
    assert CHECKS[program](tuple(words)) != []


PROGRESS = units.place("progress", Path("/home/progress/task-progress-api"))


@pytest.mark.parametrize("one", [one for one in ALL.values() if by_root(one)], ids=str)
def test_what_root_types_is_what_the_command_for_the_units_says(one: Command) -> None:
    """Or it is left out with its reason; files of ours that it names exist."""
    said = [
        str(c)
        for line in units.prepare_commands(PROGRESS, Path("units"))
        for c in doc_pages.split(line)
    ]
    ours = [word for word in one.arguments if word.startswith("deploy/")]
    assert str(one) in said or left_out(one) or ours, f"{one.page}: {one}"
    assert all((PROJECT / word).exists() for word in ours)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_settings_in_the_blocks_are_settings(page: Path) -> None:
    known = {str(field.alias) for field in Config.model_fields.values()}
    names = doc_pages.settings(page)
    assert [one for one in names if not {one, one.removesuffix("_FILE")} & known] == []


# --- mentioned in the text ----------------------------------------------------------------------


def faults_of_ours(words: list[str]) -> list[str]:
    """Commands and options that `task-progress` does not have; what stands for a value is none."""
    command: click.Command = cli
    while isinstance(command, click.Group) and words:
        if words[0].startswith("--"):  # an option of the group itself
            break
        name, *words = words
        if name not in command.commands:
            return [] if name in {"…", "COMMAND"} or "|" in name else [name]
        command = command.commands[name]
    known = {name for option in command.params for name in option.opts} | {"--help"}
    return [word for word in words if word.startswith("--") and word.partition("=")[0] not in known]


def faults_of_mention(text: str) -> list[str]:
    """What is wrong with a command in the text; a word that begins none of ours is no command."""
    words = text.split()
    name = Path(words[0]).name
    if name == "task-progress":
        return faults_of_ours(words[1:])
    if name in cli.commands and len(words) > 1 and words[1] != "=":
        return faults_of_ours(words)
    if name in CHECKS:
        return CHECKS[name](tuple(words[1:]))
    return []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_mentioned_in_the_text_exist(page: Path) -> None:
    faults = {
        text: found for text in doc_pages.mentions(page) if (found := faults_of_mention(text))
    }
    assert faults == {}


@pytest.mark.parametrize(
    "text", ["task-progress outbox shwo 1000", "outbox list --stat ready", "task-progress puase"]
)
def test_a_command_that_does_not_exist_would_be_seen(text: str) -> None:
    assert faults_of_mention(text) != []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_targets_of_make_mentioned_in_the_text_exist(page: Path) -> None:
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z0-9-]+):", makefile, re.M))
    named = [text.split() for text in doc_pages.mentions(page) if re.search(r"\bmake [a-z]", text)]
    after = [words[words.index("make") + 1] for words in named if "make" in words]
    assert [name for name in after if name not in targets] == []
