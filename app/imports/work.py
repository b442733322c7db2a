"""Importing tasks and reports."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select

from app.imports.context import ImportContext, assign, differing, had
from app.locale import Both
from app.mime.address import address_key, spellings
from app.models import Member, Report, Task
from app.people.csv_records import ReportRecord, TaskRecord
from app.util.parse import shown

_KEYS_PER_QUERY = 500


def run_tasks(desk: ImportContext, found: Sequence[TaskRecord]) -> None:
    """Writes the tasks; raises ImportRefused before that if anything is wrong."""
    members = desk.members()
    seen: dict[str, int] = {}
    for line in found:
        if line.ref:
            desk.once(seen, line.ref, line.line, "ref")
        desk.known(members, line.assignee_email, line.line, "assignee_email")
        if line.due_on and line.due_on < line.start_on:
            desk.warn(line.line, "due_on", _due_before_start(line))
    tasks = {task.ref: task for task in desk.session.scalars(select(Task))}
    emails = {member.id: member.email for member in members.values()}
    for line in desk.sound(found):
        assignee = members[address_key(line.assignee_email)] if line.assignee_email else None
        _upsert_task(desk, line, assignee, tasks.get(line.ref), emails)
    desk.session.flush()


def _upsert_task(
    desk: ImportContext,
    line: TaskRecord,
    assignee: Member | None,
    task: Task | None,
    emails: Mapping[int, str],
) -> None:
    values: dict[str, Any] = {
        "title": line.title,
        "assignee_id": assignee.id if assignee else None,
        "status": line.status,
        "start_on": line.start_on,
        "due_on": line.due_on,
        "report_every": line.report_every,
    }
    if task is None:
        # assigned_on stays empty: the assignee has had it since its start. closed_on too: a task
        # that comes closed was never open here.
        desk.session.add(Task(ref=line.ref, added_on=desk.today, **values))
        desk.add(line, line.ref, ref=line.ref)
        return
    changes = differing(task, values)
    if "assignee_id" in changes:
        changes["assigned_on"] = desk.today if assignee else None
    if (line.status == "open") != (task.status == "open"):
        changes["closed_on"] = None if line.status == "open" else desk.today
    before = _shown(had(task, changes), emails)
    assign(task, changes)
    noted = {name: str(new) for name, new in changes.items()}
    desk.change(line, line.ref, before, _shown(changes, emails), ref=line.ref, **noted)


def _shown(values: dict[str, Any], emails: Mapping[int, str]) -> dict[str, Any]:
    """By the columns of the file; what follows from them is left out."""
    found = {k: v for k, v in values.items() if k not in ("assigned_on", "closed_on")}
    if "assignee_id" in found:
        owner = found.pop("assignee_id")
        found["assignee_email"] = emails.get(owner) if owner is not None else None
    return found


def run_reports(desk: ImportContext, found: Sequence[ReportRecord]) -> None:
    """Writes the reports; raises ImportRefused before that if anything is wrong.

    A report counts for its reported_on as it stands; its status closes no task.
    """
    members = desk.members()
    tasks = dict(iter(desk.session.execute(select(Task.ref, Task.id))))
    seen: dict[str, int] = {}
    for line in found:
        if line.task_ref and line.reporter_email:
            desk.once(seen, import_keys(line)[0], line.line, "text")
        if line.task_ref and line.task_ref not in tasks:
            desk.fault(line.line, "task_ref", _no_task(line.task_ref))
        desk.known(members, line.reporter_email, line.line, "reporter_email")
        if line.reported_on > desk.today:
            desk.warn(line.line, "reported_on", _IN_FUTURE)
    found = desk.sound(found)
    known = _known_reports(desk, [key for line in found for key in import_keys(line)])
    for line in found:
        reporter = members[address_key(line.reporter_email)]
        _upsert_report(desk, line, tasks[line.task_ref], reporter, known)
    desk.session.flush()


def import_keys(line: ReportRecord) -> list[str]:
    """What makes a report the same one when a file is imported again: how it is stored, and how
    older versions stored it where the address was written otherwise.
    """
    return [
        hashlib.sha256(
            json.dumps([line.task_ref, email, line.reported_on.isoformat(), line.text]).encode()
        ).hexdigest()
        for email in spellings(line.reporter_email)
    ]


def _known_reports(desk: ImportContext, keys: Sequence[str]) -> dict[str, Report]:
    known: dict[str, Report] = {}
    for start in range(0, len(keys), _KEYS_PER_QUERY):
        some = keys[start : start + _KEYS_PER_QUERY]
        for report in desk.session.scalars(select(Report).where(Report.import_key.in_(some))):
            known[report.import_key or ""] = report
    return known


def _upsert_report(
    desk: ImportContext,
    line: ReportRecord,
    task_id: int,
    reporter: Member,
    known: dict[str, Report],
) -> None:
    keys = import_keys(line)
    values = {"percent": line.percent, "status": line.status}
    about = f"{line.task_ref}, {reporter.email}, {line.reported_on}"
    report = next((known[key] for key in keys if key in known), None)
    if report is None:
        desk.session.add(
            Report(
                task_id=task_id,
                reporter_id=reporter.id,
                counts_for=line.reported_on,
                text=line.text,
                import_key=keys[0],
                created_at=desk.now,
                **values,
            )
        )
        on = line.reported_on.isoformat()
        desk.add(line, about, ref=line.task_ref, email=reporter.email, on=on)
        return
    changes = differing(report, values)
    before = had(report, changes)
    assign(report, changes)
    desk.change(line, about, before, changes, ref=line.task_ref, report=report.id, **changes)


def _due_before_start(line: TaskRecord) -> Both:
    return Both(
        f"期限 {line.due_on} が開始日 {line.start_on} より前です。このまま取り込みます。",
        f"The due date {line.due_on} is before the start, {line.start_on}. It is taken as it is.",
    )


def _no_task(ref: str) -> Both:
    return Both(
        f"「{shown(ref)}」というタスクはありません。番号を直すか、先に tasks を取り込んでください。",
        f'There is no task "{shown(ref)}". Mend the ref, or import the tasks first.',
    )


_IN_FUTURE = Both(
    "報告日が今日より後です。このまま取り込みます。",
    "The report is dated after today. It is taken as it is.",
)
