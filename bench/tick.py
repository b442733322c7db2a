"""What a tick costs when 200 members are due: of 2,000 members, and of 200,000; and deciding 20,000.

The others were decided this morning; everybody has a task, today's decision and mail, and three
workdays of decisions before it. The two sizes are measured in turn, and the middle of the runs
counts: the machine is shared. At nine 20,000 members are due at once, each of three workdays:
the middle one counts, with the processor time of the planning process. `python -m bench.tick`, `--database`, `--quick`; `make bench-tick`.
"""

import argparse
import contextlib
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Date, bindparam, text

from app import outbox, reminders, schema
from app.config import load
from app.services import Services, make
from app.why.reminder import explain
from bench import members as organisation
from bench.rig import PostgreSQL

RESULTS = Path(__file__).parent / "results" / "tick.json"
SIZES = (2_000, 200_000)
DUE = 200
REPEATS = 11
TARGET = 1.5  # times the small one, at most
NOW = datetime(2026, 11, 26, 1, 0, tzinfo=UTC)  # Thursday, 10:00 in Tokyo
TODAY = date(2026, 11, 26)
DAYS = ("2026-11-19", "2026-11-20", "2026-11-24", "2026-11-25", "2026-11-26")
MORNING = 20_000  # members due at once
MORNINGS = 3
WHY_DAYS = 90  # `why` is asked where each of 20,000 members has so many rows
WHY_MEMBERS = 20_000

# One row per number; both databases know recursive queries.
_NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {members}) "
_MEMBERS = """
    INSERT INTO users (email, name, role, active, decided_through, next_due_at, created_at)
    {numbers} SELECT 'm' || i || '@example.jp', 'メンバー ' || i, 'member', {yes}, '2026-11-26',
    '2026-11-27 00:00:00.000000', '2026-11-01 00:00:00.000000' FROM n
"""
_TASKS = """
    INSERT INTO tasks (ref, title, assignee_id, status, start_on, report_every)
    SELECT 'T-' || id, 'タスク', id, 'open', '2026-11-02', 'daily' FROM users
"""
_DECISIONS = """
    INSERT INTO decisions (user_id, slot, local_date, verdict, facts, at, decided_at)
    SELECT id, 'reminder', '{day}', 'send', '{{"frequency": "daily", "tasks": []}}',
    '{day} 00:00:00.000000', '{day} 00:00:00.000000' FROM users
"""
_MAILS = """
    INSERT INTO outbox (dedupe_key, decision_id, user_id, kind, local_date, n, to_addr, message_id,
    date_header, state, clock_shift, not_before, expires_at, claims, retries, doubts, accepted_at,
    created_at, updated_at)
    SELECT 'reminder-' || user_id || '-' || local_date || '-0', id, user_id, 'reminder', local_date,
    0, 'm@example.jp', 'x', at, 'accepted', 0, at, at, 1, 0, 1, at, at, at FROM decisions
    WHERE local_date = '2026-11-26'
"""


@dataclass
class Size:
    """One prepared database, and how often it was measured."""

    members: int
    services: Services
    runs: int = 0


def services_on(url: str, folder: Path) -> Services:
    """The application's services on this database; nothing is delivered here."""
    key = "a made-up key for the bench: 0123456789 abcdefghij"
    settings = {"DATABASE_URL": url, "DATA_DIR": str(folder), "SECRET_KEY": key}
    return make(load(settings | {"MAIL_FROM": "app@example.jp", "SMTP_HOST": "127.0.0.1"}, folder))


def fill(services: Services, members: int, days: tuple[str, ...]) -> None:
    """Members with a task, decisions of these days and the mails of today."""
    schema.upgrade(services.db)
    yes = "1" if services.db.is_sqlite else "true"
    numbers = _NUMBERS.format(members=members)
    with services.db.write() as session:
        session.execute(text(_MEMBERS.format(numbers=numbers, yes=yes)))
        session.execute(text(_TASKS))
        for day in days:
            session.execute(text(_DECISIONS.format(day=day)))
        session.execute(text(_MAILS))
    with services.db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as bare:
        bare.execute(text("ANALYZE" if services.db.is_sqlite else "VACUUM ANALYZE"))


def make_due(size: Size) -> None:
    """200 members have today still before them; what they had of today goes to a day long ago."""
    size.runs += 1
    ours = f"user_id % :step = 0 AND local_date = '{TODAY}'"
    past = {"step": size.members // DUE, "day": date(2020, 1, 1) + timedelta(days=size.runs)}
    move = f"UPDATE decisions SET local_date = :day WHERE {ours}"  # noqa: S608 - all ours
    end = (
        "UPDATE outbox SET local_date = :day, state = 'accepted', accepted_at = created_at, "  # noqa: S608 - all ours
        f"dedupe_key = dedupe_key || '-{size.runs}' WHERE {ours}"
    )
    due = (
        "UPDATE users SET decided_through = '2026-11-25', "
        "next_due_at = '2026-11-26 00:00:00.000000' WHERE id % :step = 0"
    )
    with size.services.db.write() as session:
        for statement in (end, move):
            session.execute(text(statement).bindparams(bindparam("day", type_=Date())), past)
        session.execute(text(due), {"step": past["step"]})
    if size.services.db.is_sqlite:  # the tick shall not pay for writing this back
        with size.services.db.engine.connect().execution_options(
            isolation_level="AUTOCOMMIT"
        ) as bare:
            bare.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))


def tick(size: Size) -> float:
    """Seconds of one tick with 200 members due, its mails made ready and found by the sweep."""
    make_due(size)
    begin = time.perf_counter()
    planned = reminders.plan(size.services, NOW)
    ids = outbox.sweep(size.services, NOW)
    seconds = time.perf_counter() - begin
    if (len(planned.ids), len(ids)) != (DUE, DUE):
        raise RuntimeError(f"{len(planned.ids)} planned, {len(ids)} found, {planned.held} held")
    return seconds


