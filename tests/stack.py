"""The real processes of one installation, for tests: beat, workers, commands, a mail server."""

import contextlib
import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from signal import SIGKILL, Signals
from typing import Any

import redis
from celery import Celery

from app.config import load
from app.config.sources import HOME
from app.db import Database
from app.installation import Installation
from app.util.shared_redis import INSTALLATION
from tests import fork_server
from tests.fork_server import Part
from tests.servers import spawn, wait_until
from tests.smtp_server import SmtpServer

PROJECT = Path(__file__).resolve().parent.parent
PYTHON = sys.executable
CELERY = (str(Path(PYTHON).parent / "celery"), "-A", "app.celery_app.celery")


class Processes:
    """The processes of one installation in `folder`, all with the settings `environ`."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self.folder = folder
        self.cwd = folder  # of the processes
        self.account: tuple[str, ...] = ()  # a command that runs them under another account
        self.forked = True  # where possible; False: each starts as in production
        self.environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT)}
        self.environ |= {HOME: str(folder), **environ}
        self.parts: list[Part] = []
        self._numbers = itertools.count()
        self._logs: dict[int, Path] = {}

    def start(self, name: str, *command: str, **environ: str) -> Part:
        """A process of the installation; what it says goes to NAME-<number>.log."""
        log = self.folder / f"{name}-{next(self._numbers):03}.log"
        env = {**self.environ, **environ}
        begin = fork_server.launch if self.forked else spawn
        part = begin([*self.account, *command], log, cwd=self.cwd, env=env)
        self._logs[part.pid] = log
        self.parts.append(part)
        return part

    def worker(
        self,
        queue: str = "mail",
        *,
        processes: int = 2,
        wait: bool = True,
        **environ: str,
    ) -> Part:
        """A Celery worker on this queue; `wait` until it is ready."""
        name = f"{queue}{len(self.parts)}@localhost"
        options = ("-Q", queue, "-n", name, "-c", str(processes), "-l", "INFO")
        part = self.start("worker", *CELERY, "worker", *options, **environ)
        if wait:
            self.until_said(part, " ready.")
        return part

    def beat(self, **environ: str) -> Part:
        """The real beat, which knows only the machine's own minutes."""
        return self.start("beat", *CELERY, "beat", "-l", "INFO", **environ)

    def once(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """A process of the installation, to its end."""
        command = (*self.account, *command)
        if self.forked and fork_server.can_fork(command, self.environ):
            done = fork_server.run(command, cwd=self.cwd, env=self.environ)
            if check:
                done.check_returncode()
            return done
        return subprocess.run(
            command,
            cwd=self.cwd,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=check,
        )

    def said(self, part: Part) -> str:
        """All that this process said."""
        return self._logs[part.pid].read_text(errors="replace")

    def until_said(self, part: Part, words: str, seconds: float = 120) -> None:
        """Returns when the process has said these words; `seconds` only bound a hang."""
        try:
            wait_until(lambda: words in self.said(part) or part.poll() is not None, words, seconds)
        finally:
            assert words in self.said(part), f"exit {part.poll()}: {self.said(part)}"

    def logs(self, name: str = "") -> str:
        """All that the processes of this name said."""
        files = sorted(self.folder.glob(f"{name}*.log"))
        return "\n".join(file.read_text(errors="replace") for file in files)

    def end(self, part: Part, how: Signals = SIGKILL) -> None:
        """Ends a process; killed, its pool goes too."""
        with contextlib.suppress(ProcessLookupError):
            if how is SIGKILL:
                # One that ended and was waited for has left its number to others, unless its own
                # children still have it as their group.
                if part.poll() is None or not Path(f"/proc/{part.pid}").exists():
                    os.killpg(part.pid, how)
            elif part.poll() is None:
                part.send_signal(how)
        part.wait(120)

    def end_all(self) -> None:
        """As by kill -9."""
        for part in self.parts:
            self.end(part)


class Stack(Processes):
    """The installation of a test, with the commands that people type."""

    def __init__(self, folder: Path, environ: Mapping[str, str], smtp: SmtpServer) -> None:
        super().__init__(folder, environ)
        self.smtp = smtp

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """`celery -A … ARGUMENTS`, to its end."""
        return self.once(*CELERY, *arguments, check=check)

    def publish(self, job: str) -> None:
        """As `celery call` does, which takes two seconds to start."""
        config = load(self.environ, self.folder)
        with contextlib.closing(Database(config.database_url)) as db:
            send_job(config.celery_broker_url, Installation(db).id(), job)

    def command(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """`task-progress ARGUMENTS`, to its end."""
        return self.once(PYTHON, "-m", "app.cli", *arguments, check=check)

    def finished_jobs(self) -> int:
        """How many jobs the workers have finished so far."""
        return len(re.findall(r"Task app\.\S+ succeeded", self.logs()))

    def until_inspected(self, what: str, workers: int) -> None:
        """Returns when `celery inspect WHAT` shows so many: one waits a second for their answers."""

        def all_answer() -> bool:
            done = self.run("inspect", what, "--json", check=False)
            return done.returncode == 0 and len(json.loads(done.stdout)) == workers

        wait_until(all_answer, what)

    def until_acknowledged(self, queue: str = "mail") -> None:
        """Returns when no message waits and none is unacknowledged.

        A worker acknowledges a message after it said that the job succeeded.
        """
        with redis.Redis.from_url(self.environ["CELERY_BROKER_URL"]) as broker:
            wait_until(
                lambda: not broker.llen(queue) and not broker.hlen(f"unacked-{queue}"), self.logs()
            )

    def recipients(self) -> list[str]:
        """Who got a mail, sorted; twice is twice."""
        return sorted(mail.recipient for mail in self.smtp.mails)


def send_job(
    broker: str, installation: str, job: str, *arguments: Any, seconds: float = 20, **options: Any
) -> None:
    """Puts a job of app/tasks on its queue, with the header of this installation.

    Raises OperationalError or OSError when the broker does not answer within `seconds`.
    """
    waits = {"socket_connect_timeout": seconds, "socket_timeout": seconds}
    with Celery("rig", broker=broker, set_as_current=False) as client:
        client.conf.update(broker_transport_options=waits)
        client.send_task(
            f"app.tasks.{job}",
            arguments,
            queue="ai" if job.startswith("ai.") else "mail",
            headers={INSTALLATION: installation},
            retry=False,
            ignore_result=True,
            **options,
        )


@contextmanager
def running(folder: Path, environ: Mapping[str, str], smtp: SmtpServer) -> Iterator[Stack]:
    """A stack, ended with the block."""
    stack = Stack(folder, environ, smtp)
    try:
        yield stack
    finally:
        stack.end_all()


def offset_to(moment: datetime) -> str:
    """TEST_CLOCK_OFFSET that makes it `moment` now."""
    return str((moment - datetime.now(UTC)).total_seconds())
