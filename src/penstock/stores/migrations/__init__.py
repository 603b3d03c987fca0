"""Migrations, by Alembic: run by the store itself when it starts."""
