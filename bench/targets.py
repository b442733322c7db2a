"""The targets, and what a run of the bench says of each: the second table of the page."""

from collections.abc import Sequence
from typing import Any

Run = dict[str, Any]

HEAD = "| target | wanted | measured | |\n|---|---|---|---|\n"


def table(results: Run) -> str:
    """All targets as a Markdown table; what a short run did not measure says so."""
    cases = results["cases"]
    most = max(one["mails"] for one in cases if not one["delay_ms"])
    rows: list[str] = []
    for database, share in (("postgresql", 1.0), ("sqlite", 0.5)):
        rows += _speeds(cases, database, share, most)
    for database in ("postgresql", "sqlite"):
        rows.append(_times(f"100 ms per answer, {database}: 8 connections against 1", 6.0,
            _find(cases, what="ready", database=database, delay_ms=100, connections=8),
            _find(cases, what="ready", database=database, delay_ms=100, connections=1)))  # fmt: skip
        rows.append(_times(f"two processes against one, {database}, where cores allow", 1.5,
            _find(cases, what="ready", database=database, processes=2, mails=most),
            _find(cases, what="ready", database=database, connections=8, mails=most)))  # fmt: skip
        rows.append(_memory(cases, database))
        rows.append(_morning(results, database))
    return HEAD + "".join(rows)


def _speeds(cases: Sequence[Run], database: str, share: float, most: int) -> list[str]:
    ready = {"what": "ready", "database": database, "mails": most}
    best = max(
        (one for one in cases if _fits(one, **ready, delay_ms=0, processes=1)),
        key=lambda one: float(one["rate"]),
        default=None,
    )
    connections = best["connections"] if best else "?"
    one = _find(cases, **ready, connections=1)
    due = _find(cases, what="due", database=database, mails=most)
    return [
        _row(f"outbox → accepted, {database}, {connections} connections",
            f"{6 * share:g} times smtplib",
            _value(best, "times_smtplib"), 6 * share, "{:.1f} times"),
        _row("the same beside smtp-source", f"{0.2 * share:.0%}",
            _value(best, "of_smtp_source"), 0.2 * share, "{:.0%}"),
        _row("the same over one connection", f"{3 * share:g} times smtplib",
            _value(one, "times_smtplib"), 3 * share, "{:.1f} times"),
        _row(f"members due → accepted, {database}", f"{5 * share:g} times smtplib",
            _value(due, "times_smtplib"), 5 * share, "{:.1f} times"),
    ]  # fmt: skip


def _times(name: str, wanted: float, many: Run | None, one: Run | None) -> str:
    found = many["rate"] / one["rate"] if many and one else None
    return _row(name, f"{wanted:g} times", found, wanted, "{:.1f} times")


def _memory(cases: Sequence[Run], database: str) -> str:
    large = _find(cases, what="ready", database=database, mails=20_000, connections=8)
    small = _find(cases, what="ready", database=database, mails=2_000, connections=8)
    found = large["peak_mib"] / small["peak_mib"] if large and small else None
    name = f"peak memory, {database}: 20,000 mails against 2,000"
    return _row(name, "1.3 times at most", found, 1.3, "{:.2f} times", at_most=True)


def _morning(results: Run, database: str) -> str:
    found = results.get("mornings", {}).get(database)
    name = f"20 members, {database}: the tick job to all accepted (the longest of the runs)"
    seconds = found["longest"] if found else None
    return _row(name, "1 s at most", seconds, 1.0, "{:.2f} s", at_most=True)


def _row(
    name: str, wanted: str, found: float | None, limit: float, shown: str, *, at_most: bool = False
) -> str:
    if found is None:
        return f"| {name} | {wanted} | not measured | |\n"
    met = found <= limit if at_most else found >= limit
    missed = f"missed: {found / limit:.0%} of it"
    return f"| {name} | {wanted} | {shown.format(found)} | {'met' if met else missed} |\n"


def _value(one: Run | None, name: str) -> float | None:
    return float(one[name]) if one else None


def _find(cases: Sequence[Run], **wanted: object) -> Run | None:
    wanted = {"processes": 1, "delay_ms": 0} | wanted
    return next((one for one in cases if _fits(one, **wanted)), None)


def _fits(one: Run, **wanted: object) -> bool:
    return all(one[name] == value for name, value in wanted.items())
