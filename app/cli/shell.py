"""What the commands share: their settings and services, their help in two languages."""

import getpass
import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import click

from app import clock, schema
from app.cli.language import Failed, UsageRefused, did_you_mean, t
from app.cli.refusals import USAGE
from app.config import Config, load_or_exit
from app.config.sources import relative
from app.identity import known_settings
from app.locale import Both
from app.models import LARGEST_ID
from app.refused import Refused, UnusableValue
from app.services import Services, make, publish_nothing
from app.util import logs
from app.util.dates_and_numbers import read_date, read_time, read_whole
from app.util.parse import MAX_LINE, shown
from app.util.urls import mask_url

T = TypeVar("T")


class Shell:
    """Settings and services of one command; read and made when they are first asked for."""

    def __init__(self) -> None:
        self.config: Config | None = None
        self._open = ExitStack()

    def settings(self) -> Config:
        """The settings; exits with 2 and the whole list of faults."""
        if self.config is None:
            self.config = load_or_exit()
            clock.shift(self.config.test_clock_offset)
            self._open.callback(_log(self.config))
        return self.config

    def services(self, *, queue: bool = False, any_schema: bool = False) -> Services:
        """The services. `queue`: what is made is also put on the mail queue.

        Raises SchemaError unless the database is ready, UnknownKey where it knows another
        SECRET_KEY. With `any_schema` neither is asked.
        """
        config = self.settings()
        publish = _queue(config, lambda: services) if queue else publish_nothing
        services = make(config, publish)
        self._open.callback(services.close)
        if not any_schema:
            schema.check(services.db)
            known_settings.check(services)
        return services

    def close(self) -> None:
        """Closes the database connections, and the log."""
        self._open.close()

    def place(self) -> str:
        """The database as messages may show it."""
        url = self.config.database_url if self.config else ""
        if url.startswith("sqlite"):
            return relative(Path(url.partition(":///")[2]))
        return mask_url(url)

    def rehearsal(self, option: str, *, said: bool) -> None:
        """Refuses --now and --date where a mail could reach a real mailbox.

        A mail server of this machine may pass mails on: then the word `--rehearsal` is wanted.
        """
        config = self.settings()
        if not config.rehearsal_allowed:
            raise UsageRefused(
                f"{option} は、SMTP_HOST が 127.0.0.1 などこのマシン自身のときだけ使えます。",
                f"{option} works only where SMTP_HOST is this machine, such as 127.0.0.1.",
            )
        if not (said or config.local_mailbox):
            raise UsageRefused(
                f"{option} で送るメールは、SMTP_HOST のサーバーから本人に届くことがあります。"
                "予行として送るなら --rehearsal を付けてください。",
                f"With {option}, mails may reach people through the server at SMTP_HOST. If you "
                "mean a rehearsal, add --rehearsal.",
            )


def _log(config: Config) -> Callable[[], None]:
    """Lines on stderr, as every program says them; a person at a terminal reads what is wrong."""
    undo = logs.install(config.log_format, level=logging.WARNING)
    level = logging.WARNING if sys.stderr.isatty() else logging.INFO
    logging.getLogger("app").setLevel(level)
    return undo


def _queue(config: Config, whose: Callable[[], Services]) -> Any:
    from app.queue.application import make_celery  # noqa: PLC0415 - slow, and seldom needed
    from app.queue.publishing import publisher  # noqa: PLC0415 - the same

    return publisher(make_celery(config), config.test_time_scale, whose)


def who() -> str:
    """Whose hand it was, for the audit."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):  # an account without a name
        return "cli"


def on_terminal() -> bool:
    """True when a person can be asked."""
    try:
        return sys.stdin is not None and sys.stdin.isatty()
    except ValueError:  # closed
        return False


def ask(question: str, alone: Both, untouched: Both) -> None:
    """A person at the terminal says yes. Raises Failed: `alone` where there is none, else `untouched`."""
    if not on_terminal():
        raise Failed(*alone)
    if not click.confirm(question, err=True):
        raise Failed(*untouched)


# --- values of options ------------------------------------------------------------------------


class TypedValue(click.ParamType[T]):
    """What a reader of typed text takes; where it refuses, the option is named."""

    def __init__(self, name: str, read: Callable[[str], T]) -> None:
        self.name = name
        self.read = read

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> T:
        """Raises UsageRefused."""
        try:
            return self.read(str(value))
        except UnusableValue as error:
            raise UsageRefused(*_named(param, error.sentence), ctx) from None


DAY = TypedValue("YYYY-MM-DD", read_date)


class Instant(click.ParamType[datetime]):
    """An instant in ISO 8601; without an offset it is in APP_TIMEZONE."""

    name = "ISO"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Raises Refused."""
        if isinstance(value, datetime):
            return value
        moment = _instant(value)
        if moment is None:
            no_instant = Both(
                f"「{shown(value)}」は日時として読めません。"
                "2026-11-24T09:00:00+09:00 のように書いてください。",
                f'"{shown(value)}" is not an instant. Write it like 2026-11-24T09:00:00+09:00.',
            )
            raise UsageRefused(*_named(param, no_instant), ctx)
        shell = ctx.find_object(Shell) if ctx is not None else None
        if moment.tzinfo is None and shell is not None:
            moment = moment.replace(tzinfo=ZoneInfo(shell.settings().app_timezone))
        return moment


