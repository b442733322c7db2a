"""The connection that a delivery keeps, and what becomes of it."""

from collections.abc import Iterator

import pytest
from sqlalchemy import text

from app.db import AutocommitConnection, Database, DatabaseDown


@pytest.fixture
def each(db: Database) -> Iterator[AutocommitConnection]:
    if db.is_sqlite:
        pytest.skip("SQLite needs none: its statements wait for nobody")
    made = db.each_by_itself()
    yield made
    made.close()


def pid_of(each: AutocommitConnection) -> int:
    return int(each.scalars("SELECT pg_backend_pid()", {})[0])


def end(db: Database, pid: int) -> None:
    with db.connect() as connection:
        connection.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})


def test_it_is_the_same_connection_from_statement_to_statement(each: AutocommitConnection) -> None:
    assert pid_of(each) == pid_of(each)


def test_one_that_the_server_ended_is_replaced_without_a_word(
    db: Database, each: AutocommitConnection
) -> None:
    old = pid_of(each)
    end(db, old)
    assert pid_of(each) != old


def test_one_ended_in_the_middle_says_so_and_the_next_statement_works(
    db: Database, each: AutocommitConnection
) -> None:
    with pytest.raises(DatabaseDown):
        each.scalars("SELECT pg_terminate_backend(pg_backend_pid(), 5000)", {})
    assert each.scalars("SELECT 1", {}) == [1]


def test_the_pool_gets_it_back_as_it_was(db: Database, each: AutocommitConnection) -> None:
    asked = "SHOW plan_cache_mode"
    pid = pid_of(each)
    assert each.scalars(asked, {}) == ["force_generic_plan"]
    each.close()
    with db.connect() as connection:
        assert connection.scalar(text("SELECT pg_backend_pid()")) == pid
        assert connection.scalar(text(asked)) == "auto"
