"""Benchmarks: ratios measured in one run, against bare SQL and against Alembic's own start-up."""
