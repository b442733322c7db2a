"""The database: one engine, read and write transactions, and the database's own clock.

SQLite runs in WAL mode, writers begin with BEGIN IMMEDIATE so that two of them queue up instead
of failing half-way; readers begin plainly. PostgreSQL needs none of that.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from time import monotonic
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session

from app.db.columns import UTCDateTime, among, database_now, same_address, seconds_between
from app.db.many import insert_new, update_each
from app.db.server import PAGES, PING_AFTER, POOLED, SENDERS, Patience, engine_for, has_spoken
from app.locale import Both
from app.refused import Code, Refused
from app.util.private import keep_private

__all__ = [
    "PAGES",
    "POOLED",
    "SENDERS",
    "AdvisoryLock",
    "AutocommitConnection",
    "Database",
    "DatabaseDown",
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

# An UPDATE or DELETE of many rows leaves alone what the session has loaded of them: nothing is
# compared in Python. Where loaded rows are read afterwards the statement says "auto" itself.
_NOT_COMPARED = {"synchronize_session": False}

BUSY_TIMEOUT_MS = 30_000  # how long an SQLite writer waits for another one


_AFTER = "after_commit"
_TRY_AGAIN = 30  # seconds


def after_commit(session: Session, call: Callable[[], None]) -> None:
    """Calls this when what `Database.write` gave has been committed, and never if it was undone."""
    session.info.setdefault(_AFTER, []).append(call)


class AdvisoryLock(IntEnum):
    """What PostgreSQL lets one transaction of this program do at a time; the numbers mean nothing."""

    UPGRADE = 7_305_516_001
    IMPORT = 7_305_516_002
    ADMINS = 7_305_516_003
    DEFAULTS = 7_305_516_004


def one_after_the_other(session: Session, lock: AdvisoryLock) -> None:
    """Waits until no other transaction holds this lock, and holds it until the end of this one.

    An advisory lock of PostgreSQL; SQLite has one writer anyway.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": lock})


class DatabaseDown(Refused):
    """The database does not answer in time, refuses the connection, or cannot write."""

    def __init__(self, sentence: Both) -> None:
        super().__init__(Code.DATABASE_DOWN, sentence, retry_after=_TRY_AGAIN)


@contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
    # InternalError: what PostgreSQL says when a file cannot grow.
    except (OperationalError, InterfaceError, InternalError) as error:
        why = _first_line(error)
        said = Both(f"データベースを使えません({why})。", f"The database cannot be used ({why}).")
        raise DatabaseDown(said) from error


