"""`settings`, `member`, `snooze`, `off-today`, `admin`: the defaults, and one member's own values."""

import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime, time
from typing import Any, cast
from zoneinfo import ZoneInfo

import click

from app import clock
from app.cli.days import show_spans
from app.cli.language import LOCALE, UsageRefused, say, t
from app.cli.shell import Shell, as_json, ask, cli, email_argument, flag, group, option, who
from app.cli.show import show_json, show_table
from app.compose.text import date_words
from app.links import SIGN_IN_MINUTES
from app.locale import Both
from app.members import changes, days, defaults, roster, sign_in
from app.members.changes import Change
from app.members.snooze import snooze_today, snooze_until
from app.mime.address import read_mailbox
from app.people import values
from app.refused import UnusableValue
from app.rules.workdays import Span
from app.services import Services
from app.util.dates_and_numbers import read_date, read_time
from app.util.grouped import grouped
from app.util.parse import shown

NEXT_WORKDAY = "next-workday"

settings = group("settings", "組織の既定の設定", "the organisation's defaults")
member = group("member", "メンバー", "members")


# --- the organisation -----------------------------------------------------------------------------


@settings.entry("show", "いまの値を見る", "show the values")
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


@settings.entry(
    "set",
    "値を変える(再起動は不要。空にすると既定に戻る)",
    "change values, no restart needed; an empty one is the default again",
)
@click.argument("words", nargs=-1, required=True, metavar="KEY=VALUE…")
@flag(
    "--for-everybody",
    "メンバーの自分の値も消し、全員に有効にする",
    "for members with a value of their own, too: theirs is dropped",
)
@click.pass_obj
def set_settings(shell: Shell, words: Sequence[str], *, for_everybody: bool) -> None:
    """All or none; who keeps a value of their own is named."""
    services, typed = shell.services(), values.pairs(words)
    done = defaults.set_settings(services, typed, who(), clock.now())
    _show_changes(done)
    own = defaults.own_values(services, typed)
    if for_everybody:
        defaults.forget_own_values(services, typed, who(), clock.now())
    _name_the_others(own, words, dropped=for_everybody)


_NAMED = 5  # members that are named for one setting


def _name_the_others(
    own: Sequence[defaults.OwnValue], words: Sequence[str], *, dropped: bool
) -> None:
    """Whose own value wins over the new default, or won until now."""
    for key, found in grouped((one.key, one) for one in own).items():
        named = ", ".join(f"{one.email} {one.value}" for one in found[:_NAMED])
        named += t("、ほか", ", …") * (len(found) > _NAMED)
        if dropped:
            say(
                f"{key}: {len(found)}人の自分の値を消しました({named})。",
                f"{key}: own values dropped: {len(found)} ({named}).",
            )
        else:
            say(
                f"{key}: {len(found)}人は自分の値のままです({named})。",
                f"{key}: members who keep a value of their own: {len(found)} ({named}).",
            )
    if own and not dropped:
        command = f"task-progress settings set {shlex.join(words)} --for-everybody"
        say(f"全員に有効にするには: {command}", f"To have it for everybody: {command}")


# --- one member -----------------------------------------------------------------------------------


@member.entry("show", "いまの値を見る", "show the values")
@email_argument
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
    leave, works = found.pop("leave"), found.pop("extra_workdays")
    show_table(
        (t("項目", "key"), t("値", "value")),
        ((key, _word(value)) for key, value in found.items()),
    )
    click.echo()
    show_table(
        (t("設定", "setting"), t("有効な値", "holds"), t("本人の値", "own")),
        ((key, holds[key], own[key]) for key in holds),
    )
    if leave:
        click.echo()
        show_spans([_span(one) for one in leave])
    if works:
        click.echo()
        say("出勤日:", "Extra workdays:")
        show_spans([_span(one) for one in works])


