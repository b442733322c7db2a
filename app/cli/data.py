"""`db`, `import` and `sample`: the database and what is loaded into it."""

import sys
from functools import partial
from itertools import takewhile
from pathlib import Path

import click

from app import clock, schema
from app import sample as sample_team
from app.cli.language import LOCALE, Failed, UsageRefused, say, t
from app.cli.shell import Group, OneOf, Shell, as_json, flag, group, on_terminal, who
from app.cli.show import show_json
from app.identity import known_settings
from app.imports.files import ImportResult, import_file
from app.imports.templates import FORMS, template
from app.locale import Both, counted
from app.models import Role
from app.people.columns import FILES
from app.util.parse import shown

_LISTED = 20  # members missing from a file that are shown by address

database = group("db", "データベースの準備", "prepare the database")
sample = group("sample", "サンプルチーム", "the sample team")


@database.entry("upgrade", "データベースを最新の形にする", "bring the database up to date")
@click.pass_obj
def upgrade(shell: Shell) -> None:
    """Runs the missing migrations; not on a database whose links another key signed."""
    services = shell.services(any_schema=True)
    services.db.make_file()
    if schema.version(services.db) is not None:
        known_settings.check(services)
    version = schema.upgrade(services.db)
    say(f"データベースの準備ができました(版 {version})。", f"The database is ready ({version}).")


@sample.entry("load", "サンプルチームを読み込む", "load the sample team")
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


class _ImportGroup(Group):
    """`import members FILE`; flags before the name of what is imported are its own."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click's; `import --dry-run members FILE` too."""
        flags = list(takewhile(lambda word: word.startswith("--") and word != "--help", args))
        rest = args[len(flags) :]
        return super().parse_args(ctx, [*rest[:1], *flags, *rest[1:]])


import_ = group(
    "import", "ファイル(Excel、CSV)を取り込む", "import a file (Excel, CSV)", _ImportGroup
)


def _add_import(what: str, name: Both) -> None:
    @import_.entry(what, f"{name.ja}を取り込む", f"import {name.en.lower()}")
    @click.argument("file", type=click.Path(path_type=Path), metavar="FILE.xlsx|FILE.csv")
    @flag("--dry-run", "書き込まずに確かめる", "check, write nothing")
    @flag(
        "--overwrite-settings",
        "本人が選んだ設定も上書きする",
        "also overwrite what members chose themselves",
    )
    @flag("--skip-unknown", "知らない列は読み飛ばす", "pass over unknown columns")
    @as_json
    @click.pass_obj
    def run(
        shell: Shell,
        *,
        file: Path,
        dry_run: bool,
        overwrite_settings: bool,
        skip_unknown: bool,
        json_wanted: bool,
    ) -> None:
        data, services = file.read_bytes(), shell.services()
        do = partial(
            import_file,
            services,
            what,
            data,
            now=clock.now(),
            overwrite_settings=overwrite_settings,
            skip_unknown=skip_unknown,
            who=who(),
        )
        if not dry_run and on_terminal():
            _ask_whether_readable(do(dry_run=True))
        result = do(dry_run=dry_run)
        if json_wanted:
            found = result.as_json() | {"dry_run": dry_run}
            if not dry_run:  # the lines are in the audit
                del found["lines"]
            show_json(found)
        else:
            _show(result, dry_run=dry_run)


for _kind in FILES.values():
    _add_import(_kind.what, _kind.name)


@import_.entry("template", "記入用のファイルを作る", "write a file to fill in")
@click.argument("what", type=OneOf("what", *FILES), metavar="|".join(FILES))
@click.argument(
    "file", type=click.Path(path_type=Path), required=False, metavar="[FILE.xlsx|FILE.csv]"
)
def template_(*, what: str, file: Path | None) -> None:
    """Headings in the shell's language; WHAT.xlsx unless a file is named. Replaces none."""
    file = file or Path(f"{what}.xlsx")
    form = file.suffix.lower().removeprefix(".")
    if form not in FORMS:
        raise UsageRefused(
            f"FILE: {file.name} は、.xlsx か .csv で終わる名前にしてください。",
            f"FILE: {file.name}: let the name end in .xlsx or .csv.",
        )
    try:
        with file.open("xb") as new:
            new.write(template(what, form, LOCALE))
    except FileExistsError:
        there = Both(f"{file} はすでにあります。別の名前を指定してください。",
                     f"{file} is there already. Give another name.")  # fmt: skip
        raise Failed(*there) from None
    then = f"task-progress import {what} {file}"
    say(f"{file} を作りました。見本の行を書き換えてから、{then} で取り込んでください。",
        f"{file} is written. Write over its example line, then: {then}")  # fmt: skip


def _ask_whether_readable(result: ImportResult) -> None:
    """cp932 is a guess: the operator looks at a few lines before anything is written."""
    if result.encoding != "cp932":
        return
    _show_preview(result)
    if not click.confirm(t("文字は正しく読めていますか", "Is the text readable"), err=True):
        raise Failed("何も取り込んでいません。", "Nothing was imported.")


def _show_preview(result: ImportResult) -> None:
    print(t(f"ファイル: {result.kind.ja}", f"File: {result.kind.en}"), file=sys.stderr)
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
    if result.skipped:
        names = ", ".join(result.skipped[:_LISTED])
        say(f"読み飛ばした列: {names}", f"columns passed over: {names}")
    admins = [
        one.key for one in result.lines if ("role", Role.ADMIN) in {c[::2] for c in one.changes}
    ]
    if admins:
        names = ", ".join(admins[:_LISTED]) + (" …" if admins[_LISTED:] else "")
        say(f"管理者になる人{len(admins)}人: {names}", f"becoming admins, {len(admins)}: {names}")
    for line, column, cell, value in result.hidden[:_LISTED]:
        say(
            f"{line}行目 {column}: 「{shown(cell)}」を {value} と読みました",
            f'line {line} {column}: read "{shown(cell)}" as {value}',
        )
    if (more := len(result.hidden) - _LISTED) > 0:
        say(f"ほかに {more} 件", f"and {more} more")
    if result.missing:
        missing = ", ".join(result.missing[:_LISTED]) + (" …" if result.missing[_LISTED:] else "")
        say(
            f"ファイルにないメンバー{len(result.missing)}人(そのままにします): {missing}",
            f"{counted(len(result.missing), 'member')} not in the file (left as they are): {missing}",
        )
    say(
        f"{'確認だけ: ' if dry_run else ''}追加 {result.added}、変更 {result.changed}、"
        f"変更なし {result.unchanged}",
        f"{'dry run: ' if dry_run else ''}{result.added} added, {result.changed} changed, "
        f"{result.unchanged} unchanged",
    )
