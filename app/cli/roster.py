"""`member add`, `member list` and `member rename-address`: who is mailed."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, timedelta

import click

from app import clock
from app.cli.language import say, t
from app.cli.members import member
from app.cli.shell import OneOf, Shell, as_json, email_argument, option, who
from app.cli.show import show_json, show_table
from app.compose.text import date_words
from app.locale import Both
from app.members import changes, rename_address, roster, teams
from app.people import values
from app.people.values import ValuesRefused

_STATE = OneOf("STATE", *roster.STATES)
_SIGNS = {True: Both("有効", "active"), False: Both("無効", "inactive")}
# Keys of `member set` that a new member cannot have.
_NOT_YET = Both(
    "新しいメンバーには書けません。加えたあとに member set で変えてください。",
    "A new member cannot have it. Add the member, then change it with member set.",
)
_EMAIL_FIRST = Both(
    "アドレスは EMAIL の位置に1回だけ書いてください。", "Write the address once, as EMAIL."
)
_REFUSED = {"email": _EMAIL_FIRST, "active": _NOT_YET, "suppressed": _NOT_YET}


@member.entry("add", "メンバーを1人追加する", "add one member")
@email_argument
@click.argument("words", nargs=-1, required=True, metavar="name=NAME [KEY=VALUE…]")
@click.pass_obj
def add_member(shell: Shell, email: str, words: Sequence[str]) -> None:
    """With every fault at once; the keys are those of `member set`."""
    typed = values.pairs(words)
    if faults := [(key, _REFUSED[key]) for key in typed if key in _REFUSED]:
        raise ValuesRefused(faults)
    services = shell.services()
    changes.add_member(services, {"email": email, **typed}, who(), clock.now())
    found = changes.show_member(services, email)
    first = date_words(date.fromisoformat(found["decided_through"]) + timedelta(days=1))
    say(
        f"{found['name']}さん({found['email']})を加えました。リマインダーは{first.ja}の分からです。",
        f"{found['name']} ({found['email']}) is a member now. Reminders begin with {first.en}.",
    )


@member.entry(
    "rename-address",
    "アドレスを替える(タスク、報告、履歴はそのまま)",
    "another address; tasks, reports and history stay",
)
@email_argument
@click.argument("to", metavar="TO")
@click.pass_obj
def change_address(shell: Shell, email: str, to: str) -> None:
    """The old address is told, where it takes mail."""
    services = shell.services(queue=True)
    done = rename_address.rename_address(services, email, to, who(), clock.now())
    click.echo(f"{done.before} → {done.after}")
    say("サインインはすべて終わりました。", "All sessions have ended.")
    if done.mail_id is None:
        say(
            "前のアドレスには知らせません(無効なメンバーか、送信停止中です)。",
            "The old address is not told: the member is not active, or it is suppressed.",
        )
    else:
        say(
            f"前のアドレスに知らせます(メール {done.mail_id})。",
            f"The old address is told (mail {done.mail_id}).",
        )


@member.entry("list", "メンバーの一覧", "list the members")
@option("--team", "このチームだけ", "only this team", metavar="TEAM")
@option("--state", "この状態だけ", "only those in this state", type=_STATE)
@option("--search", "名前かアドレスの一部", "part of a name or an address", metavar="TEXT")
@as_json
@click.pass_obj
def list_members(
    shell: Shell, team: str | None, state: str | None, search: str | None, json_wanted: bool
) -> None:
    """By address."""
    services = shell.services()
    team_id = teams.id_of(services, team) if team is not None else None
    found = roster.roster(services, search=search or "", team_id=team_id, state=state or "")
    if json_wanted:
        show_json([asdict(one) for one in found])
    elif found:
        _show(found)
    else:
        say("当てはまるメンバーはいません。", "There is no such member.")


def _show(found: Sequence[roster.RosterRow]) -> None:
    stopped = t("、送信停止", ", suppressed")
    show_table(
        (t("アドレス", "address"), t("名前", "name"), t("役割", "role"), t("チーム", "team"),
         t("状態", "state")),
        (
            (one.email, one.name, one.role, one.team, t(*_SIGNS[one.active]) + stopped * one.suppressed)
            for one in found
        ),
    )  # fmt: skip
