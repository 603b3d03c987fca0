"""Stores: what outlives the process. SQL by SQLAlchemy Core: SQLite, or PostgreSQL."""
