"""`remind`: the reminders now, whatever the hour, through the queue."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, datetime

import click

from app import clock, reminders
from app.cli.common import (
    date_option,
    interrupted,
    now_option,
    reason_words,
    rehearsal_option,
    user_option,
    verdict_words,
)
from app.cli.language import UsageRefused, say, t
from app.cli.shell import Shell, as_json, ask, cli, flag
from app.cli.show import show_json, show_table
from app.compose.text import date_words
from app.locale import Both
from app.outbox.resending import to_bring_back
from app.outbox.restored import held_of
from app.reminders import Reminded
from app.services import Services

ASK_ABOVE = 50  # mails that `remind --all` makes without asking
NOTHING_SENT = Both("何も送っていません。", "Nothing was sent.")


@cli.entry(
    "remind", "時刻を待たずにリマインダーを送る", "send the reminders now, whatever the hour"
)
@flag("--all", "全員に", "to everybody", "everybody")
@user_option
@date_option
@now_option
@rehearsal_option
@flag("--yes", "確認せずに送る", "do not ask")
@as_json
@click.pass_obj
def remind(
    shell: Shell,
    *,
    everybody: bool,
    email: str | None,
    on: date | None,
    now: datetime | None,
    rehearsal: bool,
    yes: bool,
    json_wanted: bool,
) -> None:
    """Decides at once and queues; a decision that exists stands and is shown."""
    if everybody == (email is not None):
        raise UsageRefused(
            "--all か --user EMAIL のどちらか1つを指定してください。",
            "Say either --all or --user EMAIL.",
        )
    for option, value in (("--date", on), ("--now", now)):
        if value is not None:
            shell.rehearsal(option, said=rehearsal)
    services = shell.services(queue=True)
    real = clock.now()
    moment = now or real
    total = reminders.would_remind(services, now=moment, email=email, on=on)
    confirmed = yes or _confirmed(total)
    try:
        outcomes = reminders.remind(
            services,
            now=moment,
            email=email,
            on=on,
            real_now=real,
            confirmed=confirmed,
        )
    except KeyboardInterrupt:
        left = reminders.would_remind(services, now=moment, email=email, on=on)
        raise interrupted(total - left, left) from None
    _show_outcomes(outcomes, json_wanted=json_wanted)
    if not json_wanted:
        say_what_waits(held_of(services, [one.mail_id for one in outcomes if one.mail_id]))
        _say_what_ended_badly(services, outcomes, email)


def _confirmed(total: int) -> bool:
    """Whether an admin confirmed, where that is needed; False where it is not. Refuses without."""
    if total <= ASK_ABOVE:
        return False
    alone = Both(
        f"{total}通になります。よければ --yes を付けてもう一度実行してください。まだ何も送っていません。",
        f"That would be {total} mails. If you mean it, say --yes. Nothing was sent.",
    )
    ask(t(f"{total}通を送ります。よろしいですか", f"Send {total} mails"), alone, NOTHING_SENT)
    return True


def _show_outcomes(outcomes: Sequence[Reminded], *, json_wanted: bool) -> None:
    if json_wanted:
        show_json([asdict(one) for one in outcomes])
        return
    show_table(
        (t("日付", "date"), t("宛先", "member"), t("決定", "decision"), t("理由", "reason"),
         t("メール", "mail")),
        (
            (one.local_date, one.email, verdict_words(one.verdict, known=one.existing),
             reason_words(one.reason), one.mail_id)
            for one in outcomes
        ),
    )  # fmt: skip
    new = sum(one.verdict == "send" and not one.existing for one in outcomes)
    say(f"新しく送るメール: {new}通", f"New mails: {new}")


def say_what_waits(number: int) -> None:
    """After a restore an order to remind sends nothing: a copy of each mail may be out."""
    if number:
        say(
            f"うち{number}通は、バックアップからの復元より前に届いている可能性があるため、送らずに"
            "待っています。届いていないと分かったら `task-progress resume` で送ります。",
            f"Held: {number} of them, which may have gone out before the restore from a backup. "
            "If you know that they did not, `task-progress resume` sends them.",
        )


def _say_what_ended_badly(
    services: Services, outcomes: Sequence[Reminded], email: str | None
) -> None:
    """A decision that exists stands: mails of it that failed come again by another command."""
    days = sorted({one.local_date for one in outcomes if one.existing and one.mail_id})
    for day, state, number in to_bring_back(services, days, email):
        command = f"task-progress outbox resend --date {day} --state {state}"
        command += f" --user {email}" if email else ""
        shown = date_words(day)
        say(
            f"{shown.ja}のメールのうち{number}通は {state} で終わっています。remind はすでにある決定を"
            f"変えないため、これらを送りません。送り直すには `{command}` を実行してください。",
            f"Mails of {shown.en} that ended {state}: {number}. A decision stands, so remind does not "
            f"send them. To send them again: `{command}`.",
        )
