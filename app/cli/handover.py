"""`member move-tasks` and `member deactivate`: what becomes of a member's work."""

from collections.abc import Sequence

import click

from app import clock
from app.cli.language import UsageRefused, say, t
from app.cli.members import member
from app.cli.shell import Shell, email_argument, flag, on_terminal, option, who
from app.cli.tasks import show_tasks
from app.members import changes, handover
from app.services import Services


@member.entry(
    "move-tasks",
    "未完了のタスクを別の人に渡す(REF がなければ全部)",
    "give the open tasks, all or those named, to another member",
)
@email_argument
@click.argument("to", metavar="TO")
@click.argument("refs", nargs=-1, metavar="[REF…]")
@click.pass_obj
def move_tasks(shell: Shell, email: str, to: str, refs: Sequence[str]) -> None:
    """All or none."""
    _hand_over(shell.services(), email, to, refs)


def _hand_over(services: Services, email: str, to: str, refs: Sequence[str] = ()) -> None:
    moved = handover.hand_over(services, email, to, who(), clock.now(), refs)
    for ref in moved:
        click.echo(f"{ref}: {email} → {to}")
    if not moved:
        say("未完了のタスクはありません。", "There is no open task.")


@member.entry(
    "deactivate",
    "メンバーを無効にする(残るタスクを示し、引き継ぐ)",
    "deactivate a member; their open tasks are named and handed over",
)
@email_argument
@option("--hand-over-to", "残るタスクをこの人に渡す", "give the open tasks to this member", "to",
        metavar="ADDRESS")  # fmt: skip
@flag("--leave-open", "残るタスクをそのままにする", "leave the open tasks as they are")
@click.pass_obj
def deactivate(shell: Shell, email: str, to: str | None, *, leave_open: bool) -> None:
    """The member named for the tasks is looked up before anything changes."""
    if to is not None and leave_open:
        raise UsageRefused(
            "--hand-over-to と --leave-open は、どちらか一方だけを書いてください。",
            "Write --hand-over-to or --leave-open, not both.",
        )
    services = shell.services()
    left = handover.left_behind(services, email)
    if left.tasks and not leave_open:
        to = to or _who_takes(left)
    if left.tasks and to is not None:
        handover.check_handover(services, email, to)
    changes.set_member(services, email, {"active": "no"}, who(), clock.now())
    say(f"{left.name}さん({email})を無効にしました。", f"{left.name} ({email}) is not active now.")
    if left.tasks and to is not None:
        _hand_over(services, email, to)
    elif left.tasks:
        _still_open(email, left)
    _name_the_led(left)


def _who_takes(left: handover.LeftBehind) -> str | None:
    """The person at the terminal says; nothing typed leaves the tasks open."""
    number = len(left.tasks)
    if not on_terminal():
        refs = ", ".join(one.ref for one in left.tasks)
        raise UsageRefused(
            f"未完了のタスクが {number}件あります({refs})。--hand-over-to ADDRESS で引き継ぐか、"
            "--leave-open でそのままにしてください。何も変えていません。",
            f"Open tasks: {number} ({refs}). Add --hand-over-to ADDRESS to hand them over, or "
            "--leave-open to leave them. Nothing was changed.",
        )
    show_tasks(left.tasks)
    question = t(
        f"この {number}件を引き継ぐ人のアドレス(空ならそのまま)",
        f"Address of who takes these {number} (empty: leave them)",
    )
    return click.prompt(question, default="", show_default=False, err=True).strip() or None


def _still_open(email: str, left: handover.LeftBehind) -> None:
    say(
        f"未完了のタスクが {len(left.tasks)}件残っています。引き継ぐには: "
        f"task-progress member move-tasks {email} ADDRESS",
        f"Tasks still open: {len(left.tasks)}. To hand them over: "
        f"task-progress member move-tasks {email} ADDRESS",
    )


def _name_the_led(left: handover.LeftBehind) -> None:
    if left.led:
        say(
            f"上司がいなくなったメンバー: {', '.join(left.led)}。新しい上司を決めるには: "
            "task-progress member set EMAIL manager=ADDRESS",
            f"They led: {', '.join(left.led)}. To name another manager: "
            "task-progress member set EMAIL manager=ADDRESS",
        )
