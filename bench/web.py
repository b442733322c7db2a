"""How long a page takes: server time of each page of tests/pages.py, with 20,000 members in 1,000
teams and 90 days of decisions, mails and reports, on PostgreSQL.

Each page is asked for 100 times, each time by another member where a member reads it; the pages
are taken in turn. `python -m bench.web`, `--quick` (2,000 members); `make bench-web`. Exits 1
when a page's p95 is not below 50 ms.
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
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select, text

from app import clock, create_app, schema
from app.access import sessions
from app.config import load
from app.models import Member, Task
from app.services import Services, make
from app.web.access import KEY
from bench.rig import PostgreSQL
from tests import servers
from tests.pages import EMAILS, PAGES, Page

RESULTS = Path(__file__).parent / "results" / "web.json"
TARGET = 50.0  # milliseconds, p95
MEMBERS, QUICK, DAYS, ASKED = 20_000, 2_000, 90, 100
OTHERS = 20  # a team

# Member 1 is an admin; the first of each team leads it. Five tasks each, one report a task and
# fortnight, and a decision with its mail for each of the days.
_FILL = """
    INSERT INTO teams (name) SELECT 'チーム ' || i FROM generate_series(1, {teams}) i;
    INSERT INTO users (email, name, role, team_id, active, decided_through, next_due_at, created_at)
        SELECT 'm' || i || '@example.jp', 'メンバー ' || i,
        CASE WHEN i = 1 THEN 'admin' WHEN mod(i, {others}) = 2 THEN 'lead' ELSE 'member' END,
        (i - 1) / {others} + 1, true, '{today}', now() + interval '1 day', '{today}' FROM generate_series(1, {members}) i;
    UPDATE users SET manager_id = (id - 1) / {others} * {others} + 2 WHERE role = 'member';
    INSERT INTO tasks (ref, title, assignee_id, status, start_on, due_on, report_every)
        SELECT 'T-' || id || '-' || k, '検索APIの性能改善 ' || k, id, 'open', '2026-08-03',
        date '{today}' + k, 'daily' FROM users, generate_series(1, 5) k;
    INSERT INTO reports (task_id, reporter_id, counts_for, percent, status, text, created_at)
        SELECT id, assignee_id, date '{today}' - d, 50, 'on_track', '予定どおりです。', '{today}'
        FROM tasks, generate_series(1, {days}, 14) d;
    INSERT INTO decisions (user_id, slot, local_date, verdict, facts, at, decided_at)
        SELECT id, 'reminder', date '{today}' - d, 'send',
        '{{"frequency": "daily", "timezone": "Asia/Tokyo", "notify_at": "09:00", "tasks": []}}',
        '{today}', '{today}' FROM users, generate_series(0, {days} - 1) d;
    INSERT INTO outbox (dedupe_key, decision_id, user_id, kind, local_date, n, to_addr, message_id,
        date_header, state, clock_shift, not_before, expires_at, claims, retries, doubts,
        accepted_at, created_at, updated_at)
        SELECT 'reminder:' || user_id || ':' || local_date || ':0', id, user_id, 'reminder',
        local_date, 0, 'm' || user_id || '@example.jp', 'x' || id, at, 'accepted', 0, at, at, 1, 0,
        1, at, at, at FROM decisions
