"""Checks of settings: `.env`, the keys, who may read them, and whether systemd reads the same as the shell."""

import os
from pathlib import Path

from app.config import NAMES, SECRET_KEY_FILE, ConfigError
from app.config.sources import SECRETS, gather, relative
from app.db import DatabaseDown
from app.doctor.finding import CheckContext, Finding, Machine, green, red, yellow
from app.identity import known_settings
from app.identity.sentences import COMMAND, how_to_confirm
from app.locale import Both
from app.systemd import environment_file


def faults(error: ConfigError) -> list[Finding]:
    """One line for each setting that cannot be used."""
    fix = Both(
        ".env のその行を直してから、もう一度 task-progress doctor を実行してください。",
        "Mend that line of .env and run task-progress doctor again.",
    )
    return [
        one
        for name, why in error.faults
        for one in red("settings", f"設定 {name}: {why.ja}", f"Setting {name}: {why.en}", fix)
    ]


def settings(case: CheckContext) -> list[Finding]:
    """What the settings themselves warn of."""
    fix = Both("文のとおりに直してください。", "Mend it as the sentence says.")
    warned = [one for said in case.config.warnings for one in yellow("settings", *said, fix)]
    return warned or green("settings", "設定: すべて読めました。", "Settings: all of them read.")


def read_alike(machine: Machine) -> list[Finding]:
    """Values of `.env` that a unit of systemd would read differently from this shell."""
    file = machine.folder / ".env"
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):  # the settings tell what is wrong with the file
        return green("env-file", ".env: ありません。", ".env: there is none.")
    here = gather({}, machine.folder, NAMES, [], [])
    there = gather(environment_file.read(text), machine.folder, NAMES, [], [])
    differing = sorted(name for name in NAMES if here.get(name) != there.get(name))
    found = [one for name in differing for one in _read_differently(name)]
    return found or green(
        "env-file",
        ".env: systemd でもシェルでも同じ値になります。",
        ".env: systemd and the shell read the same values.",
    )


def _read_differently(name: str) -> list[Finding]:
    return red(
        "env-file",
        f".env の {name}: systemd はシェルと違う値に読みます(引用符か \\ のためです)。",
        f".env, {name}: systemd reads another value than the shell (quotes or \\ do that).",
        f"{name}_FILE=PATH"
        if name in SECRETS
        else Both(
            f"{name}= の値を、引用符も \\ もない形で書いてください。",
            f"Write the value of {name}= without quotes and backslashes.",
        ),
    )


def secret_key(case: CheckContext) -> list[Finding]:
    """Where the key comes from; its length was checked when the settings were read."""
    config = case.config
    key, previous = config.secret_key, config.secret_key_previous
    if previous is not None and previous.get_secret_value() == key.get_secret_value():
        return red(
            "secret-key",
            "SECRET_KEY_PREVIOUS が SECRET_KEY と同じです。前の鍵で作ったリンクは開けません。",
            "SECRET_KEY_PREVIOUS is the same as SECRET_KEY: links made with the key before "
            "do not open.",
            "SECRET_KEY_PREVIOUS には、替える前の鍵を書いてください。",
            "SECRET_KEY_PREVIOUS must hold the key that was in use before.",
        )
    also = " 前の鍵も受け付けます。" if previous else ""
    too = " The previous key is accepted, too." if previous else ""
    file = config.data_dir / SECRET_KEY_FILE
    if not (file.exists() and file.read_text("utf-8", "replace").strip() == key.get_secret_value()):
        length = len(key.get_secret_value().encode())
        return green(
            "secret-key",
            f"SECRET_KEY: 設定されています({length} バイト)。{also}",
            f"SECRET_KEY: given, {length} bytes.{too}",
        )
    where = relative(file)
    return green(
        "secret-key",
        f"SECRET_KEY: 自動で作った鍵が {where} にあります(失うとリンクが開けません)。{also}",
        f"SECRET_KEY: made by itself, kept in {where} (links stop working without it).{too}",
    )


def identity_check(case: CheckContext) -> list[Finding]:
    """Whether the database knows these settings as its own."""
    if not case.has_database:
        return []
    try:
        known_settings.check(case.services)
        verdict = known_settings.compare_with_database(case.services)
    except DatabaseDown:
        return []  # that check says so
    except known_settings.UnknownKey as error:
        return red("identity", error.sentence.ja, error.sentence.en, f"{COMMAND} --new-key")
    found = [known_settings.sentence(one) for one in verdict.changes]
    if not found:
        ja = "設定: このデータベースが知っているものと同じです。"
        return green("identity", ja, "Settings: those that the database knows as its own.")
    told = [one for said in found for one in yellow("identity", *said, COMMAND)]
    if verdict.known_server is None:
        return told
    return red("identity", *found[0], how_to_confirm()) + told[1:]


def permissions(case: CheckContext) -> list[Finding]:
    """Only the account that runs the program may read secrets and data, and owns the files."""
    key = case.config.data_dir / SECRET_KEY_FILE
    wanted = ((case.folder / ".env", "600"), (case.config.data_dir, "700"), (key, "600"))
    there = [(path, mode) for path, mode in wanted if path.exists()]
    found = [one for path, mode in there for one in _too_open(path, mode) or _foreign(path)]
    names = Both("、".join(relative(p) for p, _ in there), ", ".join(relative(p) for p, _ in there))
    return found or green(
        "permissions",
        f"権限: {names.ja} は本人だけが読めます。",
        f"Permissions: only you can read {names.en}.",
    )


def _too_open(path: Path, mode: str) -> list[Finding]:
    have = path.stat().st_mode & 0o777
    if not have & 0o077:
        return []
    name = relative(path)
    say = red if have & 0o007 else yellow
    return say(
        "permissions",
        f"{name} の権限が {have:o} で、ほかのユーザーにも開いています。",
        f"{name} has mode {have:o}: open to other users.",
        f"chmod {mode} '{name}'",
    )


def _foreign(path: Path) -> list[Finding]:
    owner, me = path.stat().st_uid, os.geteuid()
    if owner == me:
        return []
    name = relative(path)
    return yellow(
        "permissions",
        f"{name} の持ち主は別のユーザー(番号 {owner})です。",
        f"{name} belongs to another user (number {owner}).",
        f"プログラムを動かすユーザーで実行してください: sudo -u '#{owner}' task-progress doctor",
        f"Run it as the user the program runs as: sudo -u '#{owner}' task-progress doctor",
    )
