"""Whether reads of the API delay a morning's mails: the same morning with and without 20 reads a second.

20,000 members in 1,000 teams with 90 days of rows on PostgreSQL. 1,500 of them are due at nine: one
tick decides, a worker of two processes with SMTP_CONNECTIONS=4 sends, and the mail server answers
after 20 ms, as one elsewhere does. A server on the same machine that answers at once would make
every morning as long as the processor needs for it, and any other work a delay of as much: that is
no morning that anybody has. The reads are all those of bench/api.py in turn, by many tokens, each
over a connection of its own as nginx makes them, against gunicorn as the unit starts it (Nice=5; its
CPUWeight is for systemd alone to set), on the same PostgreSQL and Redis; each is sent when its turn
comes, however long others take.

A mail's delay is the time from handing the tick over, at the minute in which it is due, to the mail
server's acceptance. Mornings with and without reads take turns in one run, each with members of
its own; the middle of the pairs' ratios counts, of the median mail's delay and of the last one's.
`python -m bench.mails_beside_api`, `--quick` (2,000 members, 200 due, nothing stored); `make
bench-api-mails`. Exits 1 when a ratio is above 1.05, or reads were refused or fell behind.
"""

import argparse
import contextlib
import http.client
import itertools
import json
import os
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from celery import Celery
from sqlalchemy import func, select, update

from app import create_app, reminders
from app.config import load
from app.models import OPEN, Kind, Member, OutboxMail
from app.queue.application import make_celery
from app.queue.publishing import publisher
from app.services import Services, make
from app.systemd import programs
from bench import members, morning, report
from bench.api import CALLERS, CALLS, callers, wanted
from bench.api import READ as READ_WITHIN
from bench.delivery import Bench, _load, _servers, machine
from bench.large_morning import GIVE_UP, LOOK_EVERY, _ticking
from bench.rig import Missing, beside, slow
from bench.web import DAYS, MEMBERS, QUICK, fill
from tests import servers

RESULTS = Path(__file__).parent / "results" / "mails_beside_api.json"
DUE, QUICK_DUE = 1_500, 200
PAIRS, QUICK_PAIRS = 6, 4  # two mornings each, of members that had none before
CONNECTIONS = 4  # of each of the two processes
ANSWERS_AFTER = 20  # milliseconds
READS = 20  # a second
LATER_AT_MOST = 1.05
BEHIND_AT_MOST = 1.0  # seconds
WARM = 100  # members of a morning before the first one that counts


@dataclass(frozen=True)
class Morning:
    """One morning: seconds from the tick to the median mail and to the last one."""

    median: float
    last: float


@dataclass(frozen=True)
class Pair:
    """Two mornings, one right after the other."""

    without: Morning
    beside: Morning  # with reads

    def of(self, which: str) -> float:
        """How many times as late "median" or "last" is with reads."""
        return float(getattr(self.beside, which) / getattr(self.without, which))


@dataclass
class Reads:
    """What the programs see."""

    port: int
    paths: list[tuple[str, str]]  # token and path
    took: list[float] = field(default_factory=list)  # seconds
    behind: float = 0.0  # seconds by which one was sent too late, at most

    @contextlib.contextmanager
    def asked(self) -> Iterator[None]:
        """READS a second while the block runs. Raises RuntimeError where one was refused."""
        sent: list[Future[None]] = []
        # On Linux of the thread alone: callers are elsewhere, and take no processor from a morning.
        with (
            ThreadPoolExecutor(READS * 2, initializer=os.nice, initargs=(10,)) as pool,
            beside(lambda over: self._send(pool, over, sent)),
        ):
            yield
        for one in sent:
            one.result()

    def _send(
        self, pool: ThreadPoolExecutor, over: threading.Event, sent: list["Future[None]"]
    ) -> None:
        began = time.monotonic()
        for n, (key, path) in enumerate(itertools.cycle(self.paths)):
            due = began + n / READS
            if over.wait(max(0.0, due - time.monotonic())):
                return
            sent.append(pool.submit(self._read, key, path, due))

    def _read(self, key: str, path: str, due: float) -> None:
        began = time.monotonic()
        self.behind = max(self.behind, began - due)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("GET", f"/api/v1{path}", headers={"Authorization": f"Bearer {key}"})
        answer = connection.getresponse()
        said = answer.read()
        connection.close()
        if answer.status != 200:
            raise RuntimeError(f"GET {path}: {answer.status} {said!r}")
        self.took.append(time.monotonic() - began)


@contextlib.contextmanager
def pages(environ: dict[str, str], folder: Path) -> Iterator[int]:
    """gunicorn as its unit starts it; yields the port."""
    port, log = servers.free_port(), folder / "web.log"
    command = ["nice", "-n", "5", *programs.web(Path(sys.executable).parent, port)]
    environment = {"PATH": "/usr/bin:/bin", **environ}
    process = servers.spawn(command, log, cwd=morning.PROJECT, env=environment)
    try:
        servers.wait_until(lambda: servers.accepts(port), f"gunicorn, see {log}", 60)
        yield port
    finally:
        process.terminate()
        process.wait(30)