"""


def fill(services: Services, members: int, today: date) -> None:
    """The organisation, as SQL: 20,000 members with 1.8 million decisions in a minute."""
    schema.upgrade(services.db)
    words = _FILL.format(
        teams=members // OTHERS, others=OTHERS, members=members, today=today, days=DAYS
    )
    with services.db.engine.begin() as connection:
        for statement in words.split(";"):
            connection.exec_driver_sql(statement)
    with services.db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as bare:
        bare.execute(text("VACUUM ANALYZE"))


def browsers(app: Flask, services: Services, page: Page, number: int) -> list[FlaskClient]:
    """As many members (or leads, or the admin again and again), each signed in."""
    found = [app.test_client() for _ in range(number)]
    if page.reader == "anybody":
        return found
    with services.db.write() as session:
        query = select(Member).where(Member.role == page.reader).order_by(Member.id).limit(number)
        readers = session.scalars(query).all()
        for n, browser in enumerate(found):
            key = sessions.begin(session, readers[n % len(readers)], clock.now())
            with browser.session_transaction() as cookie:
                cookie[KEY] = key
    return found


def measure(app: Flask, services: Services) -> dict[str, list[float]]:
    """Milliseconds of each page, in turn; the first five of each are not counted."""
    asked = {page: browsers(app, services, page, ASKED + 5) for page in PAGES}
    took: dict[str, list[float]] = {page.name: [] for page in PAGES}
    for n in range(ASKED + 5):
        for page in PAGES:
            # One task of the member who asks: theirs were made in the order of members.
            path = page.path if page.name != "task" else _own_task(asked[page][n], services)
            path = path.replace(EMAILS["member"], "m3@example.jp")  # of this organisation
            started = time.perf_counter()
            answer = asked[page][n].get(path)
            spent = (time.perf_counter() - started) * 1000
            if answer.status_code != page.status:
                sys.exit(f"{path}: {answer.status_code}")
            if n >= 5:
                took[page.name].append(spent)
    return took


def _own_task(browser: FlaskClient, services: Services) -> str:
    with browser.session_transaction() as cookie:
        reader = sessions.who(services, cookie[KEY], clock.now())
    if reader is None:
        sys.exit("nobody is signed in")
    with services.db.read() as session:
        task_id = session.scalar(select(func.min(Task.id)).where(Task.assignee_id == reader.id))
    return f"/tasks/{task_id}"


def timed(
    about: str | None,
    measure_it: Callable[[Flask, Services], dict[str, list[float]]],
    wanted: Callable[[str], float],
    results: Path,
    write: Callable[[dict[str, Any]], None] = lambda _: None,
) -> int:
    """Measures on the filled database, prints a table, and stores it unless --quick.

    `wanted`: the milliseconds below which the p95 of a name has to be. `write` tells people of what
    is stored. Returns 1 where one is not.
    """
    options = argparse.ArgumentParser(description=about)
    options.add_argument("--quick", action="store_true", help="2,000 members, nothing stored")
    quick = options.parse_args().quick
    members = QUICK if quick else MEMBERS
    with (
        tempfile.TemporaryDirectory(prefix="tp-bench-") as name,
        PostgreSQL(Path(name) / "pg").running() as server,
        contextlib.ExitStack() as stack,
    ):
        redis = servers.RedisServer(Path(name) / "redis").start()
        stack.callback(redis.kill)
        key = "a made-up key for the bench: 0123456789 abcdefghij"
        values = {"DATABASE_URL": server.copy("template1", "bench"), "DATA_DIR": name}
        values["CELERY_BROKER_URL"] = redis.url  # it has the rate limits
        config = load(values | {"SECRET_KEY": key}, Path(name))
        services = make(config)
        fill(services, members, clock.now().date() - timedelta(days=1))
        took = measure_it(create_app(config, services), services)
        services.db.close()
    rows = {one: figures(some) | {"wanted_ms": wanted(one)} for one, some in took.items()}
    for one, row in rows.items():
        print(f"{one:20} median {row['median_ms']:6.1f} ms   p95 {row['p95_ms']:6.1f} ms")
    if not quick:
        machine: dict[str, object] = {
            "date": f"{datetime.now(UTC):%Y-%m-%d}",
            "cpus": os.cpu_count(),
            "load": round(os.getloadavg()[2], 1),
            "machine": platform.machine(),
        }
        found = {**machine, "members": members, "days": DAYS, "asked": ASKED, "rows": rows}
        results.write_text(json.dumps(found, indent=1) + "\n")
        write(found)
    return int(any(row["p95_ms"] >= row["wanted_ms"] for row in rows.values()))


def figures(some: list[float]) -> dict[str, float]:
    """Median and 95th percentile."""
    return {
        "median_ms": round(statistics.median(some), 2),
        "p95_ms": round(statistics.quantiles(some, n=20)[-1], 2),
    }


if __name__ == "__main__":
    sys.exit(timed(__doc__, measure, lambda _: TARGET, RESULTS))
