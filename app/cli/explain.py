"""`simulate` and `why`: looking ahead and back."""

from datetime import date

import click

from app import clock, reminders
from app.cli.common import date_option, member_named, reason_words, user_option, verdict_words
from app.cli.shell import Command, Day, Shell, as_json
from app.cli.show import show_json, show_json_list, show_table
from app.cli.words import LOCALE, Refused, t
from app.words import Both


@click.command(
    "simulate",
    cls=Command,
    help=t(
        "だれにいつ送ることになるかを見る(何も送らない)",
        "show who would get a mail when; sends nothing",
    ),
)
@click.option("--from", "first", type=Day(), required=True, help=t("最初の日", "first date"))
@click.option("--to", "last", type=Day(), help=t("最後の日(省略時は同じ日)", "last date"))
@user_option
@as_json
@click.pass_obj
def simulate(
    shell: Shell, first: date, last: date | None, email: str | None, json_wanted: bool
) -> None:
    """The decisions to come if nobody reported any more."""
    last = last or first
    if last < first:
        raise Refused(
            Both(
                f"--to {last} が --from {first} より前です。",
                f"--to {last} is before --from {first}.",
            ),
            click.get_current_context(),
        )
    services = shell.services()
    with member_named(services):
        forecasts = reminders.simulate(services, first, last, email)
        if json_wanted:
            show_json_list(one.as_json() for one in forecasts)
            return
        show_table(
            (t("日付", "date"), t("宛先", "member"), t("決定", "decision"), t("時刻", "at"),
             t("理由", "reason"), t("タスク", "tasks")),
            (
                (one.local_date, one.email, verdict_words(one.verdict),
                 f"{one.at:%H:%M %Z}" if one.at else None, reason_words(one.reason),
                 " ".join(one.tasks))
                for one in forecasts
            ),
        )  # fmt: skip


@click.command(
    "why", cls=Command, help=t("なぜ送った(送らなかった)か", "why a mail was sent, or not")
)
@click.argument("email")
@date_option
@as_json
@click.pass_obj
def why(shell: Shell, email: str, on: date | None, json_wanted: bool) -> None:
    """The recorded decision, and what became of the mail."""
    services = shell.services()
    with member_named(services):
        found = reminders.why(services, email, on, clock.now())
    if json_wanted:
        show_json(found.facts)
    else:
        click.echo(found.paragraph.to(LOCALE))
