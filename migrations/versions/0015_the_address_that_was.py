"""A mail to the address that a member had says that it is no longer theirs."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_CHECK = "ck_outbox_kind_known"
_BEFORE = "'reminder', 'asked_reminder', 'weekly_digest', 'escalation', 'sign_in', 'alert'"
_AFTER = f"{_BEFORE}, 'address_changed'"


def upgrade() -> None:
    """One kind of mail more."""
    _replace(_BEFORE, _AFTER)


def downgrade() -> None:
    """Without that kind, and without its mails."""
    op.execute("DELETE FROM outbox WHERE kind = 'address_changed'")
    _replace(_AFTER, _BEFORE)


def _replace(before: str, after: str) -> None:
    if op.get_bind().dialect.name == "sqlite":
        _replace_in_place(before, after)
        return
    op.drop_constraint(op.f(_CHECK), "outbox", type_="check")
    op.create_check_constraint(op.f(_CHECK), "outbox", f"kind IN ({after})")


def _replace_in_place(before: str, after: str) -> None:
    """SQLite keeps it in the text of the table; a copy would delete the rows that refer to it."""
    connection = op.get_bind()
    version = connection.exec_driver_sql("PRAGMA schema_version").scalar_one()
    connection.exec_driver_sql("PRAGMA writable_schema=ON")
    connection.execute(
        sa.text("UPDATE sqlite_master SET sql = replace(sql, :was, :is) WHERE name = 'outbox'"),
        {"was": f"kind IN ({before})", "is": f"kind IN ({after})"},
    )
    connection.exec_driver_sql(f"PRAGMA schema_version={version + 1}")  # others read it anew
    connection.exec_driver_sql("PRAGMA writable_schema=RESET")
