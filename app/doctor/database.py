"""Checks of the database: it answers, has this program's schema, and keeps what was committed."""

from collections.abc import Callable
from contextlib import closing, suppress
from datetime import datetime
from time import monotonic
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

from app import schema
from app.alerts.catalogue import Alarm, words_of
from app.config.sources import relative
from app.db import Database, DatabaseDown, database_now, in_words
from app.doctor.finding import CheckContext, Finding, Level, compare_clocks, green, red, yellow
from app.locale import Both
from app.outbox.restored import Restored, alert_facts, held_number, last_restore
from app.util.urls import mask_url


def database(case: CheckContext) -> list[Finding]:
    """All about the database, as far as it answers."""
    place = _place(case)
    if not case.has_database:
        return red(
            "database",
            f"データベース: {place} がまだありません。",
            f"Database: {place} does not exist yet.",
            schema.UPGRADE,
        )
    try:
        with case.services.db.connect() as connection:
            return _facts(case, connection, place) + _schema(case) + _restored(case)
    except DatabaseDown as error:
        said = in_words(error, place) or error.sentence
        down = red("database", said.ja, said.en, _how_to_look(case, place))
        return down + _why_read_only(case, error)


def _why_read_only(case: CheckContext, error: DatabaseDown) -> list[Finding]:
    """What a server that takes no writes, and is refused for it, says of itself."""
    if "read-only" not in str(error.__cause__):
        return []
    url = make_url(case.config.database_url).update_query_dict({"target_session_attrs": "any"})
    with (
        closing(Database(url.render_as_string(hide_password=False))) as database,
        suppress(DatabaseDown),
        database.connect() as connection,
    ):
        return [one for one in _promises(connection) if one.level is Level.RED]
    return []


def _how_to_look(case: CheckContext, place: str) -> str:
    if case.services.db.is_sqlite:
        return f"ls -l '{place}'*"
    dialect = case.services.db.engine.dialect
    _, parts = dialect.create_connect_args(make_url(case.config.database_url))
    hosts, ports = str(parts.get("host", "")).split(","), str(parts.get("port", 5432)).split(",")
    if len(ports) < len(hosts):
        ports = ports[:1] * len(hosts)
    asked = [
        f"pg_isready{f' -h {host}' if host else ''} -p {port}"
        for host, port in zip(hosts, ports, strict=False)
    ]
    return "; ".join([*asked, "systemctl status postgresql"])


def _facts(case: CheckContext, connection: Connection, place: str) -> list[Finding]:
    started = monotonic()
    connection.execute(text("SELECT 1"))
    took = (monotonic() - started) * 1000
    answers = green(
        "database",
        f"データベース: {place} が {took:.0f} ミリ秒で応答しました。",
        f"Database: {place} answered in {took:.0f} ms.",
    )
    if case.services.db.is_sqlite:
        return answers + _journal(connection)  # its clock is this machine's
    return answers + _promises(connection) + _clock(case.clock, connection)


def _schema(case: CheckContext) -> list[Finding]:
    try:
        version = schema.check(case.services.db)
    except schema.SchemaError as error:
        says = error.sentence
        return red("schema", f"データベースの版: {says.ja}", f"Schema: {says.en}", error.fix)
    if version == schema.HEAD:
        return green(
            "schema",
            f"データベースの版: {version}(このプログラムのもの)",
            f"Schema: {version}, this program's.",
        )
    return yellow(
        "schema",
        f"データベースの版: {version}(このプログラムは {schema.HEAD} 用。このまま動きます)",
        f"Schema: {version}; this program is for {schema.HEAD}, and may go on with it.",
        "このマシンのプログラムも新しくしてください。",
        "Upgrade the program on this machine, too.",
    )


def _restored(case: CheckContext) -> list[Finding]:
    """Whether mails wait for a word since the database came out of a backup."""

    def look(session: Session) -> tuple[Restored | None, int]:
        return last_restore(session), held_number(session)

    found, waiting = case.stored(look) or (None, 0)
    if found is None or not found.waits:
        return []
    words = words_of(Alarm.RESTORED, alert_facts(found, ZoneInfo(case.config.app_timezone)))
    said = Both(f"{words.what.ja}(いま{waiting}通)", f"{words.what.en} ({waiting} now)")
    return red("restored", said.ja, said.en, words.fix)


