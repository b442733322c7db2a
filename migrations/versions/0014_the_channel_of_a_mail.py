"""By which channel a message leaves: today all are mails."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A column with a default: the program that runs meanwhile writes mails as before."""
    op.add_column(
        "outbox", sa.Column("channel", sa.String(12), nullable=False, server_default="mail")
    )


def downgrade() -> None:
    """Every message is a mail."""
    op.drop_column("outbox", "channel")
