"""The last active admin cannot be removed, by whatever way a role or a member changes."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db import AdvisoryLock, one_after_the_other
from app.locale import Both
from app.models import Member, Role
from app.refused import Code, Refused

_ADMINS = select(Member.id).where(Member.role == Role.ADMIN, Member.active.is_(True))

LAST_ADMIN = Both(
    "ただ一人の管理者です。先に別の人を管理者にしてください。",
    "There is no other admin. Make somebody else an admin first.",
)


class LastAdmin(Refused):
    """No active admin would be left."""

    def __init__(self) -> None:
        super().__init__(Code.LAST_ADMIN, LAST_ADMIN)


@contextmanager
def an_admin_stays(session: Session) -> Iterator[None]:
    """What is done within must leave an active admin, where there was one. Raises LastAdmin.

    Enter it before any member is locked: two admins who demote each other at the same time are
    taken one after the other, and the second one finds that they are the last.
    """
    lock_admins(session)
    there_was_one = has_admin(session)
    yield
    session.flush()
    if there_was_one and not has_admin(session):
        raise LastAdmin


def has_admin(session: Session) -> bool:
    """Whether there is an active admin."""
    return session.scalar(_ADMINS.limit(1)) is not None


def lock_admins(session: Session) -> None:
    """No other transaction removes a role or a member until this one ends."""
    one_after_the_other(session, AdvisoryLock.ADMINS)
