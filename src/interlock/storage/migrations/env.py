"""Alembic's entry: runs the steps on the connection that ``database.migrate`` gives, in its transaction."""

from alembic import context

from interlock.storage.schema import METADATA

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=METADATA, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
