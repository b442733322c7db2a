"""The board as a CSV: one line per open task, and one for a member without any."""

import csv
import io
from collections.abc import Iterator, Sequence
from datetime import datetime

from sqlalchemy import select

from app.access.sessions import Me
from app.board.team import Wanted, scope
from app.board.workload import rows_of
from app.imports.file_table import export_cell
from app.models import Member
from app.people.settings import organisation
from app.rules.standing import BoardRow
from app.services import Services

COLUMNS = (
    "team", "name", "email", "today", "state", "silent_workdays", "away", "mails_stopped",
    "task_ref", "title", "due_on", "task_silent_workdays", "percent", "status", "reported_on",
    "text",
)  # fmt: skip
_BATCH = 500  # members
_BOM = "\ufeff"  # without it Excel takes UTF-8 for something else


def export(services: Services, me: Me, wanted: Wanted, now: datetime) -> Iterator[str]:
    """The lines, as they are read; cells that a spreadsheet would run get a quote before them."""
    yield _BOM + _line(COLUMNS)
    after = 0
    while True:
        rows, after = _batch(services, me, wanted, after, now)
        if not after:
            return
        yield "".join(_line(cells) for one in rows for cells in _cells(one))


def _batch(
    services: Services, me: Me, wanted: Wanted, after: int, now: datetime
) -> tuple[list[BoardRow], int]:
    """The next members' rows, and the last one's id; 0 when there are none."""
    with services.db.read() as session:
        defaults = organisation(session, services.config)
        members = session.scalars(
            select(Member)
            .where(scope(me, wanted), Member.id > after)
            .order_by(Member.id)
            .limit(_BATCH)
        ).all()
        if not members:
            return [], 0
        rows, _broken = rows_of(session, defaults, me, members, now)
        return rows, members[-1].id


def _cells(one: BoardRow) -> Iterator[Sequence[object]]:
    stopped = one.stopped.why if one.stopped else ""
    who = (
        one.facts.team, one.facts.name, one.email, one.facts.today, one.standing, one.silent,
        one.away or "", stopped,
    )  # fmt: skip
    tasks = one.tasks
    for task in tasks:
        said = task.last
        report = (said.percent, said.status, said.counts_for, said.text) if said else ("",) * 4
        yield (*who, task.ref, task.title, task.due_on or "", task.silent, *report)
    if not tasks:
        yield (*who, *[""] * 8)


def _line(cells: Sequence[object]) -> str:
    text = io.StringIO()
    csv.writer(text).writerow([export_cell(cell) for cell in cells])
    return text.getvalue()
