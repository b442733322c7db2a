"""The database's schema: bring it up to date, and refuse to work on one that is not."""

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from app.db import Database
from app.words import Both

# Alembic takes longer to import than most commands take to run, and is needed to migrate only.
if TYPE_CHECKING:
    from alembic.config import Config as AlembicConfig

HEAD = "0008"  # the version that this code was written for (a test holds it to migrations/)
MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"
_UPGRADE_LOCK = 7_305_516_001  # any fixed number: PostgreSQL's advisory lock of this program


class SchemaError(Exception):
    """The database's schema is not the one this code was written for."""

    def __init__(self, sentence: Both) -> None:
        super().__init__(str(sentence))
        self.sentence = sentence


def upgrade(database: Database) -> str:
    """Runs all missing migrations in one transaction; returns the schema's version.

    Two upgrades at once wait for each other. Raises SchemaError on a schema newer than this code.
    """
    from alembic import command  # noqa: PLC0415 - see above

    engine = database.engine
    if database.is_sqlite:
        engine = engine.execution_options(writes=True)
    with engine.begin() as connection:
        if not database.is_sqlite:
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_UPGRADE_LOCK})"))
        config = alembic_config()
        _refuse_newer(version(connection), config)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return HEAD


def prepare(database: Database) -> None:
    """Makes the tables in an empty database; on any other one does what `check` does."""
    with database.connect() as connection:
        empty = not inspect(connection).get_table_names()
    if empty:
        upgrade(database)
    check(database)


def check(database: Database) -> None:
    """Raises SchemaError, with the command to run, unless the schema is this code's own."""
    with database.connect() as connection:
        current = version(connection)
    if current == HEAD:
        return
    _refuse_newer(current, alembic_config())
    raise SchemaError(
        Both(
            "データベースの準備ができていません。`task-progress db upgrade` を実行してください。",
            "The database is not ready. Run `task-progress db upgrade`.",
        )
    )


def alembic_config() -> "AlembicConfig":
    """Alembic's settings; there is no alembic.ini."""
    from alembic.config import Config as AlembicConfig  # noqa: PLC0415 - see above

    config = AlembicConfig()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


def version(connection: Connection) -> str | None:
    """The version of the schema there; None where no migration ever ran."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    version: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return version


def _refuse_newer(current: str | None, config: "AlembicConfig") -> None:
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - see above

    scripts = ScriptDirectory.from_config(config)
    known = {script.revision for script in scripts.walk_revisions()}
    if current is not None and current not in known:
        raise SchemaError(
            Both(
                f"データベースの版 {current} はこのプログラムより新しいため、書き込みません。"
                "新しい版のプログラムで起動してください。",
                f"The database has version {current}, newer than this program: nothing is "
                "written. Start the newer program.",
            )
        )
