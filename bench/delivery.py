"""Mails per second, from the database to "accepted" and recorded, beside other senders.

The plain loop and smtp-source run right before each measurement, all three times over; the middle
counts, of rates and of ratios, because the machine is shared. `python -m bench.delivery`, `--quick`, `--database`, `--only TEXT`.
"""

import argparse
import contextlib
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from app import schema
from app.config import load
from app.db import Database
from app.letters import read_again
from app.outbox.claim import claim
from app.outbox.mail_channel import MailChannel
from app.outbox.precheck import Send
from app.reminders import plan
from app.services import make
from bench import members, morning, report, targets
from bench.rig import Child, Missing, PostgreSQL, slow, smtp_sink, tool
from tests import servers

RESULTS = Path(__file__).parent / "results"
SIZES = (20, 2_000, 20_000)
CONNECTIONS = (1, 8, 32)
REPEATS = 3
PEER_MAILS = 500  # the plain loop needs more than a second for so many
SOURCE_MAILS = 5_000
FAR = {20: 400, 100: 160}  # milliseconds per answer: mails sent
FAR_PEER = {20: 60, 100: 12}
FAR_SOURCE = {20: 96, 100: 32}
KEY = "a made-up key for the bench: 0123456789 abcdefghij"


@dataclass(frozen=True)
class Case:
    """One thing to measure. `what`: ready, due, smtplib or smtp-source."""

    what: str
    database: str  # "postgresql", "sqlite"; "" for the peers
    mails: int
    connections: int
    delay_ms: int = 0
    processes: int = 1


@dataclass(frozen=True)
class Measured:
    """One run of a case, and the peers' mails per second right before it."""

    mails: int
    seconds: float
    peak_mib: float = 0.0
    commits: float = 0.0  # per mail
    cpu_seconds: float = 0.0
    smtplib: float = 0.0
    smtp_source: float = 0.0

    @property
    def rate(self) -> float:
        """Mails per second."""
        return self.mails / self.seconds


