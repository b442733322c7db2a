"""The lead's week and escalation: what a lead was told, and since when silence counts."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """New columns, all of them NULL or ignored by the program that runs meanwhile."""
    op.add_column("users", sa.Column("weekly_digest", sa.Boolean(), nullable=True))
    op.add_column("users", sa.Column("escalations", sa.Boolean(), nullable=True))
    op.add_column("users", sa.Column("led_through", sa.Date(), nullable=True))
    op.add_column("users", sa.Column("active_since", sa.Date(), nullable=True))
    op.add_column("tasks", sa.Column("added_on", sa.Date(), nullable=True))
    op.add_column("decisions", sa.Column("told_on", sa.Date(), nullable=True))
    op.add_column("decisions", sa.Column("told_id", sa.BigInteger(), nullable=True))
    # Nobody's lead is told on the day of the upgrade of what nobody counted until now.
    op.execute("UPDATE users SET active_since = CURRENT_DATE")
    due = sa.text("active AND led_through < decided_through")
    op.create_index("ix_users_led_through", "users", ["id"], sqlite_where=due, postgresql_where=due)
    told = sa.text("told_id IS NOT NULL")
    op.create_index(
        "ix_decisions_told",
        "decisions",
        ["told_id", "told_on"],
        sqlite_where=told,
        postgresql_where=told,
    )
    op.create_index("ix_reports_reporter_id_counts_for", "reports", ["reporter_id", "counts_for"])
