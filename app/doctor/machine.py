"""Checks of the machine itself: its language, temporary files, disk, and time zones."""

import locale
import platform
import shutil
import tempfile
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from app.config.sources import relative
from app.doctor.finding import CheckContext, Finding, Machine, green, red, yellow
from app.locale import Both, of_the_system
from app.models import Setting
from app.monitoring.machine import ROOM
from app.reminders.plan import ZONES
from app.util import zones
from app.util.version import version

MEGABYTE = 1024 * 1024
DISK_YELLOW = 1024 * MEGABYTE


def language(_machine: Machine) -> list[Finding]:
    """Whether the shell's locale can write Japanese; Python itself mends most of them."""
    charset = locale.nl_langinfo(locale.CODESET)
    if charset.upper().replace("-", "") == "UTF8":
        return green("locale", "ロケール: UTF-8 です。", "Locale: UTF-8.")
    name = locale.setlocale(locale.LC_CTYPE)
    return red(
        "locale",
        f"ロケールが {name}({charset})で、日本語を正しく表示できません。",
        f"The locale is {name} ({charset}): Japanese cannot be shown.",
        "unset LC_ALL; export LANG=C.UTF-8",
    )


def program(_machine: Machine) -> list[Finding]:
    """Which version of the program this is, and of Python: the first question of who helps."""
    python = platform.python_version()
    return green(
        "version",
        f"プログラム: Task Progress {version()}(Python {python})",
        f"Program: Task Progress {version()} (Python {python})",
    )


def temporary_files(_machine: Machine) -> list[Finding]:
    """A file of 64 KB can be written where temporary files go."""
    try:
        with tempfile.TemporaryFile() as file:
            file.write(bytes(65_536))
            file.flush()
    except OSError as error:
        why = of_the_system(error)
        return red(
            "temporary-files",
            f"一時ファイルを書けません({why.ja})。",
            f"Temporary files cannot be written ({why.en}).",
            "df -h /tmp で空きを確かめるか、TMPDIR=書き込めるフォルダー を設定してください。",
            "See df -h /tmp, or set TMPDIR to a folder that can be written to.",
        )
    return green(
        "temporary-files",
        f"一時ファイル: {tempfile.gettempdir()} に書けます。",
        f"Temporary files: {tempfile.gettempdir()} can be written to.",
    )


def time_zones(machine: Machine) -> list[Finding]:
    """Time zone data are there, say what is known to be true, and are not years old."""
    try:
        offset = datetime(2026, 7, 1, 12, tzinfo=ZoneInfo("America/New_York")).utcoffset()
        known = offset is not None and offset.total_seconds() == -4 * 3600
    except (ZoneInfoNotFoundError, OSError, ValueError):
        known = False
    if not known:
        return red(
            "time-zones",
            "タイムゾーンのデータがないか、壊れています。",
            "The time zone data are missing or broken.",
            "sudo apt install tzdata  # pip install tzdata",
        )
    version = zones.version()
    whose = Both("システム", "system")
    if zones.is_package():
        whose = Both("パッケージ tzdata", "package tzdata")
    if not version:
        return green(
            "time-zones",
            f"タイムゾーンのデータ: {whose.ja}のもの、版は不明",
            f"Time zone data: of the {whose.en}, version unknown",
        )
    years = machine.clock().year - int(version[:4])
    if years > 1:
        return yellow(
            "time-zones",
            f"タイムゾーンのデータ({whose.ja}の {version})が{years}年前のものです。",
            f"The time zone data ({version} of the {whose.en}) are {years} years old.",
            "git pull && make setup  # sudo apt install --only-upgrade tzdata",
        )
    age = Both("昨年の版", "of last year") if years == 1 else Both("今年の版", "of this year")
    return green(
        "time-zones",
        f"タイムゾーンのデータ: {whose.ja}の {version}({age.ja})",
        f"Time zone data: {version} of the {whose.en} ({age.en})",
    )


def newer_time_zones(case: CheckContext) -> list[Finding]:
    """Whether hours were computed with newer time zone data than this machine has."""
    row = case.stored(lambda session: session.get(Setting, ZONES))
    here = zones.version()
    if row is None or row.value <= here:
        return []
    return yellow(
        "time-zones-elsewhere",
        f"タイムゾーンのデータ: 別のマシンは {row.value}、このマシンは {here or '版が不明'} です。"
        "法律が変わった地域では、マシンによって時刻がずれます。",
        f"Time zone data: another machine has {row.value}, this one "
        f"{here or 'an unknown version'}. Where a law changed, the two differ in the hour.",
        "git pull && make setup  # sudo apt install --only-upgrade tzdata",
    )


def disk(case: CheckContext, *, least: int = ROOM, better: int = DISK_YELLOW) -> list[Finding]:
    """DATA_DIR has room. `least` and `better`: bytes below which it is red or yellow."""
    folder = case.config.data_dir
    name = relative(folder)
    try:
        free = shutil.disk_usage(folder if folder.exists() else case.folder).free
    except OSError as error:
        why = of_the_system(error)
        fix = f"ls -ld '{name}'"
        return red("disk", f"{name}: {why.ja}", f"{name}: {why.en}", fix)
    ja = f"ディスク: {name} の空きは {free / MEGABYTE:,.0f} MB です。"
    en = f"Disk: {name} has {free / MEGABYTE:,.0f} MB free."
    fix = f"df -h '{name}'; du -sh '{name}'/*"
    if free < least:
        return red("disk", ja, en, fix)
    return yellow("disk", ja, en, fix) if free < better else green("disk", ja, en)
