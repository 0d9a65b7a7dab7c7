"""Sessions, approvals, token handles and revocations."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the first tables."""
    op.create_table(
        "sessions",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("worker", sa.Integer, nullable=False),
        sa.Column("principal_id", sa.String, nullable=False),
        sa.Column("token_id", sa.String, nullable=False),
        sa.Column("resource", sa.String, nullable=False),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger),
        sa.Column("document", sa.LargeBinary, nullable=False),
    )
    op.create_index("sessions_open", "sessions", ["ended_at", "started_at"])
    op.create_index("sessions_principal", "sessions", ["principal_id", "ended_at"])
    op.create_table(
        "approvals",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("session_id", sa.String, nullable=False),
        sa.Column("principal_id", sa.String, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("document", sa.LargeBinary, nullable=False),
        sa.Column("payload", sa.LargeBinary),
        sa.Column("view", sa.LargeBinary),
    )
    op.create_index("approvals_state", "approvals", ["state", "created_at"])
    op.create_index("approvals_session", "approvals", ["session_id", "state"])
    op.create_index("approvals_principal", "approvals", ["principal_id", "state"])
    op.create_table(
        "handles",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("resource", sa.String, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("uses", sa.Integer, nullable=False),
        sa.Column("principal", sa.String, nullable=False),
    )
    op.create_index("handles_expires", "handles", ["expires_at"])
    op.create_table(
        "revocations",
        sa.Column("kind", sa.String, primary_key=True),
        sa.Column("value", sa.String, primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
        sa.Column("by", sa.String, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
    )
    op.create_index("revocations_until", "revocations", ["until"])
    op.create_index("revocations_value", "revocations", ["value"])


def downgrade() -> None:
    """Drop everything: only for tests of the step itself."""
    for table in ("revocations", "handles", "approvals", "sessions"):
        op.drop_table(table)
