"""Several use cases, or one of several transactions, as one transaction."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.orm import Session

from app.db import _AFTER, _NOT_COMPARED, Database, after_commit


class OneTransaction(Database):
    """The database within a transaction of the caller's: what is written by this are savepoints of
    it, and what was to happen after a commit happens after the caller's.

    So a use case that commits in steps is done as a whole, or not at all.
    """

    def __init__(self, outer: Database, session: Session) -> None:  # opens no engine of its own
        self.is_sqlite = outer.is_sqlite
        self.engine = outer.engine
        self._outer = session
        self._connection = session.connection()

    @contextmanager
    def read(self) -> Iterator[Session]:
        """As `Database.read`; no savepoint, whose end would undo what is written meanwhile: what is
        changed here never reaches the database.
        """
        session = Session(
            self._connection,
            autoflush=False,
            execution_options=_NOT_COMPARED,
            join_transaction_mode="rollback_only",
        )
        with session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """As `Database.write`, as part of the transaction."""
        session = Session(
            self._connection,
            expire_on_commit=False,
            execution_options=_NOT_COMPARED,
            join_transaction_mode="create_savepoint",
        )
        with session, session.begin():
            yield session
        for call in session.info.get(_AFTER, ()):
            after_commit(self._outer, call)