def _journal(connection: Connection) -> list[Finding]:
    """WAL, or readers and writers stop each other; FULL, or a commit may be lost with the power."""
    mode = str(connection.scalar(text("PRAGMA journal_mode"))).lower()
    synchronous = int(connection.scalar(text("PRAGMA synchronous")) or 0)
    if mode == "wal" and synchronous >= 2:
        return green("durability", "SQLite: WAL、synchronous=FULL です。", "SQLite: WAL, FULL.")
    return red(
        "durability",
        f"SQLite が WAL で動いていません(journal_mode={mode}、synchronous={synchronous})。",
        f"SQLite does not run in WAL mode (journal_mode={mode}, synchronous={synchronous}).",
        "データベースのファイルを、このマシンのディスクに置いてください(NFS などの共有"
        "フォルダーでは動きません): DATA_DIR=…",
        "Keep the database file on a disk of this machine, not on a network folder: DATA_DIR=...",
    )


def _promises(connection: Connection) -> list[Finding]:
    """PostgreSQL's settings that the promise of at most one copy rests on."""
    name = connection.scalar(text("SELECT current_database()"))
    found: list[Finding] = []
    if connection.scalar(text("SELECT pg_is_in_recovery()")):
        found += red("standby", *_STANDBY, _PRIMARY)
    for setting, wanted, ja, en in _WANTED:
        value = str(connection.scalar(text(f"SHOW {setting}")))
        if value not in wanted:
            change = f"ALTER DATABASE \"{name}\" SET {setting} = '{wanted[0]}';"
            if setting == "default_transaction_read_only":
                change = f"SET {setting} = 'off'; {change}"  # or this could not be written either
            if setting == "fsync":
                change = "ALTER SYSTEM SET fsync = 'on'; SELECT pg_reload_conf();"
            said = f"PostgreSQL: {setting} が {value} です。{ja}"
            found += red("durability", said, f"PostgreSQL: {setting} is {value}. {en}", change)
    return found or green(
        "durability",
        "PostgreSQL: 分離レベルと、確定の書き込み方は正しく設定されています。",
        "PostgreSQL: isolation and durability are as they should be.",
    )


_STANDBY = Both(
    "PostgreSQL: このサーバーはスタンバイです。何も書き込めず、メールは送られません。",
    "PostgreSQL: this server is a standby: nothing can be written, and no mail goes out.",
)
_PRIMARY = Both(
    "DATABASE_URL にすべてのサーバーを書き(…@db1,db2/…)、target_session_attrs を消してください。",
    "Name all servers in DATABASE_URL (…@db1,db2/…), and take target_session_attrs out of it.",
)
_WANTED = (
    (
        "default_transaction_isolation",
        ("read committed",),
        "送信の担当を決める処理が失敗します。",
        "Claiming mails would fail.",
    ),
    (
        "default_transaction_read_only",
        ("off",),
        "何も書き込めません。",
        "Nothing can be written.",
    ),
    (
        "synchronous_commit",
        ("on", "remote_apply", "remote_write", "local"),
        "停電のときに記録が消え、メールが2通届くことがあります。",
        "With the power a record may be lost, and a mail be sent twice.",
    ),
    (
        "fsync",
        ("on",),
        "停電のときにデータベースが壊れます。",
        "A power cut can destroy the database.",
    ),
)


def _clock(clock: Callable[[], datetime], connection: Connection) -> list[Finding]:
    def ask() -> datetime:
        return connection.scalars(select(database_now())).one()

    return compare_clocks("clock-database", Both("データベース", "the database"), clock, ask)


def _place(case: CheckContext) -> str:
    """The database as it may be shown: no password, a file from the working folder."""
    db = case.services.db
    return relative(db.file) if db.is_sqlite else mask_url(case.config.database_url)