@member.entry(
    "set",
    "値を変える(空にすると組織の既定に戻る)",
    "change values; an empty one is the organisation's default again",
)
@click.argument("words", nargs=-1, required=True, metavar="EMAIL KEY=VALUE…")
@option(
    "--team",
    "EMAIL の代わりに、このチームの有効なメンバー全員",
    "instead of EMAIL: every active member of this team",
    metavar="TEAM",
)
@click.pass_obj
def set_member(shell: Shell, words: Sequence[str], team: str | None) -> None:
    """All or none."""
    if team is not None:
        _set_team(shell.services(), team, values.pairs(words))
        return
    email, *rest = words
    if not rest:
        raise UsageRefused("KEY=VALUE を指定してください。", "KEY=VALUE is missing.")
    _show_changes(
        changes.set_member(shell.services(), email, values.pairs(rest), who(), clock.now())
    )


def _set_team(services: Services, team: str, typed: Mapping[str, str]) -> None:
    found = changes.set_team(services, team, typed, who(), clock.now())
    for email, done in found.items():
        if done:
            click.echo(email)
            _show_changes(done)
    number = sum(bool(done) for done in found.values())
    say(f"{number}人の値を変えました。", f"Members changed: {number}.")


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


@cli.entry("snooze", "リマインダーを後にする", "have the reminder later")
@email_argument
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
        found = snooze_today(services, email, wish, who(), clock.now())
        at = cast("datetime", found.at)
        day, hour = date_words(at.date(), with_year=False), f"{at:%H:%M} ({at:%Z})"
        say(
            f"{day.ja} {hour} にもう一度お知らせします(メール {found.mail_id})。",
            f"There will be a reminder on {day.en}, {hour} (mail {found.mail_id}).",
        )
        return
    found = snooze_until(services, email, wish, who(), clock.now())
    day = date_words(cast("date", found.until), with_year=False)
    say(f"リマインダーは{day.ja}に再開します。", f"Reminders resume on {day.en}.")


def _read_until(text: str) -> time | date | None:
    if text == NEXT_WORKDAY:
        return None
    with suppress(UnusableValue):
        return read_time(text)
    try:
        return read_date(text)
    except UnusableValue:
        raise UsageRefused(
            f"--until: 「{shown(text)}」は使えません。15:00 のような時刻、{NEXT_WORKDAY}、"
            "2026-11-30 のような日付のどれかを書いてください。",
            f'--until: "{shown(text)}" cannot be used. Write an hour like 15:00, '
            f"{NEXT_WORKDAY}, or a date like 2026-11-30.",
        ) from None


@cli.entry("off-today", "今日を休暇にする", "today is a day of leave")
@email_argument
@click.pass_obj
def off_today(shell: Shell, email: str) -> None:
    """Leave for the member's local date."""
    services = shell.services()
    day = days.off_today(services, email, who(), clock.now())
    shown = date_words(day, with_year=False)
    say(f"{shown.ja}を休暇にしました。", f"{shown.en} is a day of leave now.")


@cli.entry(
    "admin",
    "管理者にして、サインインのリンクを表示する",
    "make somebody an admin and print a sign-in link",
)
@email_argument
@flag("--yes", "新しいメンバーでも尋ねない", "do not ask, also for a new member")
@click.pass_obj
def admin(shell: Shell, email: str, *, yes: bool) -> None:
    """Needs no mail: the link is printed."""
    address = read_mailbox("EMAIL", email).address
    services = shell.services()
    if not yes:
        _ask_for_a_new_one(services, address)
    url = sign_in.make_admin(services, address, who(), clock.now())
    say(
        f"{address} は管理者です。{SIGN_IN_MINUTES}分以内に、1回だけ使えるリンクです:",
        f"{address} is an admin. This link works once, within {SIGN_IN_MINUTES} minutes:",
    )
    click.echo(url)


def _ask_for_a_new_one(services: Services, address: str) -> None:
    """Asks before an unknown address, perhaps mistyped, becomes a member; the very first one does unasked."""
    unknown = roster.unknown(services, address)
    if unknown is None:
        return
    ask(
        unknown.sentence.to(LOCALE)
        + t("新しく加えて管理者にしますか", " Add a new one and make them an admin"),
        Both(
            f"{unknown.sentence.ja}新しく加えて管理者にするには --yes を付けてください。",
            f"{unknown.sentence.en} To add a new one as an admin, say --yes.",
        ),
        Both("何も変えていません。", "Nothing was changed."),
    )
