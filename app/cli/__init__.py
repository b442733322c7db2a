"""The command `task-progress`. Parses, calls one use case, shows the result.

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 130 interrupted by Ctrl-C.
"""

import contextlib
import io
import os
import sqlite3
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

import click

from app import db
from app.cli.commands import EXAMPLES
from app.cli.language import Failed, complain, usage_words
from app.cli.refusals import FAILED, WRONG_USAGE, exit_code
from app.cli.shell import Shell, cli
from app.config.sources import relative
from app.imports.file_rows import ImportRefused
from app.locale import Both, of_the_system
from app.people.columns import column_name
from app.refused import Refused
from app.util.private import private_files

__all__ = ["cli", "main"]

INTERRUPTED = 130
_LAST_ERROR = "last-error.txt"

cli.examples = EXAMPLES


def main(arguments: Sequence[str] | None = None) -> int:
    """The program `task-progress`; returns its exit code and never shows a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # whatever the terminal's encoding
    with private_files():
        return _main(arguments, Shell())


def _main(arguments: Sequence[str] | None, shell: Shell) -> int:
    try:
        code = cli.main(arguments, prog_name="task-progress", standalone_mode=False, obj=shell)
        sys.stdout.flush()
    except click.UsageError as error:
        return _wrong_usage(error)
    except (KeyboardInterrupt, click.Abort):
        complain(Both("中断しました。", "Interrupted."))
        return INTERRUPTED
    except BrokenPipeError:
        return _reader_gone()
    except Exception as error:  # noqa: BLE001 - the one place that turns errors into words
        return _failed(error, shell)
    finally:
        shell.close()
    return code if isinstance(code, int) else 0


def _wrong_usage(error: click.UsageError) -> int:
    if isinstance(error, click.exceptions.NoArgsIsHelpError) and error.ctx is not None:
        print(error.ctx.get_help(), file=sys.stderr)
        return WRONG_USAGE
    if error.ctx is not None:
        print(error.ctx.get_usage(), file=sys.stderr)
    complain(usage_words(error))
    return WRONG_USAGE


def _failed(error: Exception, shell: Shell) -> int:
    """Words for an error, and the exit code."""
    if isinstance(error, Failed):
        complain(error.sentence)
        return error.code
    if sentence := db.in_words(error, shell.place()):
        complain(sentence)
        return FAILED
    if isinstance(error, Refused):
        complain(error.sentence)
        if isinstance(error, ImportRefused):
            _complain_about_lines(error)
        return exit_code(error.code)
    complain(_of_a_file(error) or _unexpected(error, shell))
    return FAILED


_LISTED = 20  # faulty lines of an import that are shown


def _complain_about_lines(error: ImportRefused) -> None:
    for fault in error.faults[:_LISTED]:
        name = column_name(fault.column) or Both("", "")
        where = Both(
            f"  {fault.line}行目 {_named(fault.column, name.ja)}: " if fault.line else "  ",
            f"  line {fault.line} {_named(fault.column, name.en)}: " if fault.line else "  ",
        )
        complain(Both(where.ja + fault.sentence.ja, where.en + fault.sentence.en))
    more = len(error.faults) - _LISTED
    if more > 0:
        complain(Both(f"  ほか {more} 件", f"  and {more} more"))


def _named(column: str, name: str) -> str:
    return f"{column} ({name})" if name else column


def _of_a_file(error: Exception) -> Both | None:
    if isinstance(error, sqlite3.Error):  # `backup` copies the files below SQLAlchemy
        return Both(
            f"データベースのファイルをコピーできません({error})。ファイルがあること、ディスクの空き、"
            "権限を確かめてください。",
            f"The database's file cannot be copied ({error}). Check that it is there, the "
            "room on the disk, and the permissions.",
        )
    if not isinstance(error, OSError) or not isinstance(error.filename, str | Path):
        return None
    where = relative(Path(error.filename).absolute())
    if isinstance(error, FileNotFoundError):
        return Both(f"{where} がありません。", f"{where} does not exist.")
    if isinstance(error, PermissionError):
        return Both(
            f"{where} を読み書きする権限がありません。持ち主と権限を確かめてください。",
            f"{where}: not allowed. Check who owns it and its permissions.",
        )
    why = of_the_system(error)
    return Both(f"{where} を使えません({why.ja})。", f"{where}: {why.en}.")


def _unexpected(error: Exception, shell: Shell) -> Both:
    """A fault of this program: what it was, and where the details are for mending it."""
    file = shell.config.data_dir / _LAST_ERROR if shell.config else None
    where = ""
    if file is not None:
        with contextlib.suppress(OSError):
            file.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
            where = relative(file)
    name = type(error).__name__
    return Both(
        f"予期しない問題が起きました({name})。" + (f"詳しい記録: {where}" if where else ""),
        f"Something unexpected went wrong ({name})." + (f" Details: {where}" if where else ""),
    )


def _reader_gone() -> int:
    """`task-progress … | head` is no failure worth words; but what is buffered must not be tried."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return FAILED
