"""`backup`, `restore`, `purge`: a copy of the database, its restore, and deletion of old rows."""

import time
from datetime import date
from pathlib import Path

import click

from app import clock
from app.cli.language import LOCALE, Failed, UsageRefused, say, t
from app.cli.shell import DAY, Shell, as_json, ask, cli, flag, option, who
from app.cli.show import show_json
from app.compose.text import date_words
from app.config.sources import relative
from app.locale import Both, counted
from app.maintenance import backup, purge, restore, restore_mark
from app.services import Services


@cli.entry(
    "backup",
    "データベースをバックアップする(動かしたままで)",
    "back up the database while it is used",
)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE")
@as_json
@click.pass_obj
def make_backup(shell: Shell, file: Path, json_wanted: bool) -> None:
    """Whole and checked, or not there at all."""
    services = shell.services(any_schema=True)  # before an upgrade, too
    done = backup.backup(services, file)
    if json_wanted:
        show_json({"file": str(done.file), "bytes": done.size, "secret_key_file": done.key_file})
        return
    say(
        f"バックアップを {relative(file)} に書き出しました({done.size:,} バイト、確認済み)。",
        f"The backup is in {relative(file)} ({done.size:,} bytes, checked).",
    )
    where = Both(".env などの SECRET_KEY", "SECRET_KEY, where you set it (.env)")
    if done.key_file is not None:
        key = relative(done.key_file)
        where = Both(f"{key}(SECRET_KEY)", f"{key} (SECRET_KEY)")
    say(
        f"別に保管するもの: {where.ja}。これがないと、送ったメールのリンクが使えなくなります。",
        f"Keep separately: {where.en}. Without it the links in mails already sent stop working.",
    )


@cli.entry(
    "restore",
    "バックアップを戻す。その後に送られたかもしれないメールは確認待ちになる",
    "bring a backup back; mails that may have gone out since then are held",
)
@click.argument(
    "file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", required=False
)
@flag("--replace", "いまのデータと置き換える", "in the place of what is there")
@flag("--yes", "確認せずに行う", "do not ask")
@flag("--while-running", "プログラムが動いていても行う", "even while programs are running")
@flag(
    "--mark",
    "戻さずに印だけ付ける(pg_restore などで戻したあと)",
    "only mark the database (after pg_restore, or a file copied by hand)",
    "mark_only",
)
@click.pass_obj
def restore_backup(
    shell: Shell,
    *,
    file: Path | None,
    replace: bool,
    yes: bool,
    while_running: bool,
    mark_only: bool,
) -> None:
    """All or nothing. What was there is kept as a backup in DATA_DIR."""
    if mark_only == (file is not None):
        raise UsageRefused(
            "FILE か --mark のどちらか一方を指定してください。", "Say FILE or --mark, one of them."
        )
    if file is None:
        _say_what_waits(restore_mark.mark(shell.services(), who=who(), now=clock.now()))
        return
    services = shell.services(any_schema=True)
    restore.check(services, file)
    _refuse_or_ask(shell, services, replace=replace, yes=yes, while_running=while_running)
    done = restore.restore(services, file, who=who(), now=clock.now())
    say(f"{relative(file)} を戻しました。", f"{relative(file)} is restored.")
    if done.kept is not None:
        say(
            f"元のデータベースは {relative(done.kept)} に残しました。",
            f"What was there before is kept in {relative(done.kept)}.",
        )
    _say_what_waits(done.held)


def _refuse_or_ask(
    shell: Shell, services: Services, *, replace: bool, yes: bool, while_running: bool
) -> None:
    target = restore.what_is_replaced(services)
    if target.empty:
        return
    there = Both(
        f"データベース {shell.place()} にはデータがあります(メンバー{target.members}人)。",
        f"The database {shell.place()} is not empty ({counted(target.members, 'member')}).",
    )
    if not replace:
        raise Failed(
            f"{there.ja}置き換える場合は --replace を付けてください。何も変えていません。",
            f"{there.en} To replace it, say --replace. Nothing was changed.",
        )
    if not yes:
        alone = Both(
            f"{there.ja}確認せずに置き換えるには --yes を付けてください。{_UNTOUCHED.ja}",
            f"{there.en} To replace it without being asked, say --yes. {_UNTOUCHED.en}",
        )
        ask(there.to(LOCALE) + t("置き換えますか", " Replace it"), alone, _UNTOUCHED)
    if not while_running:
        _wait_for_silence(services, target)


