"""One installation with everything it needs, in a temp folder, and the hands that break it."""

import contextlib
import os
import random
import shutil
import signal
import smtplib
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from celery import Celery
from kombu.exceptions import OperationalError
from sqlalchemy import select

from app import schema
from app.db import Database, DatabaseDown
from app.models import ENDS, Alert, Member, OutboxMail, State, Task
from app.reminders import brake
from chaos.checker import ACCEPTED, Due, Row, Verdict, check
from chaos.mail_server import PROJECT, MailServer
from chaos.postgres import Postgres, children
from chaos.proxy import Proxy
from tests.servers import RedisServer, die_with_parent, wait_until
from tests.smtp_plan import Accepted

DAY = date(2026, 11, 24)  # a Tuesday after a holiday
NINE = datetime(2026, 11, 24, 0, 0, 5, tzinfo=UTC)  # 09:00:05 in Tokyo
START = 15.0  # seconds that starting processes on a busy machine may add to any time
Kind = Literal["sqlite", "postgresql"]


@dataclass
class Settings:
    """What is different about one row's installation."""

    members: int = 20
    tags: Mapping[int, str] = field(default_factory=dict)  # member -> tags of the mail server
    names: Mapping[int, str] = field(default_factory=dict)
    connections: int = 1
    postgres_options: tuple[str, ...] = ()
    redis_options: tuple[str, ...] = ()
    clock: datetime = NINE


