"""`db`, `import` and `sample`: the database and what is loaded into it."""

import sys
from pathlib import Path

import click

from app import clock, schema
from app import sample as sample_team
from app.cli.language import Failed, say, t
from app.cli.shell import Group, OneOf, Shell, as_json, command, flag, on_terminal, who
from app.cli.show import show_json
from app.identity import known_settings
from app.imports.files import ImportResult, import_file
from app.people.csv_records import HEADERS

_LISTED = 20  # members missing from a file that are shown by address

database = Group("db", help=t("データベースの準備", "prepare the database"))
sample = Group("sample", help=t("サンプルチーム", "the sample team"))


@database.command(
    "upgrade", help=t("データベースを最新の形にする", "bring the database up to date")
)
@click.pass_obj
def upgrade(shell: Shell) -> None:
    """Runs the missing migrations; not on a database whose links another key signed."""
    services = shell.services(any_schema=True)
    services.db.make_file()
    if schema.version(services.db) is not None:
        known_settings.check(services)
    version = schema.upgrade(services.db)
    say(f"データベースの準備ができました(版 {version})。", f"The database is ready ({version}).")


@sample.command("load", help=t("サンプルチームを読み込む", "load the sample team"))
@click.pass_obj
def load(shell: Shell) -> None:
    """Loads it into an empty database; the last word of the output is its day, D."""
    day = sample_team.load(shell.services(), clock.now())
    if day is None:
        raise Failed(
            "すでにメンバーがいるため、サンプルチームは読み込みません。",
            "There are members already: the sample team is not loaded.",
        )
    say(
        f"サンプルチームを読み込みました。最初のリマインダーの日: {day}",
        f"The sample team is loaded. The day of its first reminders: {day}",
    )


@command("import", "CSV を取り込む", "import a CSV file")
@click.argument("what", type=OneOf("what", *HEADERS), metavar="|".join(HEADERS))
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE.csv")
@flag("--dry-run", "書き込まずに確かめる", "check, write nothing")
@flag(
    "--overwrite-settings",
    "本人が選んだ設定も上書きする",
    "also overwrite what members chose themselves",
)
@as_json
@click.pass_obj
def import_(
    shell: Shell,
    *,
    what: str,
    file: Path,
    dry_run: bool,
    overwrite_settings: bool,
    json_wanted: bool,
) -> None:
    """All or nothing; every faulty line is shown."""
    data = file.read_bytes()
    services = shell.services()

    def run(dry: bool) -> ImportResult:
        return import_file(
            services,
            what,
            data,
            now=clock.now(),
            dry_run=dry,
            overwrite_settings=overwrite_settings,
            who=who(),
        )

    if not dry_run and on_terminal():
        _ask_whether_readable(run(True))
    result = run(dry_run)
    if json_wanted:
        found = result.as_json() | {"dry_run": dry_run}
        if not dry_run:  # the lines are in the audit
            del found["lines"]
        show_json(found)
    else:
        _show(result, dry_run=dry_run)


def _ask_whether_readable(result: ImportResult) -> None:
    """cp932 is a guess: the operator looks at a few lines before anything is written."""
    if result.encoding == "UTF-8":
        return
    _show_preview(result)
    if not click.confirm(t("文字は正しく読めていますか", "Is the text readable"), err=True):
        raise Failed("何も取り込んでいません。", "Nothing was imported.")


def _show_preview(result: ImportResult) -> None:
    print(t(f"文字コード: {result.encoding}", f"Encoding: {result.encoding}"), file=sys.stderr)
    for cells in result.preview:
        print("  " + ", ".join(cell for cell in cells if cell), file=sys.stderr)


def _show(result: ImportResult, *, dry_run: bool) -> None:
    for warning in result.warnings:
        say(
            f"注意 {warning.line}行目 {warning.column}: {warning.sentence.ja}",
            f"warning, line {warning.line} {warning.column}: {warning.sentence.en}",
        )
    if dry_run:
        _show_preview(result)
    if result.missing:
        shown = ", ".join(result.missing[:_LISTED]) + (" …" if result.missing[_LISTED:] else "")
        say(
            f"ファイルにないメンバー{len(result.missing)}人(そのままにします): {shown}",
            f"{len(result.missing)} members not in the file (left as they are): {shown}",
        )
    say(
        f"{'確認だけ: ' if dry_run else ''}追加 {result.added}、変更 {result.changed}、"
        f"変更なし {result.unchanged}",
        f"{'dry run: ' if dry_run else ''}{result.added} added, {result.changed} changed, "
        f"{result.unchanged} unchanged",
    )
