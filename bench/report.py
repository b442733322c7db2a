"""The results for people: a table, docs/performance.md's part of it, and a picture."""

from pathlib import Path
from typing import Any

from bench import targets

DOCS = Path(__file__).parents[1] / "docs"
PAGE, PICTURE = DOCS / "performance.md", DOCS / "performance.svg"
HEAD = (
    "| what | database | mails | connections | ms per answer | mails/s | times smtplib | "
    "of smtp-source | peak MiB | CPU us/mail | commits/mail |\n"
    "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n"
)
NAMES = {"ready": "outbox → accepted", "due": "members due → accepted"}

Run = dict[str, Any]


def table(results: dict[str, Any]) -> str:
    """All runs as a Markdown table."""
    return HEAD + "".join(map(_row, results["cases"]))


def write(results: dict[str, Any]) -> None:
    """Puts the table and the picture of these results into docs/."""
    about = results["machine"]
    said = (
        f"Measured on {results['date']}: {about['cores']} cores ({about['cpu']}), "
        f"{about['memory_gib']} GiB, Python {about['python']}, PostgreSQL {about['postgresql']}, "
        f"letters of {results['message_bytes']:,} bytes, the middle of {results['repeats']} runs. "
        f"Load average before and after: {about['load_before']}, {about['load_after']}.\n\n"
    )
    page = PAGE.read_text(encoding="utf-8")
    page = _put(page, "measured", said + table(results))
    page = _put(page, "targets", targets.table(results))
    PAGE.write_text(page, encoding="utf-8")
    PICTURE.write_text(picture(results), encoding="utf-8")


def write_morning(date: str, about: dict[str, Any], found: str) -> None:
    """Puts the table of the large mornings into docs/."""
    said = (
        f"Measured on {date}: {about['cores']} cores ({about['cpu']}), {about['memory_gib']} GiB, "
        f"Python {about['python']}, PostgreSQL {about['postgresql']}. "
        f"Load average at the end: {about['load']}.\n\n"
    )
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(_put(page, "large morning", said + found), encoding="utf-8")


def write_api(found: dict[str, Any]) -> None:
    """Puts the table of the API's operations (bench/web.py's results) into docs/."""
    said = (
        f"Measured on {found['date']}: {found['cpus']} cores, {found['members']:,} members, "
        f"{found['days']} days. Load average: {found['load']}.\n\n"
        "| call | median ms | 95th percentile | wanted below |\n|---|--:|--:|--:|\n"
    )
    rows = (
        f"| {name} | {row['median_ms']:.1f} | {row['p95_ms']:.1f} | {row['wanted_ms']:.0f} |\n"
        for name, row in found["rows"].items()
    )
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(_put(page, "api", said + "".join(rows)), encoding="utf-8")


def write_beside(found: dict[str, Any]) -> None:
    """Puts how late mails were beside reads (bench/mails_beside_api.py's results) into docs/."""
    about = found["machine"]
    said = (
        f"Measured on {found['date']}: {about['cores']} cores ({about['cpu']}), "
        f"{found['due']:,} of {found['members']:,} members due, the middle of "
        f"{len(found['pairs'])} pairs. Load average at the end: {about['load']}.\n\n"
        "| median mail | last mail | allowed | reads | a read's median |\n|--:|--:|--:|--:|--:|\n"
        f"| {found['median_ratio']:.2f} times | {found['last_ratio']:.2f} times | 1.05 times "
        f"| {found['reads']:,} | {found['read_median_ms']:.0f} ms |\n"
    )
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(_put(page, "api mails", said), encoding="utf-8")


def _put(page: str, name: str, text: str) -> str:
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->\n"
    before, _, rest = page.partition(begin)
    return before + begin + text + end + rest.partition(end)[2]


def _row(one: Run) -> str:
    cells = [
        NAMES[one["what"]] + (", 2 processes" if one["processes"] > 1 else ""),
        one["database"],
        f"{one['mails']:,}",
        str(one["connections"]),
        str(one["delay_ms"]),
        _rate(one["rate"]),
        f"{one['times_smtplib']:.1f} ({_rate(one['smtplib'])})",
        f"{one['of_smtp_source']:.0%} ({_rate(one['smtp_source'])})",
        f"{one['peak_mib']:.0f}",
        f"{one['cpu_us']:.0f}",
        f"{one['commits']:.2f}",
    ]
    return f"| {' | '.join(cells)} |\n"


def _rate(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.1f}"


# --- the picture ------------------------------------------------------------------------------

WIDTH, LEFT, BAR, GAP = 720, 330, 22, 10
COLOURS = {"postgresql": "#274690", "sqlite": "#1b7f79"}


def picture(results: dict[str, Any]) -> str:
    """As SVG: how many times the plain loop, most mails, server on the same machine."""
    near = [one for one in results["cases"] if not one["delay_ms"] and one["processes"] == 1]
    most = max(one["mails"] for one in near)
    bars = [one for one in near if one["mails"] == most]
    scale = (WIDTH - LEFT - 130) / max(1.0, *(one["times_smtplib"] for one in bars))
    height = len(bars) * (BAR + GAP) + 80
    title = f"How many times as fast as smtplib with EmailMessage ({most:,} mails)"
    lines = [
        (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="system-ui,sans-serif" font-size="13" fill="#1f2933">'),
        f"<title>{title}</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="12" y="24" font-weight="bold">{title}</text>',
        _bar(40, "smtplib, EmailMessage, 1 connection", round(scale), "#8a94a0", "1"),
    ]  # fmt: skip
    for number, one in enumerate(bars, start=1):
        name = f"{NAMES[one['what']]}, {one['database']}, {one['connections']} conn."
        value = f"{one['times_smtplib']:.1f} ({_rate(one['rate'])}/s)"
        colour = COLOURS[one["database"]]
        y = 40 + number * (BAR + GAP)
        lines.append(_bar(y, name, round(one["times_smtplib"] * scale), colour, value))
    return "\n".join([*lines, "</svg>"]) + "\n"


def _bar(y: int, name: str, width: int, colour: str, value: str) -> str:
    return (
        f'<text x="{LEFT - 8}" y="{y + 16}" text-anchor="end">{name}</text>\n'
        f'<rect x="{LEFT}" y="{y}" width="{width}" height="{BAR}" fill="{colour}"/>\n'
        f'<text x="{LEFT + width + 6}" y="{y + 16}" fill="#52606d">{value}</text>'
    )
