"""The sample team that `make run` loads on its first start. Its people do not exist."""

import csv
import io
from datetime import date, datetime
from pathlib import Path

from sqlalchemy import select

from app.imports.files import import_into
from app.models import Member, Setting
from app.people.columns import HEADERS
from app.rules.workdays import Company, Span, move_by_workdays, workday_on_or_after
from app.services import Services

ANCHOR = date(2026, 11, 24)  # the day of the sample that becomes D
SAMPLE_DAY = "sample_day"  # settings key: D, once the sample was loaded
_WHO = "sample load"
# The files in the order in which they are loaded, each with its columns of dates.
_DATES = {
    "members": (),
    "tasks": ("start_on", "due_on", "assigned_on"),
    "reports": ("reported_on",),
    "days-off": ("first_day", "last_day"),
}

Line = dict[str, str]


def load(services: Services, now: datetime) -> date | None:
    """Loads the sample team; returns D: today (APP_TIMEZONE), or the next workday of its company.

    Tasks, reports and leave are moved by workdays so that ANCHOR is D. Where the sample was
    loaded before, returns its D and changes nothing; where there are other members, None.
    """
    files = {what: _lines(what) for what in _DATES}
    for task in files["tasks"]:  # the sample's story has begun before today
        task["assigned_on"] = task["start_on"]
    company = Company(frozenset({5, 6}), closures=tuple(_closures(files["days-off"])))
    day = workday_on_or_after(company, services.config.day_of(now))
    with services.db.write() as session:
        loaded = session.get(Setting, SAMPLE_DAY)
        if loaded is not None:
            return date.fromisoformat(loaded.value)
        if session.scalar(select(Member.id).limit(1)) is not None:
            return None
        for what, lines in files.items():
            data = _as_csv(what, [_moved(line, _DATES[what], company, day) for line in lines])
            import_into(session, services.config, what, data, now=now, who=_WHO)
        session.add(Setting(key=SAMPLE_DAY, value=day.isoformat(), changed_by=_WHO, changed_at=now))
    return day


def _lines(what: str) -> list[Line]:
    file = Path(__file__).parent / f"{what.replace('-', '_')}.csv"
    with file.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def _closures(lines: list[Line]) -> list[Span]:
    return [
        Span(date.fromisoformat(line["first_day"]), date.fromisoformat(line["last_day"]))
        for line in lines
        if line["scope"] == "company"
    ]


def _moved(line: Line, columns: tuple[str, ...], company: Company, day: date) -> Line:
    if line.get("scope") == "company":
        return line
    dates = {name: date.fromisoformat(line[name]) for name in columns if line[name]}
    return line | {
        name: move_by_workdays(company, one, ANCHOR, day).isoformat() for name, one in dates.items()
    }


def _as_csv(what: str, lines: list[Line]) -> bytes:
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, HEADERS[what])
    writer.writeheader()
    writer.writerows(lines)
    return file.getvalue().encode()
