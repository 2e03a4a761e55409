"""Servers of our own for `demo`, `rehearse` and the tests: PostgreSQL and S3 without Docker.

A launcher over whatever PostgreSQL binaries there are, because the ready-made ones either refuse
to run as root or open root's home to everyone on the way.
"""

from migrator.servers.binaries import Binaries, find, find_all, find_dump
from migrator.servers.postgres import Postgres
from migrator.servers.s3 import S3

__all__ = ["S3", "Binaries", "Postgres", "find", "find_all", "find_dump"]
