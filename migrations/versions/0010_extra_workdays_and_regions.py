"""Extra workdays (土曜出勤日) of the company or a member; a member's own holidays.

A table of its own: the version before this would take a row of `days_off` for a day off.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A table and a column that may be empty: the program that runs meanwhile does not notice."""
    op.add_column("users", sa.Column("holidays", sa.String(length=60), nullable=True))
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "extra_workdays",
        sa.Column("id", number, nullable=False),
        sa.Column("user_id", number, nullable=True),
        sa.Column("first_day", sa.Date(), nullable=False),
        sa.Column("last_day", sa.Date(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.CheckConstraint("last_day >= first_day", name=op.f("ck_extra_workdays_in_order")),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["users.id"],
            name=op.f("fk_extra_workdays_user_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_extra_workdays")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_extra_workdays_user_id_last_day", "extra_workdays", ["user_id", "last_day"])


def downgrade() -> None:
    """Extra workdays are forgotten, and everybody keeps the organisation's holidays."""
    op.drop_table("extra_workdays")
    op.drop_column("users", "holidays")
