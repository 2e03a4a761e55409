"""Servers of our own for `demo`, `rehearse` and the tests: PostgreSQL without Docker.

A launcher over whatever PostgreSQL binaries there are, because the ready-made ones either refuse
to run as root or open root's home to everyone on the way.
"""

from migrator.servers.binaries import Binaries, find, find_all, find_dump
from migrator.servers.postgres import Postgres

__all__ = ["Binaries", "Postgres", "find", "find_all", "find_dump"]
