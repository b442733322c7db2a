"""Who this installation is: an id made once and kept in the database.

Two installations that send under one domain, or share one Redis, tell their mails and guards apart
by it. Every process on one database reads the same one.
"""

import secrets

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db import Database, after_commit, database_now, insert_new
from app.models import Setting

KEY = "installation"  # in `settings`


class Installation:
    """The id of the installation on this database. A process asks the database for it once."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._id: str | None = None

    def id(self) -> str:
        """The id, outside of any transaction that writes. Raises DatabaseDown."""
        if self.known() is None:
            with self._db.write() as session:
                return self.id_in(session)
        return str(self._id)

    def known(self) -> str | None:
        """The id as far as there is one; makes none. Raises DatabaseDown."""
        if self._id is None:
            with self._db.read() as session:
                self._id = _stored(session)
        return self._id

    def id_in(self, session: Session) -> str:
        """The id, within the caller's transaction, which makes it where there is none yet."""
        if self._id is not None:
            return self._id
        found = made_in(session)
        # What is undone again must not be remembered: another process would make another one.
        after_commit(session, lambda: self._remember(found))
        return found

    def _remember(self, found: str) -> None:
        self._id = found


def made_in(session: Session) -> str:
    """The id that the database holds; makes it where there is none. Of two at once one wins."""
    found = _stored(session)
    if found is None:
        row = {
            "key": KEY,
            "value": secrets.token_hex(8),
            "changed_by": "installation",
            "changed_at": session.scalar(select(database_now())),
        }
        insert_new(session, Setting, [row])
        found = _stored(session)
    return str(found)


def _stored(session: Session) -> str | None:
    return session.scalar(select(Setting.value).where(Setting.key == KEY))
