"""KEEP: the state database: sessions, approvals, token handles, revocations. Not configuration, not the log.

    interface declared by its consumer (approval, identity, gate) <- one small class a store -> Database -> SQLite (WAL)

Several processes share the file: every write is one immediate transaction, a value that may change twice is changed
by compare-and-swap, and ``synchronous = FULL`` makes a commit durable before it is answered (the list of sessions
alone does without: the log is the truth of them). Anything the database
raises leaves this room as ``StorageError``. Only the supervisor migrates; workers refuse a schema they don't know.
"""

from interlock.storage.approvals import SqlApprovalStore
from interlock.storage.database import Database, migrate
from interlock.storage.sessions import SqlSessionRegistry, SqlSessionStore, StoredSession
from interlock.storage.tokens import RevocationRow, SqlHandleStore, SqlRevocationStore

__all__ = [
    "Database",
    "RevocationRow",
    "SqlApprovalStore",
    "SqlHandleStore",
    "SqlRevocationStore",
    "SqlSessionRegistry",
    "SqlSessionStore",
    "StoredSession",
    "migrate",
]