def _instant(text: str) -> datetime | None:
    """ISO 8601, or a date and a time as people write them, with a blank between."""
    day, _, hour = text.strip().partition(" ")
    with suppress(ValueError):
        return datetime.combine(read_date(day), read_time(hour))
    with suppress(ValueError):  # a week date (2026-W48-2) is no date here
        is_iso = len(text) > len("2026-11-24") and "W" not in text.upper()
        return datetime.fromisoformat(text) if is_iso else None
    return None


def _read_id(text: str) -> int:
    """The number of a row, which need not be there. Raises UnusableValue for what is no number."""
    if text.isascii() and text.isdigit() and len(text) <= MAX_LINE:
        return int(text)
    return read_whole(text, 1, LARGEST_ID)


ROW_ID = TypedValue("ID", _read_id)


class OneOf(click.ParamType[str]):
    """One of a few words; the nearest is suggested."""

    def __init__(self, name: str, *choices: str) -> None:
        self.name = name
        self.choices = choices

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,  # noqa: ARG002 - click's own signature
        ctx: click.Context | None,
    ) -> str:
        """Raises Refused."""
        if value in self.choices:
            return str(value)
        given = shown(str(value))
        raise UsageRefused(
            *did_you_mean(
                f"「{given}」は使えません。", f'"{given}" cannot be used.', given, self.choices
            ),
            ctx,
        )


def _named(param: click.Parameter | None, sentence: Both) -> Both:
    name = param.opts[0] if isinstance(param, click.Option) else param.metavar if param else ""
    return Both(f"{name}: {sentence.ja}", f"{name}: {sentence.en}")


def option(name: str, ja: str, en: str, *argument: str, **more: Any) -> Callable[[Any], Any]:
    """An option, and what it says; `argument`: of the function, where it has another name."""
    return click.option(name, *argument, help=t(ja, en), **more)


def flag(name: str, ja: str, en: str, *argument: str) -> Callable[[Any], Any]:
    """An option without a value."""
    return option(name, ja, en, *argument, is_flag=True)


as_json = flag("--json", "JSON で表示する", "show JSON", "json_wanted")
email_argument = click.argument("email", metavar="EMAIL")


# --- help -------------------------------------------------------------------------------------

_CLICKS = {
    "[OPTIONS]": "[オプション]",
    "COMMAND [ARGS]...": "コマンド [引数]...",
    "[required]": "[必須]",
    "[default: ": "[既定: ",
}
_SECTIONS = {"Options": "オプション", "Commands": "コマンド", "Usage: ": "使い方: "}


def _translated(text: str) -> str:
    for english, japanese in _CLICKS.items():
        text = text.replace(english, t(japanese, english))
    return text


class _Formatter(click.HelpFormatter):
    """click's own, with its few words in the language of the shell."""

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        super().write_usage(prog, _translated(args), prefix or t("使い方: ", "Usage: "))

    def write_dl(
        self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2
    ) -> None:
        super().write_dl([(name, _translated(text)) for name, text in rows], col_max, col_spacing)

    @contextmanager
    def section(self, name: str) -> Iterator[None]:
        with super().section(t(_SECTIONS.get(name, name), name)):
            yield


class _Context(click.Context):
    formatter_class = _Formatter


class _Spoken(click.Command):
    """What commands and groups have in common: their help speaks the shell's language."""

    context_class = _Context

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        option = super().get_help_option(ctx)
        if option is not None:
            option.help = t("この説明を表示する", "show this help")
        return option


class ShellCommand(_Spoken):
    """A command by itself, without others below it."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """One example, so that the order of arguments need not be guessed."""
        root = ctx.find_root().command
        example = root.examples.get(ctx.command_path) if isinstance(root, Group) else None
        if example is not None:
            line = f"{ctx.command_path} {example}".rstrip()
            formatter.write(f"\n{t('例', 'Example')}: {line}\n")

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click's; but every error says whose usage it is."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            error.ctx = error.ctx or ctx
            raise

    def invoke(self, ctx: click.Context) -> Any:
        """As click's; what was typed and cannot be used is wrong usage."""
        try:
            return super().invoke(ctx)
        except Refused as error:
            if error.code in USAGE:
                raise UsageRefused(*error.sentence, ctx) from None
            raise


class Group(_Spoken, click.Group):
    """Commands under one name. `examples`: of the group that holds all, by the whole command."""

    examples: Mapping[str, str] = {}

    command_class = ShellCommand

    def entry(self, name: str, ja: str, en: str) -> Callable[[Callable[..., Any]], click.Command]:
        """A command of this group, and what it does."""
        return self.command(name, help=t(ja, en))


cli = Group(
    "task-progress",
    help=t(
        "未報告のタスクを毎朝メールで知らせます。",
        "Mails each person, every morning, the tasks they have not reported on.",
    ),
    epilog=t(
        "各コマンドの説明: task-progress コマンド --help", "More: task-progress COMMAND --help"
    ),
)
click.version_option(
    package_name="task-progress",
    message="%(prog)s %(version)s",
    help=t("このプログラムの版を表示する", "show this program's version"),
)(cli)


def group(name: str, ja: str, en: str, kind: type[Group] = Group) -> Group:
    """Commands about one thing, and what it is."""
    made = kind(name, help=t(ja, en))
    cli.add_command(made)
    return made
