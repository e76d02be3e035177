"""Alembic's entry: it runs on the connection that `ingest-service migrate` opened and locked."""

from alembic import context

from ingest_service.adapters.migrations import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    version_table=VERSION_TABLE,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
