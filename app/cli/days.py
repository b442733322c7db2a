"""`leave` and `workday`: a member's leave, closures, and extra workdays."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any

import click

from app import clock
from app.cli.language import UsageRefused, say, t
from app.cli.shell import DAY, Group, Shell, as_json, email_argument, group, option, who
from app.cli.show import show_json, show_table
from app.locale import Both
from app.members.days import LEAVE, WORKDAYS, OwnedDays
from app.people import values
from app.rules.workdays import Span


@dataclass(frozen=True, slots=True)
class Days:
    """The commands about one kind of days: how they name an owner and an end, and their words."""

    whose: Callable[[Any], Any]  # the argument or option `email`
    last: Callable[[Any], Any]  # the argument `last`
    kind: OwnedDays
    helps: tuple[Both, Both, Both]  # of add, list, remove
    none: Both

    def show(self, spans: Sequence[Span]) -> None:
        """A line each, or that there is none."""
        if spans:
            show_spans(spans)
        else:
            say(*self.none)


_last = partial(click.argument, "last", required=False)
_LEAVE = Days(
    whose=email_argument,
    last=_last(metavar=f"[LAST|{values.UNTIL_FURTHER_NOTICE}]"),
    kind=LEAVE,
    helps=(
        Both("休暇を追加する", "add days of leave"),
        Both("休暇の一覧", "list the leave"),
        Both("休暇から日を除く", "take days out of the leave; the rest stays"),
    ),
    none=Both("休暇はありません。", "There is no leave."),
)
_WORKDAYS = Days(
    whose=option(
        "--user",
        "この人だけの日",
        "of this member alone",
        "email",
        metavar="EMAIL",
        callback=lambda _ctx, _param, email: email or None,
    ),
    last=_last(metavar="[LAST]"),
    kind=WORKDAYS,
    helps=(
        Both("出勤日を追加する(--user がなければ会社全体)", "add workdays: everybody's, or --user"),
        Both("出勤日の一覧", "list the workdays"),
        Both("出勤日から日を除く", "take days out; the rest stays"),
    ),
    none=Both("出勤日はありません。", "There are no extra workdays."),
)

_first = click.argument("first", type=DAY, metavar="FIRST")
_name = option("--name", "日の名前", "what it is called", default="", metavar="TEXT")


def _add_commands(group: Group, days: Days) -> None:
    """The commands `add`, `list` and `remove`. Without LAST one day is meant."""

    @group.entry("add", *days.helps[0])
    @days.whose
    @_first
    @days.last
    @_name
    @click.pass_obj
    def add(shell: Shell, email: str | None, first: date, last: str | None, name: str) -> None:
        services = shell.services()
        last_day = values.read_last(last, first)
        if len(name) > 200 or not name.isprintable():
            raise UsageRefused(
                "--name は1行200文字までです。", "--name takes one line of at most 200 letters."
            )
        span = Span(first, last_day, name)
        days.show(days.kind.add(services, email, span, who(), clock.now()))

    @group.entry("list", *days.helps[1])
    @days.whose
    @as_json
    @click.pass_obj
    def list_(shell: Shell, email: str | None, json_wanted: bool) -> None:
        services = shell.services()
        spans = days.kind.owned(services, email)
        if json_wanted:
            rows = [{"first_day": a.first, "last_day": a.last, "name": a.name} for a in spans]
            show_json(rows)
        else:
            days.show(spans)

    @group.entry("remove", *days.helps[2])
    @days.whose
    @_first
    @days.last
    @click.pass_obj
    def remove(shell: Shell, email: str | None, first: date, last: str | None) -> None:
        services = shell.services()
        span = Span(first, values.read_last(last, first))
        days.show(days.kind.remove(services, email, span, who(), clock.now()))


def show_spans(spans: Sequence[Span]) -> None:
    """A line each."""
    show_table(
        (t("最初の日", "first"), t("最後の日", "last"), t("名前", "name")),
        ((one.first, one.last or t("当面の間", "until further notice"), one.name) for one in spans),
    )


_add_commands(group("leave", "メンバーの休暇", "a member's leave"), _LEAVE)
_add_commands(
    group(
        "workday",
        "会社やメンバーの出勤日(土曜出勤日など)",
        "extra workdays: a working Saturday",
    ),
    _WORKDAYS,
)
