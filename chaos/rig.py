"""One installation with everything it needs, in a temp folder, and the hands that break it."""

import contextlib
import os
import random
import shutil
import smtplib
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import trustme
from kombu.exceptions import OperationalError
from sqlalchemy import delete, select

from app import installation, schema
from app.db import Database, DatabaseDown
from app.models import ENDS, Alert, Member, OutboxMail, Setting, State, Task
from app.refused import Refused
from app.reminders import brake
from app.util.tls import client_context
from chaos.checker import ACCEPTED, Due, Row, Verdict, check
from chaos.postgres import Postgres, children
from chaos.proxy import Proxy
from tests.fork_server import Part
from tests.http_server import serving
from tests.mail_server import MailServer
from tests.servers import RedisServer
from tests.smtp_plan import Accepted
from tests.stack import PYTHON, Processes, offset_to, send_job
from tests.token_endpoint import CLIENT, SECRET, TokenEndpoint, by_secret

DAY = date(2026, 11, 24)  # a Tuesday after a holiday
NINE = datetime(2026, 11, 24, 0, 0, 5, tzinfo=UTC)  # 09:00:05 in Tokyo
BUSY = 15.0  # seconds that this machine may add to a time that is required, if it is not busy
HANG = 300.0  # seconds after which something hangs; nothing that is required
RESTART_AFTER = 5.0  # RestartSec of our units
TICK_EXPIRES = 50.0  # as in the timetable
Kind = Literal["sqlite", "postgresql"]


@dataclass
class Settings:
    """What is different about one row's installation."""

    members: int = 20
    tags: Mapping[int, str] = field(default_factory=dict)  # member -> tags of the mail server
    names: Mapping[int, str] = field(default_factory=dict)
    values: Callable[[int], dict[str, Any]] = lambda _number: {}  # of a member, beyond the usual
    day: date = DAY  # the first local date of all
    connections: int = 1
    postgres_options: tuple[str, ...] = ()
    redis_options: tuple[str, ...] = ()
    clock: datetime = NINE
    oauth: bool = os.environ.get("LOGIN") == "oauth"  # all mails over TLS, with a login by token


