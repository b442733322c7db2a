"""One outbox mail as a person reads it."""

import re
from collections.abc import Iterator
from datetime import datetime
from email import message_from_string, policy
from email.message import EmailMessage
from typing import Any
from zoneinfo import ZoneInfo

import click

from app.cli.common import reason_words
from app.cli.language import LOCALE, t
from app.cli.show import show_table
from app.compose.text import date_words
from app.mime.parts import text_of
from app.monitoring.status_lines import who_words
from app.outbox.reasons import STATES
from app.util.logs import mask_tokens

_HAND = re.compile(r"\bcli:[^\s:]+")


def show_mail(mail: dict[str, Any], zone: ZoneInfo) -> None:
    """The facts, the history, and the text with its links masked; times as of `zone`."""
    show_table((t("項目", "field"), t("値", "value")), _facts(mail, zone))
    if mail["history"]:
        click.echo()
        show_table(
            (t("時刻", "at"), t("出来事", "event"), t("詳細", "detail")),
            ((_local(one["at"], zone), one["event"], _detail(one["detail"]))
             for one in mail["history"]),
        )  # fmt: skip
    if mail["source"]:
        # A link acts in the member's name: an operator sees where it leads, not its token.
        letter = message_from_string(mail["source"], EmailMessage, policy=policy.default)
        click.echo("\n" + mask_tokens(text_of(letter) or ""))


def _facts(mail: dict[str, Any], zone: ZoneInfo) -> Iterator[tuple[str, object]]:
    state = f"{STATES[mail['state']].to(LOCALE)} ({mail['state']})"
    yield t("番号", "id"), mail["id"]
    yield t("種類", "kind"), mail["kind"]
    yield t("宛先", "to"), mail["email"]
    yield t("件名", "subject"), mail["subject"]
    yield t("日付", "date"), mail["local_date"]
    yield t("状態", "state"), state + t("、確認待ち", ", held") * bool(mail["held"])
    yield t("理由", "reason"), reason_words(mail["reason"])
    yield t("タスク", "tasks"), ", ".join(mail["tasks"] or [])
    yield t("試行", "tries"), mail["attempts"]
    yield t("送信開始", "not before"), _local(mail["not_before"], zone)
    yield t("期限", "expires"), _local(mail["expires_at"], zone)
    yield t("受付", "accepted"), _local(mail["accepted_at"], zone)
    yield t("応答", "answer"), mail["response"]
    if mail["resend_of"]:
        yield t("再送の元", "resend of"), mail["resend_of"]
    yield "Message-ID", mail["message_id"]


def _local(instant: str | None, zone: ZoneInfo) -> str | None:
    if instant is None:
        return None
    moment = datetime.fromisoformat(instant).astimezone(zone)
    return f"{date_words(moment.date(), with_year=False).to(LOCALE)} {moment:%H:%M:%S}"


def _detail(detail: str | None) -> str | None:
    """A reason in words, and whose hand it was as people say it."""
    words = reason_words(detail)
    return words and _HAND.sub(lambda found: who_words(found[0]).to(LOCALE), words)
