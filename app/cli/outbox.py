"""`outbox`: the mails and their states, and cancelling a mail."""

import csv
import sys
from collections.abc import Iterator
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import click

from app import clock, outbox
from app.cli.common import date_option, reason_words, user_option
from app.cli.language import Failed, say, t
from app.cli.letter import show_mail
from app.cli.shell import ROW_ID, OneOf, Shell, as_json, flag, group, option, who
from app.cli.show import show_json, show_json_list, show_table
from app.imports.file_table import export_cell
from app.models import Kind, State
from app.people.lookup import check_known

outbox_group = group("outbox", "送信箱", "the mails and their states")

_COLUMNS = (
    "id",
    "kind",
    "email",
    "local_date",
    "state",
    "reason",
    "attempts",
    "message_id",
    "not_before",
    "accepted_at",
    "response",
)


def _filters(function: Any) -> Any:
    """--state, --date, --user."""
    states = OneOf("STATE", *(str(one) for one in State))
    state = option("--state", "この状態の", "in this state", type=states)
    return state(date_option(user_option(function)))


def _rows(
    shell: Shell, *, state: str | None, on: date | None, email: str | None
) -> Iterator[dict[str, Any]]:
    """The mails of these filters."""
    services = shell.services()
    check_known(services, email)
    return outbox.listing(services, state=state, on=on, email=email)


@outbox_group.entry("list", "メールの一覧", "list the mails")
@_filters
@as_json
@click.pass_obj
def list_(shell: Shell, /, *, json_wanted: bool, **filters: Any) -> None:
    """The oldest first."""
    rows = _rows(shell, **filters)
    if json_wanted:
        show_json_list(rows)
        return
    mails = list(rows)
    if not mails:
        say("メールはありません。", "No mails.")
        return
    show_table(
        (t("番号", "id"), t("日付", "date"), t("宛先", "to"), t("種類", "kind"),
         t("状態", "state"), t("試行", "tries"), t("理由・応答", "reason, answer")),
        (
            (row["id"], row["local_date"], row["email"], row["kind"], row["state"],
             row["attempts"], row["response"] or reason_words(row["reason"]))
            for row in mails
        ),
    )  # fmt: skip


@outbox_group.entry("show", "1通を詳しく見る", "show one mail")
@click.argument("mail_id", type=ROW_ID, metavar="ID")
@flag(
    "--source",
    "送ったままの形で(本人用のリンクも)",
    "as it was sent, with its personal links",
    "source_wanted",
)
@as_json
@click.pass_obj
def show(shell: Shell, *, mail_id: int, source_wanted: bool, json_wanted: bool) -> None:
    """One mail as a person reads it, with its history."""
    mail = outbox.show(shell.services(), mail_id)
    if json_wanted:
        show_json(mail)
    elif source_wanted:
        _show_source(mail)
    else:
        show_mail(mail, ZoneInfo(shell.settings().app_timezone))


def _show_source(mail: dict[str, Any]) -> None:
    if not mail["source"] and mail["subject"] and mail["kind"] != Kind.SIGN_IN:
        raise Failed(
            f"メール {mail['id']} の本文は、30日たったため削除されました。",
            f"The text of mail {mail['id']} was removed after 30 days.",
        )
    if not mail["source"]:
        raise Failed(
            f"メール {mail['id']} はまだ送られていないため、本文がありません。",
            f"Mail {mail['id']} has not been sent, so there is no source yet.",
        )
    click.echo(mail["source"])


@outbox_group.entry("cancel", "送信待ちのメールを取り消す", "cancel a mail that waits")
@click.argument("mail_id", type=ROW_ID, metavar="ID")
@click.pass_obj
def cancel(shell: Shell, mail_id: int) -> None:
    """Only a mail that is ready can be cancelled."""
    services = shell.services()
    outbox.cancel(services, mail_id, who=who(), now=clock.now())
    say(f"メール {mail_id} を取り消しました。", f"Mail {mail_id} is cancelled.")


@outbox_group.entry("export", "一覧を CSV で書き出す", "write the mails as CSV")
@_filters
@as_json
@click.pass_obj
def export(shell: Shell, /, *, json_wanted: bool, **filters: Any) -> None:
    """To stdout. Cells that a spreadsheet would run as a formula get a quote before them."""
    rows = _rows(shell, **filters)
    if json_wanted:
        show_json_list(rows)
        return
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows([export_cell(row[name]) for name in _COLUMNS] for row in rows)
