"""`pause`, `resume`, `clock`, `status`, `run`."""

from collections.abc import Sequence
from pathlib import Path

import click

from app import clock, clock_trust, schema
from app.alerts.sentence import span
from app.cli.language import LOCALE, complain, say
from app.cli.shell import Shell, TypedValue, as_json, cli, flag, option, who
from app.cli.show import show_json
from app.compose.colours import GOOD, LATE, STUCK
from app.identity import known_settings
from app.monitoring import status, status_lines
from app.util.dates_and_numbers import read_whole

_MARKS = {"ok": GOOD, "warn": LATE, "bad": STUCK}


@cli.entry("pause", "すべての送信を止める", "stop all sending")
@click.pass_obj
def pause(shell: Shell) -> None:
    """Stops all sending at once."""
    status.pause(shell.services(), who=who(), now=clock.now())
    say(
        "すべての送信を止めました。再開するには: task-progress resume",
        "All sending is stopped. To start it again: task-progress resume",
    )


@cli.entry(
    "resume", "送信を再開し、確認待ちのメールも送る", "start sending again, held mails included"
)
@click.pass_obj
def resume(shell: Shell) -> None:
    """Starts sending again and lets held mails go."""
    services = shell.services(queue=True)
    was_paused, (held, outside) = status.paused(services), status.held_mails(services)
    released = status.resume(services, who=who(), now=clock.now())
    if not was_paused and not held:
        say(
            "送信は止まっておらず、確認待ちのメールもありません。",
            "Sending was not paused, and no mail was held.",
        )
        return
    say(
        f"送信できる状態です。送ることにした確認待ちのメール: {released}通",
        f"Sending is on. Held mails let go: {released}",
    )
    if held > released:
        say(
            f"すでに届いたか期限が過ぎたため、送らずに終わりにした確認待ちのメール: {held - released}通",
            f"Held mails that ended unsent, as a copy is out or they are too late: {held - released}",
        )
    if outside:
        say(
            f"確認待ちだったメールのうち、MAIL_ONLY_TO の対象外で送られないもの: {outside}通",
            f"Held mails that MAIL_ONLY_TO keeps from going: {outside}",
        )


@cli.entry("clock", "このマシンの時計を確かめる", "look whether this machine's clock is believed")
@flag("--accept", "疑われている時計を正しいと認める", "say that the clock in doubt is right")
@click.pass_obj
def clock_command(shell: Shell, *, accept: bool) -> int:
    """Exits with 1 while a clock is in doubt."""
    services, now = shell.services(), clock.now()
    doubt = clock_trust.doubted(services, now)
    if accept:
        _accept(clock_trust.accept(services, who=who(), now=now))
        return 0
    if doubt is None:
        say("このマシンの時計は正しいと見なしています。", "The clock of this machine is believed.")
    for host, ahead in clock_trust.waiting(services):
        far = span(ahead.total_seconds())
        say(
            f"{host} の時計は約{far.ja}進んでいるようです。確かめられるまで、そのマシンでは"
            "リマインダーを決めず、送りません。",
            f"The clock of {host} seems to be {far.en} ahead. Until that is settled, that machine "
            "decides and sends no reminders.",
        )
        say(
            "直せば自動で再開します。正しければ: task-progress clock --accept",
            "Once it is right, it goes on by itself. If it is right: task-progress clock --accept",
        )
    return 1 if doubt else 0


def _accept(hosts: Sequence[str]) -> None:
    if hosts:
        names = ", ".join(hosts)
        say(
            f"時計を正しいと認めました({names})。1分以内に再開します。",
            f"Accepted: {names}. It goes on within a minute.",
        )
    else:
        say("疑われている時計はありません。", "No clock is in doubt.")


@cli.entry(
    "confirm",
    "メールサーバーや差出人の変更を正しいものとして認める",
    "confirm that another mail server or sender is right",
)
@flag(
    "--new-key",
    "SECRET_KEY も替える。送ったリンクとサインインはすべて無効になる",
    "another SECRET_KEY, too: all links and sessions end",
)
@click.pass_obj
def confirm(shell: Shell, *, new_key: bool) -> None:
    """These settings are the database's from now on; of any version, as `db upgrade` may need it."""
    services = shell.services(any_schema=True)
    if schema.version(services.db) is None:
        schema.check(services.db)
    verdict = known_settings.compare_with_database(services)
    if verdict.foreign_key and not new_key:
        known_settings.check(services)
    for one in verdict.changes:
        say(*known_settings.sentence(one))
    if verdict.foreign_key:
        say(
            "SECRET_KEY を替えました。送ったメールのリンクとサインインはすべて無効になりました。",
            "SECRET_KEY is another one now. All links in mails and all sessions have ended.",
        )
    elif not verdict.changes:
        say("確認することはありません。", "There is nothing to confirm.")
        return
    known_settings.confirm(services, who=who(), now=clock.now())
    say(
        "この設定を正しいものとして記録しました。",
        "These settings are the right ones from now on.",
    )


@cli.entry("status", "いまの状態を見る", "show how things stand")
@as_json
@click.pass_obj
def show_status(shell: Shell, json_wanted: bool) -> None:
    """The facts as sentences, the worst first."""
    facts = status.status(shell.services(), clock.now())
    if json_wanted:
        show_json(facts)
        return
    for warning in shell.settings().warnings:
        complain(warning)
    for line in status_lines.lines(facts):
        click.echo(f"{_MARKS[line.mark].sign} {line.sentence.to(LOCALE)}")


@cli.entry("run", "このマシンですべてを動かす(Ctrl-C で止まる)", "run everything here until Ctrl-C")
@option(
    "--port",
    "ページのポート",
    "port of the pages",
    type=TypedValue("PORT", lambda text: read_whole(text, 1, 65_535)),
    default=8000,
    envvar="PORT",
    show_default=True,
)
@option(
    "--data-dir",
    "データのフォルダー(既定は .env の DATA_DIR、なければ data)",
    "folder of the data (default: DATA_DIR of .env, else data)",
    type=click.Path(path_type=Path),
    envvar="DATA_DIR",
)
def run(port: int, data_dir: Path | None) -> int:
    """The one-machine stack behind `make run`."""
    from app.local import stack  # noqa: PLC0415 - brings the servers along, which nothing else needs

    return stack.run(port, data_dir)
