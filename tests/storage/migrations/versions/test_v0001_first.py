from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import create_engine, inspect

from interlock.storage.migrations.versions import v0001_first


def test_step_is_made_and_undone() -> None:
    engine = create_engine("sqlite://")
    with engine.begin() as connection, Operations.context(MigrationContext.configure(connection)):
        v0001_first.upgrade()
        assert set(inspect(connection).get_table_names()) == {"sessions", "approvals", "handles", "revocations"}
        v0001_first.downgrade()
        assert inspect(connection).get_table_names() == []
    engine.dispose()
