"""Restoring a backup: all or nothing, marked before any program can send from it."""

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, func, inspect, or_, select, text

from app import schema
from app.config.sources import relative
from app.db import Database, put
from app.locale import Both
from app.maintenance import ids_after_restore, postgresql, sqlite
from app.maintenance.backup import backup
from app.maintenance.errors import BackupFailed
from app.maintenance.restore_mark import mark_in
from app.models import Base, Member, Service, Setting
from app.monitoring.checks import LOOKED, PARTS
from app.outbox.lease import PAUSE
from app.services import Services

ALIVE_WITHIN = timedelta(seconds=75)  # programs say so, or look for alarms, twice a minute


@dataclass(frozen=True, slots=True)
class Target:
    """What stands in the database now. `last_seen`: the last heartbeat of a program that uses it."""

    empty: bool
    members: int
    last_seen: datetime | None

    def in_use(self, now: datetime) -> bool:
        """True while programs use it."""
        return self.last_seen is not None and now - self.last_seen < ALIVE_WITHIN

    def silent_for(self, now: datetime) -> int:
        """Seconds since the last heartbeat."""
        return max(0, round((now - self.last_seen).total_seconds())) if self.last_seen else 0


@dataclass(frozen=True, slots=True)
class Restore:
    """What was done: how many mails wait, and the copy of what was there before (None: nothing)."""

    held: int
    kept: Path | None


def what_is_replaced(services: Services) -> Target:
    """What a restore would replace. Makes nothing. Raises BackupFailed, DatabaseDown."""
    if services.db.is_sqlite:
        if services.db.missing_file() is not None:
            return Target(empty=True, members=0, last_seen=None)
        _refuse_damaged(services.db.file)
    with services.db.connect() as connection:
        if not services.db.is_sqlite:
            _refuse_tables_of_others(connection)
        names = inspect(connection)
        if not (names.has_table("users") and names.has_table("service")):
            return Target(empty=not names.get_table_names(), members=0, last_seen=None)
        # Beat and workers write heartbeats; the pages note only that they ran the checks.
        parts = [Service.name.startswith(part, autoescape=True) for part in (*PARTS, LOOKED)]
        return Target(
            empty=False,
            members=connection.scalar(select(func.count()).select_from(Member)) or 0,
            last_seen=connection.scalar(select(func.max(Service.at)).where(or_(*parts))),
        )


def _refuse_tables_of_others(connection: Connection) -> None:
    """Whatever stands beside our tables would go with them."""
    try:
        schema.refuse_newer(schema.version_in(connection) or schema.HEAD)
    except schema.SchemaError:
        return  # of a newer program of ours
    known = {*Base.metadata.tables, postgresql.VERSION_TABLE}
    others = sorted(set(postgresql.beside_ours(connection)[1]) - known)
    if others:
        names = ", ".join(others[:5])
        raise BackupFailed(
            f"データベースに、このプログラムのものではないテーブルがあります({names})。一緒に失われるため"
            "戻しません。このプログラムだけのデータベースを DATABASE_URL に指定してください。",
            f"The database holds tables of another program ({names}), which would be lost: nothing "
            "is restored. Name a database of this program's own in DATABASE_URL.",
        )


def _refuse_damaged(file: Path) -> None:
    """A damaged database cannot be kept as a backup: an operator moves it out of the way."""
    try:
        sqlite.check(file)
    except BackupFailed as error:
        away = f"mkdir damaged && mv {relative(file)}* damaged/"
        raise BackupFailed(
            f"{error.sentence.ja}`{away}` で退けてから、もう一度実行してください。",
            f"{error.sentence.en} Put it away with `{away}`, then try again.",
        ) from None


def check(services: Services, file: Path) -> None:
    """Raises BackupFailed, OSError, SchemaError unless `file` is a backup that can be restored here."""
    with file.open("rb") as opened:
        head = opened.read(16)
    ours, other = (sqlite, postgresql) if services.db.is_sqlite else (postgresql, sqlite)
    if head.startswith(other.MAGIC):
        here = "SQLite" if services.db.is_sqlite else "PostgreSQL"
        raise BackupFailed(
            f"{relative(file)} は別の種類のデータベースのバックアップです。DATABASE_URL は {here} を"
            "指しています。",
            f"{relative(file)} is a backup of another kind of database: DATABASE_URL names {here}.",
        )
    if not head.startswith(ours.MAGIC):
        raise BackupFailed(
            f"{relative(file)} はバックアップではありません。",
            f"{relative(file)} is no backup.",
        )
    if services.db.is_sqlite:
        sqlite.check(file)
        version = sqlite.version_of(file)
    else:
        postgresql.check(services.db.engine, file)
        version = postgresql.version_of(services.db.engine, file)
    if version is None:
        raise BackupFailed(
            f"{relative(file)} はこのプログラムのデータベースではありません。",
            f"{relative(file)} is no database of this program.",
        )
    schema.refuse_newer(version)


