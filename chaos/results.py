"""What the runs showed, as JSON (chaos/results/SET.json) and as the tables of docs/reliability.md."""

import json
import os
import platform
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from chaos.rig import Rig
from chaos.rows import ELSEWHERE, NOT_YET, REQUIRED

PROJECT = Path(__file__).resolve().parent.parent
FOLDER = PROJECT / "chaos" / "results"
PAGE = PROJECT / "docs" / "reliability.md"
MADE = pytest.StashKey[list[Rig]]()
TITLES = {
    "all": "All rows, a twentieth of real time",
    "kills": "The kill rows with many seeds",
    "machines": "The machines around it",
    "long": "One row of each class in real time",
}


def measured(item: pytest.Item, rig: Rig, seconds: float) -> dict[str, Any]:
    """The facts of one run."""
    mark = item.get_closest_marker("row")
    assert mark is not None
    verdict = rig.verdict()
    return {
        "row": mark.args[0],
        "how": mark.args[1],
        "database": rig.kind,
        "due": verdict.due,
        "lost": len(verdict.lost),
        "extra": verdict.extra,
        "extra_allowed": rig.extra_allowed,
        "unexplained": len(verdict.unexplained),
        "seconds": round(seconds, 1),
        "skipped": rig.skipped,
    }


class Collector:
    """Gathers the runs of a session, those of xdist's workers too."""

    def __init__(self) -> None:
        self.runs: list[dict[str, Any]] = []

    def add(self, report: pytest.TestReport) -> None:
        """One test's outcome."""
        for name, facts in report.user_properties:
            if name == "chaos" and isinstance(facts, dict):
                self.runs.append({**facts, "test": report.nodeid, "passed": report.passed})

    def write(self, name: str, seeds: int) -> Path:
        """The JSON of this session; returns its file."""
        FOLDER.mkdir(exist_ok=True)
        file = FOLDER / f"{name}.json"
        facts = {
            "date": datetime.now(UTC).date().isoformat(),
            "machine": machine(),
            "seeds": seeds,
            "runs": sorted(self.runs, key=lambda run: (_number(run["row"]), run["test"])),
        }
        file.write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        return file


def machine() -> str:
    """The class of this machine, not its name."""
    with Path("/proc/meminfo").open() as lines:
        gigabytes = round(int(lines.readline().split()[1]) / 2**20)
    return (
        f"{os.cpu_count()} cores, {gigabytes} GB, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}"
    )


def _number(row: str) -> int:
    return int(row.removeprefix("F"))


def summary(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One line per row and way of playing it."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for run in runs:
        if not run.get("skipped"):
            groups[run["row"], run["how"]].append(run)
    return [
        {
            "row": row,
            "how": how,
            "runs": len(group),
            "databases": sorted({run["database"] for run in group}),
            "failed": sum(not run["passed"] for run in group),
            "lost": sum(run["lost"] for run in group),
            "extra": sum(run["extra"] for run in group),
            "allowed": sum(run["extra_allowed"] for run in group),
            "unexplained": sum(run["unexplained"] for run in group),
            "longest": max(run["seconds"] for run in group),
        }
        for (row, how), group in sorted(groups.items(), key=lambda one: _number(one[0][0]))
    ]


def write_page() -> None:
    """docs/reliability.md, from all results there are."""
    parts = [_HEAD]
    for name, title in TITLES.items():
        file = FOLDER / f"{name}.json"
        if file.exists():
            parts.append(_table(title, json.loads(file.read_text(encoding="utf-8"))))
    parts.append(_others())
    PAGE.write_text("\n".join(parts), encoding="utf-8")


def _table(title: str, facts: dict[str, Any]) -> str:
    lines = [
        f"## {title}",
        "",
        f"{facts['date']}; {facts['machine']}. {len(facts['runs'])} runs, {facts.get('seeds', 2)} seeds.",
        "",
        _COLUMNS,
        "|---|---|---|---|---|---|---|---|---|",
    ]
    short = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
    for one in summary(facts["runs"]):
        where = ", ".join(short[name] for name in one["databases"])
        lines.append(
            f"| {one['row']} | {one['how']} | {REQUIRED[one['row']]} | {one['runs']} ({where}) |"
            f" {one['failed']} | {one['lost']} | {one['extra']} ({one['allowed']}) |"
            f" {one['unexplained']} | {one['longest']:.0f} s |"
        )
    skipped = sorted({run["row"] for run in facts["runs"] if run.get("skipped")}, key=_number)
    if skipped:
        lines += ["", f"Skipped, because this machine cannot play them: {', '.join(skipped)}."]
    return "\n".join([*lines, ""])


_COLUMNS = (
    "| row | how | required | runs | failed | lost | extra copies (allowed) | unexplained |"
    " longest run |"
)


def _others() -> str:
    lines = ["## Rows shown elsewhere", "", "| row | fault | where |", "|---|---|---|"]
    lines += [f"| {row} | {what} | {where} |" for row, (what, where) in ELSEWHERE.items()]
    if NOT_YET:
        lines += ["", "## Rows not shown yet", "", "| row | fault | why |", "|---|---|---|"]
        lines += [f"| {row} | {what} | {why} |" for row, (what, why) in NOT_YET.items()]
    return "\n".join([*lines, ""])


_HEAD = """\
# Reliability: what was broken, and what arrived

`make chaos` writes the tables of this page; nobody edits them by hand. It starts real processes
(workers, the timer's sender, Redis, PostgreSQL with its default durability, or SQLite), breaks
them, and lets one checker compare who was due, what the mail server took, and what the outbox
says. The mail server writes each mail to a ledger on disk before it answers.

- **lost**: a mail that was to be accepted, or is recorded as accepted, and is not in the ledger.
- **extra copies**: copies beyond the first, by Message-ID. They can only come from the moment
  between the final dot and the recorded answer: at most SMTP_CONNECTIONS for each sender killed
  there, always with the same Message-ID, Date and bytes. In brackets: how many the promise allows.
- **unexplained**: anything else that the three do not agree about: a mail to somebody who was not
  due, a copy without a doubt recorded before it, copies that differ, a mail without an end.

A run that is not through in the time that is required fails, and what was still on its way then
counts as lost and as unexplained: the outbox has it, but nobody waited for its end.

Two self-tests plant a loss and a duplicate in a real run and see the checker say so
(`chaos/test_checker.py`). Waits (leases, time limits, pauses) are a twentieth of the real ones,
unless a table says otherwise. The short set of a merge: `make chaos CHAOS=ci`. In real time:
`make chaos-long`. The kill rows with many seeds: `make chaos CHAOS=kills SEEDS=50`. A standby, a
pooler, a shared Redis: `make chaos CHAOS=machines`.
"""