class Rig:
    """The parts of one run. `scale` multiplies every wait; `seconds(x)` gives a scaled limit."""

    def __init__(
        self, folder: Path, shared: Path, *, kind: Kind, seed: int, scale: float, settings: Settings
    ) -> None:
        self.folder, self.shared, self.kind, self.scale = folder, shared, kind, scale
        self.settings = settings
        self.random = random.Random(f"{seed}")
        self.due: dict[Due, Collection[str]] = {}
        self.extra_allowed = 0
        self.parts: list[subprocess.Popen[bytes]] = []
        self.ending = contextlib.ExitStack()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._start()

    def _start(self) -> None:
        self.redis = RedisServer(self.folder / "redis", *self.settings.redis_options).start()
        self.ending.callback(self.redis.kill)
        self.mail_server = MailServer(self.folder)
        self.mail_server.start()
        self.ending.callback(self.mail_server.stop)
        self.wire = Proxy(self.mail_server.port)
        self.ending.callback(self.wire.refuse)
        self.postgres: Postgres | None = None
        if self.kind == "postgresql":
            self.postgres = Postgres(
                self.folder / "pg", self.shared, *self.settings.postgres_options
            ).start()
            self.ending.callback(self.postgres.kill, signal.SIGINT)
            self.to_database = Proxy(self.postgres.port)
            self.ending.callback(self.to_database.refuse)
            self.db = Database(self.postgres.url())
        else:
            self.db = Database(self._sqlite_url)
            schema.prepare(self.db)
        self.ending.callback(self.db.close)
        self.ending.callback(self._end_parts)
        self.environ = self._environ()
        self._add_members()

    @property
    def _sqlite_url(self) -> str:
        return f"sqlite:///{self.folder / 'task-progress.sqlite3'}"

    @property
    def cluster(self) -> Postgres:
        """The PostgreSQL of a run that has one."""
        assert self.postgres is not None
        return self.postgres

    def close(self) -> None:
        """Ends all parts."""
        self.ending.close()
        shutil.rmtree(self.folder / "pg", ignore_errors=True)

    # --- the installation -------------------------------------------------------------------

    def _environ(self) -> dict[str, str]:
        url = self.postgres.url(self.to_database.port) if self.postgres else self._sqlite_url
        return {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(PROJECT),
            "LANG": "en_US.UTF-8",
            "DATABASE_URL": url,
            "DATA_DIR": str(self.folder),
            "CELERY_BROKER_URL": self.redis.url,
            "CELERY_RESULT_BACKEND": self.redis.url.removesuffix("/0") + "/1",
            "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": str(self.wire.port),
            "SMTP_SECURITY": "none",
            "SMTP_CONNECTIONS": str(self.settings.connections),
            "MAIL_FROM": "Task Progress <app@example.jp>",
            "SECRET_KEY": "a made-up key for the rig only: 0123456789 abcdef",
            "TEST_TIME_SCALE": str(self.scale),
            "TEST_CLOCK_OFFSET": offset_to(self.settings.clock),
        }

    def set_clock(self, moment: datetime) -> None:
        """Processes started from now on live from this moment."""
        self.environ["TEST_CLOCK_OFFSET"] = offset_to(moment)

    def address(self, number: int) -> str:
        """The address of a member, with the tags that tell the mail server what to do."""
        tag = self.settings.tags.get(number, "")
        return f"member{number}{'+' if tag else ''}{tag}@example.jp"

    def _add_members(self) -> None:
        with self.db.write() as session:
            for number in range(self.settings.members):
                member = Member(
                    email=self.address(number),
                    name=self.settings.names.get(number, f"社員 {number}"),
                    locale="en" if number % 3 == 0 else "ja",
                    decided_through=DAY - timedelta(days=1),
                    created_at=NINE,
                )
                session.add(member)
                session.flush()
                session.add(
                    Task(
                        ref=f"T-{number}",
                        title=f"作業 {number}",
                        assignee_id=member.id,
                        start_on=DAY - timedelta(days=20),
                    )
                )
                self.due[Due(member.email, DAY)] = ACCEPTED

    def expect(self, number: int, *ends: str, day: date = DAY) -> None:
        """This member's mail of this day may end in one of these states."""
        self.due[Due(self.address(number), day)] = frozenset(ends)

    # --- processes ----------------------------------------------------------------------------

    def start(self, name: str, *command: str, **environ: str) -> subprocess.Popen[bytes]:
        """A process of the installation; what it says goes to NAME.log."""
        with (self.folder / f"{name}-{len(self.parts)}.log").open("wb") as log:
            part = subprocess.Popen(
                [sys.executable, *command],
                cwd=self.folder,
                env={**self.environ, **environ},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - it calls only the kernel
            )
        self.parts.append(part)
        return part

    def sender(self, *arguments: str, **environ: str) -> subprocess.Popen[bytes]:
        """The timer: plans, sweeps and delivers by itself."""
        return self.start("sender", "-m", "chaos.sender", *arguments, **environ)

    def worker(self, *, wait: bool = True, **environ: str) -> subprocess.Popen[bytes]:
        """A Celery worker with two processes on the queue mail."""
        name = f"w{len(self.parts)}@localhost"
        arguments = ("-A", "app.celery_app.celery", "worker", "-Q", "mail", "-n", name)
        log = self.folder / f"worker-{len(self.parts)}.log"
        part = self.start("worker", "-m", "celery", *arguments, "-c", "2", "-l", "INFO", **environ)
        if wait:
            wait_until(lambda: b" ready." in log.read_bytes(), f"worker, see {log}")
        return part

    def logs(self, name: str = "") -> str:
        """All that the processes of this name said."""
        files = sorted(self.folder.glob(f"{name}*.log"))
        return "\n".join(file.read_text(errors="replace") for file in files)

    def end(self, part: subprocess.Popen[bytes], how: signal.Signals = signal.SIGKILL) -> None:
        """Ends a process; killed, its pool goes too."""
        with contextlib.suppress(ProcessLookupError):
            if how is signal.SIGKILL:
                os.killpg(part.pid, how)
            else:
                part.send_signal(how)
        part.wait(90)

    def _end_parts(self) -> None:
        for part in self.parts:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(part.pid, signal.SIGKILL)
            part.wait(10)

    def call(self, job: str, *arguments: Any, expires: float = 50) -> None:
        """Puts a job on the queue, as beat does; nothing happens when Redis is away."""
        broker = {"socket_connect_timeout": 1, "socket_timeout": 1}
        with Celery("rig", broker=self.redis.url, set_as_current=False) as client:
            client.conf.update(broker_transport_options=broker)
            with contextlib.suppress(OperationalError, OSError, ConnectionError):
                client.send_task(
                    f"app.tasks.notifications.{job}",
                    arguments,
                    queue="mail",
                    expires=expires,
                    retry=False,
                    ignore_result=True,
                )

    @contextlib.contextmanager
    def beat(self) -> Iterator[None]:
        """Beat with a scaled minute (the real one knows only the machine's own minutes)."""
        over = threading.Event()

        def run() -> None:
            while not over.is_set():
                with contextlib.suppress(Exception):
                    self.call("tick")
                over.wait(60 * self.scale)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(5)

    # --- looking ------------------------------------------------------------------------------

    def seconds(self, unscaled: float) -> float:
        """A limit: so long in scaled time, and what starting processes may add."""
        return unscaled * self.scale + START

    def pause(self, unscaled: float) -> None:
        """Lets scaled time pass."""
        time.sleep(unscaled * self.scale)

    def rows(self) -> list[OutboxMail]:
        """The outbox."""
        with self.db.read() as session:
            return list(session.scalars(select(OutboxMail).order_by(OutboxMail.id)))

    def states(self) -> list[str]:
        """The states of all mails, by id."""
        return [row.state for row in self.rows()]

    def row(self, number: int) -> OutboxMail:
        """The mail of one member. Raises LookupError before it is planned."""
        return {row.to_addr: row for row in self.rows()}[self.address(number)]

    def alerts(self) -> list[str]:
        """The names of all alerts there ever were."""
        with self.db.read() as session:
            return list(session.scalars(select(Alert.name).order_by(Alert.id)))

    def until(self, true: Callable[[], object], what: str, seconds: float) -> None:
        """Looks until something is true; what is not there yet is looked at again."""

        def look() -> object:
            try:
                return true()
            except (DatabaseDown, LookupError):
                return False

        try:
            wait_until(look, what, seconds)
        except TimeoutError:
            raise AssertionError(f"not within {seconds:.0f} s: {what}\n{self._tail()}") from None

    def until_sending(self) -> None:
        """The batch is on its way."""
        moving = {State.SENDING, State.IN_DOUBT, State.ACCEPTED}
        self.until(lambda: moving & set(self.states()), "a mail is being sent", 60)

    def drain(self, unscaled: float) -> None:
        """Returns when all mails have ended; at most so many unscaled seconds."""

        def ended() -> bool:
            states = self.states()
            return len(states) >= len(self.due) and all(state in ENDS for state in states)

        self.until(ended, "all mails have ended", self.seconds(unscaled))

    def _tail(self) -> str:
        with contextlib.suppress(DatabaseDown):
            states = self.states()
            counted = {state: states.count(state) for state in set(states)}
            return f"{counted}\n{self.logs()[-6000:]}"
        return self.logs()[-6000:]

    # --- breaking -----------------------------------------------------------------------------

    def pool(self, worker: subprocess.Popen[bytes]) -> list[int]:
        """The pool processes of a worker."""
        return children(worker.pid)

    def allow_many(self) -> None:
        """An admin's word that an unusual number of mails is right today."""
        with self.db.write() as session:
            brake.allow(session, [DAY.isoformat()], who="rig", now=NINE)

    def peak_megabytes(self, part: subprocess.Popen[bytes]) -> float:
        """The most memory a process ever had; 0 when it is gone."""
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{part.pid}/status").read_text().splitlines():
                if line.startswith("VmHWM"):
                    return int(line.split()[1]) / 1024
        return 0.0

    def send_again(self, mail: Accepted) -> None:
        """For the self-test: a copy behind the outbox's back."""
        with smtplib.SMTP("127.0.0.1", self.mail_server.port) as client:
            client.sendmail(mail.sender, [mail.recipient], mail.data)

    # --- the end ------------------------------------------------------------------------------

    def verdict(self) -> Verdict:
        """The checker's word on this run."""
        rows = [
            Row(row.to_addr, row.local_date, row.message_id, row.state, row.doubts)
            for row in self.rows()
        ]
        return check(self.due, self.mail_server.mails(), rows)

    def faults(self) -> list[str]:
        """All that broke a promise in this run: the checker's, and errors no sender expects."""
        found = self.verdict().faults(self.extra_allowed)
        return found + [
            f"unexpected error in a sender: {self._tail()}"
            for _ in range(self.logs("sender").count("UNEXPECTED") and 1)
        ]


def offset_to(moment: datetime) -> str:
    """TEST_CLOCK_OFFSET that makes it `moment` now."""
    return str((moment - datetime.now(UTC)).total_seconds())