_PAUSE = select(Setting.key).where(Setting.key == PAUSE)


def restore(services: Services, file: Path, *, who: str, now: datetime) -> Restore:
    """Puts the backup in the place of whatever is there, brings it up to date and marks it.

    What was there is kept as a backup in DATA_DIR. Call `check` before. Raises BackupFailed.
    """
    kept = None if what_is_replaced(services).empty else _keep(services, now)
    paused, given = False, dict[str, int]()
    if kept is not None:
        with services.db.read() as session:  # sending was paused: it must not start again
            known = inspect(session.connection()).has_table("settings")
            paused = known and session.scalar(_PAUSE) is not None
            given = ids_after_restore.given_away(session)
    back = _restore_sqlite if services.db.is_sqlite else _restore_postgresql

    def bring(database: Database, version: str | None = None) -> int:
        """The missing migrations and the mark, in one commit. `version`: to be given back first."""
        with database.write() as session:
            if version is not None:
                statement = text("INSERT INTO alembic_version (version_num) VALUES (:version)")
                session.execute(statement, {"version": version})
            schema.upgrade_on(session.connection())
            if paused:
                values = {"value": True, "changed_by": who, "changed_at": now}
                put(session, Setting, {"key": PAUSE}, values)
            zone = services.config.app_timezone
            return mark_in(session, zone, who=who, now=now, given=given)

    try:
        return Restore(back(services, file, bring), kept)
    except Exception as error:
        if kept is None:
            raise
        raise _failed(error, kept) from error


def _failed(error: Exception, kept: Path) -> BackupFailed:
    """Whatever went wrong, the data are not lost, and this says where they are."""
    why = getattr(error, "sentence", Both(type(error).__name__, type(error).__name__))
    command = f"task-progress restore {relative(kept)} --replace"
    return BackupFailed(
        f"{why.ja} 元のデータベースは {relative(kept)} にあります(戻す: `{command}`)。",
        f"{why.en} What was there before is in {relative(kept)}; `{command}` brings it back.",
    )


def _keep(services: Services, now: datetime) -> Path:
    folder = services.config.data_dir
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    end = "sqlite3" if services.db.is_sqlite else "dump"
    name = f"before-restore-{now:%Y%m%d-%H%M%S}"
    number = len(list(folder.glob(f"{name}*"))) + 1  # one kept in the same second stays
    return backup(services, folder / f"{name}-{number}.{end}").file


# --- SQLite -------------------------------------------------------------------------------


def _restore_sqlite(services: Services, file: Path, bring: Callable[..., int]) -> int:
    target = services.db.file
    if not target.exists():  # what a file that is gone left behind would be read into this one
        for end in ("-wal", "-shm"):
            target.with_name(target.name + end).unlink(missing_ok=True)
    with _draft_of(file, beside=target) as database:
        held = bring(database)
        database.close()
        sqlite.in_one_file(database.file)
        sqlite.check(database.file)
        target.touch(mode=0o600)
        sqlite.copy(database.file, target)
    return held


@contextlib.contextmanager
def _draft_of(file: Path, beside: Path) -> Iterator[Database]:
    """A copy of its own: the backup itself is only read."""
    with tempfile.TemporaryDirectory(prefix=".restore-", dir=beside.absolute().parent) as place:
        draft = Path(place) / "draft.sqlite3"
        sqlite.copy(file, draft)
        with contextlib.closing(Database(f"sqlite:///{draft}")) as database:
            yield database


# --- PostgreSQL -----------------------------------------------------------------------------


def _restore_postgresql(services: Services, file: Path, bring: Callable[..., int]) -> int:
    database, version = services.db, postgresql.version_of(services.db.engine, file)
    with database.engine.begin() as connection:
        for table in postgresql.tables_of(connection):
            connection.execute(text(f"DROP TABLE {table} CASCADE"))
    postgresql.load(database.engine, file)
    # Until here the database has no version, and no program begins to work on it.
    return bring(database, version)
