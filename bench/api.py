"""How long a call of the API takes: server time of each operation, with 20,000 members in 1,000 teams
and 90 days of decisions, mails and reports, on PostgreSQL.

Each is called 100 times, in turn, by an admin's token or by one of many members' and leads'.
`python -m bench.api`, `--quick` (2,000 members); `make bench-api`. Exits 1 when a read's p95 is not
below 25 ms, or a write's not below 40 ms.
"""

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from flask import Flask
from sqlalchemy import select

from app.models import Member, OutboxMail, Task
from app.services import Services
from bench import report
from bench.web import ASKED, timed
from tests.api import Program, program

RESULTS = Path(__file__).parent / "results" / "api.json"
READ, WRITE = 25.0, 40.0  # milliseconds, p95
WARM = 5  # calls of each that are not counted
CALLERS = 20


class Asked(NamedTuple):
    """One kind of call; `make` says method, path and body of the n-th one by a caller."""

    name: str
    role: str
    make: Callable[[int, "Caller"], tuple[str, str, Any]]


class Caller(NamedTuple):
    """A program, and what is its owner's."""

    program: Program
    member_id: int
    team_id: int
    task_id: int
    mail_id: int


def _get(path: str) -> Callable[[int, Caller], tuple[str, str, Any]]:
    return lambda _n, one: ("GET", path.format(one=one), None)


def _new_task(n: int, one: Caller) -> tuple[str, str, Any]:
    return "POST", "/tasks", {"ref": f"B-{one.member_id}-{n}", "title": "検索APIの性能改善"}


def _report(n: int, one: Caller) -> tuple[str, str, Any]:
    ref = f"T-{one.member_id}-{n % 5 + 1}"
    return "POST", "/reports", {"task_ref": ref, "percent": n % 100, "status": "on_track"}


def _patch(n: int, one: Caller) -> tuple[str, str, Any]:
    return "PATCH", f"/tasks/{one.task_id}", {"title": f"検索APIの性能改善 {n}"}


def _days_off(n: int, one: Caller) -> tuple[str, str, Any]:
    first = f"{datetime.now(UTC).date() + timedelta(days=10 + 2 * n)}"
    return "POST", "/days-off", {"member": one.member_id, "first": first}


CALLS = (
    Asked("me", "member", _get("/me")),
    Asked("members", "admin", _get("/members?limit=100")),
    Asked("member by address", "admin", _get("/members?email=m77@example.jp")),
    Asked("member", "lead", _get("/members/{one.member_id}")),
    Asked("days", "member", _get("/members/{one.member_id}/days")),
    Asked("tasks", "admin", _get("/tasks?limit=100")),
    Asked("tasks of a team", "lead", _get("/tasks?limit=100&status=open")),
    Asked("own tasks", "member", _get("/tasks")),
    Asked("reports", "admin", _get("/reports?limit=100")),
    Asked("reports of a team", "lead", _get("/reports?limit=100")),
    Asked("mails", "admin", _get("/mails?limit=100")),
    Asked("mails of a member", "admin", _get("/mails?member=77&limit=100")),
    Asked("mails of a team", "lead", _get("/mails?limit=100")),
    Asked("mail", "member", _get("/mails/{one.mail_id}")),
    Asked("team today", "lead", _get("/teams/{one.team_id}/today")),
    Asked("days off", "member", _get("/days-off?member={one.member_id}")),
    Asked("POST tasks", "admin", _new_task),
    Asked("PATCH task", "member", _patch),
    Asked("POST reports", "member", _report),
    Asked("POST days-off", "member", _days_off),
)


def callers(app: Flask, services: Services, role: str) -> list[Caller]:
    """Some members of this role, each with a token."""
    with services.db.read() as session:
        query = select(Member).where(Member.role == role).order_by(Member.id).limit(CALLERS)
        members = [*session.scalars(query).all()]
        tasks, mails = (
            {
                one.id: session.scalar(select(table.id).where(owner == one.id).limit(1)) or 0
                for one in members
            }
            for table, owner in ((Task, Task.assignee_id), (OutboxMail, OutboxMail.user_id))
        )
    return [
        Caller(
            program(app, services, one.email),
            one.id,
            one.team_id or 0,
            tasks[one.id],
            mails[one.id],
        )
        for one in (members * CALLERS)[:CALLERS]  # one admin has several tokens: each has a quota
    ]


def measure(app: Flask, services: Services) -> dict[str, list[float]]:
    """Milliseconds of each kind of call, in turn; the first ones are not counted."""
    asking = {role: callers(app, services, role) for role in ("admin", "lead", "member")}
    took: dict[str, list[float]] = {one.name: [] for one in CALLS}
    for n in range(ASKED + WARM):
        for one in CALLS:
            caller = asking[one.role][n % len(asking[one.role])]
            method, path, body = one.make(n, caller)
            started = time.perf_counter()
            answer = caller.program.call(method, path, body)
            spent = (time.perf_counter() - started) * 1000
            if answer.status_code not in (200, 201):
                sys.exit(f"{method} {path}: {answer.status_code} {answer.text}")
            if n >= WARM:
                took[one.name].append(spent)
    return took


def wanted(name: str) -> float:
    """What a call may take."""
    return WRITE if name.startswith(("POST", "PATCH")) else READ


if __name__ == "__main__":
    sys.exit(timed(__doc__, measure, wanted, RESULTS, report.write_api))
