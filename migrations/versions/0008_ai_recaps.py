"""What the AI was asked and answered, and its day's budget."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Two new tables: the program that runs meanwhile does not notice."""
    when = sa.DateTime(timezone=True)
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "ai_recaps",
        sa.Column("id", number, nullable=False),
        sa.Column("team_id", number, nullable=False),
        sa.Column("iso_week", sa.String(length=8), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("why", sa.String(length=60), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("not_before", when, nullable=False),
        sa.Column("needed_by", when, nullable=False),
        sa.Column("lease_until", when, nullable=True),
        sa.Column("input_key", sa.String(length=64), nullable=True),
        sa.Column("model", sa.String(length=200), nullable=True),
        sa.Column("sent", sa.Text(), nullable=True),
        sa.Column("came_back", sa.Text(), nullable=True),
        sa.Column("lines", sa.JSON(), nullable=True),
        sa.Column("member_ids", sa.Text(), nullable=False),
        sa.Column("tokens", sa.Integer(), nullable=False),
        sa.Column("created_at", when, nullable=False),
        sa.Column("ended_at", when, nullable=True),
        sa.Column("purge_at", when, nullable=False),
        sa.CheckConstraint(
            "state IN ('waiting', 'asking', 'good', 'refused', 'failed')",
            name=op.f("ck_ai_recaps_state_known"),
        ),
        sa.ForeignKeyConstraint(
            ["team_id"], ["users.id"], name=op.f("fk_ai_recaps_team_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ai_recaps")),
        sa.UniqueConstraint("team_id", "iso_week", name=op.f("uq_ai_recaps_team_id_iso_week")),
        sqlite_autoincrement=True,
    )
    still = sa.text("state IN ('waiting', 'asking')")
    op.create_index(
        "ix_ai_recaps_open", "ai_recaps", ["not_before"], sqlite_where=still, postgresql_where=still
    )
    op.create_index(op.f("ix_ai_recaps_input_key"), "ai_recaps", ["input_key"])
    op.create_index(op.f("ix_ai_recaps_purge_at"), "ai_recaps", ["purge_at"])
    op.create_table(
        "ai_budget",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("day", name=op.f("pk_ai_budget")),
    )


def downgrade() -> None:
    """What was asked is forgotten; the digests are counted."""
    op.drop_table("ai_budget")
    op.drop_table("ai_recaps")
