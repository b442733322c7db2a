"""`leave` and `workday`: a member's leave, closures, and extra workdays."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import click

from app import clock
from app.cli.language import UsageRefused, say, t
from app.cli.shell import DAY, Group, Shell, as_json, option, who
from app.cli.show import show_json, show_table
from app.locale import Both
from app.members import extra_workdays, leave
from app.people import values
from app.rules.workdays import Span
from app.services import Services

Change = Callable[[Services, Any, Span, str, datetime], list[Span]]  # of this address: what stands


@dataclass(frozen=True, slots=True)
class Days:
    """One kind of days: how its commands name an owner and an end, its use cases, its words."""

    whose: Callable[[Any], Any]  # the argument or option `email`
    last: str  # how LAST is shown
    list_: Callable[[Services, Any], list[Span]]
    add: Change
    remove: Change
    helps: tuple[str, str, str]  # of add, list, remove
    none: Both

    def show(self, spans: Sequence[Span]) -> None:
        """A line each, or that there is none."""
        if spans:
            show_spans(spans)
        else:
            say(*self.none)


_LEAVE = Days(
    whose=click.argument("email", metavar="EMAIL"),
    last=f"[LAST|{values.UNTIL_FURTHER_NOTICE}]",
    list_=leave.list_leave,
    add=leave.add_leave,
    remove=leave.remove_leave,
    helps=(
        t("休暇を加える", "add days of leave"),
        t("休暇の一覧", "list the leave"),
        t("休暇から日を除く", "take days out of the leave; the rest stays"),
    ),
    none=Both("休暇はありません。", "There is no leave."),
)
_WORKDAYS = Days(
    whose=option("--user", "この人だけの日", "of this member alone", "email", metavar="EMAIL"),
    last="[LAST]",
    list_=extra_workdays.list_workdays,
    add=extra_workdays.add_workdays,
    remove=extra_workdays.remove_workdays,
    helps=(
        t("出勤日を加える(--user がなければ会社全体)", "add workdays: everybody's, or --user"),
        t("出勤日の一覧", "list the workdays"),
        t("出勤日から日を除く", "take days out; the rest stays"),
    ),
    none=Both("出勤日はありません。", "There are no extra workdays."),
)

_first = click.argument("first", type=DAY, metavar="FIRST")
_name = option("--name", "日の名前", "what it is called", default="", metavar="TEXT")


def _group(name: str, about: str, days: Days) -> Group:
    """The commands `add`, `list` and `remove`. Without LAST one day is meant."""
    group = Group(name, help=about)
    last_ = click.argument("last", required=False, metavar=days.last)

    @group.command("add", help=days.helps[0])
    @days.whose
    @_first
    @last_
    @_name
    @click.pass_obj
    def add(shell: Shell, email: str | None, first: date, last: str | None, name: str) -> None:
        services = shell.services()
        span = Span(first, values.read_last(last, first), _checked(name))
        days.show(days.add(services, email, span, who(), clock.now()))

    @group.command("list", help=days.helps[1])
    @days.whose
    @as_json
    @click.pass_obj
    def list_(shell: Shell, email: str | None, json_wanted: bool) -> None:
        services = shell.services()
        spans = days.list_(services, email)
        if json_wanted:
            rows = [{"first_day": a.first, "last_day": a.last, "name": a.name} for a in spans]
            show_json(rows)
        else:
            days.show(spans)

    @group.command("remove", help=days.helps[2])
    @days.whose
    @_first
    @last_
    @click.pass_obj
    def remove(shell: Shell, email: str | None, first: date, last: str | None) -> None:
        services = shell.services()
        span = Span(first, values.read_last(last, first))
        days.show(days.remove(services, email, span, who(), clock.now()))

    return group


def show_spans(spans: Sequence[Span]) -> None:
    """A line each."""
    show_table(
        (t("最初の日", "first"), t("最後の日", "last"), t("名前", "name")),
        ((one.first, one.last or t("当面の間", "until further notice"), one.name) for one in spans),
    )


def _checked(name: str) -> str:
    if len(name) > 200 or not name.isprintable():
        raise UsageRefused(
            "--name は1行200文字までです。",
            "--name takes one line of at most 200 letters.",
        )
    return name


leave_group = _group("leave", t("メンバーの休暇", "a member's leave"), _LEAVE)
workday_group = _group(
    "workday",
    t("会社やメンバーの出勤日(土曜出勤日など)", "extra workdays: a working Saturday"),
    _WORKDAYS,
)
