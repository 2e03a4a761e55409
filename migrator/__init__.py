"""Move live data from old PostgreSQL tables to new ones, with proof for every row."""

__version__ = "0.1.0"
