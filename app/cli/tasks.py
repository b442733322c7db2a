"""`task`: a member's tasks; adding, assigning and closing one."""

from collections.abc import Sequence
from dataclasses import asdict

import click

from app import clock
from app.cli.language import say, t
from app.cli.shell import OneOf, Shell, as_json, email_argument, group, option, who
from app.cli.show import show_json, show_table
from app.members import assign, roster
from app.people import values
from app.people.choices import TASK_STATE

task = group("task", "タスクと担当者", "tasks, and whose they are")

_ref = click.argument("ref", metavar="REF")
_HEADERS = (
    t("番号", "ref"), t("タスク", "task"), t("担当", "assignee"), t("状態", "status"),
    t("期限", "due"), t("最後の報告", "last report"),
)  # fmt: skip


@task.entry("list", "タスクの一覧", "list the tasks")
@option("--user", "この人の分だけ", "only this member's", "email", metavar="EMAIL")
@option("--state", "この状態のもの(既定は open)", "those in this state (open)",
        type=OneOf("STATE", *(one.value for one in TASK_STATE.words)), default="open")  # fmt: skip
@as_json
@click.pass_obj
def list_tasks(shell: Shell, email: str | None, state: str, json_wanted: bool) -> None:
    """Those due first at the top."""
    services = shell.services()
    member_id = roster.known_id(services, email) if email is not None else None
    found = assign.list_tasks(services, member_id, state)
    if json_wanted:
        show_json([asdict(one) for one in found])
    elif found:
        show_tasks(found)
    else:
        say("当てはまるタスクはありません。", "There is no such task.")


def _state(status: str) -> str:
    return t(*TASK_STATE.name(status))


def show_tasks(found: Sequence[assign.AssignedTask]) -> None:
    """A line each."""
    show_table(
        _HEADERS,
        (
            (one.ref, one.title, one.assignee, _state(one.status), one.due_on, one.last_report_on)
            for one in found
        ),
    )  # fmt: skip


@task.entry("add", "タスクを1つ追加する", "add one task")
@email_argument
@click.argument("words", nargs=-1, required=True, metavar="ref=REF title=TITLE [KEY=VALUE…]")
@click.pass_obj
def add_task(shell: Shell, email: str, words: Sequence[str]) -> None:
    """It starts today unless `start_on` says otherwise."""
    typed = values.pairs(words)
    values.read(typed, dict.fromkeys(assign.FIELDS, str.strip))  # no other key
    services, now = shell.services(), clock.now()
    today = services.config.day_of(now)
    member_id = roster.known_id(services, email)
    typed = {"start_on": today.isoformat()} | typed
    assign.add_task(services, member_id, typed, who(), now)
    say(
        f"{email} のタスク {typed['ref']} を加えました。",
        f"{email} has the task {typed['ref']} now.",
    )


@task.entry("assign", "担当者を替える", "give it to another member")
@_ref
@email_argument
@click.pass_obj
def assign_task(shell: Shell, ref: str, email: str) -> None:
    """From any member, or from none."""
    before = assign.assign_task(shell.services(), ref, email, who(), clock.now())
    click.echo(f"{ref}: {before or t('なし', 'none')} → {email}")


@task.entry("close", "完了か取りやめにする", "close it: done or cancelled")
@_ref
@option("--as", "どちらにするか(既定は done)", "which of the two (done)", "status",
        type=OneOf("STATUS", "done", "cancelled"), default="done")  # fmt: skip
@click.pass_obj
def close_task(shell: Shell, ref: str, status: str) -> None:
    """No report is asked for any more."""
    assign.close_task(shell.services(), ref, status, who(), clock.now())
    click.echo(f"{ref}: {_state('open')} → {_state(status)}")
