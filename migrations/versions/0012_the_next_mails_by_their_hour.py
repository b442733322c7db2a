"""A sender finds the next mails by their hour, and those that somebody waits for at once.

With the id in the index of open mails a sender goes on where its last claim ended: many mails of a
morning have the same hour. The index of urgent mails holds no reminder of the morning, so it costs
those nothing.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_OPEN = sa.text("NOT ended")
_URGENT = sa.text("kind IN ('sign_in', 'alert', 'asked_reminder') AND NOT ended")


def upgrade() -> None:
    """Two indexes for one: the program that runs meanwhile does not notice."""
    for name, where in (("ix_outbox_by_hour", _OPEN), ("ix_outbox_urgent", _URGENT)):
        op.create_index(
            name, "outbox", ["not_before", "id"], sqlite_where=where, postgresql_where=where
        )
    op.drop_index("ix_outbox_open", table_name="outbox")


def downgrade() -> None:
    """The index as it was."""
    op.create_index(
        "ix_outbox_open", "outbox", ["not_before"], sqlite_where=_OPEN, postgresql_where=_OPEN
    )
    op.drop_index("ix_outbox_urgent", table_name="outbox")
    op.drop_index("ix_outbox_by_hour", table_name="outbox")
