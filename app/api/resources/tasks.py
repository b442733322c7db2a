"""Tasks: listed, made or changed by ref, closed."""

from datetime import date
from typing import Literal

from pydantic import Field

from app.access.api_tokens import Scope
from app.api.operation import Asked, Call, ListEntry, Paged, Piece, Reply, RowId, operation
from app.imports import one_task
from app.locale import Both
from app.members import assign, seen
from app.models import ReportEvery
from app.refused import Code
from app.reports.progress import NoSuchTask

_EMAIL = Field(None, max_length=320, description="whose it is; null: nobody's")


class TaskEntry(ListEntry):
    """A task."""

    ref: str
    title: str
    assignee_id: int | None
    assignee_email: str | None
    status: str
    start_on: date
    due_on: date | None
    report_every: str
    assigned_on: date | None
    closed_on: date | None


class TaskList(Piece[TaskEntry]):
    """A piece of the tasks; `next` is the `before` of the piece that follows."""


class TasksAsked(Paged):
    """Which tasks."""

    member: RowId | None = Field(None, description="whose, by id")
    ref: str | None = Field(None, max_length=60)
    status: Literal["open", "done", "cancelled"] | None = None


class TaskChange(Asked):
    """What is to be changed; what is not said stays."""

    title: str = Field(default_factory=str, min_length=1, max_length=1000)
    assignee_email: str | None = _EMAIL
    start_on: date = Field(default_factory=lambda: date.min)
    due_on: date | None = None
    report_every: ReportEvery = "daily"


class TaskWanted(TaskChange):
    """A task by its ref. A new one needs a title; it starts today unless `start_on` says otherwise."""

    ref: str = Field(min_length=1, max_length=60)


class TaskClosing(Asked):
    """How it ended."""

    status: Literal["done", "cancelled"] = "done"


@operation(
    "GET", "/tasks", "tasks", Both("タスクの一覧", "List tasks"), Scope.READ,
    example={"query": {"status": "open"}},
)  # fmt: skip
def list_tasks(call: Call, asked: TasksAsked) -> TaskList:
    """Those of the members whom the caller may see."""
    found = seen.tasks(
        call.services, call.caller.me, limit=asked.limit, before=asked.before,
        member_id=asked.member, ref=asked.ref, status=asked.status,
    )  # fmt: skip
    return TaskList.of(found, asked)


@operation(
    "GET", "/tasks/{task_id}", "tasks", Both("タスク1つ", "One task"), Scope.READ,
    refuses=[Code.NO_SUCH_TASK], example={"path": {"task_id": 1}},
)  # fmt: skip
def get_task(call: Call, task_id: int) -> TaskEntry:
    """One that the caller may see."""
    return TaskEntry.model_validate(seen.task(call.services, call.caller.me, task_id))


@operation(
    "POST", "/tasks", "tasks",
    Both("番号(ref)でタスクを作る・変える", "Make a task, or change it, by its ref"), Scope.DATA,
    answers={200: TaskEntry, 201: TaskEntry}, refuses=[Code.NO_SUCH_TASK],
    example={"body": {"ref": "CI-17", "title": "リリースの確認", "due_on": "2026-12-11",
                      "assignee_email": "suzuki.ichiro@example.jp"}},
)  # fmt: skip
def put_task(call: Call, body: TaskWanted) -> Reply:
    """201 where it is new, else 200; sent again it changes nothing."""
    done = one_task.upsert(call.services, call.caller.me, _said(body), call.caller.who, call.now)
    found = get_task(call, done.task_id)
    return Reply(found, 201, f"/api/v1/tasks/{done.task_id}") if done.new else Reply(found, 200)


@operation(
    "PATCH", "/tasks/{task_id}", "tasks", Both("タスクを変える", "Change a task"), Scope.DATA,
    refuses=[Code.NO_SUCH_TASK],
    example={"path": {"task_id": 1}, "body": {"due_on": "2026-12-18"}},
)  # fmt: skip
def patch_task(call: Call, task_id: int, body: TaskChange) -> TaskEntry:
    """What is not said stays; null takes a due date or an assignee away."""
    ref = seen.task(call.services, call.caller.me, task_id).ref
    said = {"ref": ref, **_said(body)}
    one_task.upsert(call.services, call.caller.me, said, call.caller.who, call.now)
    return get_task(call, task_id)


@operation(
    "POST", "/tasks/{task_id}/close", "tasks",
    Both("タスクを完了か取りやめにする", "Close a task"), Scope.DATA,
    refuses=[Code.NO_SUCH_TASK, Code.NOT_POSSIBLE],
    example={"path": {"task_id": 1}, "body": {"status": "done"}},
)  # fmt: skip
def close_task(call: Call, task_id: int, body: TaskClosing) -> TaskEntry:
    """No report is asked for any more. One's own; an admin's token closes any."""
    caller = call.caller
    found = seen.task(call.services, caller.me, task_id)
    if not caller.me.is_admin and found.assignee_id != caller.me.id:
        raise NoSuchTask
    assign.close_task(call.services, found.ref, body.status, caller.who, call.now)
    return get_task(call, task_id)


def _said(body: TaskChange) -> dict[str, str]:
    """As the columns of tasks.csv, those that were sent."""
    return {
        name: "" if (value := getattr(body, name)) is None else str(value)
        for name in body.model_fields_set
    }
