"""Upgrades while older programs run: who may go on with a newer schema, and what migrations may do.

The same with real processes in the middle of a batch: chaos/test_versions.py.
"""

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import event, text, update

from app import schema
from app.db import Database
from app.models import Setting
from tests.databases import postgresql_copy

pytestmark = pytest.mark.slow

NEXT = f"{int(schema.HEAD) + 1:04}"


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A database as this code upgrades it. Its version and its note are put back afterwards."""
    with contextlib.closing(Database(database_url)) as database:
        schema.upgrade(database)
        yield database
        upgraded_by_the_next_program(database, version=schema.HEAD, since=schema.SERVES_SINCE)


def upgraded_by_the_next_program(database: Database, *, version: str, since: str) -> None:
    """What a program of that version leaves behind: its migrations' number, and its note."""
    with database.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = :v"), {"v": version})
        said = {"version": version, "since": since}
        session.execute(update(Setting).where(Setting.key == schema.SERVES).values(value=said))


def test_an_older_program_goes_on_where_the_newer_one_says_so(database: Database) -> None:
    upgraded_by_the_next_program(database, version=NEXT, since=schema.HEAD)
    assert schema.check(database) == NEXT
    schema.upgrade(database)
    assert schema.upgrade(database) == NEXT, "what is newer stays as it is"
    with database.connect() as connection:
        assert schema.version_in(connection) == NEXT


def test_an_older_program_stops_where_a_migration_changed_what_it_knows(database: Database) -> None:
    upgraded_by_the_next_program(database, version=NEXT, since=NEXT)
    for act in (schema.check, schema.upgrade):
        with pytest.raises(schema.SchemaError, match=NEXT):
            act(database)


def test_a_note_about_another_version_says_nothing(database: Database) -> None:
    """As after a migration by hand: nobody said anything about the schema that is there now."""
    upgraded_by_the_next_program(database, version=NEXT, since=schema.HEAD)
    with database.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(schema.SchemaError, match="9999"):
        schema.check(database)


def test_a_database_that_was_ready_before_there_was_a_note_gets_one(database: Database) -> None:
    with database.write() as session:
        session.execute(text("DELETE FROM settings"))
    schema.upgrade(database)
    upgraded_by_the_next_program(database, version=NEXT, since=schema.HEAD)
    assert schema.check(database) == NEXT


# --- what a migration may do --------------------------------------------------------------

# These migrations promise that the program that runs meanwhile notices nothing.
PROMISED = ("0004", "0005", "0006", "0007", "0008", "0009", "0010", "0011", "0012")

HARMLESS = (
    r"SELECT\b",
    r"INSERT\b",
    r"UPDATE\b",
    r"CREATE TABLE\b",
    r"CREATE INDEX\b",
    r"DROP INDEX ix_",  # a slower question, but the same answer
    r"ALTER TABLE \w+ SET \(",  # how rows are stored
    r"ALTER TABLE \w+ ALTER \w+ SET STORAGE",
    r"ALTER SEQUENCE \w+ RESTART WITH",
)
ADD_COLUMN = re.compile(r"ALTER TABLE \w+ ADD COLUMN (.*)")
DROP_CHECK = re.compile(r"ALTER TABLE \w+ DROP CONSTRAINT (\w+)$")
ADD_CHECK = re.compile(r"ALTER TABLE \w+ ADD CONSTRAINT (\w+) CHECK (.*)")


def notices(statements: Sequence[str], checks: Mapping[str, str]) -> list[str]:
    """The statements that a program would notice that was written before them.

    `checks`: the constraints that stand before them, by name. The database runs PostgreSQL: there
    a migration says plainly what it does.
    """
    widened = _widened(statements, checks)
    found = []
    for raw in statements:
        statement = " ".join(raw.split())
        if any(re.match(one, statement) for one in HARMLESS):
            continue
        column = ADD_COLUMN.match(statement)
        if column and ("NOT NULL" not in column[1] or re.search("DEFAULT|GENERATED", column[1])):
            continue
        check = DROP_CHECK.match(statement) or ADD_CHECK.match(statement)
        if check and check[1] in widened:
            continue
        found.append(statement)
    return found


def _widened(statements: Sequence[str], checks: Mapping[str, str]) -> set[str]:
    """The constraints that are dropped and come back with more words allowed."""
    plain = [" ".join(one.split()) for one in statements]
    dropped = {found[1] for one in plain if (found := DROP_CHECK.match(one))}
    added = {found[1]: found[2] for one in plain if (found := ADD_CHECK.match(one))}
    return {
        name
        for name in dropped & added.keys() & checks.keys()
        if _words(checks[name]) and _words(checks[name]) <= _words(added[name])
    }


