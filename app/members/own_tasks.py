"""A member's own tasks: the list, one task with its history, adding and editing."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import uuid4

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app import audit
from app.access import sent_forms
from app.compose.text import inert
from app.locale import Both
from app.models import Member, Report, ReportEvery, Task
from app.people.settings import Person, organisation, person
from app.people.values import ValuesRefused, refuse_changed
from app.refused import UnusableValue
from app.reports.from_mail import PageTask
from app.reports.progress import NoSuchTask, details, open_tasks
from app.rules import unreported
from app.services import Services
from app.util.dates_and_numbers import read_date

MAX_TITLE = 200
CLOSED_FOR = timedelta(days=14)  # how long a finished task stays on the page
MOST = 200  # tasks on the page
MOST_OPEN = 500  # tasks with which a member adds no more: each is looked at for each mail
HISTORY = 50  # reports shown of one task

FIELDS = ("title", "start_on", "due_on", "report_every")


@dataclass(frozen=True, slots=True)
class MyTasks:
    """What the first page shows: what waits for a report first, then what is due first."""

    person: Person
    today: date
    open: list[PageTask]
    closed: list[PageTask]

    @property
    def unreported(self) -> int:
        """How many wait for a report."""
        return sum(one.state == "unreported" for one in self.open)


@dataclass(frozen=True, slots=True)
class OneTask:
    """A task with its reports, the newest first, each with its reporter's name."""

    task: Task
    today: date
    reports: list[tuple[Report, str | None]]


def my_tasks(services: Services, member_id: int, now: datetime) -> MyTasks:
    """The member's open tasks, started or not, and those closed in the last two weeks."""
    with services.db.read() as session:
        one, today = _person(session, services, member_id, now)
        started = open_tasks(session, [member_id], today).get(member_id, [])
        late = {task.ref for task in unreported.unreported(started, one.calendar, today)}
        mine = select(Task.ref).where(Task.assignee_id == member_id)
        is_open = mine.where(Task.status == "open").order_by(Task.id.desc()).limit(MOST)
        is_closed = mine.where(Task.status != "open", Task.closed_on >= today - CLOSED_FOR)
        shown = details(session, session.scalars(is_open).all(), today)
        closed = details(session, session.scalars(is_closed.limit(MOST)).all(), today)
    found = [
        PageTask(
            detail.seen_by(member_id),
            "unreported" if ref in late else "reported" if detail.report else "open",
        )
        for ref, detail in shown.items()
    ]
    found.sort(key=_urgency)
    over = [
        PageTask(detail, "done" if detail.task.status == "done" else "cancelled")
        for detail in closed.values()
    ]
    return MyTasks(one, today, found, over)


def one_task(services: Services, member_id: int, task_id: int, now: datetime) -> OneTask:
    """The member's task with its history. Raises NoSuchTask."""
    with services.db.read() as session:
        _, today = _person(session, services, member_id, now)
        task = _mine(session, member_id, task_id)
        rows = session.execute(
            select(Report, Member.name)
            .outerjoin(Member, Member.id == Report.reporter_id)
            .where(Report.task_id == task_id)
            .order_by(Report.counts_for.desc(), Report.id.desc())
            .limit(HISTORY)
        )
        return OneTask(task, today, [(report, name) for report, name in rows])


def add_task(
    services: Services,
    member_id: int,
    typed: Mapping[str, str],
    now: datetime,
    form_key: str | None = None,
) -> int:
    """A new task of the member's own; returns its id. Raises ValuesRefused with all faults."""
    with services.db.write() as session:
        if (known := sent_forms.made_before(session, form_key, now)) is not None:
            return known
        one, today = _person(session, services, member_id, now)
        values = _read(typed, today) | {"assignee_id": member_id, "assigned_on": today}
        refuse_too_many(session, member_id, "title")
        task = Task(ref=uuid4().hex, **values)
        session.add(task)
        session.flush()
        task.ref = f"own-{task.id}"
        sent_forms.made(session, form_key, task.id)
        audit.note(session, who=one.member.email, what="task.add", now=now, ref=task.ref)
        return task.id