class Bench:
    """The servers, the prepared databases, and one way to measure each kind of case."""

    def __init__(self, folder: Path, postgresql: PostgreSQL, redis: str, smtp_port: int) -> None:
        self.folder = folder
        self.postgresql = postgresql
        self.redis = redis
        self.smtp_port = smtp_port
        self.message_bytes = 8_000
        self.profile = False

    # --- databases ----------------------------------------------------------------------

    def prepare(self, kind: str, mails: int) -> None:
        """The originals `due_N` and `ready_N`, of which each measurement gets a copy."""
        self.prepare_due(kind, mails)
        self._original(kind, f"ready_{mails}", f"due_{mails}", self._plan)

    def prepare_due(self, kind: str, mails: int) -> None:
        """The original `due_N` alone."""
        self._original(kind, f"due_{mails}", "", lambda url: self._fill(url, mails))

    def _original(self, kind: str, name: str, source: str, make_it: Callable[[str], None]) -> None:
        make_it(self.copy(kind, source, name))
        if kind == "postgresql":
            self.postgresql.tidy(name)

    def copy(self, kind: str, source: str, name: str = "measured") -> str:
        """A database `name` like `source` ("": an empty one); returns its URL."""
        if kind == "postgresql":
            return self.postgresql.copy(source or "template1", name)
        file = self.folder / f"{name}.sqlite3"
        for old in (file, Path(f"{file}-wal"), Path(f"{file}-shm")):
            old.unlink(missing_ok=True)
        if source:
            shutil.copyfile(self.folder / f"{source}.sqlite3", file)
            os.sync()
        return f"sqlite:///{file}"

    @staticmethod
    def _fill(url: str, mails: int) -> None:
        with contextlib.closing(Database(url)) as database:
            schema.upgrade(database)
            members.fill(database, mails)

    def _plan(self, url: str) -> None:
        services = make(load(self._environ(url, 1, self.smtp_port), self.folder))
        planned = plan(services, members.NOW)
        with services.db.read() as session:
            (mail,) = claim(session, planned.ids, "mail", now=members.NOW, scale=1, at_most=1)
            (letter,) = read_again(services, session, [mail], members.NOW)
        if isinstance(letter, Send):
            self.message_bytes = len(MailChannel(services).prepare(mail, letter.message).data)
        if planned.held:
            raise RuntimeError("the brake holds the mails that were to be measured")
        services.db.close()

    def _environ(self, url: str, connections: int, port: int) -> dict[str, str]:
        return {
            "DATABASE_URL": url,
            "DATA_DIR": str(self.folder),
            "CELERY_BROKER_URL": self.redis,
            "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": str(port),
            "SMTP_SECURITY": "none",
            "SMTP_CONNECTIONS": str(connections),
            "MAIL_FROM": "Task Progress <app@example.jp>",
            "MAIL_REPLY_TO": "Support <support@example.jp>",
            "APP_BASE_URL": "https://progress.example.jp",
            "SECRET_KEY": KEY,
        }

    # --- measuring ----------------------------------------------------------------------

    def measure(self, case: Case) -> Measured:
        """Runs a case once."""
        with slow(self.folder, self.smtp_port, case.delay_ms) as port:
            if case.what == "smtp-source":
                return self._smtp_source(case, port)
            return self._children(case, port)

    def morning(self, kind: str) -> dict[str, float]:
        """Seconds for a team of 20: see bench/morning.py."""
        url = self.copy(kind, "")
        self._fill(url, morning.members())
        _flush(self.redis)
        return morning.measure(self._environ(url, 1, self.smtp_port), self.folder)

    def _children(self, case: Case, port: int) -> Measured:
        kind = case.database or "sqlite"
        source = f"due_{case.mails}" if case.what == "due" else f"ready_{case.mails}"
        if case.what == "smtplib":
            source = "ready_20"
        url = self.copy(kind, source)
        _flush(self.redis)
        task = {
            "what": case.what,
            "mails": case.mails,
            "environ": self._environ(url, case.connections, port),
            "folder": str(self.folder),
            "profile": self.profile and case.what != "smtplib",
        }
        parts = range(case.processes)
        children = [Child({**task, "part": [part, len(parts)]}) for part in parts]
        before = self._commits(kind)
        for child in children:
            child.go()
        results = [child.result() for child in children]
        mails = sum(one["mails"] for one in results)
        wanted = case.mails - (case.processes - 1) * members.WARM
        if mails != wanted:
            raise RuntimeError(f"{case}: {mails} accepted, not {wanted}")
        commits = self._commits(kind) - before or sum(one["commits"] for one in results)
        return Measured(
            mails=mails,
            seconds=max(one["ended"] for one in results) - min(one["began"] for one in results),
            peak_mib=max(one["peak_kib"] for one in results) / 1024,
            commits=commits / mails,
            cpu_seconds=sum(one["cpu"] for one in results),
        )

    def _commits(self, kind: str) -> int:
        if kind != "postgresql":
            return 0
        time.sleep(1.2)  # a backend reports what it did a second late
        return self.postgresql.commits("measured")

    def _smtp_source(self, case: Case, port: int) -> Measured:
        command = [
            tool("smtp-source"), "-d", "-s", str(case.connections), "-m", str(case.mails),
            "-l", str(self.message_bytes), "-f", "app@example.jp", "-t", "member@example.jp",
            f"127.0.0.1:{port}",
        ]  # fmt: skip
        began = time.monotonic()
        subprocess.run(command, check=True)
        return Measured(case.mails, time.monotonic() - began)


def _flush(url: str) -> None:
    import redis  # noqa: PLC0415

    with redis.Redis.from_url(url) as client:
        client.flushall()


# --- the whole run -------------------------------------------------------------------------


def cases(databases: list[str], sizes: list[int]) -> list[Case]:
    """Everything to measure, in the order of one round."""
    near = [
        Case("ready", database, mails, connections)
        for mails in sizes
        for database in databases
        for connections in CONNECTIONS
    ]
    due = [Case("due", database, mails, 32) for mails in sizes for database in databases]
    two = [Case("ready", database, max(sizes), 8, processes=2) for database in databases]
    far = [
        Case("ready", database, mails, connections, delay)
        for delay, mails in FAR.items()
        for database in databases
        for connections in (1, 8)
    ]
    return [*near, *due, *two, *far]


def run(bench: Bench, chosen: list[Case], repeats: int) -> dict[Case, list[Measured]]:
    """Measures all cases in turn, `repeats` times, its peers right before each."""
    runs: dict[Case, list[Measured]] = {case: [] for case in chosen}
    for number in range(repeats):
        for case in chosen:
            found = _twice_if_needed(partial(_beside_peers, bench, case))
            loop, source = found.smtplib, found.smtp_source
            runs[case].append(found)
            _progress(
                f"{number + 1}/{repeats} {case}: {found.rate:.0f}/s"
                f" smtplib {loop:.0f}/s smtp-source {source:.0f}/s"
            )
    return runs