def measure(bench: Bench, number: int, due: int, pairs: int) -> tuple[list[Pair], Reads]:
    """Plays so many pairs of mornings, each second one with the reads first."""
    url = bench.copy("postgresql", "")
    with (
        slow(bench.folder, bench.smtp_port, ANSWERS_AFTER) as port,
        contextlib.ExitStack() as stack,
    ):
        environ = bench._environ(url, CONNECTIONS, port)
        config = load(environ, bench.folder)
        services = make(config, publisher(celery := make_celery(config), 1))
        stack.callback(services.db.close)
        fill(services, number, members.YESTERDAY)
        _nobody_is_due(services)
        ahead = members.NOW - datetime.now(UTC) + timedelta(seconds=1)
        environ["TEST_CLOCK_OFFSET"] = str(ahead.total_seconds())
        stack.enter_context(morning.worker(environ, bench.folder))
        reads = Reads(stack.enter_context(pages(environ, bench.folder)), _paths(services))
        play = _Player(services, celery, ahead, reads)
        play.morning(WARM, beside=True)
        reads.took.clear()
        reads.behind = 0.0
        return [play.pair(due, first=n % 2 == 1) for n in range(pairs)], reads


@dataclass
class _Player:
    """Plays mornings, each with the members that come next."""

    services: Services
    celery: Celery
    ahead: timedelta  # of the programs' clock
    reads: Reads
    played: int = 0  # members

    def pair(self, due: int, *, first: bool) -> Pair:
        """Two mornings; `first`: the one with reads is."""
        found = {beside: self.morning(due, beside=beside) for beside in (first, not first)}
        sys.stderr.write(f"without {found[False]}\nwith    {found[True]}\n")
        return Pair(found[False], found[True])

    def morning(self, due: int, *, beside: bool) -> Morning:
        """The next members are due; from the tick to the last mail, and to the last of any kind."""
        with self.services.db.write() as session:
            ids = range(self.played + 1, self.played + due + 1)
            now = update(Member).where(Member.id.in_(ids)).values(next_due_at=members.NOW)
            session.execute(now)
            before = session.scalar(select(func.max(OutboxMail.id))) or 0
        self.played += due
        with self.reads.asked() if beside else contextlib.nullcontext():
            handed = datetime.now(UTC) + self.ahead
            with _ticking(self.celery):
                at = self._accepted(before, due)
        delays = [(one - handed).total_seconds() for one in at]
        return Morning(statistics.median(delays), max(delays))

    def _accepted(self, before: int, due: int) -> list[datetime]:
        """When each reminder was, once nothing waits any more."""
        reminders = (OutboxMail.id > before, OutboxMail.kind == Kind.REMINDER)
        query = select(OutboxMail.accepted_at).where(*reminders)
        waiting = select(func.count()).select_from(OutboxMail).where(OPEN)
        give_up = time.monotonic() + GIVE_UP
        while time.monotonic() < give_up:
            time.sleep(LOOK_EVERY)
            with self.services.db.read() as session:
                if session.scalar(waiting):
                    continue
                at = [one for one in session.scalars(query) if one is not None]
                if len(at) >= due:
                    return at
        raise RuntimeError("not all mails were accepted")


def _nobody_is_due(services: Services) -> None:
    """All are as after yesterday's morning, and their next hour is not looked for again."""
    reminders.plan(services, members.EARLIER)
    with services.db.write() as session:
        session.execute(update(Member).values(next_due_at=members.NOW + timedelta(days=1)))


def _paths(services: Services) -> list[tuple[str, str]]:
    """Tokens with a read each: those of bench/api.py in turn, by all callers."""
    app = create_app(services.config, services)
    asking = {role: callers(app, services, role) for role in ("admin", "lead", "member")}
    gets = [one for one in CALLS if wanted(one.name) == READ_WITHIN]
    return [
        (caller.program.key, one.make(n, caller)[1])
        for n in range(CALLERS)
        for one in gets
        for caller in (asking[one.role][n],)
    ]


def verdict(pairs: list[Pair], reads: Reads) -> dict[str, float]:
    """The ratios, and how the reads fared."""
    return {
        "median_ratio": round(statistics.median(one.of("median") for one in pairs), 3),
        "last_ratio": round(statistics.median(one.of("last") for one in pairs), 3),
        "reads": len(reads.took),
        "read_median_ms": round(statistics.median(reads.took) * 1000, 1),
        "read_behind_s": round(reads.behind, 2),
    }


def main() -> int:
    """The command; 0 also where smtp-sink is missing, as there is nothing to measure then."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true", help="2,000 members, nothing stored")
    quick = options.parse_args().quick
    number, due, pairs = (QUICK, QUICK_DUE, QUICK_PAIRS) if quick else (MEMBERS, DUE, PAIRS)
    try:
        with _servers() as bench:
            found, reads = measure(bench, number, due, pairs)
            about = {**machine(bench.postgresql), "load": _load()}
    except Missing as error:
        sys.stderr.write(f"Not measured / 測定しませんでした: {error}\n")
        return 0
    said = verdict(found, reads)
    sys.stdout.write(json.dumps(said, indent=1) + "\n")
    if not quick:
        date = datetime.now(UTC).date().isoformat()
        shape = {"members": number, "days": DAYS, "due": due, "reads_per_second": READS}
        results = {"date": date, "machine": about, **shape, **said}
        results["pairs"] = [asdict(one) for one in found]
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")
        report.write_beside(results)
    late = max(said["median_ratio"], said["last_ratio"]) > LATER_AT_MOST
    return int(late or said["read_behind_s"] > BEHIND_AT_MOST)


if __name__ == "__main__":
    sys.exit(main())
