"""Compiled once per process: the pages' templates, their addresses, and SQL.

In the program each lives as long as its application or engine. Tests make both a thousand times,
and more than half of their time went into compiling the same again.
"""

from collections.abc import Callable
from typing import Any

from flask import Flask
from jinja2 import BytecodeCache
from jinja2.bccache import Bucket
from sqlalchemy import Connection, Engine, event
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from werkzeug.routing import Rule


class _Templates(BytecodeCache):
    """Jinja's own cache, in memory. A template whose text changed has another checksum."""

    def __init__(self) -> None:
        self._compiled: dict[tuple[str, str], Any] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._compiled.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._compiled[bucket.key, bucket.checksum] = bucket.code


def keep_compiled() -> None:
    """From now on, for this process."""
    Flask.jinja_options = {**Flask.jinja_options, "bytecode_cache": _Templates()}
    _share_statements()
    _share_addresses()


def _share_statements() -> None:
    """All engines of one kind share what they compiled; SQLAlchemy's key for it names the dialect."""
    statements: dict[Any, Any] = {}
    for kind in (PGDialect_psycopg, SQLiteDialect_pysqlite):
        for name, method in (("__eq__", _is_of_kind), ("__hash__", _kind)):
            setattr(kind, name, method)

    @event.listens_for(Engine, "engine_connect")
    def _share(connection: Connection) -> None:
        connection.execution_options(compiled_cache=statements)


def _is_of_kind(one: object, other: object) -> bool:
    return type(one) is type(other)


def _kind(one: object) -> int:
    return hash(type(one))


def _share_addresses() -> None:
    """A page's address is made by a function that Werkzeug compiles for each rule."""
    builders: dict[Any, Callable[..., Any]] = {}
    compile_builder = Rule._compile_builder

    def compiled(rule: Rule, append_unknown: bool = True) -> Callable[..., Any]:
        kinds = [type(one) for one in rule._converters.values()]
        key = (rule.rule, str(rule.defaults), str(rule._trace), str(kinds), append_unknown)
        if key not in builders:
            builders[key] = compile_builder(rule, append_unknown)
        return builders[key]

    # It takes the rule as its own `self` would.
    Rule._compile_builder = compiled  # type: ignore[method-assign, assignment]
