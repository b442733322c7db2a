"""The members of a team are found without reading all members."""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """What a lead looks at begins with these."""
    op.create_index("ix_users_team_id", "users", ["team_id"])


def downgrade() -> None:
    """As before."""
    op.drop_index("ix_users_team_id", "users")
