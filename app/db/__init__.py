"""The database: one engine, read and write transactions, and the database's own clock.

SQLite runs in WAL mode, writers begin with BEGIN IMMEDIATE so that two of them queue up instead
of failing half-way; readers begin plainly. PostgreSQL needs none of that.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from select import POLLIN, poll
from time import monotonic
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import (
    DBAPIError,
    DisconnectionError,
    InterfaceError,
    InternalError,
    OperationalError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session

from app.db.columns import UTCDateTime, among, database_now, same_address, seconds_between
from app.db.many import insert_new, update_each
from app.util.private import keep_private
from app.words import Both

__all__ = [
    "PAGES",
    "SENDERS",
    "Database",
    "DatabaseDown",
    "EachByItself",
    "Patience",
    "UTCDateTime",
    "after_commit",
    "among",
    "database_now",
    "in_words",
    "insert_new",
    "one_after_the_other",
    "put",
    "same_address",
    "seconds_between",
    "update_each",
]

PING_AFTER = 1.0  # seconds a PostgreSQL connection lay unused
BUSY_TIMEOUT_MS = 30_000  # how long an SQLite writer waits for another one


_AFTER = "after_commit"


def after_commit(session: Session, call: Callable[[], None]) -> None:
    """Calls this when what `Database.write` gave has been committed, and never if it was undone."""
    session.info.setdefault(_AFTER, []).append(call)


def one_after_the_other(session: Session, lock: int) -> None:
    """Waits until no other transaction holds this lock, and holds it until the end of this one.

    An advisory lock of PostgreSQL; SQLite has one writer anyway.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": lock})


class DatabaseDown(Exception):
    """The database does not answer in time, refuses the connection, or cannot write."""

    def __init__(self, sentence: Both) -> None:
        # An error that a worker's child hands to its parent is made anew from its arguments.
        super().__init__(sentence)
        self.sentence = sentence

    def __str__(self) -> str:
        """Both languages, as errors show them."""
        return str(self.sentence)


@dataclass(frozen=True, slots=True)
class Patience:
    """How many seconds PostgreSQL may let a program wait; 0: for ever.

    `lock`: for a lock that another session holds (VACUUM FULL, ALTER TABLE). `statement`: for the
    end of one statement. SQLite has one lock and BUSY_TIMEOUT_MS.
    """

    lock: float = 30.0
    statement: float = 0.0

    def options(self, scale: float) -> str:
        """As libpq hands them to a new session; `scale` is TEST_TIME_SCALE."""
        waits = (("lock_timeout", self.lock), ("statement_timeout", self.statement))
        return " ".join(f"-c {name}={round(seconds * 1000 * scale)}" for name, seconds in waits)


# A page that hangs takes a thread from all others; a sender's claims run out after 100 s.
PAGES = Patience(lock=5.0, statement=20.0)
SENDERS = Patience(lock=15.0, statement=300.0)
# A server that vanished without a word is noticed after a minute (libpq, "Connection Parameters").
_ALIVE = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
_ALIVE |= {"tcp_user_timeout": 60_000}  # milliseconds


@contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
    # InternalError: what PostgreSQL says when a file cannot grow.
    except (OperationalError, InterfaceError, InternalError) as error:
        raise _down(error) from error


def _down(error: DBAPIError) -> DatabaseDown:
    reason = str(error.orig).strip().splitlines()[0] if error.orig else type(error).__name__
    return DatabaseDown(
        Both(
            f"データベースを使えません({reason})。",
            f"The database cannot be used ({reason}).",
        )
    )


class Database:
    """One engine and its transactions. Opens no connection before it is used."""

    def __init__(self, url: str, patience: Patience | None = None, scale: float = 1.0) -> None:
        """`scale`: TEST_TIME_SCALE, of the patience."""
        self.is_sqlite = make_url(url).get_backend_name() == "sqlite"
        waits = (patience or Patience()).options(scale)
        self.engine = _sqlite(url) if self.is_sqlite else _postgresql(url, waits)
        # Made once: one with options costs a sender 20 us each time.
        self._writer = self.engine.execution_options(writes=True)
        self._each_by_itself = self.engine.execution_options(isolation_level="AUTOCOMMIT")

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session for reading; whatever it changed is thrown away. Raises DatabaseDown."""
        with _in_words(), Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session whose changes are committed at the end, or all undone on an error.

        Raises DatabaseDown.
        """
        session = Session(self._writer, expire_on_commit=False)
        with _in_words(), session, session.begin():
            yield session
        for call in session.info.get(_AFTER, ()):
            call()

    def wait_at_most(self, session: Session, seconds: float) -> None:
        """For the rest of this transaction no lock is waited for any longer."""
        if not self.is_sqlite:
            session.execute(text(f"SET LOCAL lock_timeout = {round(seconds * 1000)}"))

    def each_by_itself(self) -> "EachByItself":
        """A connection for statements that are transactions of their own; close it."""
        return EachByItself(self._each_by_itself)

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """A bare connection, for looking at the schema. Raises DatabaseDown."""
        with _in_words(), self.engine.connect() as connection:
            yield connection

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


