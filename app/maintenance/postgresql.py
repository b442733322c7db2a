"""PostgreSQL: pg_dump and pg_restore, found and run so that no password shows.

A pg_dump must not be older than its server, and a pg_restore not older than the pg_dump.
"""

import contextlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from psycopg.conninfo import make_conninfo
from sqlalchemy import Connection, inspect, text
from sqlalchemy.engine import Engine

from app.config.sources import relative
from app.db import POOLED
from app.maintenance.errors import BackupFailed
from app.util.urls import mask_url

MAGIC = b"PGDMP"  # with which a pg_dump in custom format begins
# Where Debian and Red Hat put the programs of each version, beside PATH.
FOLDERS = ("lib/postgresql/*/bin", "pgsql-*/bin")
VERSION_TABLE = "alembic_version"
_HOME = """SELECT nspname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE pg_class.oid = to_regclass(:table)"""


def dump(engine: Engine, file: Path) -> None:
    """Writes the tables of the connection's schema into `file`. Raises BackupFailed."""
    with _direct(engine) as connection:
        tables = tables_of(connection)
    pg_dump = _program(engine, "pg_dump")
    wanted = [f"--table={table}" for table in tables]
    _run(engine, pg_dump, "--format=custom", "--no-password", *wanted, f"--file={file}")
    check(engine, file)


@contextlib.contextmanager
def _direct(engine: Engine) -> Iterator[Connection]:
    """A connection straight to the server.

    pg_dump and pg_restore empty their session's search_path. pgbouncer in transaction mode would
    hand that session to a program, which would find no tables. Raises BackupFailed behind a pooler.
    """
    with engine.connect() as connection:
        if connection.info[POOLED]:
            raise BackupFailed(
                "DATABASE_URL の先は pgbouncer などのプーラーです。バックアップと復元のときだけ、"
                "PostgreSQL に直接つないでください: DATABASE_URL=postgresql://… task-progress …",
                "DATABASE_URL leads to a pooler such as pgbouncer. Let this command alone go straight "
                "to PostgreSQL: DATABASE_URL=postgresql://… task-progress …",
            )
        yield connection


def tables_of(connection: Connection) -> list[str]:
    """All tables beside ours, ours included, as SQL names them; [] where ours are not."""
    home, names = beside_ours(connection)
    return [f'"{home}"."{name}"' for name in names]


def beside_ours(connection: Connection) -> tuple[str | None, list[str]]:
    """The schema in which our tables are, and all tables in it; (None, []) where ours are not."""
    home = connection.scalar(text(_HOME), {"table": VERSION_TABLE})
    return home, inspect(connection).get_table_names(schema=home) if home else []


def check(engine: Engine, file: Path) -> None:
    """Raises BackupFailed unless `file` can be read as one of our backups to its end."""
    pg_restore = _program(engine, "pg_restore")
    contents = _listed(pg_restore, file)
    whole = _ask(pg_restore, "--file=/dev/null", file)
    if whole.returncode != 0 or not any(VERSION_TABLE in line for line in contents):
        raise BackupFailed(
            f"{relative(file)} は壊れているか、途中で切れているか、このプログラムのものではありません。",
            f"{relative(file)} is damaged, cut off, or not of this program.",
        )


def version_of(engine: Engine, file: Path) -> str | None:
    """The schema's version in a backup."""
    pg_restore = _program(engine, "pg_restore")
    said = _ask(pg_restore, "--data-only", f"--table={VERSION_TABLE}", "--file=-", file)
    found = re.search(r"^COPY .*\n(\w+)\n\\\.$", said.stdout, re.MULTILINE)
    return found[1] if found else None


def load(engine: Engine, file: Path) -> None:
    """Puts a backup into an empty database, in one transaction, all but the schema's version.

    A database without a version is one that no program writes into: the caller gives it back
    together with what must be known before anything is sent. Raises BackupFailed.
    """
    pg_restore = _program(engine, "pg_restore")
    lines = _listed(pg_restore, file)
    wanted = [one for one in lines if "TABLE DATA" not in one or f" {VERSION_TABLE} " not in one]
    with tempfile.NamedTemporaryFile("w", suffix=".list") as listed:
        listed.write("\n".join(wanted) + "\n")
        listed.flush()
        _run(
            engine, pg_restore, "--single-transaction", "--exit-on-error", "--no-owner",
            "--no-privileges", "--no-password", f"--use-list={listed.name}", str(file),
        )  # fmt: skip


def _program(engine: Engine, name: str) -> Path:
    with _direct(engine) as connection:
        number = connection.scalar(text("SHOW server_version_num"))
    return program(name, int(number or 0) // 10_000)


def program(name: str, major: int) -> Path:
    """The program of the server's own version, or the next newer one. Raises BackupFailed."""
    on_path = shutil.which(name)
    places = [Path(on_path)] if on_path else []
    places += [path for folder in FOLDERS for path in Path("/usr").glob(f"{folder}/{name}")]
    known = [(version, path) for path in places if (version := _major_of(path))]
    found = sorted(known, key=lambda one: one[0])  # of the same version, that on PATH
    good = [path for version, path in found if version >= major]
    if good:
        return good[0]
    fix = f"sudo apt install postgresql-client-{major}"
    if not found:
        raise BackupFailed(
            f"{name} が見つかりません。`{fix}` などで入れてください。",
            f"{name} is not installed. Install it, for example with `{fix}`.",
        )
    version, path = found[-1]
    raise BackupFailed(
        f"{path} は版 {version} で、PostgreSQL {major} のサーバーには古すぎます。"
        f"`{fix}` などで新しいものを入れてください。",
        f"{path} has version {version}, too old for a server with PostgreSQL {major}. "
        f"Install the newer one, for example with `{fix}`.",
    )


def _major_of(path: Path) -> int:
    said = _ask(path, "--version")
    found = re.search(r"\) (\d+)", said.stdout)
    return int(found[1]) if found else 0


def _listed(pg_restore: Path, file: Path) -> list[str]:
    return _ask(pg_restore, "--list", file).stdout.splitlines()


def _ask(tool: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - a program of PostgreSQL, found by `program`
        [tool, *arguments], capture_output=True, text=True, check=False
    )


def _run(engine: Engine, tool: Path, *arguments: str) -> None:
    """Runs the tool on the engine's database."""
    _, parts = engine.dialect.create_connect_args(engine.url)
    password = str(parts.pop("password", None) or "")
    parts.pop("context", None)  # of psycopg alone
    with tempfile.NamedTemporaryFile("w") as kept:  # mode 0600: neither `ps` nor a log shows it
        escaped = password.replace("\\", r"\\").replace(":", r"\:")
        kept.write(f"*:*:*:*:{escaped}\n")
        kept.flush()
        where = make_conninfo(**parts, **({"passfile": kept.name} if password else {}))
        ran = _ask(tool, f"--dbname={where}", *arguments)
    if ran.returncode != 0:
        said = ran.stderr.strip().splitlines()
        first = said[0] if said else f"exit {ran.returncode}"
        place = mask_url(engine.url.render_as_string())
        raise BackupFailed(
            f"{tool.name} が {place} で失敗しました({first})。",
            f"{tool.name} failed on {place} ({first}).",
        )
