"""Everything that touches PostgreSQL: the only room that knows psycopg, SQLAlchemy and Alembic."""
