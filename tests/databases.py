"""Migrated, empty databases of both kinds: migrated once per run, copied for each test."""

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, event
from sqlalchemy.pool import Pool

from app import installation, schema
from app.db import Database
from app.models import Setting
from tests.postgres import NAME, Cluster, connect, shared_cluster
from tests.servers import locked

SHARED = "TASK_PROGRESS_TESTS_FOLDER"  # in the environment: the folder of this run, short
PYTEST = "TASK_PROGRESS_TESTS_PID"
_WAITS_NOT = "tests: waits for no disk"


# What does not hang on the kind of database is tried on one of them.
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
on_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


def shared() -> Path:
    """The folder that all xdist workers of this run share."""
    return Path(os.environ[SHARED])


def sqlite_copy(file: Path) -> str:
    """Makes `file` a migrated, empty SQLite database; returns its URL."""
    template = shared() / "template.sqlite3"
    with locked(shared() / "sqlite.lock"):
        if not template.exists():
            _migrate(f"sqlite:///{template}.new")
            Path(f"{template}.new").rename(template)
    shutil.copyfile(template, file)
    return f"sqlite:///{file}"


def _migrate(url: str) -> None:
    with contextlib.closing(Database(url)) as database:
        schema.upgrade(database)
        with database.write() as session:  # each copy is an installation of its own
            session.execute(delete(Setting).where(Setting.key == installation.KEY))


def postgresql_cluster() -> str:
    """The URL of this run's cluster, without a database; it holds a migrated `template_app`."""
    url = shared_cluster(shared(), int(os.environ[PYTEST]))
    done = shared() / "template_app"
    if not done.exists():
        with locked(shared() / "template.lock"):
            if not done.exists():
                with connect(f"{url}/postgres") as admin:
                    admin.execute("DROP DATABASE IF EXISTS template_app")
                    admin.execute("CREATE DATABASE template_app")
                _migrate(f"{url}/template_app")
                with connect(f"{url}/template_app") as template:
                    template.execute(_NOTE_FIRST_IDS)
                done.touch()
    return url


@contextlib.contextmanager
def postgresql_copy(name: str) -> Iterator[str]:
    """A migrated, empty database of its own, for tests that change its schema or break it."""
    url = postgresql_cluster()
    full_name = f"{name}_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    with connect(f"{url}/postgres") as admin:
        admin.execute(f"CREATE DATABASE {full_name} TEMPLATE template_app".encode())
    yield f"{url}/{full_name}"
    with connect(f"{url}/postgres") as admin:
        admin.execute(f"DROP DATABASE {full_name} WITH (FORCE)".encode())


def empty(url: str) -> None:
    """Takes all rows out, whatever the test left behind; ids start again where they started."""
    with connect(url) as connection:
        connection.execute(_EMPTY)


# DELETE, because TRUNCATE makes new files: 40 ms. `replica` leaves foreign keys unchecked.
_EMPTY = """
    DO $$ DECLARE one text; BEGIN
        PERFORM pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid();
        SET LOCAL session_replication_role = replica;
        FOR one IN SELECT tablename FROM pg_tables
            WHERE schemaname = 'public' AND tablename <> 'alembic_version' LOOP
            EXECUTE format('DELETE FROM %I', one);
        END LOOP;
        FOR one IN SELECT sequencename FROM pg_sequences WHERE last_value IS NOT NULL LOOP
            PERFORM setval(one::regclass, first, false) FROM tests.first_ids WHERE name = one;
        END LOOP;
    END $$
"""

_NOTE_FIRST_IDS = """
    DO $$ DECLARE one text; BEGIN
        CREATE SCHEMA tests;
        CREATE TABLE tests.first_ids (name text, first bigint);
        FOR one IN SELECT sequencename FROM pg_sequences LOOP
            EXECUTE format('INSERT INTO tests.first_ids SELECT %L, last_value FROM %I', one, one);
        END LOOP;
    END $$
"""


# --- a server of a test's own --------------------------------------------------------------------


def copy_of_migrated(cluster: Cluster, folder: Path) -> Cluster:
    """Gives `cluster` the data of one with a migrated, empty database; `folder` keeps the original."""
    original = folder / "postgres-template"
    with locked(folder / "postgres-template.lock"):
        if not (original / "done").exists():
            _make_migrated(Cluster(original, "shared_buffers=16MB", "autovacuum=off", "jit=off"))
            (original / "done").touch()
    cluster.run("cp", "-r", original / "data", cluster.data)
    return cluster


def _make_migrated(cluster: Cluster) -> None:
    cluster.init("--no-sync", "--wal-segsize=1").start()
    try:
        with cluster.connect("postgres") as admin:
            admin.execute(f"CREATE DATABASE {NAME}".encode())
        _migrate(cluster.url())
    finally:
        cluster.stop()


# --- connections that are open -----------------------------------------------------------------

open_connections: dict[Any, Any] = {}  # the driver's connection -> SQLAlchemy's record of it


@event.listens_for(Pool, "connect")
def _opened(connection: Any, record: Any) -> None:
    open_connections[connection] = record


@event.listens_for(Pool, "close")
def _closed(connection: Any, _record: object) -> None:
    open_connections.pop(connection, None)


# --- commits that wait for no disk ---------------------------------------------------------------


@event.listens_for(Pool, "checkout")
def _wait_for_no_disk(connection: Any, record: Any, _proxy: object) -> None:
    """Half the time of a test on SQLite went into commits; no test switches the machine off.

    That the program does wait is tests/test_schema.py's. PostgreSQL: `fsync=off` of the cluster.
    """
    if isinstance(connection, sqlite3.Connection) and not record.info.get(_WAITS_NOT):
        connection.execute("PRAGMA synchronous=OFF")
        record.info[_WAITS_NOT] = True


@contextlib.contextmanager
def commits_as_in_production() -> Iterator[None]:
    """Commits on SQLite wait for the disk meanwhile: for a test that asks whether they do."""
    event.remove(Pool, "checkout", _wait_for_no_disk)
    try:
        yield
    finally:
        event.listen(Pool, "checkout", _wait_for_no_disk)
