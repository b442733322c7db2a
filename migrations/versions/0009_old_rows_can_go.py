"""Old decisions and mails can be removed without reading the whole outbox for each of them.

A decision that goes is looked for in the mails that name it, and a mail in those that came of it.
Mails come in the order of their decisions, so a BRIN finds them and costs next to nothing to write;
few mails were sent again.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_RESENT = sa.text("resend_of IS NOT NULL")


def upgrade() -> None:
    """Two indexes: the program that runs meanwhile does not notice."""
    op.create_index("ix_outbox_decision_id", "outbox", ["decision_id"], postgresql_using="brin")
    op.create_index(
        "ix_outbox_resend_of",
        "outbox",
        ["resend_of"],
        sqlite_where=_RESENT,
        postgresql_where=_RESENT,
    )


def downgrade() -> None:
    """Removing old rows takes long again."""
    op.drop_index("ix_outbox_resend_of", table_name="outbox")
    op.drop_index("ix_outbox_decision_id", table_name="outbox")
