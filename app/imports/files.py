"""Importing CSV files: members, tasks, reports, days off. All or nothing, and repeatable.

A line is new, changes what is there, or changes nothing; a second run of the same file changes
nothing. All faults of a file are collected before anything is refused.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from app.config import Config
from app.db import one_after_the_other
from app.imports import days_off, members, work
from app.imports.context import ImportContext, LineOutcome
from app.imports.csv_table import read_table
from app.locale import Both
from app.people import csv_records
from app.people.settings import organisation
from app.people.table import LineFault
from app.refused import Code, Refused
from app.reminders.plan import plan
from app.services import Services

_IMPORT_LOCK = 7_305_516_002  # any fixed number
# Leave, closures and reports say themselves for which dates they are; these do not.
_WITHOUT_HISTORY = {"members", "tasks"}
_PREVIEW = 3  # rows shown so that a person can see whether the names are readable


@dataclass
class ImportResult:
    """What an import did, or with `dry_run` would do. `missing`: addresses the file left out."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    warnings: list[LineFault] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    encoding: str = "UTF-8"
    preview: list[list[str]] = field(default_factory=list)
    faults: list[LineFault] = field(default_factory=list)  # only where it was a preview
    lines: list[LineOutcome] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        told = {
            name: [asdict(one) | {"sentence": one.sentence._asdict()} for one in found]
            for name, found in (("warnings", self.warnings), ("faults", self.faults))
        }
        return asdict(self) | told | {"lines": [one._asdict() for one in self.lines]}


def import_file(
    services: Services,
    what: str,
    data: bytes,
    *,
    now: datetime,
    dry_run: bool = False,
    overwrite_settings: bool = False,
    who: str = "import",
    expected: Sequence[LineOutcome] | None = None,
) -> ImportResult:
    """Imports one CSV file in one transaction; `what`: a key of csv_records.HEADERS.

    `dry_run` does the same and takes it back; `expected` is what each line did in its preview.
    Raises ImportRefused with all faults, ImportMoved when a line would do something else by now.
    """
    if what in _WITHOUT_HISTORY and not dry_run:
        plan(services, now)  # what is due is decided with what stands before this
    transaction = services.db.read if dry_run else services.db.write
    with transaction() as session:
        result = import_into(
            session,
            services.config,
            what,
            data,
            now=now,
            overwrite_settings=overwrite_settings,
            who=who,
        )
        if expected is not None and result.lines != list(expected):
            raise ImportMoved
        return result


def preview_file(
    services: Services, what: str, data: bytes, *, now: datetime, overwrite_settings: bool = False
) -> ImportResult:
    """What each line would do, and every fault beside it; nothing is written.

    Raises ImportRefused for a file of which no line can be read.
    """
    with services.db.write() as session:
        result = import_into(
            session,
            services.config,
            what,
            data,
            now=now,
            overwrite_settings=overwrite_settings,
            preview=True,
        )
        session.rollback()
    return result


class ImportMoved(Refused):
    """The data changed since the preview; nothing was written."""

    def __init__(self) -> None:
        sentence = Both(
            "確認したあとにデータが変わったため、取り込んでいません。もう一度確かめてください。",
            "The data changed since you looked, so nothing was imported. Please look again.",
        )
        super().__init__(Code.CHANGED_MEANWHILE, sentence)


def import_into(
    session: Session,
    config: Config,
    what: str,
    data: bytes,
    *,
    now: datetime,
    overwrite_settings: bool = False,
    who: str = "import",
    preview: bool = False,
) -> ImportResult:
    """`import_file` within a transaction of the caller's, who undoes it on ImportRefused.

    With `preview` a faulty line is left out and listed in the result.
    """
    one_after_the_other(session, _IMPORT_LOCK)
    table = read_table(data, csv_records.HEADERS[what], csv_records.OPTIONAL.get(what, ()))
    desk = ImportContext(
        session=session,
        organisation=organisation(session, config),
        now=now,
        who=who,
        faults=table.faults,
        overwrite_settings=overwrite_settings,
        preview=preview,
    )
    if what == "members":
        local = config.rehearsal_allowed
        members.run(desk, csv_records.members(table, allow_localhost=local))
    elif what == "tasks":
        work.run_tasks(desk, csv_records.tasks(table))
    elif what == "reports":
        work.run_reports(desk, csv_records.reports(table))
    else:
        days_off.run(desk, csv_records.days_off(table))
    desk.write_audit(what)
    return ImportResult(
        *desk.counts,
        warnings=desk.warnings,
        missing=desk.missing,
        encoding=table.encoding,
        preview=[list(row.cells.values()) for row in table.rows[:_PREVIEW]],
        faults=sorted(desk.faults, key=lambda one: one.line),
        lines=sorted(desk.outcomes),
    )
