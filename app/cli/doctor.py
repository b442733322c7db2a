"""`doctor`: check everything, and say how to mend what does not work."""

import click

from app import clock
from app.cli.language import LOCALE, say
from app.cli.shell import as_json, cli, option
from app.cli.show import show_json
from app.compose.colours import GOOD, LATE, STUCK
from app.config.sources import home
from app.doctor import Finding, Level, Machine, examine, worst
from app.locale import Both, counted
from app.mime.message import width

_MARKS = {
    Level.GREEN: (GOOD.sign, Both("良好", "ok")),
    Level.YELLOW: (LATE.sign, Both("注意", "warning")),
    Level.RED: (STUCK.sign, Both("要対応", "fault")),
}
_WIDEST = max(width(words.to(LOCALE)) for _, words in _MARKS.values())


@cli.entry("doctor", "すべてを調べ、直し方を示す", "look at everything, and say how to mend it")
@option(
    "--send-test",
    "このアドレスにテストメールを1通送る",
    "send one test mail to this address",
    "recipient",
    metavar="ADDRESS",
)
@as_json
def doctor(recipient: str | None, json_wanted: bool) -> int:
    """One line a check, and below it what to do; 1 if something does not work."""
    found = examine(Machine(home(), clock.now), recipient=recipient)
    if json_wanted:
        show_json(
            [
                {
                    "check": one.check,
                    "level": one.level.value,
                    "says": one.says.to(LOCALE),
                    "fix": one.fix.to(LOCALE) if one.fix else None,
                }
                for one in found
            ]
        )
    else:
        for one in found:
            _show(one)
        _sum_up(found)
    return 1 if worst(found) is Level.RED else 0


def _show(one: Finding) -> None:
    mark, words = _MARKS[one.level]
    word = words.to(LOCALE)
    click.echo(f"{mark} {word}{' ' * (_WIDEST - width(word))}  {one.says.to(LOCALE)}")
    if one.fix is not None:
        click.echo(f"{' ' * (_WIDEST + 4)}→ {one.fix.to(LOCALE)}")


def _sum_up(found: list[Finding]) -> None:
    number = {level: sum(one.level is level for one in found) for level in Level}
    click.echo()
    say(
        f"良好 {number[Level.GREEN]}件、注意 {number[Level.YELLOW]}件、"
        f"要対応 {number[Level.RED]}件",
        f"{number[Level.GREEN]} ok, {counted(number[Level.YELLOW], 'warning')}, "
        f"{counted(number[Level.RED], 'fault')}",
    )
