"""Uploaded files between preview and import; what the operator's lists are found by.

The indexes by day are BRINs on PostgreSQL: they cost next to nothing to write, and no step of a
mail's life touches what they look at. The index of mails that were not accepted looks at two
columns that change once, at the mail's end, so its steps still write no index.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_UNSENT = sa.text("(ended AND accepted_at IS NULL)")


def upgrade() -> None:
    """A new table and indexes: the program that runs meanwhile does not notice."""
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "uploads",
        sa.Column("id", number, nullable=False),
        sa.Column("user_id", number, nullable=False),
        sa.Column("what", sa.String(length=20), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("overwrite_settings", sa.Boolean(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("preview", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_uploads_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_uploads")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_uploads_user_id"), "uploads", ["user_id"])
    op.create_index(
        "ix_outbox_unsent", "outbox", ["id"], sqlite_where=_UNSENT, postgresql_where=_UNSENT
    )
    op.create_index("ix_outbox_local_date", "outbox", ["local_date"], postgresql_using="brin")
    op.create_index("ix_outbox_created_at", "outbox", ["created_at"], postgresql_using="brin")
    op.create_index("ix_audit_who_id", "audit", ["who", "id"])
    op.create_index("ix_audit_what_id", "audit", ["what", "id"])


def downgrade() -> None:
    """Files that wait for a word are dropped; nothing else is lost."""
    for name in ("ix_audit_what_id", "ix_audit_who_id"):
        op.drop_index(name, table_name="audit")
    for name in ("ix_outbox_created_at", "ix_outbox_local_date", "ix_outbox_unsent"):
        op.drop_index(name, table_name="outbox")
    op.drop_table("uploads")
