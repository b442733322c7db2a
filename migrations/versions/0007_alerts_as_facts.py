"""Alerts are a name and facts; who has seen one, and which mails told of it."""

import re

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_NAMES = (
    (r"mail server not usable", "mail_server_unusable"),
    (r"unusual number of reminders", "unusual_number"),
    (r"mail (\d+) (failed|dead|unknown)", r"mail_\2:\1"),
    (r"mails expired (\S+)", r"mails_expired:\1"),
    (r"member (\d+) cannot be decided", r"member_undecidable:\1"),
    (r"team of member (\d+) cannot be planned", r"team_unplannable:\1"),
    (r"address of member (\d+) suppressed", r"address_suppressed:\1"),
)


def upgrade() -> None:
    """New columns that may be empty: the program that runs meanwhile does not notice.

    What is open gets its new name, so that it closes when its cause is gone; its text stays.
    """
    op.add_column("alerts", sa.Column("data", sa.JSON(), nullable=True))
    op.add_column("alerts", sa.Column("acked_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("alerts", sa.Column("acked_by", sa.String(length=320), nullable=True))
    op.add_column("alerts", sa.Column("mailed_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("alerts", sa.Column("over_mailed_at", sa.DateTime(timezone=True), nullable=True))
    connection = op.get_bind()
    rows = connection.execute(sa.text("SELECT id, name FROM alerts WHERE closed_at IS NULL"))
    for number, name in rows.all():
        for old, new in _NAMES:
            if re.fullmatch(old, name):
                connection.execute(
                    sa.text("UPDATE alerts SET name = :name WHERE id = :id"),
                    {"name": re.sub(old, new, name), "id": number},
                )


def downgrade() -> None:
    """Who has seen what is forgotten."""
    for name in ("over_mailed_at", "mailed_at", "acked_by", "acked_at", "data"):
        op.drop_column("alerts", name)
