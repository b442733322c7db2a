"""`settings`, `member`, `snooze`, `off-today`: the defaults, and one member's own values."""

from collections.abc import Sequence
from datetime import date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

import click

from app import clock
from app.cli.days import show_spans
from app.cli.language import UsageRefused, say, t
from app.cli.shell import Group, Shell, as_json, command, option, who
from app.cli.show import show_json, show_table
from app.members import changes, defaults, leave
from app.members.changes import Change
from app.members.snooze import snooze_today, snooze_until
from app.people import values
from app.people.csv_records import read_date
from app.refused import UnusableValue
from app.rules.workdays import Span
from app.services import Services
from app.util.parse import parse_time, shown

NEXT_WORKDAY = "next-workday"

settings = Group("settings", help=t("組織の既定の設定", "the organisation's defaults"))
member = Group("member", help=t("メンバー1人の設定", "one member's settings"))

_keys = click.argument("words", nargs=-1, required=True, metavar="KEY=VALUE…")
_email = click.argument("email", metavar="EMAIL")


# --- the organisation -----------------------------------------------------------------------------


@settings.command("show", help=t("いまの値を見る", "show the values"))
@as_json
@click.pass_obj
def show_settings(shell: Shell, json_wanted: bool) -> None:
    """Each default, and who changed it."""
    services = shell.services()
    found = defaults.show_settings(services)
    if json_wanted:
        show_json(found)
        return
    home = ZoneInfo(services.config.app_timezone)
    show_table(
        (t("項目", "key"), t("値", "value"), t("初期値", "built in"), t("変更", "changed")),
        (
            (one["key"], one["value"], one["default"] if one["changed_by"] else None,
             f"{one['changed_by']} {_minute(one['changed_at'], home)}" if one["changed_by"] else None)
            for one in found
        ),
    )  # fmt: skip


def _minute(moment: str, zone: ZoneInfo) -> str:
    return f"{datetime.fromisoformat(moment).astimezone(zone):%Y-%m-%d %H:%M}"


@settings.command(
    "set",
    help=t(
        "値を変える(再起動は不要。空にすると既定に戻る)",
        "change values, no restart needed; an empty one is the default again",
    ),
)
@_keys
@click.pass_obj
def set_settings(shell: Shell, words: Sequence[str]) -> None:
    """All or none."""
    services = shell.services()
    done = defaults.set_settings(services, values.pairs(words), who(), clock.now())
    _show_changes(done)


# --- one member -----------------------------------------------------------------------------------


@member.command("show", help=t("いまの値を見る", "show the values"))
@_email
@as_json
@click.pass_obj
def show_member(shell: Shell, email: str, json_wanted: bool) -> None:
    """The member's own values, and what holds."""
    services = shell.services()
    found = changes.show_member(services, email)
    if json_wanted:
        show_json(found)
        return
    own, holds = found.pop("own"), found.pop("holds")
    days, works = found.pop("leave"), found.pop("extra_workdays")
    show_table(
        (t("項目", "key"), t("値", "value")),
        ((key, _word(value)) for key, value in found.items()),
    )
    click.echo()
    show_table(
        (t("設定", "setting"), t("有効な値", "holds"), t("本人の値", "own")),
        ((key, holds[key], own[key]) for key in holds),
    )
    if days:
        click.echo()
        show_spans([_span(one) for one in days])
    if works:
        click.echo()
        say("出勤日:", "Extra workdays:")
        show_spans([_span(one) for one in works])


@member.command(
    "set",
    help=t(
        "値を変える(空にすると組織の既定に戻る)",
        "change values; an empty one is the organisation's default again",
    ),
)
@_email
@_keys
@click.pass_obj
def set_member(shell: Shell, email: str, words: Sequence[str]) -> None:
    """All or none."""
    services = shell.services()
    done = changes.set_member(services, email, values.pairs(words), who(), clock.now())
    _show_changes(done)


def _span(one: dict[str, str | None]) -> Span:
    last = one["last_day"]
    first = date.fromisoformat(one["first_day"] or "")
    return Span(first, date.fromisoformat(last) if last else None, one["name"] or "")


_NO_DEFAULT = {"team", "manager", "paused_until"}


def _show_changes(done: Sequence[Change]) -> None:
    for one in done:
        nothing = t("なし", "none") if one.key in _NO_DEFAULT else t("既定", "default")
        click.echo(f"{one.key}: {one.before or nothing} → {one.after or nothing}")
    if not done:
        say("変わったものはありません。", "Nothing changed.")


def _word(value: Any) -> Any:
    return values.typed("", value) if isinstance(value, bool) else value


# --- not now --------------------------------------------------------------------------------------


@command("snooze", "リマインダーを後にする", "have the reminder later")
@_email
@option(
    "--until",
    "今日の時刻、次の営業日、または日付",
    "an hour today, the next workday, or a date",
    required=True,
    metavar=f"HH:MM|{NEXT_WORKDAY}|YYYY-MM-DD",
)
@click.pass_obj
def snooze(shell: Shell, email: str, until: str) -> None:
    """An hour today: one mail then. A date: none before it."""
    wish = _read_until(until)
    services = shell.services()
    if isinstance(wish, time):
        _snooze_today(services, email, wish, clock.now())
    else:
        _snooze_until(services, email, wish, clock.now())


def _snooze_today(services: Services, email: str, until: time, now: datetime) -> None:
    found = snooze_today(services, email, until, who(), now)
    at = f"{found.at:%Y-%m-%d %H:%M %Z}"
    say(
        f"{at} にもう一度お知らせします(メール {found.mail_id})。",
        f"There will be a reminder at {at} (mail {found.mail_id}).",
    )


def _snooze_until(services: Services, email: str, until: date | None, now: datetime) -> None:
    found = snooze_until(services, email, until, who(), now)
    say(
        f"リマインダーを休みます。{found.until} から再開します。",
        f"No reminders before {found.until}; from that day on they come again.",
    )


def _read_until(text: str) -> time | date | None:
    if text == NEXT_WORKDAY:
        return None
    try:
        return parse_time(text) if ":" in text else read_date(text)
    except UnusableValue:
        raise UsageRefused(
            f"--until: 「{shown(text)}」は使えません。15:00 のような時刻、{NEXT_WORKDAY}、"
            "2026-11-30 のような日付のどれかを書いてください。",
            f'--until: "{shown(text)}" cannot be used. Write an hour like 15:00, '
            f"{NEXT_WORKDAY}, or a date like 2026-11-30.",
        ) from None


@command("off-today", "今日を休暇にする", "today is a day of leave")
@_email
@click.pass_obj
def off_today(shell: Shell, email: str) -> None:
    """Leave for the member's local date."""
    services = shell.services()
    day = leave.off_today(services, email, who(), clock.now())
    say(f"{day} を休暇にしました。", f"{day} is a day of leave now.")
