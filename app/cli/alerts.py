"""`alerts`: what is wrong, and marking it as seen."""

from datetime import datetime
from zoneinfo import ZoneInfo

import click

from app import alerts, clock
from app.alerts.catalogue import words_of
from app.cli.language import LOCALE, Failed, say
from app.cli.shell import Shell, as_json, flag, group, who
from app.cli.show import show_json
from app.compose.colours import GOOD, STUCK
from app.compose.text import date_words, inert
from app.models import Alert
from app.monitoring.status_lines import who_words

alerts_group = group("alerts", "警告", "what is the matter")


@alerts_group.entry("list", "警告の一覧", "list the alerts")
@flag("--all", "終わったものも", "also those over", "everything")
@as_json
@click.pass_obj
def list_(shell: Shell, *, everything: bool, json_wanted: bool) -> None:
    """Open ones, the oldest first, each with what to do."""
    rows = alerts.recent(shell.services(), everything=everything)
    if json_wanted:
        show_json([_facts(one) for one in rows])
        return
    if not rows:
        say("警告はありません。", "There are no alerts.")
    zone = ZoneInfo(shell.settings().app_timezone)
    for one in rows:
        _show(one, zone)


@alerts_group.entry("ack", "確認済みにする", "say that you have seen it")
@click.argument("which", nargs=-1, required=True, metavar="ID|all")
@click.pass_obj
def ack(shell: Shell, which: tuple[str, ...]) -> None:
    """What happened once is over with that; what lasts stays open until its cause is gone."""
    services = shell.services()
    there = {str(one.id): one.id for one in alerts.recent(services, everything=False)}
    unknown = [one for one in which if one != "all" and one not in there]
    if unknown:
        raise Failed(
            f"{inert(unknown[0])} という番号の警告はありません。"
            "番号は `task-progress alerts list` で分かります。",
            f"There is no open alert {inert(unknown[0])}. "
            "`task-progress alerts list` shows the numbers.",
        )
    ids = [*there.values()] if "all" in which else [there[one] for one in which]
    seen = alerts.acknowledge(services, ids, who=who(), now=clock.now())
    over = sum(one.closed_at is not None for one in seen)
    say(
        f"{len(seen)}件を確認済みにしました(うち{over}件は終わり、"
        f"残りは原因がなくなると自動で終わります)。",
        f"{len(seen)} seen: {over} closed, the others close when their cause is gone.",
    )


def _facts(one: Alert) -> dict[str, object]:
    words = words_of(one.name, one.data, one.detail)
    return {
        "id": one.id,
        "name": one.name,
        "opened_at": one.opened_at.isoformat(),
        "closed_at": one.closed_at.isoformat() if one.closed_at else None,
        "seen_by": one.acked_by,
        "what": words.what._asdict(),
        "fix": words.fix._asdict(),
    }


def _show(one: Alert, zone: ZoneInfo) -> None:
    words = words_of(one.name, one.data, one.detail)
    mark = GOOD.sign if one.closed_at else STUCK.sign
    click.echo(f"{mark} {one.id}  {_moment(one.opened_at, zone)}  {inert(words.what.to(LOCALE))}")
    if one.closed_at:
        closed = _moment(one.closed_at, zone)
        say(f"    終わり: {closed}", f"    over: {closed}")
        return
    click.echo(f"    {inert(words.fix.to(LOCALE))}")
    if one.acked_by:
        hand = who_words(one.acked_by)
        say(f"    確認済み: {hand.ja}", f"    seen by {hand.en}")


def _moment(at: datetime, zone: ZoneInfo) -> str:
    local = at.astimezone(zone)
    return f"{date_words(local.date(), with_year=False).to(LOCALE)} {local:%H:%M}"