def _first_line(error: BaseException) -> str:
    """What the driver says; the kind of the error, where it says nothing."""
    lines = str(getattr(error, "orig", None) or error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


class Database:
    """One engine and its transactions. Opens no connection before it is used."""

    def __init__(self, url: str, patience: Patience | None = None, scale: float = 1.0) -> None:
        """`scale`: TEST_TIME_SCALE, of the patience."""
        self.is_sqlite = make_url(url).get_backend_name() == "sqlite"
        waits = patience or Patience()
        self.engine = _sqlite(url) if self.is_sqlite else engine_for(url, waits, scale)
        # Made once: one with options costs a sender 20 us each time.
        self._writer = self.engine.execution_options(writes=True)
        self._each_by_itself = self.engine.execution_options(isolation_level="AUTOCOMMIT")

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session for reading; whatever it changed is thrown away. Raises DatabaseDown."""
        with _in_words(), self._session(self.engine) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session whose changes are committed at the end, or all undone on an error.

        Raises DatabaseDown.
        """
        session = self._session(self._writer)
        with _in_words(), session, session.begin():
            yield session
        for call in session.info.get(_AFTER, ()):
            call()

    def _session(self, engine: Engine) -> Session:
        return Session(engine, expire_on_commit=False, execution_options=_NOT_COMPARED)

    def wait_at_most(self, session: Session, seconds: float) -> None:
        """For the rest of this transaction no lock is waited for any longer."""
        if not self.is_sqlite:
            session.execute(text(f"SET LOCAL lock_timeout = {round(seconds * 1000)}"))

    def each_by_itself(self) -> "AutocommitConnection":
        """A connection for statements that are transactions of their own; close it."""
        return AutocommitConnection(self._each_by_itself)

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """A bare connection, for looking at the schema. Raises DatabaseDown."""
        with _in_words(), self.engine.connect() as connection:
            yield connection

    @property
    def file(self) -> Path:
        """The file, where `is_sqlite`."""
        return Path(self.engine.url.database or "")

    def missing_file(self) -> Path | None:
        """The file of an SQLite database that is not there; None for any other."""
        return self.file if self.is_sqlite and not self.file.exists() else None

    def make_file(self) -> None:
        """The file of an SQLite database, empty and private, where there is none."""
        if (file := self.missing_file()) is not None:
            file.touch(mode=0o600)

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


class AutocommitConnection:
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
                connection = self._alive()
                found = connection.exec_driver_sql(statement, dict(values)).scalars().all()
                if connection.info[POOLED]:
                    connection.commit()
            except BaseException:
                self.close()
                raise
            return found

    def close(self) -> None:
        """Gives the connection back; the next statement takes another one."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        with connection:
            try:
                if not connection.invalidated and not connection.info[POOLED]:
                    connection.exec_driver_sql("RESET plan_cache_mode")
            except DBAPIError:  # it is broken: the pool must not have it back
                connection.invalidate()

    def _alive(self) -> Connection:
        # One that hung up, or that lay long enough to be forgotten on the way: the pool looks.
        idle = monotonic() - self._used > PING_AFTER
        if self._connection is not None and (idle or has_spoken(self._connection.connection)):
            self.close()
        if self._connection is None:
            self._connection = self._engine.connect()
            if self._connection.info[POOLED]:  # limits go by transactions there, settings get lost
                self._connection.execution_options(isolation_level="READ COMMITTED")
            else:  # One plan for all: PostgreSQL would make one each time, a quarter of the time.
                self._connection.exec_driver_sql("SET plan_cache_mode = force_generic_plan")
        self._used = monotonic()
        return self._connection


def _sqlite(url: str) -> Engine:
    engine = create_engine(
        url, hide_parameters=True, connect_args={"timeout": BUSY_TIMEOUT_MS / 1000}
    )

    @event.listens_for(engine, "do_connect")
    def _open(_dialect: object, _record: object, args: list[Any], options: dict[str, Any]) -> None:
        """SQLite would make a new, empty database where there is none."""
        if not options.get("uri"):
            args[0] = f"{Path(args[0]).absolute().as_uri()}?mode=rw"
            options["uri"] = True

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: object) -> None:
        # Whatever the umask: this account alone reads the file and what SQLite keeps beside it, to
        # which it gives the mode of the file (sqlite.org, "WAL", 2.2).
        for end in ("", "-wal", "-shm"):
            keep_private(Path(f"{make_url(url).database}{end}"))
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


def in_words(error: BaseException, place: str) -> Both | None:
    """The sentence for the terminal when the database fails; None for other errors.

    `place`: the file or server as it may be shown (relative, without a password).
    """
    cause = error.__cause__ if isinstance(error, DatabaseDown) else error
    if not isinstance(cause, (OperationalError, InterfaceError, InternalError, PoolTimeoutError)):
        return error.sentence if isinstance(error, DatabaseDown) else None
    text = str(getattr(cause, "orig", None) or cause)
    for found, sentence in _TROUBLES:
        if found in text:
            return Both(f"{place}: {sentence.ja}", f"{place}: {sentence.en}")
    first = _first_line(cause)
    return Both(
        f"データベース {place} を使えません({first})。動いているか、"
        "DATABASE_URL が正しいかを確かめてください。",
        f"The database {place} cannot be used ({first}). Check that it runs and that "
        "DATABASE_URL is right.",
    )


_NOT_ALLOWED = Both(
    "ないか、開けないか、書き込めません。DATABASE_URL と DATA_DIR、持ち主と権限を確かめてください。",
    "is not there, or cannot be opened or written. Check DATABASE_URL and DATA_DIR, who owns it and "
    "its permissions.",
)
_STANDBY = Both(
    "書き込めないサーバー(スタンバイ)です。プライマリが戻るか、スタンバイが昇格すると自動でつながります。",
    "is a standby or read-only: nothing can be written. Programs connect again by themselves "
    "when a primary is there.",
)
_TROUBLES = (
    ("unable to open database file", _NOT_ALLOWED),
    ("attempt to write a readonly database", _NOT_ALLOWED),
    ("session is read-only", _STANDBY),  # libpq, of each server in vain
    ("in a read-only transaction", _STANDBY),
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
