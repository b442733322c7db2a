"""Checks of letters, before the first member's hour comes: each can be composed; the holidays are known."""

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.compose.reminder import ReminderFacts, TaskLine, reminder
from app.compose.text import Locale
from app.doctor.finding import CheckContext, Finding, Machine, green, red, yellow
from app.locale import Both
from app.mime.message import build
from app.models import Member
from app.people.settings import Organisation, organisation
from app.rules.workdays import public_holidays
from app.rules.workdays import regions as known_regions

_URL = "https://progress.example.jp/r/token"
_NASTY = "<b>{{ 7*7 }}</b> ${x} 髙①"
_LOCALES: tuple[Locale, ...] = ("ja", "en")


def letters(_machine: Machine) -> list[Finding]:
    """Makes a plain, a long and an odd reminder in both languages; sends none."""
    return [one for locale in _LOCALES for one in _letter(locale)]


def _letter(locale: Locale) -> list[Finding]:
    check = f"letters-{locale}"
    name = Both("日本語", "Japanese") if locale == "ja" else Both("英語", "English")
    try:
        for facts in _examples(locale):
            message = replace(reminder(facts), mail_from="app@example.jp")
            build(message, date=datetime(2026, 11, 24, tzinfo=UTC))
    except Exception as error:  # noqa: BLE001 - whatever is wrong with it, it must be a finding
        return red(
            check,
            f"リマインダー({name.ja})を作れません: {type(error).__name__}: {error}",
            f"The reminder in {name.en} cannot be made: {type(error).__name__}: {error}",
            "git status app/templates app/compose; git checkout app/templates app/compose",
        )
    return green(
        check,
        f"リマインダー({name.ja}): 作れます。",
        f"The reminder in {name.en} can be made.",
    )


def _examples(locale: Locale) -> list[ReminderFacts]:
    plain = [_task(number, "設計書のレビュー", "on_track") for number in range(1, 4)]
    odd = [_task(1, _NASTY, "blocked"), _task(2, "", None)]
    many = [_task(number, _NASTY * 20, "at_risk") for number in range(50)]
    return [
        _facts(locale, "佐藤 花子", plain),
        _facts(locale, "", odd),
        _facts(locale, _NASTY, many),
    ]


def _task(
    number: int, title: str, status: Literal["on_track", "at_risk", "blocked"] | None
) -> TaskLine:
    reported = status is not None
    return TaskLine(
        task_id=number,
        ref=f"T-{number}",
        title=title,
        due_on=date(2026, 12, 1) if number % 2 else None,
        report_every="daily" if number % 3 else "weekly",
        last_on=date(2026, 11, 20) if reported else None,
        last_by=title if reported else None,
        last_percent=50 if reported else None,
        last_status=status,
        last_text=title if reported else None,
        silent=number % 5,
    )


def _facts(locale: Locale, name: str, tasks: list[TaskLine]) -> ReminderFacts:
    return ReminderFacts(
        member_id=1,
        name=name,
        email="sato.hanako@example.jp",
        locale=locale,
        local_date=date(2026, 11, 24),
        kind="reminder",
        n=0,
        tasks=tasks,
        report_url=_URL,
        stop_url=_URL,
        reply_to_shown="app@example.jp",
        message_origin="7f3a9c@example.jp",
    )


def holidays(case: CheckContext) -> list[Finding]:
    """The public holidays of this year and the next are known, for each region that is in use."""
    regions = _regions(case)
    if not regions:
        return green("holidays", "祝日: 休みにしない設定です。", "Holidays: none are days off.")
    year = case.clock().year
    return [one for region in sorted(regions) for one in _holidays_of(region, year)]


def _holidays_of(region: str, year: int) -> list[Finding]:
    years = (year, year + 1)
    if region not in known_regions():
        return red(
            "holidays",
            f"祝日: 「{region}」は分からない国・地域です。使っているメンバーには何も決められません。",
            f'Holidays: "{region}" is not known; nothing can be decided for who keeps them.',
            "task-progress settings set holidays=JP",
        )
    missing = [one for one in years if not public_holidays(region, one)]
    if missing:
        listed = ", ".join(map(str, missing))
        say = red if year in missing else yellow
        return say(
            "holidays",
            f"祝日: {region} の {listed} 年のデータがなく、祝日にもメールが送られます。",
            f"Holidays: none known for {region} in {listed}; mails would go on holidays.",
            "git pull && make setup",
        )
    numbers = ", ".join(f"{one}: {len(public_holidays(region, one))}" for one in years)
    return green("holidays", f"祝日: {region}({numbers})", f"Holidays: {region} ({numbers})")


def _regions(case: CheckContext) -> set[str]:
    """Whose holidays the organisation and active members keep; with no database, the default."""

    def look(session: Session) -> set[str]:
        theirs = select(Member.holidays).where(Member.active, Member.holidays.is_not(None))
        own = session.scalars(theirs.distinct())
        return {organisation(session, case.config).holidays, *map(str, own)} - {""}

    found = case.stored(look)
    return {Organisation.holidays} if found is None else found
