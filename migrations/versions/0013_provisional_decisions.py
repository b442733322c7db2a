"""Decisions made before their time, by a rehearsal or a clock that ran ahead, are known as such.

Their day decides anew.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A column with a default: the program that runs meanwhile does not notice."""
    op.add_column(
        "decisions",
        sa.Column("provisional", sa.Boolean(), nullable=False, server_default=sa.false()),
    )


def downgrade() -> None:
    """They count like any other again."""
    op.drop_column("decisions", "provisional")
