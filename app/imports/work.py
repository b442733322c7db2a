"""Importing tasks and reports."""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any, Generic, TypeVar

from sqlalchemy import insert, select

from app.db import among
from app.imports.context import ImportContext, assign, differing
from app.locale import Both
from app.mime.address import address_key, spellings
from app.models import Member, Report, Task, Via
from app.people.file_records import ReportRecord, TaskRecord, ref_key, ref_without_zeros
from app.people.settings import today_of
from app.util.parse import shown

_COLUMNS = {"assignee_id": "assignee_email"}  # of the file, where it has another name

T = TypeVar("T")


def run_tasks(context: ImportContext, found: Sequence[TaskRecord]) -> None:
    """Writes the tasks; raises ImportRefused before that if anything is wrong."""
    members = context.members()
    tasks = _Refs({task.ref: task for task in context.session.scalars(select(Task))})
    seen: dict[str, int] = {}
    for line in found:
        if line.ref:
            context.once(seen, ref_key(line.ref), line.line, "ref")
        context.known(members, line.assignee_email, line.line, "assignee_email")
        if line.due_on and line.start_on and line.due_on < line.start_on:
            context.warn(line.line, "due_on", _due_before_start(line.due_on, line.start_on))
    _warn_of_zeros(context, found, tasks)
    emails = {member.id: member.email for member in members.values()}
    for line in context.sound(found):
        assignee = members[address_key(line.assignee_email)] if line.assignee_email else None
        upsert_task(context, line, assignee, tasks.get(line.ref), emails)
    context.session.flush()


class _Refs(Generic[T]):
    """What is known by refs: found as they are written, else by their half-width form."""

    def __init__(self, known: Mapping[str, T]) -> None:
        self._known = known
        self._by_key = {ref_key(ref): (ref, one) for ref, one in known.items()}

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def entry(self, ref: str) -> tuple[str, T] | None:
        """The ref as it is stored, and what it stands for."""
        return (ref, self._known[ref]) if ref in self._known else self._by_key.get(ref_key(ref))

    def get(self, ref: str) -> T | None:
        """What the ref stands for."""
        entry = self.entry(ref)
        return entry[1] if entry else None


def _warn_of_zeros(context: ImportContext, found: Sequence[TaskRecord], tasks: _Refs[Task]) -> None:
    """A ref beside one that differs by leading zeros alone: a spreadsheet may have cut them off."""
    alike: dict[str, dict[str, str]] = {}
    for ref in (*tasks, *(line.ref for line in found)):
        alike.setdefault(ref_without_zeros(ref), {}).setdefault(ref_key(ref), ref)
    for line in found:
        others = [
            ref
            for key, ref in alike[ref_without_zeros(line.ref)].items()
            if key != ref_key(line.ref)
        ]
        if line.ref and others:
            context.warn(line.line, "ref", _zeros(line.ref, others[0]))


def upsert_task(
    context: ImportContext,
    line: TaskRecord,
    assignee: Member | None,
    task: Task | None,
    emails: Mapping[int, str],
) -> Task:
    """Makes the task, or changes what the line says otherwise; returns it."""
    today = today_of(assignee, context.organisation, context.now)
    values: dict[str, Any] = {
        "title": line.title,
        "assignee_id": assignee.id if assignee else None,
        "status": line.status,
        "start_on": line.start_on or today,
        "due_on": line.due_on,
        "report_every": line.report_every,
    }
    if task is None:
        # Without assigned_on the assignee has had it since its start, and it came here today.
        # closed_on stays empty: a task that comes closed was never open here.
        came = {"assigned_on": line.assigned_on, "added_on": line.assigned_on or today}
        made = Task(ref=line.ref, **came, **values)
        context.session.add(made)
        context.add(line, line.ref, ref=line.ref)
        return made
    said = {key: new for key, new in values.items() if _COLUMNS.get(key, key) in line.columns}
    changes = differing(task, said)
    if "assignee_id" in changes:
        changes["assigned_on"] = today if assignee else None
    if line.assigned_on is not None:
        came = {"assigned_on": line.assigned_on, "added_on": line.assigned_on}
        changes |= differing(task, came)
    status = changes.get("status", task.status)
    if (status == "open") != (task.status == "open"):
        changes["closed_on"] = None if status == "open" else today
    follows = {"added_on", "closed_on"} | ({"assigned_on"} if line.assigned_on is None else set())
    before = _shown(assign(task, changes), emails, follows)
    noted = {name: str(new) for name, new in changes.items()}
    context.change(line, line.ref, before, _shown(changes, emails, follows), ref=line.ref, **noted)
    return task


