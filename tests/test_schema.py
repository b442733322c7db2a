"""The migrations make what the models say, on both databases, and refuse what they do not know."""

import sqlite3

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import event, text
from sqlalchemy.exc import IntegrityError

from app import schema
from app.db import Database
from app.models import Base, DecisionRow, OutboxMail
from tests.conftest import NOW, TODAY, People
from tests.databases import on_sqlite


def test_there_is_one_head_and_the_code_names_it() -> None:
    assert ScriptDirectory.from_config(schema.alembic_config()).get_heads() == [schema.HEAD]


@pytest.mark.filterwarnings("ignore:.*expression-based index")
def test_the_migrations_make_what_the_models_say(db: Database) -> None:
    def ours(_: object, name: str | None, kind: str, *_more: object) -> bool:
        return (kind, name) != ("table", "first_ids")  # conftest's own

    with db.connect() as connection:
        options = {"compare_type": True, "include_object": ours}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, Base.metadata) == []


@on_sqlite
def test_a_commit_on_sqlite_waits_for_the_disk(db: Database) -> None:
    found: list[object] = []

    @event.listens_for(db.engine, "connect")
    def _look(connection: sqlite3.Connection, _record: object) -> None:
        found.append(connection.execute("PRAGMA synchronous").fetchone())

    with db.read() as session:
        session.execute(text("SELECT 1"))
    assert found == [(2,)]  # FULL


def test_an_empty_database_is_made_ready(empty_database_url: str) -> None:
    database = Database(empty_database_url)
    with pytest.raises(schema.SchemaError, match="task-progress db upgrade"):
        schema.check(database)
    schema.upgrade(database)
    schema.check(database)
    assert schema.upgrade(database) == schema.HEAD
    database.close()


def test_nothing_is_written_into_a_newer_schema(empty_database_url: str) -> None:
    database = Database(empty_database_url)
    schema.upgrade(database)
    with database.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for act in (schema.check, schema.upgrade):
        with pytest.raises(schema.SchemaError, match="9999"):
            act(database)
    database.close()


def decision(member_id: int, **values: object) -> DecisionRow:
    facts = {"verdict": "send", "facts": {}, "at": NOW, "decided_at": NOW} | values
    return DecisionRow(user_id=member_id, slot="reminder", local_date=TODAY, **facts)


def mail(**values: object) -> OutboxMail:
    facts: dict[str, object] = {
        "dedupe_key": "reminder:1:2026-11-24:0",
        "kind": "reminder",
        "local_date": TODAY,
        "to_addr": "a@example.jp",
        "message_id": "<a@example.jp>",
        "date_header": NOW,
        "not_before": NOW,
        "expires_at": NOW,
        "created_at": NOW,
        "updated_at": NOW,
    }
    return OutboxMail(**(facts | values))


@pytest.mark.parametrize(
    "values",
    [
        {"verdict": "skip"},  # without a reason
        {"reason": "holiday"},  # a reason, and sent all the same
        {"verdict": "skip", "reason": "no_such_reason"},
        {"verdict": "sort"},
    ],
)
def test_a_decision_that_makes_no_sense_cannot_be_stored(
    db: Database, team: People, values: dict[str, object]
) -> None:
    with pytest.raises(IntegrityError), db.write() as session:
        session.add(decision(team.sato.id, **values))


def test_a_member_has_one_decision_a_day(db: Database, team: People) -> None:
    with pytest.raises(IntegrityError), db.write() as session:
        session.add_all([decision(team.sato.id), decision(team.sato.id)])


@pytest.mark.parametrize(
    "values",
    [
        {"state": "sent"},
        {"kind": "letter"},
        {"state": "accepted"},  # without a time
        {"state": "sending"},  # without a lease
        {"lease_token": "x"},  # a lease, and ready
        {"doubts": 3},
    ],
)
def test_an_outbox_mail_that_makes_no_sense_cannot_be_stored(
    db: Database, values: dict[str, object]
) -> None:
    with pytest.raises(IntegrityError), db.write() as session:
        session.add(mail(**values))


def test_one_mail_per_dedupe_key(db: Database) -> None:
    with pytest.raises(IntegrityError), db.write() as session:
        session.add_all([mail(), mail()])


def test_ids_are_never_used_twice(db: Database) -> None:
    """The Redis guard carries them for a day."""
    with db.write() as session:
        first = mail()
        session.add(first)
        session.flush()
        session.delete(first)
    with db.write() as session:
        second = mail()
        session.add(second)
        session.flush()
        assert second.id > first.id >= 1000
