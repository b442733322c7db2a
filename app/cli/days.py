"""`leave` and `workday`: days on which a member, or the company, does (not) work all the same."""

from collections.abc import Sequence
from datetime import date

import click

from app import clock
from app.cli.common import faults_named, member_named
from app.cli.shell import Day, Group, Shell, as_json, who
from app.cli.show import show_json, show_table
from app.cli.words import Failed, Refused, say, t
from app.members import extra_workdays, leave, values
from app.words import Both
from app.workdays import Span

leave_group = Group("leave", help=t("メンバーの休暇", "a member's leave"))
workday_group = Group(
    "workday",
    help=t("会社やメンバーの出勤日(土曜出勤日など)", "extra workdays: a working Saturday"),
)

_email = click.argument("email", metavar="EMAIL")
_first = click.argument("first", type=Day(), metavar="FIRST")
_last = click.argument("last", required=False, metavar=f"[LAST|{values.UNTIL_FURTHER_NOTICE}]")
_end = click.argument("last", required=False, metavar="[LAST]")
_user = click.option(
    "--user", "email", metavar="EMAIL", help=t("この人だけの日", "of this member alone")
)
_name = click.option("--name", default="", metavar="TEXT", help=t("日の名前", "what it is called"))


# --- leave ----------------------------------------------------------------------------------------


@leave_group.command("add", help=t("休暇を加える", "add days of leave"))
@_email
@_first
@_last
@_name
@click.pass_obj
def add(shell: Shell, email: str, first: date, last: str | None, name: str) -> None:
    """Without LAST one day."""
    services = shell.services()
    with member_named(services), faults_named():
        span = Span(first, values.read_last(last, first), _checked(name))
        _show_leave(leave.add_leave(services, email, span, who(), clock.now()))


@leave_group.command("list", help=t("休暇の一覧", "list the leave"))
@_email
@as_json
@click.pass_obj
def list_(shell: Shell, email: str, json_wanted: bool) -> None:
    """The earliest first."""
    services = shell.services()
    with member_named(services):
        spans = leave.list_leave(services, email)
    if json_wanted:
        _show_json(spans)
    else:
        _show_leave(spans)


@leave_group.command(
    "remove", help=t("休暇から日を除く", "take days out of the leave; the rest stays")
)
@_email
@_first
@_last
@click.pass_obj
def remove(shell: Shell, email: str, first: date, last: str | None) -> None:
    """Without LAST one day."""
    services = shell.services()
    try:
        with member_named(services), faults_named():
            days = Span(first, values.read_last(last, first))
            _show_leave(leave.remove_leave(services, email, days, who(), clock.now()))
    except leave.NoLeave:
        raise Failed(
            Both("その間に休暇はありません。", "There is no leave on these days.")
        ) from None


def _show_leave(spans: Sequence[Span]) -> None:
    if not spans:
        say("休暇はありません。", "There is no leave.")
        return
    show_spans(spans)


# --- extra workdays -------------------------------------------------------------------------------


@workday_group.command(
    "add",
    help=t("出勤日を加える(--user がなければ会社全体)", "add workdays: everybody's, or --user"),
)
@_first
@_end
@_user
@_name
@click.pass_obj
def add_workday(shell: Shell, first: date, last: str | None, email: str | None, name: str) -> None:
    """Without LAST one day."""
    services = shell.services()
    with member_named(services), faults_named():
        span = Span(first, values.read_last(last, first), _checked(name))
        _show_workdays(extra_workdays.add_workdays(services, email, span, who(), clock.now()))


@workday_group.command("list", help=t("出勤日の一覧", "list the workdays"))
@_user
@as_json
@click.pass_obj
def list_workdays(shell: Shell, email: str | None, json_wanted: bool) -> None:
    """The earliest first."""
    services = shell.services()
    with member_named(services):
        spans = extra_workdays.list_workdays(services, email)
    if json_wanted:
        _show_json(spans)
    else:
        _show_workdays(spans)


@workday_group.command("remove", help=t("出勤日から日を除く", "take days out; the rest stays"))
@_first
@_end
@_user
@click.pass_obj
def remove_workday(shell: Shell, first: date, last: str | None, email: str | None) -> None:
    """Without LAST one day."""
    services = shell.services()
    try:
        with member_named(services), faults_named():
            days = Span(first, values.read_last(last, first))
            left = extra_workdays.remove_workdays(services, email, days, who(), clock.now())
            _show_workdays(left)
    except extra_workdays.NoExtraWorkday:
        raise Failed(
            Both("その間に出勤日はありません。", "There is no extra workday on these days.")
        ) from None


def _show_workdays(spans: Sequence[Span]) -> None:
    if not spans:
        say("出勤日はありません。", "There are no extra workdays.")
        return
    show_spans(spans)


# --- both -----------------------------------------------------------------------------------------


def show_spans(spans: Sequence[Span]) -> None:
    """A line each."""
    show_table(
        (t("最初の日", "first"), t("最後の日", "last"), t("名前", "name")),
        ((one.first, one.last or t("当面の間", "until further notice"), one.name) for one in spans),
    )


def _show_json(spans: Sequence[Span]) -> None:
    show_json([{"first_day": one.first, "last_day": one.last, "name": one.name} for one in spans])


def _checked(name: str) -> str:
    if len(name) > 200 or not name.isprintable():
        raise Refused(
            Both("--name は1行200文字までです。", "--name takes one line of at most 200 letters."),
            click.get_current_context(),
        )
    return name
