"""Tokens for programs, their calls, by which way a report came, and the mail before a token ends."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_CHECK = "ck_outbox_kind_known"
_BEFORE = (
    "'reminder', 'asked_reminder', 'weekly_digest', 'escalation', 'sign_in', 'alert', "
    "'address_changed'"
)
_AFTER = f"{_BEFORE}, 'token_notice'"
_VIA = "'web', 'mail', 'api', 'mcp', 'import', 'source'"
_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Two tables; two columns that a program of the version before need not name; a kind of mail."""
    op.create_table(
        "api_tokens",
        sa.Column("id", _ID, nullable=False),
        sa.Column("key_hash", sa.String(64), nullable=False),
        sa.Column("shown", sa.String(12), nullable=False),
        sa.Column("user_id", _ID, nullable=False),
        sa.Column("name", sa.String(50), nullable=False),
        sa.Column("scopes", sa.String(60), nullable=False),
        sa.Column("test", sa.Boolean(), nullable=False),
        sa.Column("created_at", _instant(), nullable=False),
        sa.Column("expires_on", sa.Date(), nullable=False),
        sa.Column("last_used_at", _instant(), nullable=True),
        sa.Column("notified_at", _instant(), nullable=True),
        sa.Column("revoked_at", _instant(), nullable=True),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_api_tokens_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_tokens")),
        sa.UniqueConstraint("key_hash", name=op.f("uq_api_tokens_key_hash")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_api_tokens_user_id"), "api_tokens", ["user_id"])
    op.create_table(
        "api_calls",
        sa.Column("token_id", _ID, nullable=False),
        sa.Column("key", sa.String(255), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("location", sa.String(200), nullable=True),
        sa.Column("created_at", _instant(), nullable=False),
        sa.ForeignKeyConstraint(
            ["token_id"], ["api_tokens.id"], name=op.f("fk_api_calls_token_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("token_id", "key", name=op.f("pk_api_calls")),
    )
    op.create_index(op.f("ix_api_calls_created_at"), "api_calls", ["created_at"])
    # As words: SQLite adds a column with its CHECK in one, and no other way.
    op.execute(
        "ALTER TABLE reports ADD COLUMN via VARCHAR(10) NOT NULL DEFAULT 'web' "
        f"CONSTRAINT ck_reports_via_known CHECK (via IN ({_VIA}))"
    )
    op.add_column("reports", sa.Column("token_id", sa.BigInteger(), nullable=True))
    op.execute("UPDATE reports SET via = 'import' WHERE import_key IS NOT NULL")
    _replace(_BEFORE, _AFTER)


def downgrade() -> None:
    """Without all that, and without the mails of that kind."""
    op.execute("DELETE FROM outbox WHERE kind = 'token_notice'")
    _replace(_AFTER, _BEFORE)
    op.drop_column("reports", "token_id")
    op.drop_column("reports", "via")
    op.drop_table("api_calls")
    op.drop_table("api_tokens")


def _instant() -> sa.DateTime:
    return sa.DateTime(timezone=True)


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
