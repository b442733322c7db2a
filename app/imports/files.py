"""Importing files of members, tasks, reports, days off. All or nothing, and repeatable.

A line is new, changes what is there, or changes nothing; a second run of the same file changes
nothing. All faults of a file are collected before anything is refused.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any, TypedDict, Unpack

from sqlalchemy.orm import Session

from app.config import Config
from app.db import AdvisoryLock, one_after_the_other
from app.imports import days_off, members, work
from app.imports.context import ImportContext, LineOutcome
from app.imports.file_rows import MAX_LINES
from app.imports.file_table import read_table
from app.locale import Both
from app.people import file_records
from app.people.settings import organisation
from app.people.table import LineFault, Table
from app.refused import Code, Refused
from app.reminders.plan import plan
from app.services import Services

# Leave, closures and reports say themselves for which dates they are; these do not.
_WITHOUT_HISTORY = {"members", "tasks"}
_PREVIEW = 3  # rows shown so that a person can see whether the names are readable


@dataclass
class ImportResult:
    """What an import did, or with `dry_run` would do. `missing`: addresses the file left out.

    `kind`: what sort of file it was; `skipped`: headings of columns passed over; `hidden`: (line,
    column, cell, what it became) where a person does not see the one in the other.
    """

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    warnings: list[LineFault] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    encoding: str = "UTF-8"
    kind: Both = field(default_factory=lambda: Both("", ""))
    skipped: list[str] = field(default_factory=list)
    hidden: list[tuple[int, str, str, str]] = field(default_factory=list)
    preview: list[list[str]] = field(default_factory=list)
    faults: list[LineFault] = field(default_factory=list)  # only where it was a preview
    lines: list[LineOutcome] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        told = {
            name: [asdict(one) | {"sentence": one.sentence._asdict()} for one in found]
            for name, found in (("warnings", self.warnings), ("faults", self.faults))
        }
        lines = [one._asdict() for one in self.lines]
        found = {one.name: getattr(self, one.name) for one in fields(self)}
        return found | told | {"lines": lines, "kind": self.kind._asdict()}


class ImportOptions(TypedDict, total=False):
    """What a person chose: settings of members are overwritten, columns that are none of ours passed
    over; at most so many lines are taken; and who it is, for the audit.
    """

    overwrite_settings: bool
    skip_unknown: bool
    most_lines: int
    who: str


def import_file(
    services: Services,
    what: str,
    data: bytes,
    *,
    now: datetime,
    dry_run: bool = False,
    expected: Sequence[LineOutcome] | None = None,
    **options: Unpack[ImportOptions],
) -> ImportResult:
    """Imports one file in one transaction; `what`: a key of columns.FILES.

    `dry_run` does the same and takes it back; `expected` is what each line did in its preview. Raises
    ImportRefused with all faults, ImportMoved when a line would do something else by now.
    """
    table = _table(what, data, options)
    if what in _WITHOUT_HISTORY and not dry_run:
        plan(services, now)  # what is due is decided with what stands before this
    transaction = services.db.read if dry_run else services.db.write
    with transaction() as session:
        result = _write(session, services.config, what, table, now=now, **options)
        if expected is not None and result.lines != list(expected):
            raise ImportMoved
        return result


def preview_file(
    services: Services, what: str, data: bytes, *, now: datetime, **options: Unpack[ImportOptions]
) -> ImportResult:
    """What each line would do, and every fault beside it; nothing is written.

    Raises ImportRefused for a file of which no line can be read.
    """
    table = _table(what, data, options)
    with services.db.write() as session:
        config = services.config
        result = _write(session, config, what, table, now=now, preview=True, **options)
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
    **options: Unpack[ImportOptions],
) -> ImportResult:
    """`import_file` within a transaction of the caller's, who undoes it on ImportRefused."""
    return _write(session, config, what, _table(what, data, options), now=now, **options)


def _table(what: str, data: bytes, options: ImportOptions) -> Table:
    """The file, read before a transaction begins: no other writer waits for a large one."""
    most_lines, skip = options.get("most_lines", MAX_LINES), options.get("skip_unknown", False)
    return read_table(data, what, most_lines=most_lines, skip_unknown=skip)


def _write(
    session: Session,
    config: Config,
    what: str,
    table: Table,
    *,
    now: datetime,
    preview: bool = False,
    **options: Unpack[ImportOptions],
) -> ImportResult:
    """Writes the lines. With `preview` a faulty one is left out and listed in the result."""
    one_after_the_other(session, AdvisoryLock.IMPORT)
    context = ImportContext(
        session=session,
        organisation=organisation(session, config),
        now=now,
        who=options.get("who", "import"),
        table=table,
        overwrite_settings=options.get("overwrite_settings", False),
        preview=preview,
    )
    _run(context, what, table, allow_localhost=config.rehearsal_allowed)
    context.write_audit(what)
    return _result(context, table)


def _run(context: ImportContext, what: str, table: Table, *, allow_localhost: bool) -> None:
    if what == "members":
        members.run(context, file_records.members(table, allow_localhost=allow_localhost))
    elif what == "tasks":
        work.run_tasks(context, file_records.tasks(table))
    elif what == "reports":
        work.run_reports(context, file_records.reports(table))
    else:
        days_off.run(context, file_records.days_off(table))


def _result(context: ImportContext, table: Table) -> ImportResult:
    return ImportResult(
        *context.counts,
        warnings=context.warnings,
        missing=context.missing,
        encoding=table.encoding,
        kind=table.kind,
        skipped=table.skipped,
        hidden=[(*cell[:3], table.read[cell[0]][cell[1]]) for cell in table.hidden],
        preview=[list(row.cells.values()) for row in table.rows[:_PREVIEW]],
        faults=sorted(context.faults, key=lambda one: one.line),
        lines=sorted(context.outcomes),
    )