def _words(check: str) -> set[str]:
    return set(re.findall(r"'(\w+)'", check))


CHECKS = {"ck_users_role_known": "CHECK (((role)::text = ANY (ARRAY['member', 'lead'])))"}
WIDER = "role IN ('member', 'lead', 'owner')"


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE users DROP COLUMN locale",
        "ALTER TABLE users RENAME COLUMN locale TO language",
        "ALTER TABLE users RENAME TO people",
        "ALTER TABLE users ALTER COLUMN locale SET NOT NULL",
        "ALTER TABLE users ALTER COLUMN name TYPE VARCHAR(20)",
        "ALTER TABLE users ADD COLUMN nick VARCHAR(20) NOT NULL",
        "ALTER TABLE users ADD CONSTRAINT uq_users_name UNIQUE (name)",
        "ALTER TABLE users ADD CONSTRAINT ck_users_role_known CHECK (role IN ('member'))",
        "CREATE UNIQUE INDEX uq_users_name ON users (name)",
        "DROP INDEX uq_users_email",
        "DROP TABLE uploads",
        "DELETE FROM alerts",
        "TRUNCATE alerts",
    ],
)
def test_what_older_programs_would_notice_is_found(statement: str) -> None:
    assert notices([statement], CHECKS) == [statement]


@pytest.mark.parametrize(
    "statements",
    [
        ["ALTER TABLE users ADD COLUMN nick VARCHAR(20)"],
        ["ALTER TABLE users ADD COLUMN nick VARCHAR(20) DEFAULT '' NOT NULL"],
        ["\nCREATE TABLE x (\n\tid BIGINT NOT NULL\n)", "CREATE INDEX ix_x ON x (id)"],
        [
            "ALTER TABLE users DROP CONSTRAINT ck_users_role_known",
            f"ALTER TABLE users ADD CONSTRAINT ck_users_role_known CHECK ({WIDER})",
        ],
    ],
)
def test_what_only_adds_is_not_noticed(statements: list[str]) -> None:
    assert notices(statements, CHECKS) == []


def test_fewer_words_in_a_check_are_noticed() -> None:
    narrower = [
        "ALTER TABLE users DROP CONSTRAINT ck_users_role_known",
        "ALTER TABLE users ADD CONSTRAINT ck_users_role_known CHECK (role IN ('lead', 'owner'))",
    ]
    assert notices(narrower, CHECKS) == narrower


def test_whatever_is_noticed_older_programs_are_told_to_stop_before() -> None:
    """Whoever writes a migration that is noticed raises SERVES_SINCE to its number."""
    noticed = _noticed_by_version()
    assert [v for v, found in noticed.items() if found and v > schema.SERVES_SINCE] == []
    assert {v: noticed[v] for v in PROMISED} == {v: [] for v in PROMISED}
    # The very first one makes indexes that only its own tables need: this test does read.
    assert any("CREATE UNIQUE INDEX" in one for one in noticed["0001"])
    assert schema.SERVES_SINCE <= schema.HEAD == max(noticed)


def _noticed_by_version() -> dict[str, list[str]]:
    scripts = ScriptDirectory.from_config(schema.alembic_config()).walk_revisions()
    noticed: dict[str, list[str]] = {}
    with postgresql_copy("steps") as url, contextlib.closing(Database(url)) as database:
        with database.write() as session:
            session.execute(text("DROP SCHEMA public CASCADE"))
            session.execute(text("CREATE SCHEMA public"))
        for version in sorted(script.revision for script in scripts):
            checks = _checks(database)
            said = [one for one in _step(database, version) if "alembic_version" not in one]
            noticed[version] = notices(said, checks)
    return noticed


def _step(database: Database, version: str) -> list[str]:
    """Runs the one migration; returns what it said to the database."""
    said: list[str] = []

    def listen(_c: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        said.append(statement)

    with database.engine.begin() as connection:
        config = schema.alembic_config()
        config.attributes["connection"] = connection
        event.listen(connection, "before_cursor_execute", listen)
        command.upgrade(config, version)
    return [one for one in said if "pg_catalog" not in one]


def _checks(database: Database) -> dict[str, str]:
    found = "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'c'"
    with database.connect() as connection:
        return {name: check for name, check in connection.execute(text(found))}
