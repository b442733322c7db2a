"""What `make run` says in the terminal, in the language of the shell."""

import contextlib
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path

from app.compose import show_date
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


# What comes up, in this order. The READMEs show it; a test compares them.
PARTS = (
    REDIS := Both("Redis(この起動専用)", "Redis (this run's own)"),
    MAILBOX := Both("ローカルのメールボックス", "Local mailbox"),
    DATABASE := Both("データベース", "Database"),
    WORKERS := Both("定時ジョブとワーカー(mail、ai)", "Timetable and workers (mail, ai)"),
    PAGES := Both("ページ", "Pages"),
    TIMER := Both("5分ごとの安全タイマー", "Safety timer, every 5 minutes"),
    SAMPLE := Both("サンプルチーム", "Sample team"),
    FIRST_MAILS := Both("最初のリマインダーを送信中", "Sending the first reminders"),
)


def ready(part: Both) -> Both:
    """One part is there."""
    return Both(f"  ● {part.ja}", f"  ● {part.en}")


def welcome(*, base_url: str, data_dir: Path, mailbox: bool, today: date, day: date | None) -> Both:
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
        Both(f"  ログ    {logs}", f"  logs   {logs}"),
        Both("\n別の端末で次のように試せます。", "\nTo try in a second terminal:"),
        *(
            Both(f"{program} {command}", f"{program} {command}")
            for command in (f"simulate --from {day or today}", "outbox list", "status")
        ),
        Both("\nCtrl-C を押すと、すべて止まります。", "\nPress Ctrl-C to stop all of it."),
    ]
    return Both("\n".join(line.ja for line in lines), "\n".join(line.en for line in lines))


def _not_today(day: date) -> Both:
    return Both(
        f"今日は休業日のため、次の営業日 {show_date(day, 'ja')} の分を送りました。",
        f"Today is no workday: the mails are those of the next one, {show_date(day, 'en')}.",
    )


def stopped() -> Both:
    """The last line."""
    return Both("すべて止まりました。", "Everything has stopped.")


def finishing(name: str) -> Both:
    """Ctrl-C was pressed and a part takes its time."""
    return Both(
        f"{name} が作業を終えるのを待っています。"
        "すぐに止めるには、もう一度 Ctrl-C を押してください。",
        f"Waiting for {name} to finish its work. Press Ctrl-C again to stop it at once.",
    )


def restarting(name: str, code: int, pause: float, log: Path) -> Both:
    """A part ended by itself."""
    how, where = _how(code), relative(log)
    return Both(
        f"{name} が止まりました({how.ja})。{pause:.1f}秒後に再起動します。ログ: {where}",
        f"{name} stopped ({how.en}). Starting it again in {pause:.1f} s. Log: {where}",
    )


def periodic_failed(name: str, code: int, log: Path) -> Both:
    """One round of a periodic part failed."""
    how, where = _how(code), relative(log)
    return Both(
        f"{name} が失敗しました({how.ja})。次の回にもう一度行います。ログ: {where}",
        f"{name} failed ({how.en}). It is tried again next time. Log: {where}",
    )


def refused(name: str, last_words: str) -> Both:
    """A part ended with the exit code for a bad configuration."""
    return Both(
        f"{name} が設定を受け付けませんでした。\n{last_words}",
        f"{name} refuses its configuration.\n{last_words}",
    )


def not_ready(name: str, seconds: float, log: Path, last_words: str) -> Both:
    """A part did not come up in time."""
    where = relative(log)
    return Both(
        f"{name} の準備が {seconds:.0f}秒たっても終わりません。ログ: {where}\n{last_words}",
        f"{name} was not ready after {seconds:.0f} seconds. Log: {where}\n{last_words}",
    )


def step_failed(ja: str, en: str, last_words: str) -> Both:
    """A command that runs once at the start failed."""
    return Both(f"{ja}ができませんでした。\n{last_words}", f"Failed: {en}.\n{last_words}")


def database_waits(seconds: float, last_words: str) -> Both:
    """A configured database does not answer."""
    return Both(
        f"データベースを待っています。{seconds:.0f}秒後にもう一度試します。\n{last_words}",
        f"Waiting for the database; trying again in {seconds:.0f} s.\n{last_words}",
    )


def already_running(data_dir: Path, pid: str) -> Both:
    """Another run holds this folder."""
    where = relative(data_dir)
    return Both(
        f"{where} ではすでに動いています(プロセス {pid})。"
        "そちらを Ctrl-C で止めるか、DATA_DIR= で別のフォルダを指定してください。",
        f"Already running on {where} (process {pid}). "
        "Stop it with Ctrl-C, or choose another folder with DATA_DIR=.",
    )


def port_taken(port: int) -> Both:
    """The port of the pages is in use."""
    return Both(
        f"ポート {port} は使われています。別のポートで起動してください: make run PORT={port + 1}",
        f"Port {port} is in use. Choose another one: make run PORT={port + 1}",
    )


def half_a_mail_server(names: str) -> Both:
    """Parts of a mail server's configuration without its name."""
    return Both(
        f"{names} は設定されていますが、SMTP_HOST がありません。"
        "SMTP_HOST も設定するか、ローカルのメールボックスを使う場合は外してください。",
        f"{names}: set, but SMTP_HOST is not. "
        "Set SMTP_HOST too, or remove the others to use the local mailbox.",
    )


def no_redis() -> Both:
    """Neither on PATH nor in a wheel."""
    return Both(
        "Redis が見つかりません。redis-server を入れるか、CELERY_BROKER_URL を設定してください。",
        "No Redis found. Install redis-server, or set CELERY_BROKER_URL.",
    )


def unusable(where: Path, why: Both) -> Both:
    """A file or folder that the run needs cannot be used."""
    path = relative(where)
    return Both(
        f"{path} を使えません({why.ja})。持ち主と権限を確かめてください。",
        f"{path} cannot be used ({why.en}). Check who owns it and its permissions.",
    )


def _how(code: int) -> Both:
    if code < 0:
        return Both(f"シグナル {-code}", f"signal {-code}")
    return Both(f"終了コード {code}", f"exit code {code}")
