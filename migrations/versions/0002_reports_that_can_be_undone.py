"""Reports know the form that wrote them, and what their task was before.

Added empty columns only: the version before this one goes on working, its reports cannot be
undone.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("reports", sa.Column("form_key", sa.String(length=40), nullable=True))
    op.add_column("reports", sa.Column("task_was", sa.String(length=10), nullable=True))
    op.add_column("reports", sa.Column("task_was_closed_on", sa.Date(), nullable=True))