class EachByItself:
    """A PostgreSQL connection kept from statement to statement, each its own transaction.

    One wait for the server, where BEGIN, the statement and COMMIT are three; and taking a
    connection from the pool each time is a tenth of what a mail over one SMTP connection costs.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None
        self._used = 0.0  # by time.monotonic()

    def scalars(self, statement: str, values: Mapping[str, Any]) -> Sequence[Any]:
        """The first column of what the statement returns. Raises DatabaseDown."""
        with _in_words():
            try:
                return self._alive().exec_driver_sql(statement, dict(values)).scalars().all()
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        """Gives the connection back; the next statement takes another one."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        with connection:
            try:
                if not connection.invalidated:
                    connection.exec_driver_sql("RESET plan_cache_mode")
            except DBAPIError:  # it is broken: the pool must not have it back
                connection.invalidate()

    def _alive(self) -> Connection:
        # One that hung up, or that lay long enough to be forgotten on the way: the pool looks.
        idle = monotonic() - self._used > PING_AFTER
        if self._connection is not None and (idle or _has_spoken(self._connection.connection)):
            self.close()
        if self._connection is None:
            self._connection = self._engine.connect()
            # One plan for all: PostgreSQL would make one each time, a quarter of a statement's time.
            self._connection.exec_driver_sql("SET plan_cache_mode = force_generic_plan")
        self._used = monotonic()
        return self._connection


def _postgresql(url: str, waits: str) -> Engine:
    engine = create_engine(
        url,
        hide_parameters=True,  # they hold what people wrote; no error may show them
        connect_args={
            "connect_timeout": 10,
            "application_name": "task-progress",
            "client_encoding": "utf8",  # in SQL_ASCII the driver would give bytes
            **_ALIVE,
            # A sender stopped inside a transaction must not keep its rows from the others.
            "options": f"-c idle_in_transaction_session_timeout=60000 {waits}",
        },
    )

    @event.listens_for(engine, "checkin")
    def _left(_connection: object, record: Any) -> None:
        record.info["left"] = monotonic()

    @event.listens_for(engine, "checkout")
    def _check(connection: Any, record: Any, _proxy: object) -> None:
        # SQLAlchemy's pool_pre_ping asks the server each time: 0.1 ms that a sender of one mail
        # at a time feels. A server that hung up can be seen without asking.
        idle = monotonic() - record.info.get("left", monotonic())
        if (idle > PING_AFTER or _has_spoken(connection)) and not _answers(engine, connection):
            raise DisconnectionError

    return engine


def _has_spoken(connection: Any) -> bool:
    waiting = poll()
    waiting.register(connection.fileno(), POLLIN)
    return bool(waiting.poll(0))


def _answers(engine: Engine, connection: Any) -> bool:
    try:
        return engine.dialect.do_ping(connection)
    except engine.dialect.loaded_dbapi.Error:
        return False


def _sqlite(url: str) -> Engine:
    engine = create_engine(
        url, hide_parameters=True, connect_args={"timeout": BUSY_TIMEOUT_MS / 1000}
    )

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: object) -> None:
        _keep_private(make_url(url).database)
        connection.isolation_level = None  # we say BEGIN ourselves
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",  # a commit is on the disk: the promise needs that
            "foreign_keys=ON",
            f"busy_timeout={BUSY_TIMEOUT_MS}",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _keep_private(database: str | None) -> None:
    """Nobody but this account reads the file and what SQLite keeps beside it, whatever the umask.

    SQLite gives -wal and -shm the mode of the file itself (sqlite.org, "WAL", 2.2).
    """
    for end in ("", "-wal", "-shm"):
        keep_private(Path(f"{database}{end}"))


def in_words(error: BaseException, place: str) -> Both | None:
    """What a person at the terminal is told when the database fails; None for other errors.

    `place`: the file or server as it may be shown (relative, without a password).
    """
    cause = error.__cause__ if isinstance(error, DatabaseDown) else error
    if not isinstance(cause, (OperationalError, InterfaceError, PoolTimeoutError)):
        return error.sentence if isinstance(error, DatabaseDown) else None
    text = str(getattr(cause, "orig", None) or cause)
    for found, sentence in _TROUBLES:
        if found in text:
            return Both(f"{place}: {sentence.ja}", f"{place}: {sentence.en}")
    first = text.strip().splitlines()[0] if text.strip() else type(cause).__name__
    return Both(
        f"データベース {place} を使えません({first})。動いているか、"
        "DATABASE_URL が正しいかを確かめてください。",
        f"The database {place} cannot be used ({first}). Check that it runs and that "
        "DATABASE_URL is right.",
    )


_NOT_ALLOWED = Both(
    "開けないか、書き込めません。持ち主と権限を確かめてください。",
    "cannot be opened or written. Check who owns it and its permissions.",
)
_TROUBLES = (
    ("unable to open database file", _NOT_ALLOWED),
    ("attempt to write a readonly database", _NOT_ALLOWED),
    (
        "database is locked",
        Both(
            "ほかのプログラムが30秒以上書き込み中です。少し待ってからもう一度実行してください。",
            "another program has been writing for 30 seconds. Wait a little and try again.",
        ),
    ),
    (
        "database or disk is full",
        Both(
            "ディスクがいっぱいです。空きを作ってからもう一度実行してください。",
            "the disk is full. Make room and try again.",
        ),
    ),
)


def put(
    session: Session, table: type[Any], key: Mapping[str, Any], values: Mapping[str, Any]
) -> None:
    """Sets the row with this key to these values, whether it is there or not, also when two do."""
    dialect = session.get_bind().dialect.name
    insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    session.execute(
        insert(table)
        .values(**key, **values)
        .on_conflict_do_update(index_elements=list(key), set_=dict(values))
    )
    session.expire_all()
