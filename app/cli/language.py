"""The language of the commands: that of the shell, Japanese unless English.

Errors, too: one language is read faster than two.
"""

import logging
import os
import re
import sys
from collections.abc import Sequence

import click

from app.locale import Both, shell_locale
from app.util import logs
from app.util.parse import similar

log = logging.getLogger(__name__)

LOCALE = shell_locale(os.environ)  # C and POSIX name no language


class Failed(Exception):
    """The command could not do its work: one sentence, exit code 1."""

    def __init__(self, ja: str, en: str, code: int = 1) -> None:
        self.sentence = Both(ja, en)
        super().__init__(str(self.sentence))
        self.code = code


class UsageRefused(click.UsageError):
    """An argument or option that cannot be used: one sentence, exit code 2."""

    def __init__(self, ja: str, en: str, ctx: click.Context | None = None) -> None:
        self.sentence = Both(ja, en)
        super().__init__(str(self.sentence), ctx)


def t(ja: str, en: str) -> str:
    """The one of the two that the shell asks for."""
    return Both(ja, en).to(LOCALE)


def say(ja: str, en: str) -> None:
    """One line of output."""
    click.echo(t(ja, en))


def complain(sentence: Both) -> None:
    """An error on stderr, in the language of the shell; as a line where those are JSON."""
    if logs.in_json() and not sys.stderr.isatty():
        log.error("%s", sentence.to(LOCALE))
        return
    print(sentence.to(LOCALE), file=sys.stderr)


def did_you_mean(ja: str, en: str, given: str, known: Sequence[str]) -> Both:
    """A refusal with the nearest name, or with all of them where none is near."""
    close = similar(given, known)
    if close:
        return Both(f"{ja}「{close[0]}」ではありませんか。", f"{en} Did you mean {close[0]}?")
    listed = " | ".join(known)
    return Both(f"{ja}次のどれかです: {listed}", f"{en} One of: {listed}")


def usage_words(error: click.UsageError) -> Both:
    """What is wrong with the command line, and what was probably meant."""
    if isinstance(error, UsageRefused):
        return error.sentence
    if isinstance(error, click.NoSuchCommand):
        name = error.command_name
        group = error.ctx.command if error.ctx is not None else None
        known = list(group.commands) if isinstance(group, click.Group) else []
        return did_you_mean(
            f"「{name}」というコマンドはありません。", f"There is no command {name}.", name, known
        )
    if isinstance(error, click.NoSuchOption):
        name = error.option_name
        return did_you_mean(
            f"「{name}」というオプションはありません。",
            f"There is no option {name}.",
            name,
            _options(error.ctx),
        )
    if isinstance(error, click.MissingParameter):
        name = _name(error)
        return Both(f"{name} を指定してください。", f"{name} is missing.")
    if isinstance(error, click.BadOptionUsage):
        name = error.option_name
        return Both(f"{name} には値を1つ指定してください。", f"{name} takes one value.")
    return _other_words(error)


def _other_words(error: click.UsageError) -> Both:
    extra = re.match(r"Got unexpected extra arguments? \((.*)\)", error.format_message())
    if extra:
        return Both(f"余分な引数があります: {extra[1]}", f"Unexpected: {extra[1]}")
    return Both(f"引数の形が違います({error.format_message()})。", error.format_message())


def _name(error: click.MissingParameter) -> str:
    if isinstance(error.param, click.Option):
        return error.param.opts[0]
    return error.param.make_metavar(error.ctx) if error.param and error.ctx else ""


def _options(ctx: click.Context | None) -> list[str]:
    if ctx is None:
        return []
    options = [one for one in ctx.command.get_params(ctx) if isinstance(one, click.Option)]
    return [name for option in options for name in option.opts if name.startswith("--")]