def idle(size: Size) -> float:
    """Seconds of a tick with nobody due (the mails of the one before still wait)."""
    begin = time.perf_counter()
    reminders.plan(size.services, NOW)
    outbox.sweep(size.services, NOW)
    return time.perf_counter() - begin


def measure(sizes: list[Size]) -> list[dict[str, Any]]:
    """The middle seconds of each size, measured in turn after one run each to warm up."""
    full: dict[int, list[float]] = {size.members: [] for size in sizes}
    nobody: dict[int, list[float]] = {size.members: [] for size in sizes}
    for n in range(REPEATS + 1):
        for size in sizes:
            seconds, rest = tick(size), idle(size)
            if n:
                full[size.members].append(seconds)
                nobody[size.members].append(rest)
    return [
        {
            "members": size.members,
            "due": DUE,
            "seconds": round(statistics.median(full[size.members]), 4),
            "idle_seconds": round(statistics.median(nobody[size.members]), 4),
        }
        for size in sizes
    ]


def morning(services: Services, members: int) -> dict[str, Any]:
    """What deciding and writing the mails costs when everybody's hour comes at once."""
    schema.upgrade(services.db)
    organisation.fill(services.db, members - organisation.WARM)
    seconds, processor = [], []
    for day in range(MORNINGS):
        begin, used = time.perf_counter(), time.process_time()
        planned = reminders.plan(services, organisation.NOW + timedelta(days=day))
        seconds.append(time.perf_counter() - begin)
        processor.append(time.process_time() - used)
        if len(planned.ids) != members:
            raise RuntimeError(f"{len(planned.ids)} planned, {planned.held} held")
    took = statistics.median(seconds)
    return {
        "due": members,
        "seconds": round(took, 2),
        "ms_per_member": round(took / members * 1000, 3),
        "cpu_ms_per_member": round(statistics.median(processor) / members * 1000, 3),
    }


def why_seconds(services: Services) -> float:
    """The middle seconds of `why` about one of the members."""
    seconds = []
    for n in range(1, REPEATS + 1):
        begin = time.perf_counter()
        explain(services, f"m{n * 100}@example.jp", TODAY, NOW)
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds)


@contextlib.contextmanager
def urls(kind: str, folder: Path) -> Iterator[list[str]]:
    """Four empty databases of this kind, while the block runs."""
    names = [f"bench_{n}" for n in range(4)]
    if kind == "sqlite":
        yield [f"sqlite:///{folder}/{name}.sqlite3" for name in names]
        return
    with PostgreSQL(folder / "pg").running() as server:
        yield [server.copy("template1", name) for name in names]


def run(kind: str, folder: Path, *, quick: bool) -> dict[str, Any]:
    """All figures of one kind of database."""
    sizes = [size // 10 if quick else size for size in SIZES]
    with urls(kind, folder) as (small, large, history, full):
        made = []
        for url, members in zip((small, large), sizes, strict=True):
            made.append(Size(members, services_on(url, folder)))
            fill(made[-1].services, members, DAYS)
        figures = measure(made)
        many = services_on(history, folder)
        days = [(TODAY - timedelta(days=n)).isoformat() for n in range(WHY_DAYS)]
        fill(many, WHY_MEMBERS // (10 if quick else 1), tuple(days))
        everybody = services_on(full, folder)
        found = {
            "database": kind,
            "ticks": figures,
            "ratio": round(figures[1]["seconds"] / figures[0]["seconds"], 2),
            "morning": morning(everybody, MORNING // (10 if quick else 1)),
            "why_seconds": round(why_seconds(many), 4),
        }
        for services in (*(one.services for one in made), many, everybody):
            services.db.close()
    return found


def main() -> int:
    """Prints and stores the figures; 1 when a tick grows too much with the members."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--database", choices=["postgresql", "sqlite"], action="append")
    arguments.add_argument("--quick", action="store_true", help="a tenth of the members")
    given = arguments.parse_args()
    found = []
    for kind in given.database or ["postgresql", "sqlite"]:
        with tempfile.TemporaryDirectory(prefix="tp-tick-") as folder:
            found.append(run(kind, Path(folder), quick=given.quick))
        show(found[-1])
    if not given.quick:
        RESULTS.parent.mkdir(exist_ok=True)
        about: dict[str, Any] = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "cpus": os.cpu_count()}
        about["load"] = round(os.getloadavg()[2], 1)  # of the last quarter of an hour
        about["machine"] = platform.machine()
        RESULTS.write_text(json.dumps(about | {"figures": found}, indent=2) + "\n")
    return int(any(one["ratio"] > TARGET for one in found))


def show(found: dict[str, Any]) -> None:
    """One kind of database as text."""
    print(found["database"])
    for one in found["ticks"]:
        print(
            f"  {one['members']:>7} members, {one['due']} due: {one['seconds'] * 1000:7.1f} ms"
            f"   nobody due: {one['idle_seconds'] * 1000:6.1f} ms"
        )
    print(f"  ratio {found['ratio']} (at most {TARGET})")
    nine = found["morning"]
    print(
        f"  {nine['due']:>7} members due at once: {nine['seconds']:.1f} s, {nine['ms_per_member']} ms a"
        f" member, of which {nine['cpu_ms_per_member']} ms in the planning process"
    )
    print(
        f"  why, {WHY_MEMBERS} members with {WHY_DAYS} days: {found['why_seconds'] * 1000:.0f} ms"
    )


if __name__ == "__main__":
    sys.exit(main())