def _beside_peers(bench: Bench, case: Case) -> Measured:
    loop, source = (bench.measure(peer) for peer in peers(case))
    return replace(bench.measure(case), smtplib=loop.rate, smtp_source=source.rate)


def _twice_if_needed(measure: Callable[[], Measured]) -> Measured:
    """On a machine with much else to do a server may be slow to start; half an hour is not lost."""
    try:
        return measure()
    except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
        _progress(f"once more: {error}")
        return measure()


def peers(case: Case) -> tuple[Case, Case]:
    """What the case is compared with: the same delay, as many connections."""
    delay, connections = case.delay_ms, case.connections * case.processes
    loop = Case("smtplib", "", FAR_PEER.get(delay, PEER_MAILS), 1, delay)
    return loop, Case("smtp-source", "", FAR_SOURCE.get(delay, SOURCE_MAILS), connections, delay)


def _summary(case: Case, runs: list[Measured]) -> dict[str, Any]:
    """A case with the middle of its runs; ratios are those of neighbours, then the middle."""
    middle = statistics.median
    return {
        **asdict(case),
        "rate": middle(one.rate for one in runs),
        "times_smtplib": middle(one.rate / one.smtplib for one in runs),
        "of_smtp_source": middle(one.rate / one.smtp_source for one in runs),
        "smtplib": middle(one.smtplib for one in runs),
        "smtp_source": middle(one.smtp_source for one in runs),
        "peak_mib": max(one.peak_mib for one in runs),
        "commits": middle(one.commits for one in runs),
        "cpu_us": middle(one.cpu_seconds / one.mails * 1e6 for one in runs),
        "runs": [asdict(one) for one in runs],
    }


def machine(postgresql: PostgreSQL) -> dict[str, object]:
    """What the numbers were measured on, as a class of machine."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "cores": os.cpu_count(),
        "cpu": cpu,
        "memory_gib": round(memory),
        "python": platform.python_version(),
        "postgresql": postgresql.version,
    }


def _load() -> float:
    return round(os.getloadavg()[0], 1)


def _progress(line: str) -> None:
    sys.stderr.write(f"{line}\n")


@contextlib.contextmanager
def _servers() -> Iterator[Bench]:
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tp-bench-")))
        port = stack.enter_context(smtp_sink(folder))
        redis = servers.RedisServer(folder / "redis").start()
        stack.callback(redis.kill)
        postgresql = stack.enter_context(PostgreSQL(folder / "pg").running())
        yield Bench(folder, postgresql, redis.url, port)


def main() -> int:
    """The command; 0 also where smtp-sink is missing, as there is nothing to measure then."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true", help="20 and 2,000 mails only")
    arguments.add_argument("--database", choices=["postgresql", "sqlite"], action="append")
    arguments.add_argument("--only", default="", help="cases whose text holds this; writes nothing")
    arguments.add_argument("--repeats", type=int, default=REPEATS)
    arguments.add_argument("--profile", action="store_true", help="say where the time goes")
    given = arguments.parse_args()
    databases = given.database or ["postgresql", "sqlite"]
    sizes = list(SIZES[:2] if given.quick else SIZES)
    chosen = [case for case in cases(databases, sizes) if given.only in str(case)]
    if not chosen:
        arguments.error(
            f"--only: no case holds {given.only!r}; one is {cases(databases, sizes)[0]}"
        )
    try:
        with _servers() as bench:
            bench.profile = given.profile
            # The plain loop takes its words from the first of these.
            for database, mails in {("sqlite", 20), *((one.database, one.mails) for one in chosen)}:
                bench.prepare(database, mails)
            before = _load()
            found = run(bench, chosen, given.repeats)
            mornings = {} if given.only else {one: bench.morning(one) for one in databases}
            about = {**machine(bench.postgresql), "load_before": before, "load_after": _load()}
    except Missing as error:
        _progress(f"Not measured / 測定しませんでした: {error}")
        return 0
    results = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": about,
        "message_bytes": bench.message_bytes,
        "repeats": given.repeats,
        "mornings": mornings,
        "cases": [_summary(case, runs) for case, runs in found.items()],
    }
    sys.stdout.write(f"{report.table(results)}\n{targets.table(results)}")
    if not given.only and not given.database:
        name = "quick" if given.quick else "full"
        RESULTS.mkdir(exist_ok=True)
        text = json.dumps(results, indent=1, ensure_ascii=False) + "\n"
        (RESULTS / f"{results['date']}-{name}.json").write_text(text, encoding="utf-8")
        report.write(results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
