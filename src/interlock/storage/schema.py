"""The tables as they are now; how they came to be is in ``migrations/``. Times are microseconds since 1970 UTC."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, String, Table

METADATA = MetaData()

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

SESSIONS = Table(
    "sessions",
    METADATA,
    Column("id", String, primary_key=True),
    Column("worker", Integer, nullable=False),
    Column("principal_id", String, nullable=False),
    Column("token_id", String, nullable=False),
    Column("resource", String, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Column("document", LargeBinary, nullable=False),
    Index("sessions_open", "ended_at", "started_at"),
    Index("sessions_principal", "principal_id", "ended_at"),
)

APPROVALS = Table(
    "approvals",
    METADATA,
    Column("id", String, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("state", String, nullable=False),
    Column("session_id", String, nullable=False),
    Column("principal_id", String, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("document", LargeBinary, nullable=False),
    Column("payload", LargeBinary),
    Column("view", LargeBinary),
    Index("approvals_state", "state", "created_at"),
    Index("approvals_session", "session_id", "state"),
    Index("approvals_principal", "principal_id", "state"),
)

HANDLES = Table(
    "handles",
    METADATA,
    Column("digest", LargeBinary, primary_key=True),
    Column("resource", String, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("uses", Integer, nullable=False),
    Column("principal", String, nullable=False),
    Index("handles_expires", "expires_at"),
)

REVOCATIONS = Table(
    "revocations",
    METADATA,
    Column("kind", String, primary_key=True),
    Column("value", String, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
    Column("by", String, nullable=False),
    Column("reason", String, nullable=False),
    Index("revocations_until", "until"),
    Index("revocations_value", "value"),
)


def microseconds(moment: datetime) -> int:
    """A time as it is stored, exactly."""
    return (moment - _EPOCH) // _MICROSECOND


def moment(stored: int) -> datetime:
    """A stored time, in UTC."""
    return _EPOCH + stored * _MICROSECOND
