"""What `make run` says in the terminal once it comes up, in the language of the shell."""

import contextlib
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path

from app.compose import show_date
from app.compose.colours import GOOD
from app.config.sources import relative
from app.locale import Both

_PROGRAM = Path(sys.executable).parent / "task-progress"


def speaker(locale: str) -> Callable[[Both], None]:
    """A function that prints one sentence in `locale`."""

    def say(line: Both) -> None:
        with contextlib.suppress(OSError):  # a closed terminal must not keep us from stopping
            print(line.to(locale), flush=True)

    return say


def starting(data_dir: Path) -> Both:
    """The first line."""
    where = relative(data_dir)
    return Both(
        f"Task Progress を起動します(データ: {where})", f"Starting Task Progress (data: {where})"
    )


# What comes up, in this order. docs/tour.md shows it; a test compares them.
PARTS = (
    REDIS := Both("Redis(この起動専用)", "Redis (this run's own)"),
    MAILBOX := Both("ローカルのメールボックス", "Local mailbox"),
    DATABASE := Both("データベース", "Database"),
    WORKERS := Both("定時ジョブとワーカー", "Timetable and workers"),
    PAGES := Both("ページ", "Pages"),
    TIMER := Both("5分ごとの安全タイマー", "Safety timer, every 5 minutes"),
    SAMPLE := Both("サンプルチーム", "Sample team"),
    FIRST_MAILS := Both("最初のリマインダーを送信中", "Sending the first reminders"),
)


def ready(part: Both) -> Both:
    """One part is there."""
    return Both(f"  {GOOD.sign} {part.ja}", f"  {GOOD.sign} {part.en}")


def welcome(base_url: str, data_dir: Path, *, mailbox: bool, today: date, day: date | None) -> Both:
    """What to open and what to try, once everything is up. `day`: D, on the first start only."""
    elsewhere = data_dir != Path("data").resolve()
    program = f"  {f'DATA_DIR={relative(data_dir)} ' * elsewhere}{relative(_PROGRAM)}"
    logs = relative(data_dir / "logs")
    lines = [
        Both("", ""),
        Both("動いています。", "It is running."),
        *([_not_today(day)] if day and day != today else []),
        Both(f"  ページ  {base_url}/", f"  pages  {base_url}/"),
        *([Both(f"  メール  {base_url}/mailbox", f"  mails  {base_url}/mailbox")] * mailbox),
        *([_ADMIN] if day and mailbox else []),
        Both(f"  ログ    {logs}", f"  logs   {logs}"),
        Both("\n別の端末で次のように試せます。", "\nTo try in a second terminal:"),
        *(
            Both(f"{program} {command}", f"{program} {command}")
            for command in (f"simulate --from {day or today}", "outbox list", "status")
        ),
        Both("\nCtrl-C を押すと、すべて止まります。", "\nPress Ctrl-C to stop all of it."),
    ]
    return Both("\n".join(line.ja for line in lines), "\n".join(line.en for line in lines))


# Of the sample team (app/sample/members.csv): who sees every page.
_ADMIN = Both(
    "  管理者  shacho@example.jp(/login で入力すると、リンクがメールボックスに届きます)",
    "  admin  shacho@example.jp (type it at /login: the link comes into the mailbox)",
)


def _not_today(day: date) -> Both:
    return Both(
        f"今日は休業日のため、次の営業日 {show_date(day, 'ja')} の分を送りました。",
        f"Today is no workday: the mails are those of the next one, {show_date(day, 'en')}.",
    )
