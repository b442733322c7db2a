"""The heartbeat of a tick, and how many there were: an older database has counted fewer.

The count belongs to a timeline, an id that its first tick makes. A restore forgets the heartbeat and
with it the timeline, so a restored database is compared with nothing that ran before it.
"""

import secrets
from typing import Any, NamedTuple

from sqlalchemy.orm import Session

from app.models import TICK, Service


class Count(NamedTuple):
    """How many ticks were noted on which timeline."""

    timeline: str
    number: int

    @classmethod
    def of(cls, row: Service | None) -> "Count | None":
        """From the row; None where no tick was counted, as by a former version."""
        if row is None or "number" not in row.data:
            return None
        return cls(row.data["timeline"], row.data["number"])


def counted(session: Session) -> Count | None:
    """The count as it stands."""
    return Count.of(session.get(Service, TICK))


def one_more(session: Session) -> dict[str, Any]:
    """What a tick writes into its row: the count, one higher. Of two at once one waits."""
    before = Count.of(session.get(Service, TICK, with_for_update=True))
    count = before or Count(secrets.token_hex(8), 0)
    return count._replace(number=count.number + 1)._asdict()