def refuse_too_many(session: Session, member_id: int, field: str) -> None:
    """Raises ValuesRefused, about that field, where the member has too many open tasks for one more."""
    mine = select(func.count()).where(Task.assignee_id == member_id, Task.status == "open")
    if (number := session.scalar(mine) or 0) >= MOST_OPEN:
        sentence = Both(
            f"未完了のタスクが{number:,}件あります。{MOST_OPEN}件以上あるときは、これ以上追加できません。"
            "終わったタスクを完了か取りやめにしてから追加してください。",
            f"You have {number:,} open tasks; with {MOST_OPEN} or more, no more are added. "
            "Report those that are over as done, or cancel them, first.",
        )
        raise ValuesRefused([(field, sentence)])


def edit_task(  # noqa: PLR0917 - whose, which, what, when
    services: Services,
    member_id: int,
    task_id: int,
    typed: Mapping[str, str],
    now: datetime,
    was: Mapping[str, str] | None = None,
) -> None:
    """Changes the member's own task; fields that are not there stay.

    `was`: the fields that a form was opened with; what is another one by now is not overwritten.
    Raises NoSuchTask, ValuesRefused with all faults (ChangedMeanwhile for those of `was`).
    """
    with services.db.write() as session:
        member = session.get_one(Member, member_id)
        task = _mine(session, member_id, task_id, lock=True)
        stored = typed_of(task)
        refuse_changed(typed, stored, was or {})
        values = _read({**stored, **typed}, task.start_on, stored["title"])
        before = {name: str(getattr(task, name)) for name in values}
        for name, value in values.items():
            setattr(task, name, value)
        changed = {n: [was, str(values[n])] for n, was in before.items() if was != str(values[n])}
        if changed:
            data = {"ref": task.ref, "changed": changed}
            audit.note(session, who=member.email, what="task.edit", now=now, **data)


def cancel_task(services: Services, member_id: int, task_id: int, now: datetime) -> None:
    """The member's task is no longer to be done; no report is asked for. Raises NoSuchTask."""
    with services.db.write() as session:
        one, today = _person(session, services, member_id, now)
        task = _mine(session, member_id, task_id, lock=True)
        if task.status == "open":
            task.status, task.closed_on = "cancelled", today
            who = one.member.email
            audit.note(session, who=who, what="task.cancel", now=now, ref=task.ref)


def typed_of(task: Task) -> dict[str, str]:
    """The task's fields as people type them."""
    return {name: str(getattr(task, name) or "") for name in FIELDS}


def _person(
    session: Session, services: Services, member_id: int, now: datetime
) -> tuple[Person, date]:
    member = session.get_one(Member, member_id)
    one = person(session, organisation(session, services.config), member)
    return one, one.today(now)


def _mine(session: Session, member_id: int, task_id: int, *, lock: bool = False) -> Task:
    task = session.get(Task, task_id, with_for_update=lock)
    if task is None or task.assignee_id != member_id:
        raise NoSuchTask
    return task


def _urgency(one: PageTask) -> tuple[bool, date, str]:
    task = one.detail.task
    return one.state != "unreported", task.due_on or date.max, task.ref


def _read(typed: Mapping[str, str], default_start: date, known: str = "") -> dict[str, object]:
    """The fields of a task. `known`: its title so far, which may be an imported one of any length."""
    faults: list[tuple[str, Both]] = []
    title = inert(typed.get("title", "")).strip()
    if not title:
        faults.append(("title", Both("タスクの名前を入力してください。", "Give the task a name.")))
    if len(title) > MAX_TITLE and title != known:
        long = Both(
            f"{MAX_TITLE}文字までにしてください。いまは{len(title):,}文字です。",
            f"Make it at most {MAX_TITLE} characters; it has {len(title):,}.",
        )
        faults.append(("title", long))
    start = _date(typed, "start_on", faults) or default_start
    due_on = _date(typed, "due_on", faults)
    if due_on is not None and due_on < start:
        early = Both(
            f"開始日({start})より前です。開始日以降の日を書いてください。",
            f"It is before the start ({start}). Choose a later day.",
        )
        faults.append(("due_on", early))
    every: ReportEvery = "weekly" if typed.get("report_every") == "weekly" else "daily"
    if faults:
        raise ValuesRefused(faults)
    return {"title": title, "start_on": start, "due_on": due_on, "report_every": every}


def _date(typed: Mapping[str, str], name: str, faults: list[tuple[str, Both]]) -> date | None:
    text = typed.get(name, "").strip()
    if not text:
        return None
    try:
        return read_date(text)
    except UnusableValue as error:
        faults.append((name, error.sentence))
        return None