def _wait_for_silence(services: Services, target: restore.Target) -> None:
    """Programs that were just stopped have a recent heartbeat; one that still runs renews it.

    Raises Failed where one does.
    """
    now, last = clock.now(), target.last_seen
    if target.in_use(now):
        left = round(restore.ALIVE_WITHIN.total_seconds()) - target.silent_for(now)
        words = t(
            f"プログラムの最後の応答は{target.silent_for(now)}秒前です。止まっていることを確かめるため、"
            f"あと{left}秒待ちます(止めるには `{_STOP}`)。",
            f"The last heartbeat of a program was {target.silent_for(now)} s ago. Waiting {left} s "
            f"to see that all are stopped (`{_STOP}` stops them).",
        )
        click.echo(words, err=True)
    while target.in_use(clock.now()):
        time.sleep(_LOOK_EVERY)
        target = restore.what_is_replaced(services)
        if target.last_seen != last:
            raise Failed(*_STILL_RUNNING)


_LOOK_EVERY = 1.0  # seconds
_STOP = "sudo systemctl stop task-progress.target"
_STILL_RUNNING = Both(
    f"このデータベースを使うプログラムが、いまも動いています。すべてのマシンで `{_STOP}` で止めてから、もう一度"
    "実行してください。動かしたまま行うには --while-running を付けてください。何も変えていません。",
    f"Programs are still using this database. Stop them on all machines with `{_STOP}`, then try "
    "again, or say --while-running. Nothing was changed.",
)
_UNTOUCHED = Both("何も変えていません。", "Nothing was changed.")


def _say_what_waits(held: int) -> None:
    say(
        f"このデータベースに「復元」の印を付けました。確認待ちのメール: {held}通。バックアップの時点から"
        "いままでの分は、これから決まるものも確認待ちになります(すでに届いているかもしれないため)。",
        f"The database is marked as restored. Held mails: {held}. What is decided from now on for "
        "the time between the backup and now is held too, since it may have gone out already.",
    )
    say(
        "届いていないと分かったら `task-progress resume` で送ります。届いたと分かっているなら、"
        "何もしなければ期限が来たときに送らずに終わります。全員がサインアウトされ、"
        "API トークンは無効になりました。",
        "If you know that they did not go out, `task-progress resume` sends them. If you know that "
        "they did, do nothing: they end at their time without being sent. Everybody is signed out, "
        "and no API token works any more.",
    )


@cli.entry("purge", "古い決定とメールの記録を削除する", "remove old decisions and mails")
@option(
    "--before",
    "この日付より前の(30日前まで)",
    "of dates before this one (at least 30 days ago)",
    type=DAY,
    required=True,
)
@flag("--dry-run", "数えるだけ", "only count")
@flag("--yes", "確認せずに行う", "do not ask")
@as_json
@click.pass_obj
def purge_old(shell: Shell, *, before: date, dry_run: bool, yes: bool, json_wanted: bool) -> None:
    """Never a mail that is open; reports, tasks, members and the audit stay."""
    services, now = shell.services(), clock.now()
    found = purge.what_goes(services, before, now)
    if dry_run or not any(found.values()):
        _show_purge(found, before, dry_run=True, json_wanted=json_wanted)
        return
    if not yes:
        words = _counted(found, before)
        untouched = Both("何も削除していません。", "Nothing was removed.")
        alone = Both(
            f"{words.ja}削除するには --yes を付けてください。{untouched.ja}",
            f"{words.en} To remove them, say --yes. {untouched.en}",
        )
        ask(words.to(LOCALE) + t("削除しますか", " Remove them"), alone, untouched)
    done = purge.purge(services, before, who=who(), now=now)
    _show_purge(done, before, dry_run=False, json_wanted=json_wanted)


def _counted(found: dict[str, int], before: date) -> Both:
    numbers = [(_ROWS[name], number) for name, number in found.items()]
    day = date_words(before)
    return Both(
        f"{day.ja}より前: " + "、".join(f"{words.ja} {n:,}件" for words, n in numbers) + "。",
        f"Before {day.en}: " + ", ".join(f"{n:,} {words.en}" for words, n in numbers) + ".",
    )


_ROWS = {
    "mails": Both("終わったメール", "ended mails"),
    "decisions": Both("決定", "decisions"),
    "alerts": Both("解決した警告", "closed alerts"),
    "sessions": Both("期限の切れたサインイン", "expired sessions"),
    "sign_in_links": Both("期限の切れたサインインリンク", "expired sign-in links"),
}


def _show_purge(found: dict[str, int], before: date, *, dry_run: bool, json_wanted: bool) -> None:
    if json_wanted:
        show_json({"before": before, "dry_run": dry_run, **found})
        return
    words = _counted(found, before)
    if dry_run:
        say(f"{words.ja}何も削除していません。", f"{words.en} Nothing was removed.")
    else:
        say(f"削除しました。{words.ja}", f"Removed. {words.en}")
