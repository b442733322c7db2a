"""The engine for PostgreSQL: how long a session waits, which connections are good, failover, poolers."""

from dataclasses import dataclass
from select import POLLIN, poll
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine import ExceptionContext

PING_AFTER = 1.0  # seconds a connection that a sender keeps lay unused
# Key of a connection's `info`: whether a pooler such as pgbouncer stands between.
POOLED = "pooled"
_READ_ONLY = "25006"  # read_only_sql_transaction (PostgreSQL, "Error Codes")
# A server that vanished without a word is noticed after a minute (libpq, "Connection Parameters").
_ALIVE = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
_ALIVE |= {"tcp_user_timeout": 60_000}  # milliseconds


@dataclass(frozen=True, slots=True)
class Patience:
    """How many seconds PostgreSQL may let a program wait; 0: for ever.

    `lock`: for a lock that another session holds (VACUUM FULL, ALTER TABLE). `statement`: for the
    end of one statement. SQLite has one lock and BUSY_TIMEOUT_MS.
    """

    lock: float = 30.0
    statement: float = 0.0

    def settings(self, scale: float, local: str) -> str:
        """As columns of a SELECT; `local`: SQL, true for one transaction, false for the session.

        `scale` is TEST_TIME_SCALE.
        """
        limits = {
            "lock_timeout": round(self.lock * 1000 * scale),
            "statement_timeout": round(self.statement * 1000 * scale),
            # A sender stopped inside a transaction must not keep its rows from the others.
            "idle_in_transaction_session_timeout": 60_000,
        }
        return ", ".join(f"set_config('{name}', '{ms}', {local})" for name, ms in limits.items())


# A page that hangs takes a thread from all others; a sender's claims run out after 100 s.
PAGES = Patience(lock=5.0, statement=20.0)
SENDERS = Patience(lock=15.0, statement=300.0)


def engine_for(url: str, patience: Patience, scale: float) -> Engine:
    """An engine whose connections can write. Opens none before it is used."""
    engine = create_engine(
        url,
        hide_parameters=True,  # they hold what people wrote; no error may show them
        connect_args=_arguments(make_url(url)),
        pool_pre_ping=True,  # a server may have hung up since
    )
    _limit(engine, patience, scale)

    @event.listens_for(engine, "handle_error")
    def _demoted(context: ExceptionContext) -> None:
        # The server became a standby: this connection, and all that lie in the pool, lead to one
        # that will not write; new ones look for one that does (target_session_attrs).
        if getattr(context.original_exception, "sqlstate", None) == _READ_ONLY:
            context.is_disconnect = True

    return engine


def _arguments(url: URL) -> dict[str, Any]:
    """The options of libpq beyond DATABASE_URL."""
    several = "," in (url.host or "") or "host" in url.query
    return {
        "connect_timeout": 3 if several else 10,  # seconds for each server
        "application_name": "task-progress",
        "client_encoding": "utf8",  # in SQL_ASCII the driver would give bytes
        # A standby lets connect, read what may be old, and write nothing.
        "target_session_attrs": url.query.get("target_session_attrs", "read-write"),
        **_ALIVE,
    }


def _limit(engine: Engine, patience: Patience, scale: float) -> None:
    """Lets each session wait no longer than `patience`.

    Not by `options` at the start of a session: pgbouncer refuses that. A pooler may also give each
    transaction another server, and what one leaves behind to another client: there the limits are
    set for each transaction, and no statement is prepared on the server.
    """
    for_each = f"SELECT {patience.settings(scale, 'true')}"

    @event.listens_for(engine, "connect")
    def _begin_session(connection: Any, record: Any) -> None:
        # A pooler names a process of its own invention for cancelling.
        pooled = f"pg_backend_pid() <> {connection.info.backend_pid}"
        connection.autocommit = True
        row = connection.execute(f"SELECT {pooled}, {patience.settings(scale, pooled)}").fetchone()
        connection.autocommit = False
        record.info[POOLED] = row[0]
        if row[0]:
            connection.prepare_threshold = None

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        if connection.info[POOLED]:
            connection.exec_driver_sql(for_each)


def has_spoken(connection: Any) -> bool:
    """Whether the server said something unasked, as one does that hangs up."""
    waiting = poll()
    waiting.register(connection.fileno(), POLLIN)
    return bool(waiting.poll(0))