class Rig(Processes):
    """The parts of one run. `scale` multiplies every wait; `seconds(x)` gives a scaled limit."""

    def __init__(
        self, folder: Path, shared: Path, *, kind: Kind, seed: int, scale: float, settings: Settings
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        super().__init__(folder, {})
        self.shared, self.kind, self.seed, self.scale = shared, kind, seed, scale
        self.settings = settings
        self.random = random.Random(f"{seed}")
        self.due: dict[Due, Collection[str]] = {}
        self.extra_allowed = 0
        self.skipped = False  # this machine cannot play the row
        self.ending = contextlib.ExitStack()
        self._start()

    def _start(self) -> None:
        self.redis = RedisServer(self.folder / "redis", *self.settings.redis_options).start()
        self.ending.callback(self.redis.kill)
        self.mail_server = MailServer(self.folder)
        if self.settings.oauth:
            self.mail_server.usual = self._login_by_token()
        self.mail_server.start()
        self.ending.callback(self.mail_server.stop)
        self.wire = Proxy(self.mail_server.port)
        self.ending.callback(self.wire.refuse)
        self.postgres: Postgres | None = None
        if self.kind == "postgresql":
            self.postgres = Postgres(
                self.folder / "pg", self.shared, *self.settings.postgres_options
            ).start()
            self.ending.callback(self.postgres.stop)
            self.to_database = Proxy(self.postgres.port)
            self.ending.callback(self.to_database.refuse)
            self.db = Database(self.postgres.url())
        else:
            self.db = Database(self._sqlite_url)
            schema.upgrade(self.db)
        self.ending.callback(self.db.close)
        self.ending.callback(self.end_all)
        with self.db.write() as session:  # that of the template, the same for all
            session.execute(delete(Setting).where(Setting.key == installation.KEY))
        self.installation = installation.Installation(self.db).id()
        self.environ |= self._settings()
        self._add_members()

    def _login_by_token(self) -> dict[str, Any]:
        """Starts a token endpoint whose tokens live for seconds; what the mail server is to know."""
        self.tokens = self.ending.enter_context(serving(TokenEndpoint(by_secret)))
        self.tokens.life = 10
        authority, user = trustme.CA(), "app@example.jp"
        authority.cert_pem.write_to_path(str(self.folder / "ca.pem"))
        shown = authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem
        shown.write_to_path(str(self.folder / "server.pem"))
        self.environ |= {
            "SMTP_CA_FILE": str(self.folder / "ca.pem"),
            "SMTP_AUTH": "xoauth2",
            "SMTP_USERNAME": user,
            "SMTP_OAUTH_PROVIDER": self.tokens.url,
            "SMTP_OAUTH_CLIENT_ID": CLIENT,
            "SMTP_OAUTH_CLIENT_SECRET": SECRET,
        }
        return {
            "tls": "starttls",
            "certificate": str(self.folder / "server.pem"),
            "login": [user, ""],
            "mechanisms": ["XOAUTH2"],
            "tokens": [self.tokens.token(number) for number in range(500)],
        }

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

    def _settings(self) -> dict[str, str]:
        url = self.postgres.url(port=self.to_database.port) if self.postgres else self._sqlite_url
        return {
            "LANG": "en_US.UTF-8",
            "DATABASE_URL": url,
            "DATA_DIR": str(self.folder),
            "CELERY_BROKER_URL": self.redis.url,
            "CELERY_RESULT_BACKEND": self.redis.url.removesuffix("/0") + "/1",
            "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": str(self.wire.port),
            "SMTP_SECURITY": "starttls" if self.settings.oauth else "none",
            "SMTP_CONNECTIONS": str(self.settings.connections),
            "MAIL_FROM": "Task Progress <app@example.jp>",
            "SECRET_KEY": "a made-up key for the rig only: 0123456789 abcdef",
            "TEST_TIME_SCALE": str(self.scale),
            "TEST_CLOCK_OFFSET": offset_to(self.settings.clock),
        }

    def set_clock(self, moment: datetime) -> None:
        """Processes started from now on live from this moment."""
        self.environ["TEST_CLOCK_OFFSET"] = offset_to(moment)

    def clock(self) -> datetime:
        """The moment in which the processes live."""
        return datetime.now(UTC) + timedelta(seconds=float(self.environ["TEST_CLOCK_OFFSET"]))

    def address(self, number: int) -> str:
        """The address of a member, with the tags that tell the mail server what to do."""
        tag = self.settings.tags.get(number, "")
        return f"member{number}{'+' if tag else ''}{tag}@example.jp"

    def _add_members(self) -> None:
        day = self.settings.day
        with self.db.write() as session:
            members = [self._member(number) for number in range(self.settings.members)]
            session.add_all(members)
            session.flush()
            for number, member in enumerate(members):
                task = Task(ref=f"T-{number}", title=f"作業 {number}", assignee_id=member.id)
                task.start_on = day - timedelta(days=20)
                session.add(task)
                self.due[Due(member.email, day)] = ACCEPTED

    def _member(self, number: int) -> Member:
        usual = {
            "email": self.address(number),
            "name": self.settings.names.get(number, f"社員 {number}"),
            "locale": "en" if number % 3 == 0 else "ja",
            "decided_through": self.settings.day - timedelta(days=1),
            "created_at": self.settings.clock,
        }
        return Member(**(usual | self.settings.values(number)))

    def expect(self, number: int, *ends: str) -> None:
        """This member's mail may end in one of these states."""
        self.due[Due(self.address(number), self.settings.day)] = frozenset(ends)

    # --- processes ----------------------------------------------------------------------------

    def sender(self, *arguments: str, **environ: str) -> Part:
        """The timer: plans, sweeps and delivers by itself. Returns when it has begun."""
        part = self.start("sender", PYTHON, "-m", "chaos.sender", *arguments, **environ)
        self.until_said(part, "begins")
        return part

    @contextlib.contextmanager
    def supervised(self, start: Callable[[], Part]) -> Iterator[list[Part]]:
        """Keeps a process running as systemd does; yields all that were started, the last one runs.

        Restart=always and RestartSec=5s, as in docs/systemd.md.
        """
        over, started = threading.Event(), [start()]

        def run() -> None:
            while not over.wait(0.05):
                if started[-1].poll() is not None and not over.wait(RESTART_AFTER * self.scale):
                    started.append(start())
            self.end(started[-1])  # or the kernel would, when this thread is gone

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            yield started
        finally:
            over.set()
            thread.join(150)

    def call(self, job: str, *arguments: Any, expires: float = 50) -> None:
        """Puts a job on the queue, as beat does; nothing happens when Redis is away."""
        job = f"notifications.{job}"
        with contextlib.suppress(OperationalError, OSError):
            send_job(self.redis.url, self.installation, job, *arguments, seconds=1, expires=expires)

    @contextlib.contextmanager
    def ticking(self) -> Iterator[None]:
        """What beat does, with a scaled minute (beat knows only the machine's own minutes)."""
        over = threading.Event()

        def run() -> None:
            while not over.is_set():
                with contextlib.suppress(Exception):
                    self.call("tick", expires=TICK_EXPIRES * self.scale)
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
        """A time that is required: so long in scaled time, and what a busy machine may add."""
        waiting = os.getloadavg()[0] / (os.cpu_count() or 1)  # programs for each processor
        return unscaled * self.scale + BUSY * max(1.0, waiting)

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

    def until(self, true: Callable[[], object], what: str, within: float | None = None) -> None:
        """Looks until something is true; what is not there yet is looked at again.

        `within`: unscaled seconds, where the time is required; without, only a hang ends it.
        """
        began, seconds = time.monotonic(), 0.0

        def look() -> object:
            try:
                return true()
            except (Refused, LookupError):
                return False

        while not look():
            # Asked again and again: the machine may have become busy only while we wait.
            required = HANG + 1500 * self.scale if within is None else self.seconds(within)
            seconds = max(seconds, required)
            if time.monotonic() - began > seconds:
                raise AssertionError(f"not within {seconds:.0f} s: {what}\n{self._tail()}")
            time.sleep(0.02)

    def until_sending(self) -> None:
        """The batch is on its way."""
        moving = {State.SENDING, State.IN_DOUBT, State.ACCEPTED}
        self.until(lambda: moving & set(self.states()), "a mail is being sent")

    def until_planned(self) -> None:
        """Every mail that is due stands in the outbox."""
        self.until(lambda: len(self.states()) >= len(self.due), "the plan")

    def drain(self, within: float | None = None) -> None:
        """Returns when all mails have ended; `within` so many unscaled seconds, if required."""

        def ended() -> bool:
            states = self.states()
            return len(states) >= len(self.due) and all(state in ENDS for state in states)

        self.until(ended, "all mails have ended", within)

    def _tail(self) -> str:
        with contextlib.suppress(DatabaseDown):
            states = self.states()
            counted = {state: states.count(state) for state in set(states)}
            return f"{counted}\n{self.logs()[-6000:]}"
        return self.logs()[-6000:]

    # --- breaking -----------------------------------------------------------------------------

    def pool(self, worker: Part) -> list[int]:
        """The pool processes of a worker."""
        return children(worker.pid)

    def allow_many(self) -> None:
        """An admin's word that an unusual number of mails is right today."""
        with self.db.write() as session:
            brake.allow(session, [self.settings.day.isoformat()], who="rig", now=NINE)

    def peak_megabytes(self, part: Part) -> float:
        """The most memory that one process of this part ever had; 0 when it is gone."""
        return max(peak_megabytes(pid) for pid in [part.pid, *children(part.pid)])

    def send_again(self, mail: Accepted) -> None:
        """For the self-test: a copy behind the outbox's back."""
        with smtplib.SMTP("127.0.0.1", self.mail_server.port) as client:
            if self.settings.oauth:
                client.starttls(context=client_context(self.folder / "ca.pem"))
                login = f"user=app@example.jp\1auth=Bearer {self.tokens.token(1)}\1\1"
                client.auth("XOAUTH2", lambda _=None: login)
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
        if self.settings.oauth:
            assert self.tokens.issued
            told = (self.tokens.begins, SECRET)
            found += ["a token or the secret is in a log" for one in told if one in self.logs()]
        return found + [
            f"unexpected error in a sender: {self._tail()}"
            for _ in range(self.logs("sender").count("UNEXPECTED") and 1)
        ]


def peak_megabytes(pid: int) -> float:
    """The most memory a process ever had; 0 when it is gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
    return 0.0
