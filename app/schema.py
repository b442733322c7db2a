"""The database's schema: bring it up to date, and refuse to work on one that is not.

A newer program may bring it up to date while older ones still run: it notes in the database which
of them may go on, so that machines can follow one by one, and go back (docs/architecture.md).
"""

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, select, text
from sqlalchemy.orm import Session

from app import installation
from app.db import AdvisoryLock, Database, database_now, put
from app.locale import Both
from app.models import Setting
from app.refused import Code, Refused

# Alembic takes longer to import than most commands take to run, and is needed to migrate only.
if TYPE_CHECKING:
    from alembic.config import Config as AlembicConfig

HEAD = "0017"  # the version that this code was written for (a test holds it to migrations/)
# The oldest version whose programs may go on with HEAD. It stays while migrations only add; one that
# takes something away or changes what it means sets it to its own number (a test holds it to that).
SERVES_SINCE = "0008"
SERVES = "schema_serves"  # settings key: what the program that upgraded last said of this
MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"
UPGRADE = "task-progress db upgrade"


class SchemaError(Refused):
    """The database's schema is not the one this code was written for.

    `fix`: the command, or what is to be done, alone.
    """

    def __init__(self, ja: str, en: str, *fix: str | Both) -> None:
        super().__init__(Code.WRONG_SCHEMA, Both(ja, en))
        self.fix = Both.made(*fix or (UPGRADE,))


def upgrade(database: Database) -> str:
    """Runs all missing migrations in one transaction; returns the schema's version.

    Two upgrades at once wait for each other. A newer schema that this program may work with stays
    as it is. Raises SchemaError on any other that is newer than this code.
    """
    database.make_file()
    engine = database.engine
    if database.is_sqlite:
        engine = engine.execution_options(writes=True)
    with engine.begin() as connection:
        return upgrade_on(connection)


def upgrade_on(connection: Connection) -> str:
    """The same, within the caller's transaction."""
    from alembic import command  # noqa: PLC0415 - see above

    if connection.dialect.name == "postgresql":
        refuse_encoding(connection)
        connection.execute(text("SET LOCAL lock_timeout = 0"))  # for another upgrade, however long
        connection.execute(text(f"SELECT pg_advisory_xact_lock({AdvisoryLock.UPGRADE})"))
    current = version_in(connection)
    if current is not None and not _is_known(current):
        refuse_unknown(connection)
        return current
    config = alembic_config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    _note_in_settings(connection)
    return HEAD


def check(database: Database) -> str:
    """The schema's version. Raises SchemaError, with the command to run, unless it is this code's
    own or a newer one that this code may work with. Makes no database.
    """
    if (file := database.missing_file()) is not None:
        raise SchemaError(
            f"データベース {file} がありません。初めて使うなら `task-progress db upgrade` で作ってください。"
            "あるはずなら、DATA_DIR と DATABASE_URL を確かめてください。",
            f"The database {file} does not exist. If this is new, make it with `task-progress db "
            "upgrade`; if it should be there, check DATA_DIR and DATABASE_URL.",
        )
    with database.connect() as connection:
        if not database.is_sqlite:
            refuse_encoding(connection)
        current = version_in(connection)
        if current == HEAD:
            return HEAD
        refuse_unknown(connection)
    if current is None or _is_known(current):
        raise SchemaError(
            "データベースの準備ができていません。`task-progress db upgrade` を実行してください。",
            "The database is not ready. Run `task-progress db upgrade`.",
        )
    return current


def version(database: Database) -> str | None:
    """The schema's version; None in a database that has none."""
    with database.connect() as connection:
        return version_in(connection)


def version_in(connection: Connection) -> str | None:
    """The schema's version; None in a database that has none."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    version: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return version


def refuse_encoding(connection: Connection) -> None:
    """Raises SchemaError on a PostgreSQL database that is not in UTF-8.

    In SQL_ASCII the server takes any bytes and counts them as letters; in others it refuses names.
    """
    encoding = connection.scalar(text("SHOW server_encoding"))
    if encoding == "UTF8":
        return
    name = connection.engine.url.database
    command = f"createdb --encoding=UTF8 --template=template0 --locale=C.UTF-8 {name}_utf8"
    raise SchemaError(
        f"データベース {name} の文字コードが {encoding} です。UTF8 で作り直してください: "
        f"`{command}`(そのあと DATABASE_URL をこのデータベースに変えます)。",
        f"The database {name} is encoded in {encoding}. Make one in UTF8: `{command}`, and let "
        "DATABASE_URL name it.",
        command,
    )


def refuse_unknown(connection: Connection) -> None:
    """Raises SchemaError on a newer schema, unless its own program said that this one may go on."""
    current = version_in(connection)
    if current is not None and not _serves(connection, current):
        refuse_newer(current)


def refuse_newer(version: str) -> None:
    """Raises SchemaError unless this program has the migration that made the version."""
    if _is_known(version):
        return
    raise SchemaError(
        f"データベースの版 {version} はこのプログラムより新しいため、書き込みません。"
        "新しい版のプログラムで起動してください。",
        f"The database has version {version}, newer than this program: nothing is "
        "written. Start the newer program.",
        "このマシンのプログラムを新しくしてください。",
        "Upgrade the program on this machine.",
    )


def alembic_config() -> "AlembicConfig":
    """Alembic's settings; there is no alembic.ini."""
    from alembic.config import Config as AlembicConfig  # noqa: PLC0415 - see above

    config = AlembicConfig()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


def _is_known(version: str) -> bool:
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - see above

    scripts = ScriptDirectory.from_config(alembic_config())
    return version in {script.revision for script in scripts.walk_revisions()}


def _note_in_settings(connection: Connection) -> None:
    """Which programs the schema serves; and whose database it is, which is said only once."""
    said = {"version": HEAD, "since": SERVES_SINCE}
    with Session(connection) as session:
        values = {"value": said, "changed_by": "db upgrade", "changed_at": database_now()}
        put(session, Setting, {"key": SERVES}, values)
        installation.made_in(session)
        session.flush()


def _serves(connection: Connection, version: str) -> bool:
    """Whether the program that brought the schema to `version` said that this one may go on.

    Every version has the table `settings`.
    """
    said = connection.scalar(select(Setting.value).where(Setting.key == SERVES)) or {}
    return bool(said.get("version") == version and said["since"] <= HEAD)