def _shown(
    values: dict[str, Any], emails: Mapping[int, str], follows: Collection[str]
) -> dict[str, Any]:
    """By the columns of the file, without what only follows from them."""
    found = {key: value for key, value in values.items() if key not in follows}
    if "assignee_id" in found:
        owner = found.pop("assignee_id")
        found["assignee_email"] = emails.get(owner) if owner is not None else None
    return found


def run_reports(context: ImportContext, found: Sequence[ReportRecord]) -> None:
    """Writes the reports; raises ImportRefused before that if anything is wrong.

    A report counts for its reported_on as it stands; its status closes no task.
    """
    members = context.members()
    ids = dict(iter(context.session.execute(select(Task.ref, Task.id))))
    tasks = _Refs(ids)
    found = [replace(line, task_ref=_stored(tasks, line.task_ref)) for line in found]
    keys = {line.line: import_keys(line) for line in found}
    seen: dict[str, int] = {}
    for line in found:
        if line.task_ref and line.reporter_email:
            context.once(seen, keys[line.line][0], line.line, "text")
        if line.task_ref and tasks.get(line.task_ref) is None:
            context.fault(line.line, "task_ref", _no_task(line.task_ref))
        context.known(members, line.reporter_email, line.line, "reporter_email")
        if line.reported_on > context.today:
            context.warn(line.line, "reported_on", _IN_FUTURE)
    found = context.sound(found)
    known = _known_reports(context, [key for line in found for key in keys[line.line]])
    new = []
    for line in found:
        reporter, its = members[address_key(line.reporter_email)], keys[line.line]
        report = next((known[key] for key in its if key in known), None)
        if report is None:
            new.append(_new_report(context, line, ids[line.task_ref], reporter, its[0]))
        else:
            _change_report(context, line, reporter, report)
    # As rows: objects take twice the time, in which no other program writes on SQLite.
    if new:
        context.session.execute(insert(Report), new)


def _stored(tasks: _Refs[int], ref: str) -> str:
    """The ref as its task has it, so that one report is the same however its ref is written."""
    entry = tasks.entry(ref)
    return entry[0] if entry else ref


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


def _known_reports(context: ImportContext, keys: Sequence[str]) -> dict[str, Report]:
    reports = context.session.scalars(select(Report).where(among(Report.import_key, keys)))
    return {report.import_key or "": report for report in reports}


def _new_report(
    context: ImportContext, line: ReportRecord, task_id: int, reporter: Member, key: str
) -> dict[str, Any]:
    on = line.reported_on.isoformat()
    context.add(line, _about(line, reporter), ref=line.task_ref, email=reporter.email, on=on)
    return {
        "task_id": task_id,
        "reporter_id": reporter.id,
        "counts_for": line.reported_on,
        "percent": line.percent,
        "status": line.status,
        "text": line.text,
        "import_key": key,
        "via": Via.IMPORT,
        "created_at": context.now,
    }


def _change_report(
    context: ImportContext, line: ReportRecord, reporter: Member, report: Report
) -> None:
    changes = differing(report, {"percent": line.percent, "status": line.status})
    before = assign(report, changes)
    about = _about(line, reporter)
    context.change(line, about, before, changes, ref=line.task_ref, report=report.id, **changes)


def _about(line: ReportRecord, reporter: Member) -> str:
    return f"{line.task_ref}, {reporter.email}, {line.reported_on}"


def _due_before_start(due_on: date, start_on: date) -> Both:
    return Both(
        f"期限 {due_on} が開始日 {start_on} より前です。このまま取り込みます。",
        f"The due date {due_on} is before the start, {start_on}. It is taken as it is.",
    )


def _zeros(ref: str, other: str) -> Both:
    return Both(
        f"「{shown(ref)}」のほかに「{shown(other)}」があります。表計算ソフトが番号の先頭の 0 を消して"
        "いないか確かめてください。このまま別のタスクとして取り込みます。",
        f'Beside "{shown(ref)}" there is "{shown(other)}". Check that no spreadsheet cut zeros off. '
        "It is taken as it is, as another task.",
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
